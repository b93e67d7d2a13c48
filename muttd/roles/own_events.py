"""What mutt itself has to report, as ordinary events that rules can turn into alerts. Pure."""

from collections import Counter

from muttd.event import Event, rfc3339
from muttd.wire.snmp import Refusal

_NAMED = 20
"""Sources named in the text."""
_SYSLOG_FACILITY, _WARNING = 5, 4


def surplus_event(surplus: Counter[str], *, listener: str, rate: float, host: str, now: float, event_id: str) -> Event:
    """An event that sums up `surplus` (messages dropped, by source; not empty). `rate` is messages a second."""
    named = ", ".join(f"{source} ({count})" for source, count in surplus.most_common(_NAMED))
    more = f" and {len(surplus) - _NAMED} more" if len(surplus) > _NAMED else ""
    text = f"{listener}: {surplus.total()} messages dropped by the rate limit ({rate:g}/s per source): {named}{more}"
    said = {"listener": listener, "left_out": str(surplus.total()), "sources": str(len(surplus))}
    return _own("RATE", text, said, address="127.0.0.1", host=host, now=now, event_id=event_id)


def refusal_event(address: str, refusal: Refusal, now: float, event_id: str) -> Event:
    """A refused SNMP message from `address`, as an event about that device."""
    text = f"SNMP from {address} refused: {refusal.detail}"
    said = {"reason": refusal.reason}
    return _own("SNMP_REFUSED", text, said, address=address, host=address, now=now, event_id=event_id)


def _own(msg_id: str, text: str, said: dict[str, str], *, address: str, host: str, now: float, event_id: str) -> Event:
    moment = rfc3339(now)
    return Event(
        id=event_id,
        kind="syslog",
        received_at=moment,
        timestamp=moment,
        source_ip=address,
        transport="internal",
        hostname=host,
        message=text,
        facility=_SYSLOG_FACILITY,
        syslog_severity=_WARNING,
        app_name="muttd",
        msg_id=msg_id,
        structured_data={"mutt": said},
    )
