"""What a setup will do, decided before anything is done. Pure: from what is wished and what is there.

Promises: a muttd.conf that somebody edited is never written; what is as wished already is left alone; no secret is in a
line.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from muttd.settings import Settings
from muttd.settings.loading import with_keys
from muttd.settings.manual import manual
from muttd.setup.files import Notes, Places, checksum
from muttd.setup.host import FORWARDER, TARGET, TLS_SOCKET, Host
from muttd.setup.wish import SECRET_ID, Wish

PAGE_KEY: Final = "WEBUI_API_KEY"
_TLS_ADDRESSES: Final = ("0.0.0.0:6514", "[::]:6514")


@dataclass(frozen=True, slots=True)
class Standing:
    """What is there before."""

    host: Host
    places: Places
    text: str | None
    """muttd.conf; None: there is none."""
    settings: Settings
    """What it says."""
    credentials: Mapping[str, str] = field(repr=False)
    notes: Notes
    certificates: bool
    """Trial certificates lie there already."""

    @property
    def edited(self) -> bool:
        """Whether muttd.conf is somebody's work."""
        if self.text is None or self.text == manual():
            return False
        return checksum(self.text) != self.notes.configuration


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done."""

    settings: Settings
    """In force afterwards."""
    changes: Mapping[str, tuple[Any, Any]]
    """Settings that will be another: before, after."""
    left: Mapping[str, tuple[Any, Any]]
    """Settings that were asked for and will not: they stand otherwise in a file that somebody edited."""
    write: bool
    """muttd.conf."""
    credentials: Mapping[str, str] = field(repr=False)
    """To be written."""
    made: tuple[str, ...]
    """Those of them that setup made up."""
    kept: tuple[str, ...]
    refused: tuple[str, ...]
    """Credentials that were given and will not be written: secrets.file has them."""
    certificates: bool
    """To be made."""
    sample: bool
    firewall: tuple[str, ...] | None
    """Services to open; None: firewalld does not run."""
    units: bool
    """There is a systemd that has them, and they are to run."""
    enable: tuple[str, ...]
    disable: tuple[str, ...]
    restart: bool
    """Those that run."""


def planned(wish: Wish, standing: Standing, new_key: str) -> Plan:
    """`new_key` will be the page's first key where there is none."""
    before, host = standing.settings, standing.host
    wanted = dict(wish.keys)
    if wish.choices.certificates:
        wanted |= certificate_keys(standing.places)
    asked = with_keys(before, wanted)
    differing = {
        f"{table}.{key}": (getattr(getattr(before, table), key), getattr(getattr(asked, table), key))
        for table, key in wanted
        if getattr(getattr(before, table), key) != getattr(getattr(asked, table), key)
    }
    after = before if standing.edited else asked
    in_file = bool(after.secrets.file)
    changed = {name: value for name, value in wish.credentials.items() if standing.credentials.get(name) != value}
    credentials: dict[str, str] = {} if in_file else changed
    made: tuple[str, ...] = ()
    if not in_file and not after.vault.addr and PAGE_KEY not in {*credentials, *standing.credentials}:
        credentials, made = {**credentials, PAGE_KEY: new_key}, (PAGE_KEY,)
    certificates = wish.choices.certificates and not standing.certificates and not standing.edited
    write = not standing.edited and (standing.text is None or bool(differing))
    units = host.systemd and wish.choices.start
    enable: list[str] = []
    disable: list[str] = []
    if units:
        has_hook = bool(after.moog.webhook_url)
        if not host.enabled:
            enable.append(TARGET)
            disable += [] if has_hook else [FORWARDER]
        elif has_hook and not host.forwarder and standing.notes.forwarder_left_out:
            enable.append(FORWARDER)
        if after.syslog.tls_cert and not host.tls_socket:
            enable.append(TLS_SOCKET)
    is_open = host.open_services
    return Plan(
        settings=after,
        changes={} if standing.edited else differing,
        left=differing if standing.edited else {},
        write=write,
        credentials=credentials,
        made=made,
        kept=tuple(sorted(set(standing.credentials) - set(credentials))),
        refused=tuple(sorted(changed)) if in_file else (),
        certificates=certificates,
        sample=wish.choices.sample,
        firewall=None if is_open is None else tuple(one for one in wish.choices.firewall if one not in is_open),
        units=units,
        enable=tuple(enable),
        disable=tuple(disable),
        restart=units and bool(host.active) and (write or bool(credentials) or certificates),
    )


def lines(plan: Plan, wish: Wish, standing: Standing) -> Iterator[str]:
    """The plan in words, a line each; secrets by their names."""
    host, places = standing.host, standing.places
    own = "0640 root:mutt" if host.root and host.mutt else "0600"
    file = places.configuration
    if plan.write:
        yield _line("write", f"{file} ({own})")
        for name, (old, new) in plan.changes.items():
            yield _line("", f"{name} = {_shown(new)} (now {_shown(old)})")
    elif plan.left:
        yield _line("leave", f"{file}, which was edited by hand; to have what was asked for, change it yourself:")
        for name, (old, new) in plan.left.items():
            yield _line("", f"{name} is {_shown(old)}; asked for: {_shown(new)}")
    else:
        yield _line("leave", f"{file}: no change needed")
    if plan.certificates:
        yield _line("make", f"certificates for a trial in {places.certificates}, for 90 days")
    if plan.credentials:
        named = [f"{name} (generated)" if name in plan.made else name for name in sorted(plan.credentials)]
        yield _line("write", f"{places.credentials}/: {', '.join(named)} (0600)")
    if plan.refused:
        yield _line("leave", f"{', '.join(plan.refused)}: put into {plan.settings.secrets.file} by yourself")
    if plan.kept:
        yield _line("keep", f"{places.credentials}/: {', '.join(plan.kept)}")
    given = plan.settings.database
    rows = ", with sample rules, hosts and teams" if plan.sample else ""
    yield _line("migrate", f"the database {given.name} at {given.host}{rows}")
    yield from _firewall_lines(plan, wish)
    yield from _unit_lines(plan, wish, host)


def _firewall_lines(plan: Plan, wish: Wish) -> Iterator[str]:
    if plan.firewall is None:
        yield _line("leave", "the firewall: firewalld does not run here")
    elif plan.firewall:
        yield _line("open", f"in firewalld, default zone: {', '.join(plan.firewall)}")
    elif wish.choices.firewall:
        yield _line("leave", f"firewalld: {', '.join(wish.choices.firewall)} already open")


def _unit_lines(plan: Plan, wish: Wish, host: Host) -> Iterator[str]:
    if not wish.choices.start:
        yield _line("leave", "the units: not to be started ([setup] start)")
    elif not host.systemd:
        yield _line(
            "leave", "the units: systemd does not run here or lacks them; start muttd, muttd alerter, … yourself"
        )
    else:
        if plan.enable:
            yield _line("enable", ", ".join(plan.enable))
        for unit in plan.disable:
            yield _line("disable", f"{unit}: there is no moog.webhook_url; alerts wait in Redis")
        yield _line("restart" if plan.restart else "start", TARGET)
    if wish.choices.start:
        yield _line("send", "one syslog message to our own port, and look for it in the audit log")


def certificate_keys(places: Places) -> dict[tuple[str, str], Any]:
    """The settings that use the certificates of a trial."""
    certificate, key = str(places.certificates / "mutt.pem"), str(places.certificates / "mutt.key")
    return {
        ("syslog", "tls"): _TLS_ADDRESSES,
        ("syslog", "tls_cert"): certificate,
        ("syslog", "tls_key"): key,
        ("http", "tls_cert"): certificate,
        ("http", "tls_key"): key,
    }


def noted(plan: Plan, standing: Standing, text: str, certificate_files: list[str]) -> Notes:
    """The notes with what `plan` will have done; `text` is what will stand in muttd.conf.

    A credential that was there before, and not by setup, stays somebody else's.
    """
    notes = standing.notes
    new = [name for name in plan.credentials if name not in standing.credentials]
    return Notes(
        configuration=checksum(text) if plan.write else notes.configuration,
        was_there=notes.was_there if notes.configuration else standing.text is not None,
        credentials=sorted({*notes.credentials, *new}),
        certificates=sorted({*notes.certificates, *(certificate_files if plan.certificates else ())}),
        firewall=sorted({*notes.firewall, *(plan.firewall or ())}),
        units=notes.units or bool(plan.enable),
        forwarder_left_out=bool(plan.disable) or (notes.forwarder_left_out and FORWARDER not in plan.enable),
    )


def secret_id_of(wish: Wish) -> str | None:
    """Vault's, where one is given."""
    return wish.credentials.get(SECRET_ID)


def _line(verb: str, text: str) -> str:
    return f"  {verb:<9}{text}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
