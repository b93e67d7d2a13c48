"""The readers in wire/, set up from settings and secrets."""

import logging
import time
from ipaddress import ip_network
from pathlib import Path

from muttd.errors import ConfigurationError, MuttError
from muttd.listeners import engine_file
from muttd.mib import index as mib
from muttd.settings import Settings, forms
from muttd.vault import Secrets
from muttd.wire.snmp import TrapReader
from muttd.wire.snmp_clocks import TIME_WINDOW, Engine
from muttd.wire.syslog import SyslogReader
from muttd.wire.usm import User

log = logging.getLogger(__name__)


def syslog_reader(settings: Settings) -> SyslogReader:
    """The syslog reader, set up from the settings."""
    given = settings.syslog
    return SyslogReader(
        zone=forms.zone(given.time_zone),
        zones=[(ip_network(network), forms.zone(zone)) for network, zone in given.time_zones.items()],
        charset=given.charset,
        charsets=[(ip_network(network), charset) for network, charset in given.charsets.items()],
        names=_names(settings),
        max_length=given.max_message,
    )


def trap_reader(
    settings: Settings, secrets: Secrets, engine: Engine | None = None, time_window: float | None = TIME_WINDOW
) -> TrapReader:
    """The trap reader, set up from settings and secrets. Raises ConfigurationError for what cannot work.

    `engine` is ours; without it no SNMPv3 inform is accepted. `time_window` None: messages of any age are accepted.
    """
    return TrapReader(
        communities=_communities(secrets),
        users=_users(secrets),
        engine=engine,
        time_window=time_window,
        names=mib_index(settings),
        host_names=_names(settings),
    )


def mib_index(settings: Settings) -> mib.MibIndex:
    """The MIB index, set up from the settings. Raises ConfigurationError for the severity of an unknown trap."""
    given = settings.snmp
    severities = {forms.trap(trap): forms.severity(word) for trap, word in given.severities.items()}
    try:
        return mib.load([Path(file) for file in given.mib_files], severities)
    except ConfigurationError as error:
        raise ConfigurationError([f"snmp.severities: {fault}" for fault in error.faults]) from None


def follow_secrets(reader: TrapReader, secrets: Secrets) -> None:
    """Updates what `reader` accepts whenever the secrets change; it stays as it was if a user cannot work."""

    def take() -> None:
        try:
            reader.replace_secrets(_communities(secrets), _users(secrets))
        except ConfigurationError as error:
            log.error("SNMP communities and users stay as they were: %s", error)  # noqa: TRY400 (its line says all)

    secrets.changed.append(take)


def _communities(secrets: Secrets) -> list[bytes]:
    return [community.encode() for community in secrets.communities]


def _users(secrets: Secrets) -> list[User]:
    return [User(**user) for user in secrets.snmp_users]


def our_engine(settings: Settings, secrets: Secrets) -> Engine | None:
    """Our SNMPv3 engine, with its boots incremented; also made for users who may be added later by a reload.

    If its file is unusable: raises MuttError if there are users, otherwise returns None.
    """
    try:
        identity = engine_file.start(Path(settings.snmp.engine_file))
    except MuttError as error:
        if secrets.snmp_users or settings.vault.addr:
            raise
        log.info("without an SNMPv3 engine: %s", error)
        return None
    return Engine(identity.id, identity.boots, time.time())


def _names(settings: Settings) -> list[tuple[forms.Network, str]]:
    return [(ip_network(network), name) for network, name in settings.sources.names.items()]
