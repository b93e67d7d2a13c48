"""The books: whatever happens at the stations, they add up; whatever is lost, is missing where it was lost."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.pipeline.ledger import Ledger, Point, balance
from muttd.roles.ledger import lines

# What can happen, as what it adds to totals and stock.
MOVES: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "receive": ({"received:syslog_udp": 1}, {"memory": 1}),
    "receive a trap": ({"received:snmp_udp": 1}, {"memory": 1}),
    "reject": ({"received:snmp_udp": 1, "rejected:snmp_udp:community": 1}, {}),
    "drop": ({"dropped:syslog_udp:buffer_full": 1}, {"memory": -1}),
    "kernel drop": ({"dropped:syslog_udp:kernel": 1}, {}),
    "spool": ({"disk:syslog_udp": 1}, {"memory": -1}),
    "push": ({"arrived": 1}, {"ingest": 1}),
    "report push": ({"queued:syslog_udp": 1}, {"memory": -1}),
    "report replay": ({"queued:syslog_udp": 1, "disk:syslog_udp": -1}, {}),
    "reserve": ({}, {"ingest": -1, "reserved": 1}),
    "decide": ({"decided": 1, "audited": 1}, {"reserved": -1}),
    "decide, alert": ({"decided": 1, "audited": 1, "alerts": 1}, {"reserved": -1, "alerts": 1}),
    "decide, PostgreSQL away": ({"decided": 1}, {"reserved": -1, "backlog": 1}),
    "decide, leave out": ({"decided": 1, "unaudited": 1}, {"reserved": -1}),
    "unreadable": ({"unreadable": 1}, {"reserved": -1}),
    "drain": ({"audited": 1}, {"backlog": -1}),
    "refuse a row": ({"refused": 1}, {"backlog": -1}),
    "meta-alert": ({"meta_alerts": 1}, {"alerts": 1}),
    "deliver": ({"delivered": 1}, {"alerts": -1}),
    "retry": ({"retried": 1}, {}),
    "die": ({"dead:refused": 1}, {"alerts": -1, "dead": 1}),
    "replay": ({"replayed": 1}, {"dead": -1, "alerts": 1}),
    "discard": ({"discarded": 1}, {"dead": -1}),
    "overflow": ({"gone": 1}, {"dead": -1}),
}
NEEDS = {"report push": "push", "report replay": "push"}
"""What must have happened more often before: a report comes after its push."""

moves = st.lists(st.sampled_from(sorted(MOVES)), max_size=60)


def after(point: Point, happened: list[str]) -> Point:
    """The books when all that can happen of `happened` has happened."""
    totals, stock = Counter(point.totals), Counter(point.stock)
    for move in happened:
        flows, stocks = MOVES[move]
        unreported = totals["arrived"] - totals["queued:syslog_udp"]
        if any(stock[name] + change < 0 for name, change in stocks.items()) or (move in NEEDS and unreported < 1):
            continue
        if totals["disk:syslog_udp"] + flows.get("disk:syslog_udp", 0) < 0:
            continue
        for name, change in flows.items():
            totals[name] += change
        for name, change in stocks.items():
            stock[name] += change
    return Point(point.at + 60, dict(totals), dict(stock))


BEGINNING = Point(1_767_355_200.0, {}, {})


def missing(ledger: Ledger) -> dict[str, int]:
    return {station.name: station.missing for station in ledger.stations if station.missing}


@settings(deadline=None, max_examples=200)
@given(moves, moves)
def test_every_range_of_true_books_balances(first: list[str], then: list[str]) -> None:
    opening = after(BEGINNING, first)
    closing = after(opening, then)
    for before, now in ((BEGINNING, opening), (opening, closing), (BEGINNING, closing)):
        ledger = balance(before, now)
        assert ledger.balanced
        assert missing(ledger) == {}
        assert lines(ledger)[-1] == "balanced"


@settings(deadline=None, max_examples=200)
@given(
    moves,
    moves,
    st.sampled_from(
        [
            *(("memory", "received"), ("ingest", "decided"), ("reserved", "decided"), ("backlog", "audited")),
            *(("alerts", "delivered"), ("dead", "dead letters")),
        ]
    ),
    st.integers(-1000, 1000).filter(bool),
)
def test_what_is_lost_or_doubled_is_missing_at_its_station(
    first: list[str], then: list[str], where: tuple[str, str], count: int
) -> None:
    stock, station = where
    opening = after(BEGINNING, first)
    true = after(opening, then)
    closing = Point(true.at, true.totals, {**true.stock, stock: true.stock.get(stock, 0) - count})
    ledger = balance(opening, closing)
    assert missing(ledger) == {station: count}
    assert not ledger.balanced
    marked = [line for line in lines(ledger) if line.startswith("!!")]
    assert len(marked) == 2
    assert f"{abs(count):,}" in marked[0]
    assert ("missing" in marked[0]) == (count > 0)


def test_a_redis_that_forgot_what_it_had_confirmed_is_named() -> None:
    opening = Point(0.0, {"queued:relay": 10, "arrived": 10}, {})
    closing = Point(60.0, {"queued:relay": 30, "arrived": 25}, {"ingest": 25})
    received = {"received:relay": 10}
    ledger = balance(
        Point(opening.at, opening.totals | received, {"ingest": 10}),
        Point(closing.at, closing.totals | {"received:relay": 30}, closing.stock),
    )
    assert missing(ledger) == {"handed over": 5}


def test_what_a_killed_receiver_pushed_and_did_not_report_is_no_loss() -> None:
    ledger = balance(
        BEGINNING,
        Point(BEGINNING.at + 60, {"arrived": 7, "decided": 7, "audited": 7}, {}),
    )
    assert ledger.balanced
    assert ledger.stations[1].came["not reported by receivers"] == 7


def test_the_kernels_drops_are_said_and_are_not_ours_to_balance() -> None:
    ledger = balance(BEGINNING, after(BEGINNING, ["kernel drop", "kernel drop"]))
    assert ledger.balanced
    assert ledger.notes["dropped by the kernel: syslog_udp"] == 2
    assert any("dropped by the kernel: syslog_udp" in line for line in lines(ledger))
