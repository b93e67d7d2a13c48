"""`muttd setup --undo`: takes back what setup did on this host, and says what stays and how to remove that.

Promises: nothing is removed that setup did not write, and no muttd.conf that was edited since; no event, alert, rule or
row is touched.
"""

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from muttd.errors import ConfigurationError, MuttError
from muttd.pipeline.spool import at_rest
from muttd.settings import Settings
from muttd.settings.loading import load_given, with_keys
from muttd.settings.manual import manual
from muttd.setup import files, host, questions
from muttd.setup.files import TRIAL_FILES, Notes, Places
from muttd.setup.host import Host
from muttd.setup.questions import Talk
from muttd.setup.wish import SECRET_ID
from muttd.vault import NAMES


class _Reversal(NamedTuple):
    """What will be done."""

    units: bool
    """To be stopped and disabled."""
    firewall: tuple[str, ...]
    """To be closed."""
    credentials: tuple[str, ...]
    certificates: tuple[str, ...]
    """Files; none where a muttd.conf that stays names them."""
    configuration: bool
    """muttd.conf goes back to what it was."""


def undo(configuration: Path, *, unattended: bool, talk: Talk) -> None:
    """Raises MuttError where something fails."""
    places = Places(configuration.resolve())
    notes, found = files.read_notes(places), host.look()
    if found.systemd and not found.root:
        raise MuttError("setup --undo stops services: run it as root")
    text, settings = _configured(places)
    plan = _decided(notes, found, places, text)
    talk.show("setup --undo will:")
    for line in _lines(plan, notes, places, text) or ["  nothing: setup has done nothing here"]:
        talk.show(line)
    if not unattended and not questions.agreed("Go on?", talk):
        raise MuttError("nothing was changed")
    _do(plan, notes, found, places)
    talk.show("done. What stays, and how to remove it:")
    for line in _staying(settings, found, places):
        talk.show(line)


def _configured(places: Places) -> tuple[str | None, Settings]:
    """muttd.conf and what it says; defaults where it is wrong: it is only asked what stays where."""
    text = files.read(places.configuration)
    try:
        keys = load_given(places.configuration if text is not None else None, {}, ()).keys
    except ConfigurationError:
        keys = {}
    return text, with_keys(Settings(), keys)


def _decided(notes: Notes, found: Host, places: Places, text: str | None) -> _Reversal:
    there = places.names()
    goes = text is not None and files.checksum(text) == notes.configuration
    in_use = text is not None and not goes and str(places.certificates) in text
    is_open = found.open_services or frozenset()
    return _Reversal(
        units=found.enabled or bool(found.active),
        firewall=tuple(one for one in notes.firewall if one in is_open),
        credentials=tuple(name for name in notes.credentials if name in there),
        certificates=tuple(name for name in notes.certificates if Path(name).exists() and not in_use),
        configuration=goes,
    )


def _lines(plan: _Reversal, notes: Notes, places: Places, text: str | None) -> list[str]:
    lines = []
    if plan.units:
        lines.append(f"  stop and disable {host.TARGET} and all of its units")
    if plan.firewall:
        lines.append(f"  close in firewalld: {', '.join(plan.firewall)}")
    if plan.configuration:
        what = "put back as it is shipped" if notes.was_there else "remove"
        lines.append(f"  {what}: {places.configuration}")
    elif text is not None and text != manual():
        lines.append(f"  leave {places.configuration}: not as setup wrote it")
    lines += [f"  remove {places.credentials / name}" for name in plan.credentials]
    lines += [f"  remove {name}" for name in plan.certificates]
    return lines


def _do(plan: _Reversal, notes: Notes, found: Host, places: Places) -> None:
    if plan.units:
        # What fills before what empties.
        running = host.active_units()
        for units in (
            [unit for unit in host.RECEIVING if unit in running],
            [host.TARGET, *(unit for unit in running if unit not in {*host.RECEIVING, host.TARGET})],
        ):
            if units:
                host.run("systemctl", "stop", *units)
        host.run("systemctl", "disable", *host.enabled_units())
    if plan.firewall:
        host.close_in_firewall(plan.firewall)
    if plan.configuration:
        if notes.was_there:
            own = found.mutt if found.root else None
            files.write(places.configuration, manual(), 0o640 if own else 0o600, own and own._replace(user=0))
        else:
            files.remove(places.configuration)
    for name in plan.credentials:
        files.remove(places.credentials / name)
    for name in plan.certificates:
        files.remove(Path(name))
    if plan.certificates and not any(places.certificates.iterdir()):
        files.remove(places.certificates)
    files.remove(places.notes)


def _staying(settings: Settings, found: Host, places: Places) -> Iterator[str]:
    """Every command names its very files: whoever pastes it is root, and much else may lie beside them."""
    given, queue = settings.database, settings.queue
    yield f"  the database {given.name} at {given.host}: rules, audit log, keys"
    yield f"      {shlex.join(['dropdb', '-h', given.host, '-p', str(given.port), '-U', given.user, given.name])}"
    redis = settings.redis
    where = ["-s", redis.host] if redis.host.startswith("/") else ["-h", redis.host, "-p", str(redis.port)]
    client = shlex.join(["redis-cli", *where])
    yield "  what is under way in Redis: events, alerts, dead letters, counters"
    yield f"      {client} --scan --pattern 'mutt:*' | xargs -r {client} unlink"
    if other := [name for name in (queue.ingest_name, queue.alert_name) if not name.startswith("mutt:")]:
        yield f"      {client} unlink {shlex.join(other)}"
    if settings.spool.directory and (files_of_it := _spool_files(spool := Path(settings.spool.directory))):
        waiting = at_rest(spool)
        events = "events that Redis may not have" if waiting is None else f"{waiting} events that Redis does not have"
        yield f"  the spool ({events})"
        yield _removal(files_of_it)
    if (engine := Path(settings.snmp.engine_file)).exists():
        yield "  the SNMP engine ID"
        yield _removal([engine])
    credentials = (places.credentials / name for name in (*NAMES, SECRET_ID))
    certificates = (places.certificates / name for name in TRIAL_FILES)
    if left := [one for one in (places.configuration, *credentials, *certificates) if one.exists()]:
        yield "  configuration, credentials and certificates that are still there"
        yield _removal(left)
    if found.mutt is not None:
        yield "  the program and its user"
        yield "      dnf remove mutt; userdel mutt"


def _spool_files(directory: Path) -> list[Path]:
    """Those of every receiving process, set-aside ones and SQLite's journals included."""
    names = ("spool.sqlite*", "spool.damaged-*.sqlite*")
    return sorted(file for name in names for place in ("", "process-*/") for file in directory.glob(place + name))


def _removal(paths: Iterable[Path]) -> str:
    return f"      {shlex.join(['rm', *(str(path.absolute()) for path in paths)])}"
