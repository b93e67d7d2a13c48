"""muttd: datagrams, frames and requests → events → ingest list. Where listeners, wire and pipeline meet."""

import asyncio
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

from aiohttp import web

from muttd.event import Event, encode
from muttd.listeners import engine_file, https, tcp, udp
from muttd.listeners.sources import Allowed
from muttd.mib import index as mib
from muttd.pipeline.event_ids import event_ids
from muttd.pipeline.intake import Intake, Lane
from muttd.pipeline.queue.board import Board, TallyReport
from muttd.pipeline.queue.lists import Producer, Replay
from muttd.pipeline.spool import Spool
from muttd.runtime import Runtime, notify
from muttd.settings import Settings, forms
from muttd.vault import Secrets
from muttd.wire import relay
from muttd.wire.framing import Framer
from muttd.wire.snmp import TrapReader
from muttd.wire.snmp_security import Engine
from muttd.wire.syslog import SyslogReader
from muttd.wire.usm import User

log = logging.getLogger(__name__)

_SETTLE_LIMIT = 10.0
"""Seconds a relay waits for its 200; then it is told 503, and sends again."""
_TRACEBACK_PAUSE = 10.0
"""Seconds between tracebacks of faults at single messages; all are counted."""
_LOOK_AT_KERNEL = 5.0
"""Seconds between looks at what the kernel dropped."""


def syslog_reader(settings: Settings) -> SyslogReader:
    """The reader that the settings describe."""
    given = settings.syslog
    return SyslogReader(
        zone=forms.zone(given.time_zone),
        zones=[(ip_network(network), forms.zone(zone)) for network, zone in given.time_zones.items()],
        charset=given.charset,
        charsets=[(ip_network(network), charset) for network, charset in given.charsets.items()],
        names=_names(settings),
        max_length=given.max_message,
    )


def trap_reader(settings: Settings, secrets: Secrets, engine: Engine | None = None) -> TrapReader:
    """The reader that the settings and secrets describe. Raises ConfigurationError for a user that cannot work.

    `engine` is ours; without it no SNMPv3 inform is taken.
    """
    return TrapReader(
        communities=[community.encode() for community in secrets.communities],
        users=[User(**user) for user in secrets.snmp_users],
        engine=engine,
        names=mib.load([Path(file) for file in settings.snmp.mib_files]) if mib.SHIPPED.exists() else None,
        host_names=_names(settings),
    )


def _our_engine(settings: Settings, secrets: Secrets) -> Engine | None:
    """Our SNMPv3 engine, started once more; None where nobody could talk to it."""
    if not secrets.snmp_users or not settings.snmp.udp:
        return None
    identity = engine_file.start(Path(settings.snmp.engine_file))
    return Engine(identity.id, identity.boots, time.time())


def _names(settings: Settings) -> list[tuple[forms.Network, str]]:
    return [(ip_network(network), name) for network, name in settings.sources.names.items()]


async def listen(runtime: Runtime) -> None:
    """muttd: binds the ports, reads what comes, and puts it on the ingest list."""
    settings, queue = runtime.settings, runtime.settings.queue
    redis = runtime.redis()
    spool = Spool(Path(settings.spool.directory), settings.spool.max_bytes) if settings.spool.directory else None
    intake = Intake(
        Producer(redis, queue.ingest_name, "muttd"),
        batch=queue.batch,
        limit=queue.buffer,
        max_queue=queue.max_ingest_size,
        spool=spool,
        replay=Replay(redis, queue.ingest_name, f"spool-{spool.name}") if spool else None,
    )
    receiving = Receiving(runtime, intake, spool)
    receiving.bind()
    application = web.Application(client_max_size=settings.http.max_body)
    runtime.observe(application)
    receiving.relays().register(application)
    async with runtime.serving(application, settings.http.port_ingest), asyncio.TaskGroup() as tasks:
        tasks.create_task(intake.run(runtime.stop))
        await receiving.start()
        watch = tasks.create_task(receiving.watch_kernel())
        report = tasks.create_task(receiving.report(Board(redis, queue.metrics_prefix)))
        notify("READY=1")
        log.info("receiving: %s", ", ".join(receiving.addresses()))
        await runtime.stop.wait()
        await receiving.stop()
        watch.cancel()
        report.cancel()
    if spool is not None:
        spool.close()


class Receiving:
    """All listeners of the process, each with its reader and its lane to the ingest list."""

    def __init__(self, runtime: Runtime, intake: Intake, spool: Spool | None) -> None:
        self._runtime = runtime
        self._spool = spool
        self._intake = intake
        self._new_id = event_ids()
        self._read_syslog = syslog_reader(runtime.settings).read
        self._read_trap = trap_reader(
            runtime.settings, runtime.secrets, _our_engine(runtime.settings, runtime.secrets)
        ).read
        self._udp: list[tuple[str, udp.UdpListener]] = []
        self._tcp: list[tcp.TcpListener] = []
        self._next_traceback = 0.0
        self._kernel_drops: Counter[str] = Counter()
        runtime.before_scrape.append(self._refresh)

    def bind(self) -> None:
        """Opens every port, or raises MuttError for the first that cannot be had."""
        settings = self._runtime.settings
        for address in settings.syslog.udp:
            lane = self._lane("syslog_udp")
            take = self._syslog_datagram(lane, _allowed(settings.syslog.allow))
            self._bind_udp(lane, address, settings.syslog.receive_buffer, take)
        for address in settings.snmp.udp:
            lane = self._lane("snmp_udp")
            take = self._trap_datagram(lane, _allowed(settings.snmp.allow))
            self._bind_udp(lane, address, settings.snmp.receive_buffer, take)
        for address in settings.syslog.tcp:
            self._bind_tcp(address)
        if not self._udp and not self._tcp:
            log.warning("no syslog or SNMP address is configured: only relays can send")

    async def start(self) -> None:
        """Begins to read."""
        for _, datagrams in self._udp:
            datagrams.start()
        for streams in self._tcp:
            await streams.start()

    async def stop(self) -> None:
        """Closes the ports, after taking what the kernel still holds."""
        for streams in self._tcp:
            await streams.stop()
        for _, datagrams in self._udp:
            datagrams.stop()

    def addresses(self) -> list[str]:
        """What is bound, to show."""
        shown = [f"{name} {_address(one.socket)}" for name, one in self._udp]
        shown += [f"syslog_tcp {_address(one.socket)}" for one in self._tcp]
        return [*shown, f"http port {self._runtime.settings.http.port_ingest}"]

    def relays(self) -> https.HttpsListener:
        """The HTTP side, which has no port of its own."""
        lane = self._lane("relay")
        requests = self._runtime.metrics.ingest_requests

        async def accept(body: bytes, peer: str, correlation_id: str | None) -> https.Outcome:
            if not self._intake.room():
                return https.Outcome(None, [])
            events, faults = relay.read(
                body,
                source_ip=peer,
                received=time.time(),
                new_id=self._new_id,
                read_syslog=self._read_syslog,
                correlation_id=correlation_id,
            )
            lane.tally.received += len(events) + len(faults)
            lane.tally.rejected["unreadable"] += len(faults)
            for event in events:
                _keep(event, lane)
            try:
                safe = await asyncio.wait_for(lane.settled(), _SETTLE_LIMIT)
            except TimeoutError:
                safe = False
            return https.Outcome(len(events) if safe else None, faults)

        return https.HttpsListener(
            accept=accept,
            key=self._runtime.secrets.get("INGEST_API_KEY"),
            max_body=self._runtime.settings.http.max_body,
            count=lambda status: requests.labels(status).inc(),
        )

    async def report(self, board: Board) -> None:
        """Puts the ledger on the board that the page reads, once a second, until cancelled."""
        name = f"{socket.gethostname()}-{os.getpid()}"
        tallies = self._runtime.metrics.tallies
        await TallyReport(board, tallies, name=name, kernel_drops=lambda: self._kernel_drops, status=self._status).run()

    def _status(self) -> dict[str, object]:
        spool = self._spool
        return {
            "trouble": self._intake.trouble or "",
            "waiting": self._intake.waiting,
            "spooled": spool.events if spool else 0,
            "oldest_unsent": spool.oldest if spool else None,
        }

    async def watch_kernel(self) -> None:
        """Says at once when the kernel drops datagrams for us."""
        while True:
            self._refresh()
            await asyncio.sleep(_LOOK_AT_KERNEL)

    def _refresh(self) -> None:
        """Brings the metrics of sockets and spool up to date."""
        if (spool := self._spool) is not None:
            self._runtime.metrics.spool_bytes.set(spool.bytes)
            self._runtime.metrics.oldest_unsent.set(time.time() - spool.oldest if spool.oldest else 0)
        for name, datagrams in self._udp:
            dropped = datagrams.new_kernel_drops()
            self._kernel_drops[name] += dropped
            self._runtime.metrics.kernel_drops.labels(name).inc(dropped)
            if dropped:
                log.warning(
                    "the kernel dropped %d datagrams of %s: its receive buffer (%d bytes) was full",
                    *(dropped, name, udp.granted_buffer(datagrams.socket)),
                )
        self._runtime.metrics.connections.labels("syslog_tcp").set(sum(one.connections for one in self._tcp))

    def _lane(self, listener: str) -> Lane:
        return self._intake.lane(listener, self._runtime.metrics.tally(listener))

    def _bind_udp(self, lane: Lane, address: str, receive_buffer: int, take: udp.Take) -> None:
        opened = _unless_no_ipv6(address, lambda: udp.bind(forms.address(address), receive_buffer))
        if opened is None:
            return
        name, granted = lane.name, udp.granted_buffer(opened)
        self._runtime.metrics.receive_buffer.labels(name).set(granted)
        if granted < receive_buffer:
            log.warning(
                "%s %s: the kernel granted %d of %d bytes of receive buffer; to have all: "
                "sysctl -w net.core.rmem_max=%d",
                *(name, address, granted, receive_buffer, receive_buffer),
            )
        self._udp.append((name, udp.UdpListener(opened, take, self._fault_of(lane))))

    def _bind_tcp(self, address: str) -> None:
        opened = _unless_no_ipv6(address, lambda: tcp.bind(forms.address(address)))
        if opened is None:
            return
        given = self._runtime.settings.syslog
        lane = self._lane("syslog_tcp")

        def refuse(reason: str) -> None:
            self._runtime.metrics.refused_connections.labels("syslog_tcp", reason).inc()

        self._tcp.append(
            tcp.TcpListener(
                opened,
                make_framer=lambda: Framer(given.max_message, given.nul_trailer),
                take=self._syslog_frame(lane),
                fault=self._fault_of(lane),
                room=self._intake.room,
                allowed=_allowed(given.allow),
                refuse=refuse,
                idle_timeout=given.tcp_idle_timeout,
                max_connections=given.tcp_max_connections,
                max_connections_per_peer=given.tcp_max_connections_per_peer,
            )
        )

    def _fault_of(self, lane: Lane) -> Callable[[], None]:
        """What a listener calls, inside `except`, for a fault of ours: the next message must not suffer from it."""

        def fault() -> None:
            lane.tally.dropped["fault"] += 1
            now = time.monotonic()
            if now > self._next_traceback:  # a flood of one kind must not fill the log
                self._next_traceback = now + _TRACEBACK_PAUSE
                log.exception("%s: a message met a fault of mutt and is lost", lane.name)  # noqa: LOG004 (called inside except)

        return fault

    # What is done with one datagram or frame. These run for every event: keep them short.

    def _syslog_datagram(self, lane: Lane, allowed: Callable[[str], bool]) -> udp.Take:
        read, new_id, tally = self._read_syslog, self._new_id, lane.tally

        def take(data: bytes, peer: udp.Peer, received: float, _: udp.Answer) -> None:
            tally.received += 1
            address = peer[0]
            if not allowed(address):
                tally.rejected["source"] += 1
            elif not data:
                tally.rejected["empty"] += 1
            else:
                _keep(read(data, address, "udp", received, new_id()), lane)

        return take

    def _syslog_frame(self, lane: Lane) -> tcp.Take:
        read, new_id, tally = self._read_syslog, self._new_id, lane.tally

        def take(data: bytes, address: str, received: float, defects: tuple[str, ...]) -> None:
            tally.received += 1
            _keep(read(data, address, "tcp", received, new_id(), defects), lane)

        return take

    def _trap_datagram(self, lane: Lane, allowed: Callable[[str], bool]) -> udp.Take:
        read, new_id, tally = self._read_trap, self._new_id, lane.tally

        def take(data: bytes, peer: udp.Peer, received: float, answer: udp.Answer) -> None:
            tally.received += 1
            address = peer[0]
            if not allowed(address):
                tally.rejected["source"] += 1
                return
            event, reply, refused = read(data, address, received, new_id())
            if event is None:
                tally.rejected[refused.reason if refused else "empty"] += 1
                if reply is not None:
                    answer(reply, peer)
            elif _keep(event, lane) and reply is not None:
                # An INFORM is answered when its event is safe, and not before (RFC 3416 section 4.2.7).
                lane.settled().add_done_callback(lambda safe: answer(reply, peer) if safe.result() else None)

        return take


def _keep(event: Event, lane: Lane) -> bool:
    if event.defects:
        lane.tally.defective += 1
    return lane.put(encode(event))


def _allowed(networks: tuple[str, ...]) -> Allowed:
    return Allowed([ip_network(network) for network in networks])


def _unless_no_ipv6(address: str, make: Callable[[], socket.socket]) -> socket.socket | None:
    """The socket, None for an IPv6 address on a host that has no IPv6."""
    if address.startswith("[") and not _has_ipv6():
        log.info("%s left out: this host has no IPv6", address)
        return None
    return make()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


def _address(opened: socket.socket) -> str:
    host, port = opened.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
