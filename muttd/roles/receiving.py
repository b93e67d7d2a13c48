"""All listeners of one process, each with its reader, its limits and its lane to the ingest list."""

import asyncio
import logging
import os
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Protocol

from prometheus_client import Counter as Count

from muttd.errors import MuttError
from muttd.event import encode
from muttd.listeners import https, tcp, udp
from muttd.listeners.names import HostNames
from muttd.listeners.rates import RateLimit
from muttd.listeners.sources import Allowed
from muttd.listeners.tls import TlsStream
from muttd.pipeline.event_ids import EventIds
from muttd.pipeline.intake import Intake, Lane
from muttd.pipeline.queue.board import Board, TallyReport
from muttd.pipeline.spool import Spool
from muttd.roles import sockets, taking
from muttd.roles.losses import Losses
from muttd.roles.own_events import surplus_event
from muttd.roles.readers import follow_secrets, syslog_reader, trap_reader
from muttd.roles.refusals import Refusals
from muttd.roles.relaying import Relaying
from muttd.runtime import Runtime
from muttd.wire.framing import Framer
from muttd.wire.relay import RelayReader
from muttd.wire.snmp_clocks import Engine

log = logging.getLogger(__name__)

_LOG_PAUSE = 10.0
"""Seconds between log lines of one kind that peers can cause; every case is counted."""
_LOOK_AT_KERNEL = 5.0
"""Seconds between looks at the kernel's count of drops."""
_REPORT_SURPLUS = 60.0
"""Seconds between events about what the rate limits dropped."""


class Table(Protocol):
    """A bounded memory of senders."""

    @property
    def overflows(self) -> int:
        """How often the bound was hit."""


class Receiving:
    """The listeners: opened, started, reported on and stopped together."""

    def __init__(
        self,
        runtime: Runtime,
        intake: Intake,
        spools: Sequence[Spool],
        opened: sockets.Opened,
        engine: Engine | None,
    ) -> None:
        """`opened` is closed by `stop`; `engine` is our SNMPv3 engine. Raises MuttError."""
        self._runtime = runtime
        self._spools = spools
        self._intake = intake
        self._opened = opened
        self._new_id = EventIds()
        self._read_syslog = syslog_reader(runtime.settings)
        self._read_trap = trap_reader(runtime.settings, runtime.secrets, engine)
        self._name_of = HostNames() if runtime.settings.sources.reverse_lookup else None
        self._limits: dict[str, tuple[RateLimit, float]] = {}
        self._refusals = Refusals()
        self._losses = Losses()
        self._tables: list[tuple[str, Table]] = [("sources", self._read_syslog), ("refusals", self._refusals)]
        if self._name_of is not None:
            self._tables.append(("names", self._name_of))
        self._udp: list[tuple[str, udp.UdpListener]] = []
        self._watched: list[tuple[str, udp.UdpListener]] = []
        self._tcp: list[tuple[str, tcp.TcpListener]] = []
        self._tls: ssl.SSLContext | None = None
        self._next_line: dict[str, float] = {}
        self._kernel_drops: Counter[str] = Counter()
        self._shown: Counter[str] = Counter()
        """What the metrics already include of counts kept elsewhere."""
        self._relaying = Relaying(
            RelayReader(self._read_syslog, runtime.settings.syslog.max_message),
            self._new_id,
            self._lane("relay"),
            self._intake,
            has_spool=bool(self._spools),
            name_of=self._name_of,
            count=lambda relay, outcome, count: runtime.metrics.relayed.labels(relay, outcome).inc(count),
        )
        self._set_up()
        runtime.metrics.spool_limit.set(len(self._spools) * runtime.settings.spool.max_bytes)
        runtime.before_scrape.append(self._refresh)
        follow_secrets(self._read_trap, runtime.secrets)
        if engine is None and opened.snmp_udp:
            runtime.secrets.changed.append(self._miss_engine)

    def _set_up(self) -> None:
        """A listener for every socket."""
        syslog, snmp, opened = self._runtime.settings.syslog, self._runtime.settings.snmp, self._opened
        name_of, new_id = self._name_of, self._new_id
        limit = self._limit("syslog", syslog.rate, syslog.burst)

        for one in opened.syslog_udp:
            lane = self._lane("syslog_udp")
            refused = taking.refusal(self._allowed(syslog.allow), limit)
            self._add_udp(lane, one, syslog.receive_buffer, self._take_syslog(lane, refused, "udp"))
        for one in opened.snmp_udp:
            lane = self._lane("snmp_udp")
            refused = taking.refusal(self._allowed(snmp.allow), self._limit("snmp", snmp.rate, snmp.burst))
            own = self._lane("muttd") if snmp.refusals_as_events else None
            take = taking.trap_datagrams(
                self._read_trap,
                new_id,
                lane,
                refused=refused,
                name_of=name_of,
                refusals=self._refusals,
                own_lane=own,
                fault=self._fault_of(lane),
            )
            self._add_udp(lane, one, snmp.receive_buffer, take)

        refused = taking.refusal(None, limit)  # `allowed` is checked once, when a connection is made
        for stream in opened.syslog_tcp:
            lane = self._lane("syslog_tcp")
            self._add_tcp(lane, stream, self._take_syslog(lane, refused, "tcp"), None)
        for stream in opened.syslog_tls:
            lane = self._lane("syslog_tls")
            if self._tls is None:
                if not syslog.tls_cert:
                    raise MuttError("a socket for syslog over TLS is given, but syslog.tls_cert is not set")
                self._tls = self._runtime.contexts.of_syslog()
            self._add_tcp(lane, stream, self._take_syslog(lane, refused, "tls"), self._tls_stream)

        if not self._udp and not self._tcp:
            log.warning("no syslog or SNMP address is configured: only relays can send")

    async def start(self) -> None:
        """Starts reading."""
        for _, datagrams in self._udp:
            datagrams.start()
        for _, streams in self._tcp:
            await streams.start()

    async def stop(self) -> None:
        """Closes the ports, after taking what the kernel still holds."""
        self._relaying.stop()
        for _, streams in self._tcp:
            await streams.stop()
        self._refresh()  # the kernel's count of drops is lost with the socket
        for _, datagrams in self._udp:
            datagrams.stop()
        self._report_surplus()

    def addresses(self) -> list[str]:
        """The bound addresses, for display."""
        bound = [(name, one.socket) for name, one in self._udp] + [(name, one.socket) for name, one in self._tcp]
        shown = [f"{name} {sockets.address_of(opened)}" for name, opened in bound]
        if not self._opened.http:
            return [*shown, f"http port {self._runtime.settings.http.port_ingest}"]
        return shown + [f"http {sockets.address_of(one)}" for one in self._opened.http]

    def relays(self) -> https.HttpsListener:
        """The HTTP side, whose port is opened elsewhere."""
        settings, metrics, secrets = self._runtime.settings, self._runtime.metrics, self._runtime.secrets
        for status in https.STATUSES:
            metrics.ingest_requests.labels(status)  # alert rules miss the first step of a counter that appears late
        return https.HttpsListener(
            accept=self._relaying.accept,
            keys=lambda: secrets.ingest_keys,
            max_body=settings.http.max_body,
            count=lambda status: metrics.ingest_requests.labels(status).inc(),
            stranger=self._strange_relay,
        )

    def _strange_relay(self, peer: str) -> None:
        if self._may_log("ingest key"):
            log.warning("ingest: %s sends no valid X-API-KEY; it is answered 401, and what it sends is lost", peer)

    # Reporting.

    async def report(self, board: Board) -> None:
        """Writes the ledger to the board that the page reads, once a second, until cancelled."""
        name = f"{socket.gethostname()}-{os.getpid()}"
        tallies = self._runtime.metrics.tallies
        await TallyReport(board, tallies, name=name, kernel_drops=lambda: self._kernel_drops, status=self._status).run()

    def _status(self) -> dict[str, object]:
        """What the page says about this process: only what is worth mentioning."""
        trouble, on_disk = self._intake.trouble, sum(spool.events for spool in self._spools)
        said: dict[str, object] = {"trouble": trouble.replace("_", " ")} if trouble else {"state": "receiving"}
        if self._intake.waiting:
            said["in memory"] = self._intake.waiting
        if on_disk:
            said["on disk"] = on_disk
        return said

    async def watch_kernel(self) -> None:
        """Reports promptly when events are lost, by the kernel or by us, until cancelled."""
        while True:
            self._refresh()
            self._losses.tell(self._runtime.metrics.tallies, time.monotonic())
            await asyncio.sleep(_LOOK_AT_KERNEL)

    async def watch_surplus(self) -> None:
        """Makes an event once a minute of what a rate limit dropped, until cancelled."""
        while self._limits:
            await asyncio.sleep(_REPORT_SURPLUS)
            self._report_surplus()

    def _report_surplus(self) -> None:
        """Makes an event of what each rate limit has dropped since the last one."""
        lane, now = self._lane("muttd"), time.time()
        for name, (limit, rate) in self._limits.items():
            if surplus := limit.report(now):
                host = socket.gethostname()
                event = surplus_event(surplus, listener=name, rate=rate, host=host, now=now, event_id=self._new_id())
                lane.tally.received += 1
                lane.put(encode(event))

    def _refresh(self) -> None:
        """Updates the metrics of sockets and spool."""
        metrics = self._runtime.metrics
        oldest = self._intake.oldest_unsent()
        metrics.spool_bytes.set(sum(spool.bytes for spool in self._spools))
        metrics.oldest_unsent.set(time.time() - oldest if oldest else 0)
        for name, datagrams in self._watched:
            dropped = datagrams.new_kernel_drops()
            self._kernel_drops[name] += dropped
            metrics.kernel_drops.labels(name).inc(dropped)
            if dropped:
                log.warning(
                    "the kernel dropped %d datagrams of %s: its receive buffer (%d bytes) was full",
                    *(dropped, name, udp.granted_buffer(datagrams.socket)),
                )
        for name, datagrams in self._udp:
            self._bring_up(metrics.unsent_answers.labels(name), f"unsent {name}", datagrams.unsent)
        for number, (name, table) in enumerate(self._tables):
            self._bring_up(metrics.overflows.labels(name), f"table {number}", table.overflows)
        for name, times in self._read_trap.forgotten.items():
            self._bring_up(metrics.overflows.labels(f"snmp_{name}"), f"table snmp {name}", times)
        open_by_name: Counter[str] = Counter()
        for name, streams in self._tcp:
            open_by_name[name] += streams.connections
        for name, count in open_by_name.items():
            metrics.connections.labels(name).set(count)

    def _bring_up(self, shown: Count, what: str, total: int) -> None:
        shown.inc(total - self._shown[what])
        self._shown[what] = total

    # Assembling a listener.

    def _lane(self, listener: str) -> Lane:
        return self._intake.lane(listener, self._runtime.metrics.tally(listener))

    def _allowed(self, networks: tuple[str, ...]) -> Allowed | None:
        if not networks:
            return None
        allowed = Allowed([ip_network(network) for network in networks])
        self._tables.append(("allowed", allowed))
        return allowed

    def _limit(self, name: str, rate: float, burst: int) -> RateLimit | None:
        if not rate:
            return None
        if name not in self._limits:
            self._limits[name] = (RateLimit(rate, burst), rate)
            self._tables.append(("rates", self._limits[name][0]))
        return self._limits[name][0]

    def _add_udp(self, lane: Lane, opened: sockets.Datagrams, receive_buffer: int, take: udp.Take) -> None:
        name, granted = lane.name, udp.granted_buffer(opened.socket)
        self._runtime.metrics.receive_buffer.labels(name).set(granted)
        if granted < receive_buffer:
            log.warning(
                "%s %s: the kernel granted %d of %d bytes of receive buffer; to have all: "
                "sysctl -w net.core.rmem_max=%d",
                *(name, sockets.address_of(opened.socket), granted, receive_buffer, receive_buffer),
            )
        listener = udp.UdpListener(opened.socket, take, drained=self._intake.hurry)
        self._udp.append((name, listener))
        if opened.watching:
            self._watched.append((name, listener))
            # A sum, as a listener may have several addresses.
            self._runtime.metrics.kernel_drops_before.labels(name).inc(listener.dropped_before)
            if listener.dropped_before:  # under a previous process, which counted them, or with no reader at all
                log.warning(
                    "the kernel dropped %d datagrams of %s %s before this start, since the socket was opened; "
                    "mutt_kernel_drops_total does not count them",
                    *(listener.dropped_before, name, sockets.address_of(opened.socket)),
                )

    def _take_syslog(self, lane: Lane, refused: taking.Refused | None, transport: str) -> taking.SyslogTake:
        return taking.syslog_messages(
            *(self._read_syslog, self._new_id, lane, refused, self._name_of, self._fault_of(lane)),
            transport=transport,
        )

    def _add_tcp(
        self, lane: Lane, opened: socket.socket, take: tcp.Take, make_tls: Callable[[], TlsStream] | None
    ) -> None:
        given = self._runtime.settings.syslog
        listener = tcp.TcpListener(
            opened,
            make_framer=lambda: Framer(given.max_message, given.nul_trailer),
            take=take,
            room=self._intake.room,
            allowed=self._allowed(given.allow) or (lambda _: True),
            refuse=self._refuse_of(lane),
            idle_timeout=given.tcp_idle_timeout,
            max_connections=given.tcp_max_connections,
            max_connections_per_peer=given.tcp_max_connections_per_peer,
            balancer=self._allowed(given.proxy_protocol),
            make_tls=make_tls,
        )
        self._tcp.append((lane.name, listener))

    def _tls_stream(self) -> TlsStream:
        assert self._tls is not None
        return TlsStream(self._tls, self._runtime.settings.syslog.tls_permitted_names)

    def _miss_engine(self) -> None:
        if self._runtime.secrets.snmp_users:
            log.warning(
                "SNMPv3 informs are not answered until a restart: snmp.engine_file could not be used at the start"
            )

    def _refuse_of(self, lane: Lane) -> tcp.Refuse:
        def refuse(reason: str, peer: str, detail: str) -> None:
            self._runtime.metrics.refused_connections.labels(lane.name, reason).inc()
            if self._may_log(f"{lane.name} {reason}"):
                log.warning("%s: connection of %s refused: %s%s", lane.name, peer, reason, detail and f" ({detail})")

        return refuse

    def _fault_of(self, lane: Lane) -> Callable[[], None]:
        """What a listener calls, inside `except`, for a bug in mutt: the next message must not suffer from it."""

        def fault() -> None:
            lane.tally.dropped["fault"] += 1
            if self._may_log("fault"):
                log.exception("%s: a message hit a bug in mutt and is lost", lane.name)  # noqa: LOG004 (called inside except)

        return fault

    def _may_log(self, kind: str) -> bool:
        """Whether it is time for another line of this kind. The kinds are fixed in the code, so they are few."""
        now = time.monotonic()
        due = now >= self._next_line.get(kind, 0.0)
        if due:
            self._next_line[kind] = now + _LOG_PAUSE
        return due
