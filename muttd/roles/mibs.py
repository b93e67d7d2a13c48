"""`muttd mib`: compiles vendors' MIB files into one index of names, and looks names up."""

from collections.abc import Callable, Sequence
from pathlib import Path

from muttd.errors import MuttError
from muttd.mib import index
from muttd.roles.readers import mib_index
from muttd.settings import Settings

Print = Callable[[str], None]


def compiled(folders: Sequence[Path], output: Path, show: Print) -> None:
    """Compiles every MIB file in `folders` into `output`; shows a line for each file and each fault with its cause.

    A bad file does not affect others. Raises MuttError for a missing folder, or if pysmi is missing.
    """
    try:
        from muttd.mib import compile as compiler  # noqa: PLC0415 (pysmi is an extra of its own)
    except ImportError:
        raise MuttError("muttd mib compile needs the package pysmi: pip install 'mutt[mib]'") from None
    table, findings = compiler.compile_folders(folders, index.read_table(index.SHIPPED))
    index.write_table(table, output)
    for finding in findings:
        show(str(finding))
    faults = sum(finding.fault for finding in findings)
    show(f"{output}: {len(table.traps)} traps, {len(table.objects)} objects; {faults} faults")
    show(f'to use it: [snmp] mib_files = ["{output.resolve()}"]')


def looked_up(settings: Settings, text: str, show: Print) -> None:
    """Shows what is known about an OID or a name. Raises MuttError if nothing is."""
    lines = mib_index(settings).lookup(text)
    if not lines:
        raise MuttError(f"{text}: unknown; muttd mib compile adds a vendor's names")
    for line in lines:
        show(line)
