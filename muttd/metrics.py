"""Every Prometheus metric of mutt by name, with what it counts. Dashboards rely on the names, so they do not change.

One object per process, made where the process is assembled; tests use an empty registry.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client import Counter as Count
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

DROPS = ("buffer_full", "redis_away", "redis_refuses", "queue_full", "shutdown", "fault", "spool_damaged")
"""Reasons for losses. All are exported from the start: alert rules miss the first step of a counter that comes late."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(slots=True)
class Tally:
    """The ledger of one listener: received + carried = queued + rejected + dropped + spooled + waiting.

    Plain numbers, because they change with every datagram; Prometheus reads them when it scrapes.
    """

    received: int = 0
    queued: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    defective: int = 0
    spooled: int = 0
    """On disk now."""
    carried: int = 0
    """On disk when this process started."""

    @property
    def waiting(self) -> int:
        """In the memory of this process."""
        given_up = self.rejected.total() + self.dropped.total()
        return self.received + self.carried - self.queued - self.spooled - given_up


class _Ledger(Collector):
    def __init__(self, tallies: dict[str, Tally]) -> None:
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        received = CounterMetricFamily(
            "mutt_received", "Datagrams, frames and relayed items taken from the kernel.", labels=["listener"]
        )
        queued = CounterMetricFamily("mutt_queued", "Events that reached the ingest list.", labels=["listener"])
        defective = CounterMetricFamily(
            "mutt_defective", "Events whose text had to be repaired or read in part.", labels=["listener"]
        )
        rejected = CounterMetricFamily("mutt_rejected", "Refused on purpose.", labels=["listener", "reason"])
        dropped = CounterMetricFamily("mutt_dropped", "Lost, by reason.", labels=["listener", "reason"])
        waiting = GaugeMetricFamily("mutt_intake_waiting", "Events in memory that wait for Redis.", labels=["listener"])
        spooled = GaugeMetricFamily("mutt_spool_events", "Events in the disk spool.", labels=["listener"])
        carried = CounterMetricFamily(
            "mutt_spool_carried", "Events found in the disk spool at start.", labels=["listener"]
        )
        for name, tally in self._tallies.items():
            spooled.add_metric([name], tally.spooled)
            carried.add_metric([name], tally.carried)
            received.add_metric([name], tally.received)
            queued.add_metric([name], tally.queued)
            defective.add_metric([name], tally.defective)
            waiting.add_metric([name], tally.waiting)
            for reason, count in tally.rejected.items():
                rejected.add_metric([name, reason], count)
            for reason in dict.fromkeys((*DROPS, *tally.dropped)):
                dropped.add_metric([name, reason], tally.dropped[reason])
        yield from (received, carried, queued, rejected, dropped, spooled, waiting, defective)


class Metrics:
    """All metrics, registered in `registry`: those that a process of `role` maintains, or all of them.

    A process does not export what it does not know: a queue's depth or the circuit's state would wrongly be 0.
    """

    def __init__(self, registry: CollectorRegistry, role: str | None = None) -> None:
        self.registry = registry
        kept: CollectorRegistry | None = registry

        def kept_by(*roles: str) -> CollectorRegistry | None:
            return registry if role is None or role in roles else None

        def counter(name: str, text: str, *labels: str) -> Count:
            return Count(name, text, labels, registry=kept)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, registry=kept)

        def seconds(name: str, text: str) -> Histogram:
            return Histogram(name, text, buckets=_SECONDS, registry=kept)

        # Receiving: the ledger of every listener (see Tally), and what belongs to it.
        kept = kept_by("muttd")
        self.tallies: dict[str, Tally] = {}
        if kept is not None:
            kept.register(_Ledger(self.tallies))
        self.kernel_drops = counter(
            "mutt_kernel_drops", "Datagrams the kernel dropped because our receive buffer was full.", "listener"
        )
        self.kernel_drops_before = gauge(
            "mutt_kernel_drops_before_start",
            "Datagrams the kernel dropped on sockets we were given, from their opening to our start.",
            "listener",
        )
        self.receive_buffer = gauge("mutt_receive_buffer_bytes", "Receive buffer the kernel granted.", "listener")
        self.refused_connections = counter(
            "mutt_tcp_refused_connections", "Connections closed at once, by reason.", "listener", "reason"
        )
        self.connections = gauge("mutt_tcp_connections", "Open syslog connections.", "listener")
        self.spool_bytes = gauge("mutt_spool_bytes", "Bytes of the disk spool.")
        self.spool_limit = gauge("mutt_spool_limit_bytes", "Bytes the disk spool may hold; 0: there is none.")
        self.oldest_unsent = gauge(
            "mutt_oldest_unsent_seconds", "Age of the oldest event that Redis does not have yet."
        )
        self.restarts = counter("mutt_process_restarts", "Restarts of this receiving process.")
        self.overflows = counter(
            "mutt_table_overflows",
            "Times a bounded table was full: it was emptied, forgot its oldest entry, or further senders shared one. "
            "snmp_heads holds beginnings of v1 and v2c messages; other snmp_ tables: other parts of messages.",
            "table",
        )
        self.unsent_answers = counter(
            "mutt_unsent_answers", "Answers to SNMP informs that could not be sent.", "listener"
        )
        self.ingest_requests = counter("mutt_ingest_requests", "HTTP ingest requests by outcome.", "status")
        self.relayed = counter("mutt_relayed", "Items that relays posted, by key name and outcome.", "relay", "outcome")

        # Every process has its own: HTTP ports, the services it needs, secrets and certificates.
        kept = registry
        self.http_malformed = counter(
            "mutt_http_malformed", "Malformed HTTP requests: answered 400, connection closed."
        )
        self.component_up = gauge("mutt_component_up", "1 if redis or postgresql answers this process.", "component")
        self.vault_up = gauge("mutt_vault_up", "1 if the last request to Vault succeeded.")
        self.vault_logins = counter("mutt_vault_logins", "Times mutt logged in to Vault.")
        self.vault_lease_end = gauge(
            "mutt_vault_lease_end_timestamp_seconds", "When our Vault token expires unless it is renewed; 0: never."
        )
        self.secrets_read = gauge("mutt_secrets_read_timestamp_seconds", "When the secrets were last read from Vault.")
        self.certificate_end = gauge(
            "mutt_certificate_end_timestamp_seconds",
            "When the first certificate of our chain in a file expires, or the last CA certificate in it.",
            "setting",
        )

        # Deciding, and the lists it empties and fills.
        kept = kept_by("alerter")
        self.ingest_depth = gauge("mutt_ingest_queue_depth", "Elements of the ingest list.")
        self.ingest_limit = gauge("mutt_ingest_queue_limit", "Elements the ingest list may hold.")
        self.ingest_oldest = gauge(
            "mutt_ingest_oldest_seconds", "How long the oldest event of the ingest list has waited."
        )
        self.alerter_dlq_depth = gauge("mutt_alerter_dlq_depth", "Elements no alerter could read.")
        self.audit_backlog_depth = gauge("mutt_audit_backlog_depth", "Decided batches waiting for PostgreSQL.")
        self.audit_backlog_rows = gauge("mutt_audit_backlog_rows", "Audit rows in these batches.")
        self.audit_backlog_limit = gauge(
            "mutt_audit_backlog_limit", "Audit rows that may wait; at this many, alerters stop deciding."
        )
        self.ledger_missing = gauge(
            "mutt_ledger_missing", "Events missing from the books of the last day; negative: too many.", "station"
        )
        self.processed = counter("mutt_alerter_messages_processed", "Events decided, by what was decided.", "status")
        self.alerter_latency = seconds(
            "mutt_alerter_processing_latency_seconds", "From reserving a batch to committing it."
        )
        self.db_latency = seconds("mutt_alerter_db_write_latency_seconds", "One audit transaction.")
        self.rules_loaded = gauge("mutt_alerter_rule_cache_load_success", "1 if the last load of the rules succeeded.")
        self.rules = gauge("mutt_alerter_rules", "Rules by state.", "state")
        self.unhandled = counter("mutt_alerter_unhandled_events", "Events that no rule matched.")
        self.unhandled_alerts = counter("mutt_alerter_unhandled_alerts", "Meta-alerts for unhandled events.")
        self.audited = counter("mutt_alerter_audit_rows", "Audit rows written, directly or from the backlog.", "way")
        self.audit_rejected = counter("mutt_alerter_audit_rejected", "Audit rows that PostgreSQL refused, set aside.")
        self.alerter_dlq_dropped = counter(
            "mutt_alerter_dlq_dropped", "Oldest dead letters dropped because their list was full."
        )
        self.adopted = counter("mutt_adopted_batches", "Batches taken over from lost workers.", "role")
        self.partition_runway = gauge("mutt_audit_partition_runway_days", "Days until the audit log has no partition.")

        # Delivering, and the lists it empties and fills.
        kept = kept_by("forwarder")
        self.alert_depth = gauge("mutt_alert_queue_depth", "Elements of the alert list.")
        self.retry_depth = gauge("mutt_moog_retry_depth", "Alerts waiting for a retry.")
        self.dlq_depth = gauge("mutt_moog_dlq_depth", "Alerts in the dead letters.")
        self.moog_requests = counter("mutt_moog_requests", "Delivery attempts, by outcome.", "status")
        for status in ("success", "retry", "fail"):
            self.moog_requests.labels(status)
        self.moog_retries = counter("mutt_moog_retry_count", "Alerts put off for a retry.")
        self.moog_latency = seconds("mutt_moog_forward_latency_seconds", "One request to Moog.")
        self.rate_limited = counter("mutt_moog_rate_limit_hits", "Times a forwarder had to wait for the rate limit.")
        self.circuit_open = gauge(
            "mutt_moog_circuit_open", "1 while the circuit is open: Moog fails, and nothing is sent."
        )
        self.dlq_overflow = counter(
            "mutt_moog_dlq_overflow", "Oldest dead letters dropped because their list was full."
        )
        self.delivery_age = seconds("mutt_delivery_latency_seconds", "From receipt of an event to Moog's acceptance.")

    def tally(self, listener: str) -> Tally:
        """The ledger of `listener`, made on the first call."""
        return self.tallies.setdefault(listener, Tally())
