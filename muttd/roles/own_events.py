"""What mutt has to say itself, as events like any other: a rule can turn them into alerts. Pure."""

from collections import Counter

from muttd.event import Event, rfc3339

_NAMED = 20
"""Sources that the text names."""
_SYSLOG_FACILITY, _WARNING = 5, 4


def surplus_event(surplus: Counter[str], *, listener: str, rate: float, host: str, now: float, event_id: str) -> Event:
    """What `surplus` (messages left out by source, not empty) amounts to. `rate` is messages a second."""
    named = ", ".join(f"{source} ({count})" for source, count in surplus.most_common(_NAMED))
    more = f" and {len(surplus) - _NAMED} more" if len(surplus) > _NAMED else ""
    text = f"{listener}: {surplus.total()} messages above {rate:g}/s of one source left out: {named}{more}"
    moment = rfc3339(now)
    return Event(
        id=event_id,
        kind="syslog",
        received_at=moment,
        timestamp=moment,
        source_ip="127.0.0.1",
        transport="internal",
        hostname=host,
        message=text,
        facility=_SYSLOG_FACILITY,
        syslog_severity=_WARNING,
        app_name="muttd",
        msg_id="RATE",
        structured_data={
            "mutt": {"listener": listener, "left_out": str(surplus.total()), "sources": str(len(surplus))}
        },
    )
