"""What alerters show to people watching: a sample of what they decide, and how much it is a sample of.

Promises: an alerter that nobody watches only asks once a second whether anybody does; one that is watched, by however
many, examines and sends no more than a fixed number of events a second. What was not examined or not sent is counted,
so that the page can say so.
"""

import asyncio
import contextlib
import fnmatch
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from muttd.pipeline.queue.faults import FAULTS
from muttd.pipeline.queue.live import LiveChannel
from muttd.rules import FORWARDED
from muttd.store import AuditRow

_PERIOD: Final = 0.25
"""Seconds between reports: soon enough to be called live."""
_PERIODS_BETWEEN_QUESTIONS: Final = 4
SENT: Final = 5
"""Events per watch and report: 20 a second, more than anybody reads."""
LOOKS: Final = 8000
"""Rows times watches examined for one report: 0.2 us each, so at most 1.6 ms of 250."""
_MESSAGE_LIMIT: Final = 500
"""Characters: a line of the page. The whole event is one click away."""


class Watch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What somebody wants to see; None matches all. Its JSON form is also its name."""

    host: str | None = None
    """Case-insensitive; may be a pattern with * and ?."""
    severity: int | None = None
    kind: str | None = None
    handling: str | None = None
    text: str | None = None
    """Found in the message, case-insensitively."""

    @property
    def name(self) -> bytes:
        """Equal for equal watches."""
        return msgspec.json.encode(self)


class Shown(msgspec.Struct, frozen=True):
    """A decided event as a line of the page: columns of the audit log."""

    event_id: str
    event_timestamp: str
    received_at: str
    severity: int | None
    rule_id: int | None
    rule_name: str | None
    kind: str
    hostname: str
    handling: str
    team: str
    environment: str
    app_name: str | None
    message: str
    forwarded: bool


class Sight(msgspec.Struct, frozen=True):
    """What one watch caught in one period."""

    watch: str
    looked: int
    """Events that were examined."""
    matched: int
    """Those that matched."""
    events: list[msgspec.Raw]
    """Some of the matches, each a Shown."""


class Report(msgspec.Struct, frozen=True):
    """What one alerter saw in one period."""

    decided: int
    sights: list[Sight]


class _Look:
    """One watch during one period."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        # Brackets mean themselves; fnmatch's expressions never backtrack, whatever somebody asks for.
        host = None if watch.host is None else watch.host.strip().lower().replace("[", "[[]")
        self._host = None if host is None else re.compile(fnmatch.translate(host))
        self._text = None if watch.text is None else watch.text.lower()
        self.looked = 0
        self.matched = 0
        self.kept: list[AuditRow] = []

    def take(self, rows: Sequence[AuditRow]) -> None:
        self.looked += len(rows)
        fitting = rows if self.watch == _EVERYTHING else [row for row in rows if self._fits(row)]
        self.matched += len(fitting)
        self.kept += fitting[: SENT - len(self.kept)]

    def _fits(self, row: AuditRow) -> bool:
        watch = self.watch
        return (
            (watch.severity is None or row[4] == watch.severity)
            and (watch.kind is None or row[6] == watch.kind)
            and (watch.handling is None or row[8] == watch.handling)
            and (self._host is None or self._host.match(row[7]) is not None)
            and (self._text is None or self._text in row[13].lower())
        )

    def sight(self) -> Sight:
        events = [msgspec.Raw(msgspec.json.encode(_shown(row))) for row in self.kept]
        return Sight(self.watch.name.decode(), self.looked, self.matched, events)


_EVERYTHING: Final = Watch()


class Sampler:
    """Takes what is decided and keeps what is worth showing. Pure, except for what it keeps until the next report."""

    def __init__(self) -> None:
        self._looks: dict[bytes, _Look] = {}
        self._decided = 0
        self._left = LOOKS

    def watch(self, names: Sequence[bytes]) -> None:
        """Looks for these (the names of Watches) from now on. Invalid names are ignored."""
        looks: dict[bytes, _Look] = {}
        for name in names:
            with contextlib.suppress(msgspec.DecodeError):
                looks[name] = self._looks.get(name) or _Look(msgspec.json.decode(name, type=Watch))
        self._looks = looks

    def offer(self, rows: Sequence[AuditRow]) -> None:
        """What has been decided."""
        if not self._looks:
            return
        self._decided += len(rows)
        affordable = rows[: self._left // len(self._looks)]
        if affordable:
            self._left -= len(affordable) * len(self._looks)
            for look in self._looks.values():
                look.take(affordable)

    def report(self) -> Report | None:
        """What was seen since the last report; None if nobody watches."""
        if not self._looks:
            return None
        found = Report(self._decided, [look.sight() for look in self._looks.values()])
        self._looks = {name: _Look(look.watch) for name, look in self._looks.items()}
        self._decided, self._left = 0, LOOKS
        return found


def _shown(row: AuditRow) -> Shown:
    return Shown(
        event_id=row[3],
        event_timestamp=row[0].isoformat(),
        received_at=row[1].isoformat(),
        severity=row[4],
        rule_id=row[5],
        rule_name=row[12],
        kind=row[6],
        hostname=row[7],
        handling=row[8],
        team=row[9],
        environment=row[10],
        app_name=row[11],
        message=row[13][:_MESSAGE_LIMIT],
        forwarded=row[8] in FORWARDED,
    )


class Live:
    """Shows what one alerter decides."""

    def __init__(self, channel: LiveChannel) -> None:
        self._channel = channel
        self._sampler = Sampler()

    def offer(self, rows: Sequence[AuditRow]) -> None:
        """What has been decided. Costs nothing while nobody watches."""
        self._sampler.offer(rows)

    async def run(self) -> None:
        """Reports until cancelled. While Redis is away nothing is shown; the deciding tasks log that."""
        period = 0
        while True:
            with contextlib.suppress(*FAULTS):
                if period % _PERIODS_BETWEEN_QUESTIONS == 0:
                    self._sampler.watch(await self._channel.watch())
                report = self._sampler.report()
                if report is not None:
                    await self._channel.publish(msgspec.json.encode(report))
            period += 1
            await asyncio.sleep(_PERIOD)
