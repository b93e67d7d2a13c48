"""`muttd mib`: names from vendors' MIB files, compiled into one index, and looked up."""

from collections.abc import Callable, Sequence
from pathlib import Path

from muttd.errors import MuttError
from muttd.mib import index
from muttd.roles.readers import mib_index
from muttd.settings import Settings

Print = Callable[[str], None]


def compiled(folders: Sequence[Path], output: Path, show: Print) -> None:
    """Compiles every MIB file in `folders` into `output`; a line for each file, and for each fault with its cause.

    No file takes another with it. Raises MuttError for a folder that is none, and where pysmi is missing.
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
    """What is known of an OID or a name. Raises MuttError where nothing is."""
    lines = mib_index(settings).lookup(text)
    if not lines:
        raise MuttError(f"{text}: unknown; muttd mib compile adds a vendor's names")
    for line in lines:
        show(line)
