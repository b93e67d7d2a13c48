"""One syslog message through the real path: sent to our own port, looked for where it comes out."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

from muttd.connections import Contexts, database_arguments, redis_client
from muttd.errors import MuttError, UnavailableError
from muttd.pipeline.queue.board import Board
from muttd.roles import ports
from muttd.rules import FORWARDED
from muttd.settings import Settings, forms
from muttd.store import AuditEntry, Search, Store
from muttd.vault import Secrets

_LIMIT: Final = 20.0
"""Seconds until it must be in the audit log: an alerter that just started reads its rules first."""
_DELIVERY_LIMIT: Final = 15.0
_POLL: Final = 0.2
_PRIORITY: Final = 16 * 8 + 6
"""local0, informational: an event that should wake nobody."""
_REMEDY: Final = "`muttd ledger` shows how far it came; journalctl -u muttd -u 'mutt-*' -n 50 may say why"
_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared with, not bound)


class _Way(NamedTuple):
    """A port of ours, and from which address we send to it."""

    transport: str
    address: str
    port: int


async def send_and_find(settings: Settings, secrets_now: Secrets) -> list[str]:
    """What became of it, in lines. Raises MuttError where it came out nowhere."""
    ways = list(_ways(settings))
    if not ways:
        return ["no message was sent: syslog.udp and syslog.tcp are empty, or syslog.allow does not let this host send"]
    if not ports.held([port for port in ports.wanted(settings) if port.setting in {"syslog.udp", "syslog.tcp"}]):
        raise MuttError("no message was sent: nothing listens on the syslog port; is muttd running?")
    way, mark = ways[0], f"mutt setup {secrets.token_hex(8)}"
    arguments = database_arguments(settings, secrets_now, Contexts(settings))
    store = Store(arguments, max_size=1)
    await store.open()
    begin, now = time.monotonic(), datetime.now(UTC)
    try:
        _send(way, _message(mark, now))
        shown = f"sent to {way.address} port {way.port} ({way.transport})"
        entry = await _found(store, mark, now, begin)
        if entry is None and settings.alerter.audit != "all":
            return [
                shown,
                "not in the audit log: alerter.audit keeps only what a rule matched; the page's Live shows it",
            ]
        if entry is None:
            raise MuttError(f"{shown}, but it did not reach the audit log within {_LIMIT:g} s: {_REMEDY}")
        took = time.monotonic() - begin
        rule = "no rule matched" if entry.rule_id is None else f"rule {entry.rule_id} ({entry.rule_name}) matched"
        came = f"arrived in the audit log after {took:.1f} s: event {entry.event_id}, {entry.handling}, {rule}"
        return [shown, came, *await _delivery(settings, secrets_now, entry)]
    finally:
        await store.close()


def _ways(settings: Settings) -> "Sequence[_Way]":
    """Ours that we may send to, UDP first."""
    given = settings.syslog
    found = []
    for transport, addresses in (("UDP", given.udp), ("TCP", given.tcp)):
        for text in addresses:
            host, port = forms.address(text)
            way = _Way(transport, _LOOPBACK.get(host, host), port)
            source = ip_address(way.address)  # to an address of our own we send from it
            allowed = not given.allow or any(source in ip_network(one) for one in given.allow)
            # A connection from a balancer must open with a header.
            if allowed and not (transport == "TCP" and any(source in ip_network(one) for one in given.proxy_protocol)):
                found.append(way)
    return sorted(found, key=lambda way: (way.transport != "UDP", ":" in way.address))


def _message(mark: str, now: datetime) -> bytes:
    """As RFC 5424 has it."""
    host = socket.gethostname() or "-"
    return f"<{_PRIORITY}>1 {now.isoformat()} {host} muttd {os.getpid()} setup - {mark}".encode()


def _send(way: _Way, message: bytes) -> None:
    family = socket.AF_INET6 if ":" in way.address else socket.AF_INET
    kind = socket.SOCK_DGRAM if way.transport == "UDP" else socket.SOCK_STREAM
    try:
        with socket.socket(family, kind) as out:
            out.settimeout(5)
            out.connect((way.address, way.port))
            out.sendall(message if way.transport == "UDP" else message + b"\n")
    except OSError as error:
        raise MuttError(f"{way.address} port {way.port} ({way.transport}): {error.strerror or error}") from None


async def _found(store: Store, mark: str, now: datetime, begin: float) -> AuditEntry | None:
    """The row of the message; None where there is none in time. PostgreSQL may be away meanwhile."""
    wanted = Search(since=now - timedelta(minutes=5), text=mark)
    fault: MuttError | None = None
    while time.monotonic() - begin < _LIMIT:
        try:
            if entries := await store.search(wanted, 1):
                return entries[0]
            fault = None
        except UnavailableError as error:
            fault = error
        await asyncio.sleep(_POLL)
    if fault is not None:
        raise fault
    return None


async def _delivery(settings: Settings, secrets_now: Secrets, entry: AuditEntry) -> list[str]:
    """What the forwarders say of its alert."""
    if entry.handling not in FORWARDED:
        return [f"no alert: {entry.handling} makes none"]
    if not settings.moog.webhook_url:
        return ["its alert waits in Redis: there is no moog.webhook_url"]
    redis = redis_client(settings, secrets_now, Contexts(settings))
    queue = settings.queue
    board = Board(redis, queue.metrics_prefix, ingest_list=queue.ingest_name, alert_list=queue.alert_name)
    try:
        end = time.monotonic() + _DELIVERY_LIMIT
        while time.monotonic() < end:
            fact = (await board.deliveries([entry.event_id])).get(entry.event_id)
            if fact is not None:
                answer = f"HTTP {fact.status}" if fact.status else fact.reason or "no answer"
                return [f"its alert: {fact.state}, Moog said {answer}"]
            await asyncio.sleep(_POLL)
    finally:
        await redis.aclose()
    return [f"its alert waits: not tried within {_DELIVERY_LIMIT:g} s; see Delivery on the page"]
