"""What is done with one datagram or frame: accepted or refused, read, counted, put on its lane.

These closures run for every event: what they need is bound once, and they contain nothing that most events do not need.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec

from muttd.event import Event, encode, encode_into
from muttd.listeners import udp
from muttd.listeners.recvmmsg import Burst, Peer
from muttd.listeners.sources import Allowed
from muttd.pipeline.event_ids import EventIds
from muttd.pipeline.intake import Lane
from muttd.roles.own_events import refusal_event
from muttd.roles.refusals import Refusals
from muttd.wire.snmp import Reading, Refusal, TrapReader
from muttd.wire.syslog import SyslogReader

Refused = Callable[[str, float], str | None]
"""Whether a source (address, seconds since 1970) may send now: None if it may, otherwise the reason."""


class SyslogTake(Protocol):
    """What UDP listeners pass datagrams to (udp.Take) and TCP listeners messages (tcp.Take)."""

    def __call__(self, burst: Burst, received: float, answer: udp.Answer | None = None, /) -> None: ...


NameOf = Callable[[str], str | None]
"""The host name of an address, if known."""


def refusal(allowed: Allowed | None, within_rate: Callable[[str, float], bool] | None) -> Refused | None:
    """Combines both checks; None if there are none."""
    if allowed is None and within_rate is None:
        return None

    def refused(address: str, now: float) -> str | None:
        if allowed is not None and not allowed(address):
            return "source"
        if within_rate is not None and not within_rate(address, now):
            return "rate"
        return None

    return refused


def syslog_messages(  # noqa: PLR0917 - as the closure binds them
    reader: SyslogReader,
    new_ids: EventIds,
    lane: Lane,
    refused: Refused | None,
    name_of: NameOf | None,
    fault: Callable[[], None],
    *,
    transport: str,
) -> SyslogTake:
    """For the listeners of syslog; `transport` is what their events say.

    `fault` is called inside `except` when a message hit a bug in mutt.
    """
    read, tally = reader.read, lane.tally
    # Encoded into an existing buffer: growing a new one for each event took a quarter longer.
    buffer = bytearray()

    def take(burst: Burst, received: float, _: udp.Answer | None = None, /) -> None:
        tally.received += len(burst)
        items = []
        for (data, peer, defects), event_id in zip(burst, new_ids.several(len(burst)), strict=True):
            address = peer[0]
            try:
                if refused is not None and (reason := refused(address, received)):
                    tally.rejected[reason] += 1
                elif not data:
                    tally.rejected["empty"] += 1
                else:
                    event = read(data, address, transport, received, event_id, defects)
                    if event.defects or name_of is not None:
                        event = noted(event, lane, name_of)
                    encode_into(event, buffer)
                    items.append(bytes(buffer))
            except Exception:  # noqa: BLE001 (the top of this loop: one message must not take others with it)
                fault()
        lane.put_all(items)

    return take


def trap_datagrams(
    reader: TrapReader,
    new_id: EventIds,
    lane: Lane,
    *,
    refused: Refused | None,
    name_of: NameOf | None,
    refusals: Refusals,
    own_lane: Lane | None,
    fault: Callable[[], None],
) -> udp.Take:
    """For the listener of SNMP notifications. Refused messages become events on `own_lane`, if there is one.

    `fault` is called inside `except` when a message hit a bug in mutt.
    """
    encoded, tally = reader.encoded, lane.tally

    def explain(address: str, why: Refusal, received: float) -> None:
        if refusals.explain(address, why, received) and own_lane is not None:
            own_lane.tally.received += 1
            keep(refusal_event(address, why, received, new_id()), own_lane, name_of)

    def answered(event_id: str, safe: bool, answer: Callable[[], None]) -> None:
        # An INFORM is answered when its event is safe, and not before (RFC 3416 section 4.2.7).
        reader.settle(event_id, safe=safe)
        if safe:
            answer()

    def take(burst: Burst, received: float, answer: udp.Answer) -> None:
        tally.received += len(burst)
        items: list[bytes] = []
        for (data, peer, _), event_id in zip(burst, new_id.several(len(burst)), strict=True):
            address = peer[0]
            try:
                if refused is not None and (reason := refused(address, received)):
                    tally.rejected[reason] += 1
                    continue
                known_as = name_of(address) if name_of is not None else None
                reading = encoded(data, address, received, event_id, known_as)
                if isinstance(reading, bytes):
                    items.append(reading)
                else:
                    lane.put_all(items)  # keep the order of arrival
                    items = []
                    take_reading(reading, peer, received, answer)
            except Exception:  # noqa: BLE001 (the top of this loop: one message must not take others with it)
                fault()
        lane.put_all(items)

    def take_reading(reading: Reading, peer: Peer, received: float, answer: udp.Answer) -> None:
        event, reply, unread = reading
        if event is None:
            assert unread is not None
            tally.rejected[unread.reason] += 1
            explain(peer[0], unread, received)
            if reply is not None:
                answer(reply, peer)
            return
        kept = keep(event, lane, name_of)
        if reply is not None:
            if kept:
                lane.settled().add_done_callback(
                    lambda safe: answered(event.id, safe.result(), lambda: answer(reply, peer))
                )
            else:
                reader.settle(event.id, safe=False)

    return take


def keep(event: Event, lane: Lane, name_of: NameOf | None = None) -> bool:
    """Puts the event on its lane, with its source's name if it only has the address. False: no room."""
    return lane.put(encode(noted(event, lane, name_of)))


def noted(event: Event, lane: Lane, name_of: NameOf | None) -> Event:
    """The event, with its source's name if it only has the address; counts its defects."""
    if event.defects:
        lane.tally.defective += 1
    if name_of is not None and event.hostname == event.source_ip and (name := name_of(event.source_ip)):
        return msgspec.structs.replace(event, hostname=name)
    return event
