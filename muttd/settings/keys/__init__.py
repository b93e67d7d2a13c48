"""Every setting of mutt: its default, unit, limits, environment variable, and what it is for.

One frozen dataclass per table of muttd.conf. The text of a key is its manual: it goes into muttd.conf as it stands.
Secrets have no key here: they come from the environment or the secrets file (`muttd.vault`).
"""

from dataclasses import dataclass, field

from muttd.settings.keys.alerting import Alerter, Moog
from muttd.settings.keys.keeping import Database, Queue, Redis, Spool
from muttd.settings.keys.processes import Http, Log
from muttd.settings.keys.receiving import Receiving, Snmp, Sources, Syslog
from muttd.settings.keys.secrets import Secrets, Vault

__all__ = [
    "Alerter",
    "Database",
    "Http",
    "Log",
    "Moog",
    "Queue",
    "Receiving",
    "Redis",
    "Secrets",
    "Settings",
    "Snmp",
    "Sources",
    "Spool",
    "Syslog",
    "Vault",
]


@dataclass(frozen=True, slots=True)
class Settings:
    """All tables of muttd.conf."""

    receiving: Receiving = field(default_factory=Receiving)
    syslog: Syslog = field(default_factory=Syslog)
    snmp: Snmp = field(default_factory=Snmp)
    sources: Sources = field(default_factory=Sources)
    http: Http = field(default_factory=Http)
    redis: Redis = field(default_factory=Redis)
    queue: Queue = field(default_factory=Queue)
    spool: Spool = field(default_factory=Spool)
    database: Database = field(default_factory=Database)
    alerter: Alerter = field(default_factory=Alerter)
    moog: Moog = field(default_factory=Moog)
    secrets: Secrets = field(default_factory=Secrets)
    vault: Vault = field(default_factory=Vault)
    log: Log = field(default_factory=Log)
