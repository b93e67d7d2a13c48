"""`muttd setup` on this machine, without systemd: asked by files, repeated, and what it refuses.

With systemd and as the package's user: packaging/rpm/proof.py.
"""

import asyncio
import json
import os
import socket
import subprocess
import textwrap
import tomllib
from pathlib import Path

import asyncpg
import pytest

from muttd.setup.wish import Choices, read_wish
from tests.muttd_process import ROOT
from tests.setting_up import CLEAN, Site, modes, running
from tests.vaults import Bao, free_ports


def test_from_nothing_to_a_message_that_came_out(site: Site) -> None:
    first = site.setup()
    assert first.returncode == 1
    assert "only the test message is missing" in first.stdout
    assert "nothing listens on the syslog port; is muttd running?" in first.stderr
    written = modes(site.folder)
    assert {one for name, one in written.items() if name != "credentials"} == {0o600} | {written["muttd.conf"]}
    assert written["muttd.conf"] in {0o600, 0o640}
    assert written["credentials"] == 0o700
    assert site.credential("DB_PASS") == "hunter2-database"
    assert json.loads(site.credential("SNMP_COMMUNITIES")) == ["hunter2-one", "hunter2-two"]
    assert len(site.credential("WEBUI_API_KEY")) >= 32
    assert "applied 001_schema.sql" in first.stdout

    with running(site, (), ("alerter",)):
        again = site.setup(answers=False)
        by_hand = subprocess.run(
            site.muttd("doctor", "--json"), capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, env=CLEAN
        )
    assert again.returncode == 0, again.stdout + again.stderr
    assert "arrived in the audit log after" in again.stdout
    assert "no rule matched" in again.stdout
    assert "ports        OK     mutt holds" in again.stdout
    assert "leave    " in again.stdout
    assert "write    " not in again.stdout
    assert site.credential("WEBUI_API_KEY") not in again.stdout
    assert modes(site.folder) == written

    assert {one["check"] for one in map(json.loads, by_hand.stdout.splitlines())} >= {"ports", "clock", "PostgreSQL"}


async def test_an_alert_is_followed_to_the_webhook(site: Site, database: dict[str, str]) -> None:
    sink = site.ports[9]
    moog = f'{site.tables}[moog]\nwebhook_url = "http://127.0.0.1:{sink}/events"\n[setup]\nstart = false\n'
    site.say(moog)
    refused = site.setup()
    assert "keys         FAULT  MOOG_API_KEY: no such secret" in refused.stdout, "the forwarder would not start"
    site.say(moog + '[credentials]\nMOOG_API_KEY = "hunter2"\n')
    assert site.setup().returncode == 0
    connection = await asyncpg.connect(**database)
    await connection.execute(
        "INSERT INTO alert_rules (priority, name, match_type, match_string, prod_handling, dev_handling) "
        "VALUES (1, 'set-ups', 'contains', 'mutt setup', 'Page_only', 'Page_only')"
    )
    await connection.close()
    site.say("[setup]\nstart = true\n")
    with running(site, ("sink", "--port", str(sink)), ("alerter",), ("forwarder",), ()):
        done = await asyncio.to_thread(site.setup)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Page_only, rule 1 (set-ups) matched" in done.stdout
    assert "its alert: delivered, Moog said HTTP 200" in done.stdout


def test_an_edited_configuration_is_left_alone_and_what_differs_is_said(site: Site) -> None:
    site.setup("--answers", str(site.answers))
    text = site.file.read_text() + "# mine\n"
    site.file.write_text(text)
    site.say(
        site.tables.replace("max_bytes = 1048576", "max_bytes = 2097152") + '[credentials]\nDB_PASS = "hunter2-2"\n'
    )
    done = site.setup()
    assert site.file.read_text() == text
    assert "which was edited by hand" in done.stdout
    assert "spool.max_bytes is 1048576; asked for: 2097152" in done.stdout
    assert site.credential("DB_PASS") == "hunter2-2"
    assert "keep     " in done.stdout


def test_faults_change_nothing(site: Site) -> None:
    nobody, _ = free_ports()
    site.say(site.tables + "[credentials]\n")
    done = site.setup(REDIS_HOST="127.0.0.1", REDIS_PORT=str(nobody), REDIS_TLS_ENABLED="no")
    assert done.returncode == 1
    assert "Redis        FAULT" in done.stdout
    assert done.stderr == "muttd: nothing was changed; Redis: fix that and run setup again\n"
    assert not site.folder.exists()


def test_a_port_that_somebody_has_stops_it(site: Site) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", site.syslog))
        done = site.setup()
    assert done.returncode == 1
    assert f"ports        FAULT  {site.syslog}/udp (syslog.udp) is held by" in done.stdout
    assert not site.folder.exists()


@pytest.mark.parametrize(
    ("text", "mode", "status", "expected"),
    [
        ("[redis]\nprot = 1\n", 0o600, 78, "answers.toml:2: redis.prot: no such key; did you mean port?"),
        ("[setp]\n", 0o600, 78, "[setp]: no such table; did you mean setup?"),
        ("[setup]\nsample = 3\n", 0o600, 78, "[setup]: Expected `bool`, got `int` - at `$.sample`"),
        ('[setup]\nnames = ["::1", "a b"]\n', 0o600, 78, "[setup]: names: 'a b': no host name and no address"),
        ('[setup]\nfirewall = ["x"]\n', 0o600, 78, "[setup]: Invalid enum value 'x'"),
        (
            '[credentials]\nDB_PAS = "hunter2"\n',
            0o600,
            78,
            "credentials: DB_PAS: no such secret; known ones are REDIS_PASS",
        ),
        ('[credentials]\nDB_PASS = "hunter2"\n', 0o640, 78, "remedy: chmod 600"),
        ("[credentials]\nDB_PASS = 5\n", 0o600, 78, "DB_PASS: expected text"),
        ('[credentials]\nDB_PASS = "hunter2\n', 0o600, 78, "answers.toml:2: not TOML"),
    ],
)
def test_wrong_answers_are_named(site: Site, text: str, mode: int, status: int, expected: str) -> None:
    site.say(text)
    site.answers.chmod(mode)
    done = site.setup()
    assert done.returncode == status
    assert expected in done.stderr
    assert not site.folder.exists()


def test_where_a_file_has_the_secrets_none_is_written(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text('WEBUI_API_KEY = "hunter2-page"\n')
    file.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(file, 65534, 65534)  # as the services' user has it
    site.say(f'{site.tables}[secrets]\nfile = "{file}"\n[credentials]\nDB_PASS = "hunter2"\n[setup]\nstart = false\n')
    done = site.setup()
    assert done.returncode == 0, done.stderr
    assert f"DB_PASS: put into {file} by yourself" in done.stdout
    assert set(modes(site.folder)) == {"muttd.conf", "credentials", "setup.json"}


def test_the_example_of_the_document_is_a_right_one(tmp_path: Path) -> None:
    text = (ROOT / "docs/install.md").read_text()
    block = text[text.index("    # answers.toml") : text.index("The environment variables of")]
    file = tmp_path / "answers.toml"
    file.write_text(textwrap.dedent(block))
    file.chmod(0o600)
    wish = read_wish(file, {})
    assert wish.choices == Choices(), "it shows the defaults"
    assert set(Choices.__struct_fields__) == set(tomllib.loads(file.read_text())["setup"])
    assert wish.keys["database", "ssl_mode"] == "verify-full"


def test_trial_certificates_are_made_and_used(site: Site) -> None:
    site.say(site.tables + '[setup]\ncertificates = true\nnames = ["mutt.example.org"]\nstart = false\n')
    done = site.setup()
    assert done.returncode == 0, done.stdout + done.stderr
    assert (site.folder / "tls/mutt.key").stat().st_mode & 0o777 in {0o600, 0o640}
    told = subprocess.run(
        site.muttd("--check-config"), capture_output=True, text=True, check=False, cwd=ROOT, env=CLEAN
    )
    assert (told.returncode, told.stdout) == (0, "configuration OK\n")
    assert 'tls = ["0.0.0.0:6514", "[::]:6514"]\n' in site.file.read_text()
    key = (site.folder / "tls/mutt.key").read_text()
    assert site.setup().returncode == 0
    assert (site.folder / "tls/mutt.key").read_text() == key, "made once"


def test_firewalld_is_told_once(site: Site, tmp_path: Path) -> None:
    """By a stand-in for firewall-cmd that remembers: firewalld itself runs only where there is systemd."""
    opened = tmp_path / "opened"
    program = tmp_path / "bin/firewall-cmd"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
touch {opened}
for word; do case $word in
    --add-service=*) echo "${{word#*=}}" >>{opened} ;;
    --remove-service=*) grep -vx "${{word#*=}}" {opened} >{opened}.new; mv {opened}.new {opened} ;;
    --query-service) query=yes ;;
    --*) ;;
    *) grep -qx "$word" {opened} || exit 1 ;;
esac; done
"""
    )
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    site.say(site.tables + '[setup]\nfirewall = ["mutt", "mutt-webui"]\nstart = false\n')
    assert "opened    mutt, mutt-webui" in site.setup(PATH=path).stdout
    assert opened.read_text().split() == ["mutt", "mutt-webui"]
    assert "firewalld: mutt, mutt-webui already open" in site.setup(PATH=path).stdout
    assert "close in firewalld: mutt, mutt-webui" in site.setup("--undo", answers=False, PATH=path).stdout
    assert opened.read_text() == ""


def test_vault_is_logged_in_to_by_the_secret_id_that_setup_writes(site: Site, tmp_path: Path) -> None:
    bao = Bao(tmp_path / "bao")
    bao.start()
    try:
        bao.set_up()
        role_id, secret_id = bao.role("setup", ttl="60s", max_ttl="600s")
        bao.put(DB_PASS="hunter2-vault")
        vault = f'[vault]\naddr = "{bao.address}"\nrole_id = "{role_id}"\n'
        site.say(f'{site.tables}{vault}[credentials]\nsecret_id = "{secret_id}"\n[setup]\nstart = false\n')
        done = site.setup()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Vault        OK" in done.stdout
        assert secret_id not in done.stdout
        assert site.credential("secret_id") == secret_id
        assert not (site.folder / "credentials/WEBUI_API_KEY").exists(), "that is Vault's"
        assert (
            site.setup(answers=False).stderr
            == "muttd: no message was sent: nothing listens on the syslog port; is muttd running?\n"
        )
    finally:
        bao.stop()
