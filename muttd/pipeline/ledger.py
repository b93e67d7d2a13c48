"""The books of mutt: what came to each station, what left it, and what is there now. Pure.

A Point is a snapshot of the running totals and of what is waiting, taken by Redis in one step (queue/books.py). Between
two points every station must add up: before + came = went + now. The difference is `missing`: above zero, something was
lost without a reason; below zero, something appeared twice or from nowhere.

    received   by each listener → queued, rejected and dropped with their reasons; in memory or on disk meanwhile
    handed     what receivers say that they queued → what Redis counted with each push
    decided    off the ingest list → decided, or an unreadable element set aside
    audited    decided → rows in PostgreSQL, rows it refused, rows that the setting leaves out; the backlog
    delivered  alerts, meta-alerts, replays → delivered, or among the dead letters
    dead       dead letters → replayed, dropped by people, dropped because the list was full

What the kernel dropped never reached a station: it is a note, and so are repeated tries.
"""

from collections.abc import Iterator, Mapping

import msgspec

from muttd.event import rfc3339


class Point(msgspec.Struct, frozen=True):
    """The books at one instant."""

    at: float
    """Seconds since 1970, Redis's clock."""
    totals: dict[str, int]
    """Running totals since the books began; the names are those of queue/books.py."""
    stock: dict[str, int]
    """What waits: memory, ingest, reserved, backlog, alerts, retry, dead."""


class Station(msgspec.Struct, frozen=True):
    """What one station had, received and passed on between two points, each by its nature."""

    name: str
    before: dict[str, int]
    came: dict[str, int]
    went: dict[str, int]
    now: dict[str, int]
    missing: int
    """before + came - went - now."""


class Ledger(msgspec.Struct, frozen=True):
    """All stations between two points. Times are RFC 3339 UTC."""

    since: str
    until: str
    balanced: bool
    stations: list[Station]
    notes: dict[str, int]
    """Also worth knowing: kernel drops by listener, tries that had to be repeated, signatures that are waiting."""


def balance(opening: Point, closing: Point) -> Ledger:
    """The ledger for the time between two points of the same books."""
    stations = [_received(opening, closing), _handed(opening, closing)]
    grown = _Growth(opening, closing)
    stations += [
        _station(
            "decided",
            before={"on the ingest list": opening.stock.get("ingest", 0), "reserved": opening.stock.get("reserved", 0)},
            came=grown.named(arrived="arrived"),
            went=grown.named(decided="decided", unreadable="unreadable"),
            now={"on the ingest list": closing.stock.get("ingest", 0), "reserved": closing.stock.get("reserved", 0)},
        ),
        _station(
            "audited",
            before={"in the backlog": opening.stock.get("backlog", 0)},
            came=grown.named(decided="decided"),
            went=grown.named(audited="audited", refused="set aside", unaudited="left out by the setting"),
            now={"in the backlog": closing.stock.get("backlog", 0)},
        ),
        _station(
            "delivered",
            before={"waiting": opening.stock.get("alerts", 0)},
            came=grown.named(alerts="alerts", meta_alerts="meta-alerts", replayed="replayed"),
            went={**grown.named(delivered="delivered"), "dead letters": grown.sum("dead:")},
            now={"waiting": closing.stock.get("alerts", 0)},
        ),
        _station(
            "dead letters",
            before={"kept": opening.stock.get("dead", 0)},
            came={name.removeprefix("dead:"): count for name, count in grown.all("dead:")},
            went=grown.named(replayed="replayed", discarded="dropped by people", gone="dropped: the list was full"),
            now={"kept": closing.stock.get("dead", 0)},
        ),
    ]
    notes = {f"dropped by the kernel: {_listener(name)}": count for name, count in grown.all("dropped:", kernel=True)}
    notes |= grown.named(retried="tries repeated") | {"signatures that wait for a retry": closing.stock.get("retry", 0)}
    return Ledger(
        since=rfc3339(opening.at),
        until=rfc3339(closing.at),
        balanced=not any(station.missing for station in stations),
        stations=stations,
        notes=notes,
    )


class _Growth:
    """How much the totals grew between two points."""

    def __init__(self, opening: Point, closing: Point) -> None:
        self._before, self._after = opening.totals, closing.totals

    def of(self, name: str) -> int:
        return self._after.get(name, 0) - self._before.get(name, 0)

    def named(self, **names: str) -> dict[str, int]:
        """The growth of each total, under the name shown to people."""
        return {shown: self.of(name) for name, shown in names.items()}

    def all(self, prefix: str, *, kernel: bool = False) -> Iterator[tuple[str, int]]:
        """Those that begin with `prefix` and grew: the kernel's, or all others."""
        for name in sorted(self._after):
            if name.startswith(prefix) and name.endswith(":kernel") == kernel and (count := self.of(name)):
                yield name, count

    def sum(self, prefix: str) -> int:
        return sum(count for _, count in self.all(prefix))


def _received(opening: Point, closing: Point) -> Station:
    grown = _Growth(opening, closing)
    lost = {
        f"{name.partition(':')[0]}: {name.partition(':')[2].replace(':', ', ')}": count
        for prefix in ("rejected:", "dropped:")
        for name, count in grown.all(prefix)
    }
    return _station(
        "received",
        before={"in memory": opening.stock.get("memory", 0), "on disk": _on_disk(opening)},
        came={_listener(name): count for name, count in grown.all("received:")},
        went={"queued": grown.sum("queued:"), **lost},
        now={"in memory": closing.stock.get("memory", 0), "on disk": _on_disk(closing)},
    )


def _handed(opening: Point, closing: Point) -> Station:
    # Receivers report up to a second late, and not at all if killed: Redis may have more than they say, never less.
    grown = _Growth(opening, closing)
    return _station(
        "handed over",
        before={},
        came={"queued": grown.sum("queued:"), "not reported by receivers": max(0, _unreported(closing))},
        went={"arrived": grown.of("arrived"), "reported late": max(0, _unreported(opening))},
        now={},
    )


def _unreported(point: Point) -> int:
    return point.totals.get("arrived", 0) - _sum(point.totals, "queued:")


def _on_disk(point: Point) -> int:
    return _sum(point.totals, "disk:")


def _sum(totals: Mapping[str, int], prefix: str) -> int:
    return sum(count for name, count in totals.items() if name.startswith(prefix))


def _listener(name: str) -> str:
    return name.split(":")[1]


def _station(
    name: str, *, before: dict[str, int], came: dict[str, int], went: dict[str, int], now: dict[str, int]
) -> Station:
    missing = sum(before.values()) + sum(came.values()) - sum(went.values()) - sum(now.values())
    return Station(name, before, came, went, now, missing)
