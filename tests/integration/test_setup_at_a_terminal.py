"""`muttd setup` asks at a terminal."""

import os
import pty
import select
import subprocess
import time

from tests.muttd_process import ROOT
from tests.setting_up import CLEAN, Site


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
