"""The one room that talks to PostgreSQL: every SQL statement outside `sql/` is here; asyncpg is used nowhere else."""

from muttd.store.audit import AuditRow, Recorded, Written
from muttd.store.connection import Store
from muttd.store.migrate import load_sample, migrate
from muttd.store.rules import RuleTables
from muttd.store.search import AuditEntry, Search

__all__ = [
    "AuditEntry",
    "AuditRow",
    "Recorded",
    "RuleTables",
    "Search",
    "Store",
    "Written",
    "load_sample",
    "migrate",
]
