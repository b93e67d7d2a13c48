"""How fast the page's searches are over a day of millions of events.

    ./dev bench search [--rows N] [--seconds S]

Fills an embedded PostgreSQL with N rows (10,000,000: about 7 GB in a temporary directory, removed at the end) spread
over the last 24 hours: 5,000 hosts, 1,000 rules, some of them rare, ten applications, 500 kinds of message. Then runs
the page's queries, through the same functions, and prints the slowest of three runs of each. Exit status 1 if one takes
longer than allowed: a second by host, rule, time or id, and S (5) by text or by a rare value of another column.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

from muttd.embedded import Postgres
from muttd.store import Search, Store, migrate

_CHUNK = 500_000
_RUNS = 3

# Everything is derived from the row's number by a multiplication that spreads (Knuth's), so that every run is the same.
_FILL = """
INSERT INTO event_audit_log (event_timestamp, received_at, event_id, severity, rule_id, kind, hostname, handling, team,
                             environment, app_name, rule_name, message, event)
SELECT at, at, ('018f0000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 3 + h % 5, rule,
       CASE WHEN h % 10 = 0 THEN 'trap' ELSE 'syslog' END, host,
       CASE WHEN rule IS NULL THEN 'unhandled' WHEN rule < 3 THEN 'Page_and_ticket' ELSE 'Log_only' END,
       'team-' || h % 20, CASE WHEN h % 50 = 0 THEN 'dev' ELSE 'prod' END, 'app-' || h % 10, 'rule ' || rule, text,
       json_build_object('id', n, 'kind', 'syslog', 'received_at', at, 'timestamp', at, 'source_ip', '10.0.0.1',
                         'transport', 'udp', 'hostname', host, 'message', text, 'raw', '<189>' || text)
FROM (SELECT n, h, 'edge-' || h % 5000 || '.example.com' AS host, $3::timestamptz + n * $4::interval AS at,
             CASE WHEN n % 1000000 = 7 THEN 1 WHEN h % 3 = 0 THEN NULL ELSE 3 + h % 997 END AS rule,
             '%LINK-' || h % 500 || '-UPDOWN: interface GigabitEthernet' || h % 48 || '/' || h % 7 || ' changed state, '
             || 'neighbour 10.' || h % 256 || '.' || h % 251 || '.' || h % 241
             || CASE WHEN n % 2000000 = 9 THEN ' needle' ELSE ' on schedule' END AS text
      FROM (SELECT n, (n::bigint * 2654435761) % 4294967296 AS h FROM generate_series($1::int, $2::int) n) numbers) rows
"""


async def fill(database: dict[str, str], rows: int) -> None:
    """Tables, this and last month's partitions, and the rows."""
    await migrate(database)
    store = Store(database)
    await store.open()
    now = datetime.now(UTC)
    await store.ensure_partitions(now)
    await store.close()
    connection = await asyncpg.connect(**database)
    step = timedelta(days=1) / rows
    for first in range(0, rows, _CHUNK):
        last = min(first + _CHUNK, rows) - 1
        await connection.execute(_FILL, first, last, now - timedelta(days=1), step, timeout=3600)
        print(f"\r{last + 1:,} rows", end="", flush=True)
    await connection.execute("VACUUM ANALYZE event_audit_log", timeout=3600)
    size = await connection.fetchval(
        "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'event_audit_log'::regclass"
    )
    print(f", {int(size) / rows:.0f} octets each, indexes included")
    await connection.close()


def questions(store: Store, now: datetime, slow: float) -> dict[str, tuple[float, Callable[[], Awaitable[Any]]]]:
    """Each query: its name, the seconds it may take, and the call."""
    noon, day = now - timedelta(hours=12), now - timedelta(days=1)

    def search(**wanted: Any) -> Callable[[], Awaitable[Any]]:
        return lambda: store.search(Search(**wanted), 100)

    return {
        "the newest": (1.0, search()),
        "a host": (1.0, search(hostname="edge-4321.example.com")),
        "a host that is none": (1.0, search(hostname="edge-9999.example.com")),
        "hosts by a pattern, ten of them": (1.0, search(hostname="edge-432?.*")),
        "hosts by a pattern, all of them": (1.0, search(hostname="edge-*")),
        "a rule": (1.0, search(rule_id=500)),
        "a rule that decided ten events": (1.0, search(rule_id=1)),
        "a rule and a host": (1.0, search(rule_id=500, hostname="edge-4321.example.com")),
        "a minute at noon": (1.0, search(since=noon, until=noon + timedelta(minutes=1))),
        "the page after noon": (1.0, search(before=(noon, "018f0000-0000-7000-8000-000000000000"))),
        "an event by its id": (1.0, lambda: store.get_event("018f0000-0000-7000-8000-000000000abc")),
        "a severity and a team": (1.0, search(severity=3, team="team-5")),
        "a host and a word": (1.0, search(hostname="edge-4321.example.com", text="neighbour")),
        "a word that many have": (1.0, search(text="UPDOWN")),
        "a handling that few have": (slow, search(handling="Page_and_ticket", since=day)),
        "a word that five have": (slow, search(text="needle", since=day)),
        "a word that none has": (slow, search(text="haystack", since=day)),
    }


async def run(database: dict[str, str], rows: int, slow: float) -> bool:
    """Fills, queries, prints; returns whether everything was fast enough."""
    await fill(database, rows)
    store = Store(database, timeout=120)
    await store.open()
    well = True
    for what, (limit, ask) in questions(store, datetime.now(UTC), slow).items():
        times = []
        for _ in range(_RUNS):
            began = time.perf_counter()
            found = await ask()
            times.append(time.perf_counter() - began)
        count = len(found) if isinstance(found, list) else int(found is not None)
        mark = "" if max(times) <= limit else f"  SLOW, may take {limit:g} s"
        well = well and not mark
        print(f"{max(times) * 1000:10,.1f} ms  {what} ({count}){mark}")
    await store.close()
    return well


def main() -> None:
    """Reads the command line and measures in a directory of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="by text, and by rare values")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mutt-") as name:
        directory = Path(name)
        server = Postgres(directory / "postgres", directory, fsync=False)  # filling is not what is measured
        server.start()
        try:
            database = {"host": name, "user": server.user, "database": server.database}
            well = asyncio.run(run(database, options.rows, options.seconds))
        finally:
            server.stop()
    sys.exit(0 if well else "some took longer than they may")


if __name__ == "__main__":
    main()
