"""Texts of the configuration that have a form: addresses, networks, zones. Pure.

Every function returns the value the text stands for, or raises ValueError with what would be right. They are used
twice: to check the configuration, and to turn it into values where a process is put together.
"""

import codecs
import re
from collections.abc import Callable
from datetime import UTC, timedelta, timezone, tzinfo
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

HTTP_SIDES = ("ingest", "alerter", "forwarder", "webui")

SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")

Network = IPv4Network | IPv6Network

_OFFSET = re.compile(r"([+-])(\d\d):?([0-5]\d)")
_TRAP = re.compile(r"[A-Za-z][A-Za-z0-9-]*::[A-Za-z][A-Za-z0-9-]*|\.?\d+(\.\d+)+")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,253}[A-Za-z0-9_])?")


def address(text: str) -> tuple[str, int]:
    """`192.0.2.1:514` or `[::]:514` as address and port."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError("an IPv6 address needs brackets: [::]:514")
    try:
        ip_address(host)
        number = int(port)
    except ValueError:
        raise ValueError("expected ADDRESS:PORT, such as 0.0.0.0:514 or [::]:514") from None
    if not colon or not 0 < number < 65536:
        raise ValueError("the port must be 1 to 65535")
    return host, number


def server(text: str) -> tuple[str, int]:
    """`redis-1.example.org:26379` or an address with its port, as name or address and port."""
    host, _, port = text.rpartition(":")
    if not _HOST_NAME.fullmatch(host):
        return address(text)
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("expected HOST:PORT, such as redis-1.example.org:26379")
    return host, int(port)


def host(text: str) -> str:
    """A server's name or address, or the path of a Unix socket."""
    if not text or text != text.strip():
        raise ValueError("expected a name, an address, or the path of a Unix socket")
    return text


def bind_address(text: str) -> str | None:
    """`*` (all addresses, as None) or one address."""
    if text == "*":
        return None
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("expected * or an address, such as 0.0.0.0 or 127.0.0.1") from None


def network(text: str) -> Network:
    """An address or a network in CIDR form."""
    try:
        return ip_network(text)
    except ValueError:
        try:
            right = ip_network(text, strict=False)
        except ValueError:
            raise ValueError("expected an address or a network, such as 192.0.2.0/24 or 2001:db8::/32") from None
        raise ValueError(f"host bits are set; the network would be {right}") from None


def zone(text: str) -> tzinfo:
    """An IANA name, or an offset from UTC such as +02:00."""
    if text == "UTC":
        return UTC
    if offset := _OFFSET.fullmatch(text):
        hours, minutes = int(offset[2]), int(offset[3])
        if hours < 24:
            distance = timedelta(hours=hours, minutes=minutes)
            return timezone(-distance if offset[1] == "-" else distance)
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # by text and system, and ZoneInfoNotFoundError is a KeyError
        raise ValueError("expected an IANA time zone or an offset, such as Europe/Berlin or +02:00") from None


def charset(text: str) -> str:
    """A text encoding that Python knows."""
    try:
        known = codecs.lookup(text)
    except LookupError:
        raise ValueError("no such charset; latin-1, utf-8, cp1252, gb18030 are some of them") from None
    if not known._is_text_encoding:
        raise ValueError("not a charset of text; latin-1, utf-8, cp1252, gb18030 are some of them")
    return known.name


def name(text: str) -> str:
    """A host name."""
    if not _HOST_NAME.fullmatch(text):
        raise ValueError("expected a host name: letters, digits, dots, hyphens, underscores")
    return text


def name_pattern(text: str) -> str:
    """A host name whose leftmost label may be *, or an address."""
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if text != "*" and not _HOST_NAME.fullmatch(text.removeprefix("*.")):
        raise ValueError("expected a host name, such as log-1.example.org or *.example.org, or an address")
    return text


def url(text: str) -> str:
    """An absolute http or https address, or nothing."""
    if text:
        parts = urlsplit(text)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("expected https://HOST/PATH")
        if parts.password is not None:
            raise ValueError("a secret does not belong in an address; use the key's own secret")
    return text


def authentication(text: str) -> str:
    """A way to send a key over HTTP."""
    if text not in {"bearer", "basic", "none"} and not re.fullmatch(r"header:[A-Za-z0-9-]+", text):
        raise ValueError("expected bearer, basic, header:NAME or none")
    return text


def severity(text: str) -> int:
    """The name of a syslog severity (RFC 5424 section 6.2.1) as its number."""
    if text not in SEVERITIES:
        raise ValueError(f"expected one of {', '.join(SEVERITIES)}")
    return SEVERITIES.index(text)


def trap(text: str) -> str:
    """A trap's OID without leading dot, or its name."""
    if not _TRAP.fullmatch(text):
        raise ValueError("expected MODULE::name, such as IF-MIB::linkDown, or an OID, such as 1.3.6.1.6.3.1.1.5.3")
    return text.lstrip(".")


def http_side(text: str) -> str:
    """A process with HTTP ports."""
    if text not in HTTP_SIDES:
        raise ValueError(f"expected one of {', '.join(HTTP_SIDES)}")
    return text


CHECKS: dict[str, Callable[[str], object]] = {
    "address": address,
    "server": server,
    "host": host,
    "bind_address": bind_address,
    "network": network,
    "zone": zone,
    "charset": charset,
    "name": name,
    "name_pattern": name_pattern,
    "authentication": authentication,
    "url": url,
    "http_side": http_side,
    "severity": severity,
    "trap": trap,
}
