"""`muttd setup --undo` on this machine, without systemd: what it takes back, what it leaves, and what it prints."""

import subprocess
import sys
from pathlib import Path

from muttd.pipeline.spool import Spool
from muttd.settings.manual import manual
from tests.muttd_process import ROOT
from tests.setting_up import CLEAN, Site, modes


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
