"""The readers of wire/ as the settings and secrets describe them."""

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
    """The reader that the settings describe."""
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
    """The reader that the settings and secrets describe. Raises ConfigurationError for what cannot work.

    `engine` is ours; without it no SNMPv3 inform is taken. `time_window` None: messages of any age are taken.
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
    """The names that the settings describe. Raises ConfigurationError for the severity of a trap that nobody knows."""
    given = settings.snmp
    severities = {forms.trap(trap): forms.severity(word) for trap, word in given.severities.items()}
    try:
        return mib.load([Path(file) for file in given.mib_files], severities)
    except ConfigurationError as error:
        raise ConfigurationError([f"snmp.severities: {fault}" for fault in error.faults]) from None


def follow_secrets(reader: TrapReader, secrets: Secrets) -> None:
    """Has `reader` accept what the secrets say whenever they change; where a user cannot work, it stays as it was."""

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
    """Our SNMPv3 engine, started once more: also for users who come later, by a reload.

    Where its file is no use, MuttError if there are users, otherwise None.
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
