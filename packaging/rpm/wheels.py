"""The wheels an RPM bundles: those of requirements/run.txt for a Python, by hash, and their list for the spec.

    wheels.py PYTHON FOLDER      as wheels.py 3.12 build/rpm/wheels

FOLDER then holds exactly these wheels and `bundled.inc`, a line of Provides: for each. Nothing is built, and the Python
that runs this need not be the target's: pip would judge environment markers by itself, so they are judged here.
"""

import platform
import re
import subprocess
import sys
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

LOCK = Path(__file__).parents[2] / "requirements" / "run.txt"
GLIBC = ("2_28", "2_17")
"""glibc of Enterprise Linux 8 and 7: what the wheels may have been built against."""


def of_target(lock: str, python: str) -> list[tuple[Requirement, str]]:
    """The lock's requirements that a target with `python` (as "3.12") needs, each with its lines of hashes.

    The target is taken to be the oldest patch release: what only that one needs does no harm to the others.
    """
    environment = {name: str(value) for name, value in default_environment().items()}
    environment |= {"python_version": python, "python_full_version": f"{python}.0"}
    entries = []
    for entry in re.split(r"\n(?=\S)", lock.strip()):
        text, *hashes = (line.strip() for line in entry.split("\\\n"))
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate(environment):
            requirement.marker = None
            entries.append((requirement, " ".join(hashes)))
    return entries


def download(entries: list[tuple[Requirement, str]], python: str, folder: Path) -> None:
    """Fetches what is not in `folder` yet and removes what is not of `entries`."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirements.txt"
    wanted.write_text("".join(f"{requirement} {hashes}\n" for requirement, hashes in entries))
    machine = platform.machine()
    platforms = [f"manylinux_{glibc}_{machine}" for glibc in GLIBC] + [f"manylinux2014_{machine}"]
    command = [sys.executable, "-m", "pip", "download", "-qq", "--require-hashes", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
    command += [f"--abi={abi}" for abi in (f"cp{python.replace('.', '')}", "abi3", "none")]
    command += [f"--platform={name}" for name in platforms]
    subprocess.run([*command, "--find-links", folder, "--dest", folder, "--requirement", wanted], check=True)
    pinned = {(canonicalize_name(requirement.name), str(requirement.specifier)) for requirement, _ in entries}
    for wheel in folder.glob("*.whl"):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        if (name, f"=={version}") not in pinned:
            wheel.unlink()


def bundled(entries: list[tuple[Requirement, str]]) -> str:
    """What an audit of the installed system looks for: which library, which version, in which package."""
    return "".join(
        f"Provides: bundled(python3dist({requirement.name})) = {str(requirement.specifier).removeprefix('==')}\n"
        for requirement, _ in entries
    )


def main() -> None:
    """See the head of the file."""
    python, folder = sys.argv[1], Path(sys.argv[2])
    entries = of_target(LOCK.read_text(), python)
    download(entries, python, folder)
    (folder / "bundled.inc").write_text(bundled(entries))


if __name__ == "__main__":
    main()
