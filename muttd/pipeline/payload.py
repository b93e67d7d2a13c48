"""An alert as Moog wants it: the fields of the on-premises webhook, the REST LAM and the cloud's events API. Pure.

Severity: the rule's if it sets one, else from the syslog severity (RFC 5424 section 6.2.1):

| syslog | 0 emergency, 1 alert, 2 critical | 3 error | 4 warning | 5 notice | 6 informational, 7 debug | none |
|---|---|---|---|---|---|---|
| Moog | 5 critical | 4 major | 3 minor | 2 warning | 1 indeterminate | 3 minor |

Moog takes integers: a word it does not map is not processed. 0 means clear, and only a rule can set it.

Signature, Moog's deduplication key, at most 767 bytes, parts joined by `::`:

- syslog and relay: host, application, and message id if there is one
- trap: host, trap OID, and the OID with instance of the first variable that is specific to the trap

No part depends on a severity, a value, a time or the MIBs at hand, so that a repeat has the same signature as the
first, a clear can have the problem's, and two problems of one host do not merge.
"""

import hashlib
from datetime import datetime
from typing import Literal

import msgspec

from muttd.event import Alert, Event

Profile = Literal["webhook", "rest-lam", "cloud"]

SIGNATURE_LIMIT = 767
"""Bytes: the limit of Moog's index on the signature column."""
DESCRIPTION_LIMIT = 4000
"""Characters; a datagram may have 64 KiB, all of which the audit log keeps."""
_FIELD_LIMIT = 255
"""Characters of any other text field."""

MANAGER = "mutt"
_MOOG_SEVERITY = (5, 5, 5, 4, 3, 2, 1, 1)
_WITHOUT_SEVERITY = 3

_HOUSEKEEPING = (
    "1.3.6.1.2.1.1.3.0",  # sysUpTime
    "1.3.6.1.6.3.1.1.4.1.0",  # snmpTrapOID
    "1.3.6.1.6.3.1.1.4.3.0",  # snmpTrapEnterprise
    "1.3.6.1.6.3.18.1.3.0",  # snmpTrapAddress
    "1.3.6.1.6.3.18.1.4.0",  # snmpTrapCommunity
)
"""Variables that every trap may carry (RFC 3416 section 4.2.6, RFC 3584 section 3.1): they say nothing about it."""


def takes_several(profile: Profile) -> bool:
    """Whether one request of the profile may carry several alerts."""
    return profile != "webhook"


def body(profile: Profile, alerts: list[Alert]) -> bytes:
    """The request body, JSON. `webhook` carries exactly one alert."""
    match profile:
        case "webhook":
            (alert,) = alerts
            return msgspec.json.encode(webhook_fields(alert))
        case "rest-lam":
            return msgspec.json.encode({"events": [webhook_fields(alert) for alert in alerts]})
        case "cloud":
            return msgspec.json.encode([cloud_fields(alert) for alert in alerts])


def webhook_fields(alert: Alert) -> dict[str, object]:
    """The fields of the on-premises webhook and of the REST LAM."""
    event = alert.event
    return {
        "signature": signature(event),
        "source": _field(event.hostname),
        "source_id": _field(event.source_ip),
        "external_id": alert.id,
        "agent_location": _field(event.snmp.agent_address or "" if event.snmp else "") or _field(event.source_ip),
        "severity": severity(alert),
        "type": _field(event.msg_id or event.trap_name or event.trap_oid or event.kind),
        "manager": MANAGER,
        "class": _field(event.app_name or event.kind),
        "description": description(event),
        "agent_time": agent_time(event),
        "custom_info": _custom_info(alert),
    }


def cloud_fields(alert: Alert) -> dict[str, object]:
    """The fields of the cloud's events API."""
    event = alert.event
    return {
        "source": _field(event.hostname),
        "check": _field(event.app_name or event.trap_name or event.trap_oid or event.kind),
        "severity": severity(alert),
        "description": description(event),
        "deduplication_key": signature(event),
        "time": agent_time(event),
        "tags": {"external_id": alert.id, "source_id": _field(event.source_ip), **_custom_info(alert)},
    }


def signature(event: Event) -> str:
    """The deduplication key, 1 to SIGNATURE_LIMIT bytes of UTF-8."""
    parts = [event.hostname.lower() or event.source_ip]
    if event.trap_oid is not None:
        parts += [event.trap_oid, _trap_object(event)]
    else:
        parts += [event.app_name or event.kind, event.msg_id or ""]
    whole = "::".join(part for part in parts if part) or event.kind
    encoded = whole.encode()
    if len(encoded) <= SIGNATURE_LIMIT:
        return whole
    digest = hashlib.sha256(encoded).hexdigest()[:32]
    kept = encoded[: SIGNATURE_LIMIT - len(digest) - 2].decode(errors="ignore")
    return f"{kept}::{digest}"


def severity(alert: Alert) -> int:
    """Moog's severity, 0 to 5."""
    if alert.severity is not None:
        return min(5, max(0, alert.severity))
    level = alert.event.syslog_severity
    return _MOOG_SEVERITY[level] if level is not None and 0 <= level <= 7 else _WITHOUT_SEVERITY


def description(event: Event) -> str:
    """The text for people, never empty: Moog refuses an event without it."""
    text = event.message.strip() or event.trap_name or event.trap_oid or "(no text)"
    return text if len(text) <= DESCRIPTION_LIMIT else text[: DESCRIPTION_LIMIT - 1] + "…"


def agent_time(event: Event) -> int:
    """When the event happened according to its device, else when it was received, in whole seconds since 1970."""
    for stamp in (event.timestamp, event.received_at):
        try:
            return int(datetime.fromisoformat(stamp).timestamp())
        except (ValueError, OverflowError):
            continue
    return 0


def _trap_object(event: Event) -> str:
    for varbind in event.varbinds or ():
        if varbind.oid not in _HOUSEKEEPING:
            return varbind.oid
    return ""


def _custom_info(alert: Alert) -> dict[str, object]:
    info: dict[str, object] = {
        "handling": alert.handling,
        "team": alert.team,
        "environment": alert.environment,
        "rule": alert.rule_name,
        "rule_id": alert.rule_id,
        "count": alert.count,
        "correlation_id": alert.event.correlation_id,
    }
    return {key: value for key, value in info.items() if value is not None}


def _field(text: str) -> str:
    return text[:_FIELD_LIMIT]
