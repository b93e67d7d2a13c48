"""`muttd setup` on this machine, without systemd: asked by files and at a terminal, repeated, and taken back.

With systemd and as the package's user: packaging/rpm/proof.py.
"""

import asyncio
import json
import os
import pty
import select
import socket
import subprocess
import sys
import textwrap
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from muttd.embedded import Valkey
from muttd.pipeline.spool import Spool
from muttd.settings.manual import manual
from muttd.setup.wish import Choices, read_wish
from tests.muttd_process import ROOT
from tests.vaults import Bao, free_ports

SECRETS = """DB_PASS = "hunter2-database"
MOOG_API_KEY = "hunter2-moog"
SNMP_COMMUNITIES = ["hunter2-one", "hunter2-two"]
"""
CLEAN = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}


class Site:
    """A folder for muttd.conf, ports of its own, and the servers of the tests."""

    def __init__(self, directory: Path, valkey: Valkey, database: dict[str, str]) -> None:
        self.folder = directory / "etc"
        self.file = self.folder / "muttd.conf"
        self.answers = directory / "answers.toml"
        ports = [port for _ in range(5) for port in free_ports()]
        self.syslog, self.ports = ports[0], ports
        names = ("ingest", "alerter", "alerter_metrics", "forwarder", "forwarder_metrics", "webui")
        http = "\n".join(f"port_{name} = {port}" for name, port in zip(names, ports[3:], strict=False))
        self.tables = f"""
[syslog]
udp = ["127.0.0.1:{ports[0]}"]
tcp = ["127.0.0.1:{ports[1]}"]
[snmp]
udp = ["127.0.0.1:{ports[2]}"]
engine_file = "{directory}/engine.json"
[http]
address = "127.0.0.1"
{http}
[redis]
host = "{valkey.socket}"
[database]
host = "{database["host"]}"
user = "{database["user"]}"
name = "{database["database"]}"
[spool]
directory = "{directory}/spool"
max_bytes = 1048576
[alerter]
heartbeat_interval = 1
"""
        self.say(f"{self.tables}[credentials]\n{SECRETS}[setup]\nsample = true\n")

    def say(self, text: str) -> None:
        self.answers.write_text(text)
        self.answers.chmod(0o600)

    def muttd(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "muttd", "-c", str(self.file), *arguments]

    def setup(self, *arguments: str, answers: bool = True, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = self.muttd("setup", "--yes", *(("--answers", str(self.answers)) if answers else ()), *arguments)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, cwd=ROOT, env={**CLEAN, **environment}
        )
        assert "hunter2" not in done.stdout + done.stderr, "a secret was shown"
        return done

    def credential(self, name: str) -> str:
        return (self.folder / "credentials" / name).read_text()


@pytest.fixture
def site(tmp_path: Path, valkey: Valkey, redis: Any, database: dict[str, str]) -> Site:
    return Site(tmp_path, valkey, database)


@contextmanager
def running(site: Site, *roles: tuple[str, ...]) -> Iterator[None]:
    """Processes of the site, with the arguments of each; the receiver has its port."""
    with ExitStack() as stack:
        for role in roles:
            process = subprocess.Popen(site.muttd(*role), cwd=ROOT, env=CLEAN, stdout=subprocess.DEVNULL)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        wait_until_bound(site.syslog)
        yield


def wait_until_bound(port: int) -> None:
    end = time.monotonic() + 20
    while f":{port:04X} " not in Path("/proc/net/udp").read_text():
        assert time.monotonic() < end, "muttd does not listen"
        time.sleep(0.02)


def modes(folder: Path) -> dict[str, int]:
    return {str(one.relative_to(folder)): one.stat().st_mode & 0o777 for one in folder.rglob("*")}


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


def test_undo_takes_back_what_setup_did_and_says_what_stays(site: Site, tmp_path: Path) -> None:
    site.folder.mkdir()
    site.file.write_text(manual())
    (site.folder / "credentials").mkdir()
    (site.folder / "credentials/DB_PASS").write_text("hunter2-before")
    site.setup()
    assert site.file.read_text() != manual()
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.append("syslog_udp", [b"{}", b"{}"])
    spool.close()
    done = site.setup("--undo", answers=False)
    assert done.returncode == 0, done.stderr
    assert "the spool (2 events that Redis does not have)" in done.stdout
    assert [one.name for one in (tmp_path / "spool").iterdir()] == ["spool.sqlite"], "root left nothing there"
    assert site.file.read_text() == manual(), "as it is shipped"
    assert set(modes(site.folder)) == {"muttd.conf", "credentials", "credentials/DB_PASS"}, "it was there before"
    assert "dropdb -h " in done.stdout
    assert "unlink" in done.stdout
    again = site.setup("--undo", answers=False)
    assert (again.returncode, "nothing: setup has done nothing here" in again.stdout) == (0, True)


def test_undo_leaves_what_was_edited_since(site: Site) -> None:
    site.setup()
    text = site.file.read_text() + "# mine\n"
    site.file.write_text(text)
    done = site.setup("--undo", answers=False)
    assert f"leave {site.file}: not as setup wrote it" in done.stdout
    assert site.file.read_text() == text
    assert set(modes(site.folder)) == {"muttd.conf", "credentials"}


def test_the_commands_of_undo_remove_what_is_mutts_and_nothing_beside_it(tmp_path: Path) -> None:
    """muttd.conf may lie in a home directory, and the spool beside other things."""
    home, spool = tmp_path / "my home; x", tmp_path / "$x 'y'"
    ours = [
        *(home / name for name in ("muttd.conf", "credentials/DB_PASS", "tls/ca.pem", "tls/mutt.pem", "tls/mutt.key")),
        *(
            spool / name
            for name in ("spool.damaged-20260305T040506.sqlite-wal", "process-2/spool.sqlite", "engine.json")
        ),
    ]
    others = [home / "precious", home / "credentials/notes", home / "tls/mine.pem", spool / "precious"]
    for file in (*ours, *others):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    Spool(spool, 1 << 20).close()
    ours[0].write_text(
        f'[spool]\ndirectory = "{spool}"\n[snmp]\nengine_file = "{spool}/engine.json"\n'
        '[database]\nname = "my db"\n[redis]\nhost = "/run/my redis"\n'
    )
    command = [sys.executable, "-m", "muttd", "-c", str(home / "muttd.conf"), "setup", "--undo", "--yes"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=CLEAN).stdout
    removing = [line for line in said.splitlines() if line.startswith("      rm")]
    subprocess.run(["sh", "-euc", "\n".join(removing)], check=True, cwd=tmp_path)
    assert [one for one in (*ours, spool / "spool.sqlite") if one.exists()] == []
    assert [one for one in others if not one.exists()] == []
    assert "      dropdb -h 127.0.0.1 -p 5432 -U mutt 'my db'\n" in said
    assert "xargs -r redis-cli -s '/run/my redis' unlink\n" in said


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


def at_a_terminal(command: list[str], typed: dict[str, list[str]]) -> tuple[int, str]:
    """Runs `command`, types the answers to each question that has some, then Enter; the status and what was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], command, CLEAN)
    shown, asked, end = "", 0, time.monotonic() + 60
    try:
        while time.monotonic() < end:
            if not select.select([terminal], [], [], 1)[0]:
                continue
            try:
                shown += os.read(terminal, 65536).decode()
            except OSError:  # its end
                break
            last = shown[asked:].rpartition("\n")[2]
            if last.endswith((": ", "] ")):
                asked = len(shown)
                answers = next((values for text, values in typed.items() if text in last), [])
                os.write(terminal, (answers.pop(0) if answers else "").encode() + b"\n")
    finally:
        os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown


def test_at_a_terminal_it_asks_shows_and_waits_for_a_yes(site: Site) -> None:
    right = site.tables.split('name = "')[1].split('"')[0]
    site.say(site.tables.replace(f'name = "{right}"', "") + "[setup]\nstart = false\n")
    command = site.muttd("setup", "--answers", str(site.answers))

    def typed(agreed: str) -> dict[str, list[str]]:
        return {
            "PostgreSQL's password": ["hunter2-typed"],
            "Moog's key": ["hunter2-moog"],
            "Moog's webhook": ["nonsense", "https://127.0.0.1:9/events"],
            "  database": ["nowhere", right],
            "Answer again?": ["y"],
            "Go on?": ["what", agreed],
        }

    status, shown = at_a_terminal(command, typed("no"))
    assert status == 1, shown
    assert "nothing was changed" in shown
    assert not site.folder.exists()

    status, shown = at_a_terminal(command, typed("y"))
    assert status == 0, shown
    assert 'moog.webhook_url: "nonsense": expected https://HOST/PATH' in shown
    assert "please answer yes or no" in shown
    assert "createdb -O mutt nowhere" in shown, "and was asked again, with the rest as answered"
    assert "Moog         FAULT" in shown, "it may come later"
    assert "hunter2" not in shown, "a secret was shown"
    assert 'webhook_url = "https://127.0.0.1:9/events"\n' in site.file.read_text()
    assert site.credential("DB_PASS") == "hunter2-typed"


def test_without_a_terminal_nothing_is_asked(site: Site) -> None:
    done = subprocess.run(
        site.muttd("setup"), capture_output=True, text=True, check=False, cwd=ROOT, env=CLEAN, stdin=subprocess.DEVNULL
    )
    assert (done.returncode, done.stderr) == (1, "muttd: setup: no terminal to ask at; --yes asks nothing\n")
