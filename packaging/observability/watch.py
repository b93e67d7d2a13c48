"""What to watch of mutt: the one list from which kit.py makes the alert rules and the dashboard.

Promises: every alert has a heading of its name in docs/troubleshoot.md; every metric is exported by the processes that
`by` names; both are tested. Processes are told apart by the label `role` of prometheus.yaml. What all processes of a
role read from the same Redis is the same in each, so it is never summed, but the greatest is taken.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple


class Alert(NamedTuple):
    """When somebody must look. `wait`: how long `when` must hold."""

    name: str
    when: str
    wait: str
    severity: Literal["critical", "warning"]
    summary: str


class Panel(NamedTuple):
    """One thing to watch. `by`: the processes whose metrics it shows; `shows`: legend → expression."""

    title: str
    by: Literal["muttd", "alerter", "forwarder", "all"]
    unit: str
    shows: Mapping[str, str]
    alerts: Sequence[Alert] = ()


def _rate(metric: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[$__rate_interval]))"


def _quantile(metric: str, part: float) -> str:
    return f"histogram_quantile({part:g}, sum by (le) (rate({metric}_bucket[$__rate_interval])))"


_ENDED = " or ".join(f'absent(up{{job="mutt",role="{role}"}})' for role in ("muttd", "alerter", "forwarder"))
_CERTIFICATE = "min by (setting, instance) (mutt_certificate_end_timestamp_seconds)"
_LEASE = "mutt_vault_lease_end_timestamp_seconds"
_FAILED = 'sum(rate(mutt_moog_requests_total{status=~"retry|fail"}[5m]))'

WATCH: Mapping[str, Sequence[Panel]] = {
    "Ledger": [
        Panel(
            "Received", "muttd", "cps",
            {"{{listener}}": _rate("mutt_received_total", "listener")},
            [Alert(
                "MuttSilence", "sum(rate(mutt_received_total[15m])) == 0", "15m", "warning",
                "Nothing has come from any device for 30 minutes.",
            )],
        ),
        Panel(
            "Received, and where it went", "muttd", "cps",
            {
                "received": _rate("mutt_received_total"),
                "queued": _rate("mutt_queued_total"),
                "rejected": _rate("mutt_rejected_total"),
                "dropped": _rate("mutt_dropped_total"),
            },
        ),
        Panel(
            "Missing in the books of the last day", "alerter", "short",
            {"{{station}}": "max by (station) (mutt_ledger_missing)"},
            [Alert(
                "MuttLedgerUnbalanced",
                "max by (station) (mutt_ledger_missing) != 0 or min by (station) (mutt_ledger_missing) != 0", "5m",
                "critical",
                "The books do not balance: {{ $value }} events are missing at station {{ $labels.station }}.",
            )],
        ),
    ],
    "Loss": [
        Panel(
            "Lost by mutt", "muttd", "short",
            {"{{listener}} {{reason}}":
                "sum by (listener, reason) (increase(mutt_dropped_total[$__rate_interval])) > 0"},
            [Alert(
                "MuttEventsLost", "sum by (listener, reason) (increase(mutt_dropped_total[10m])) > 0", "0m", "critical",
                '{{ $value | printf "%.0f" }} events of {{ $labels.listener }} were lost: {{ $labels.reason }}.',
            )],
        ),
        Panel(
            "Dropped by the kernel", "muttd", "short",
            {"{{instance}} {{listener}}":
                "sum by (instance, listener) (increase(mutt_kernel_drops_total[$__rate_interval]))"},
            [Alert(
                "MuttKernelDrops", "sum by (instance, listener) (increase(mutt_kernel_drops_total[10m])) > 0", "0m",
                "critical",
                'The kernel dropped {{ $value | printf "%.0f" }} datagrams of {{ $labels.listener }}: '
                "its receive buffer was full.",
            )],
        ),
        Panel(
            "Refused on purpose", "muttd", "cps",
            {
                "{{listener}} {{reason}}": _rate("mutt_rejected_total", "listener, reason"),
                "connection {{listener}} {{reason}}": _rate("mutt_tcp_refused_connections_total", "listener, reason"),
            },
        ),
        Panel(
            "Relays' requests", "muttd", "reqps",
            {"{{status}}": _rate("mutt_ingest_requests_total", "status")},
            [Alert(
                "MuttRelayRefused",
                'sum by (instance) (increase(mutt_ingest_requests_total{status="fail_auth"}[10m])) > 0',
                "0m", "critical", "A relay sends without a valid key; what it sends is lost.",
            )],
        ),
        Panel(
            "Full tables of senders and of SNMP", "muttd", "cps",
            {"{{table}}": _rate("mutt_table_overflows_total", "table")},
        ),
    ],
    "Queues": [
        Panel(
            "Ingest list, share of its limit", "alerter", "percentunit",
            {"ingest list": "max(mutt_ingest_queue_depth) / max(mutt_ingest_queue_limit)"},
            [Alert(
                "MuttIngestQueueFilling", "max(mutt_ingest_queue_depth) / max(mutt_ingest_queue_limit) > 0.7", "2m",
                "critical", "The ingest list is {{ $value | humanizePercentage }} full.",
            )],
        ),
        Panel(
            "Oldest event waiting for a decision", "alerter", "s",
            {"oldest": "max(mutt_ingest_oldest_seconds)"},
            [Alert(
                "MuttDecisionsLate", "max(mutt_ingest_oldest_seconds) > 60", "2m", "critical",
                "Events wait {{ $value | humanizeDuration }} for a decision.",
            )],
        ),
        Panel(
            "Oldest event that Redis does not have", "muttd", "s",
            {"{{instance}}": "max by (instance) (mutt_oldest_unsent_seconds)"},
            [Alert(
                "MuttEventsUnsent", "max by (instance) (mutt_oldest_unsent_seconds) > 60", "1m", "critical",
                "Redis has not taken events for {{ $value | humanizeDuration }}: they wait on {{ $labels.instance }}.",
            )],
        ),
        Panel(
            "Events in memory and on disk", "muttd", "short",
            {
                "memory {{instance}}": "sum by (instance) (mutt_intake_waiting)",
                "disk {{instance}}": "sum by (instance) (mutt_spool_events)",
            },
        ),
        Panel(
            "Disk spool, share of its limit", "muttd", "percentunit",
            {"{{instance}}": "max by (instance) (mutt_spool_bytes / mutt_spool_limit_bytes)"},
            [Alert(
                "MuttSpoolFilling", "max by (instance) (mutt_spool_bytes / mutt_spool_limit_bytes) > 0.5", "1m",
                "critical", "The disk spool of {{ $labels.instance }} is {{ $value | humanizePercentage }} full.",
            )],
        ),
        Panel(
            "Alerts waiting for delivery", "forwarder", "short",
            {"alerts": "max(mutt_alert_queue_depth)", "signatures to retry": "max(mutt_moog_retry_depth)"},
            [Alert(
                "MuttAlertsWaiting", "max(mutt_alert_queue_depth) > 3000", "10m", "warning",
                '{{ $value | printf "%.0f" }} alerts wait for delivery.',
            )],
        ),
    ],
    "Deciding": [
        Panel(
            "Decided", "alerter", "cps",
            {"{{status}}": _rate("mutt_alerter_messages_processed_total", "status")},
        ),
        Panel(
            "A batch, from reserve to commit", "alerter", "s",
            {"median": _quantile("mutt_alerter_processing_latency_seconds", 0.5),
             "99 %": _quantile("mutt_alerter_processing_latency_seconds", 0.99),
             "audit, 99 %": _quantile("mutt_alerter_db_write_latency_seconds", 0.99)},
        ),
        Panel(
            "Unhandled events", "alerter", "cps",
            {"unhandled": _rate("mutt_alerter_unhandled_events_total")},
            [Alert(
                "MuttUnhandledSurge",
                "sum(rate(mutt_alerter_unhandled_events_total[10m])) > 1 and "
                "sum(rate(mutt_alerter_unhandled_events_total[10m])) > "
                # Not rate(…[1d]): on the first day that would be next to nothing.
                "5 * avg_over_time(sum(rate(mutt_alerter_unhandled_events_total[10m]))[1d:10m] offset 10m)",
                "10m", "warning",
                '{{ $value | printf "%.1f" }} events a second match no rule, five times as many as in the day before.',
            )],
        ),
        Panel(
            "Rules", "alerter", "short",
            {"{{state}}": "max by (state) (mutt_alerter_rules)",
             "loaded": "min(mutt_alerter_rule_cache_load_success)"},
            [
                Alert(
                    "MuttRulesNotLoaded", "min by (instance) (mutt_alerter_rule_cache_load_success) == 0", "5m",
                    "critical", "{{ $labels.instance }} cannot load the rules and decides by those it has.",
                ),
                Alert(
                    "MuttRulesRefused", 'max(mutt_alerter_rules{state="refused"}) > 0', "5m", "warning",
                    "{{ $value }} rules are left out because they cannot be read.",
                ),
            ],
        ),
        Panel(
            "Audit backlog, share of its limit", "alerter", "percentunit",
            {"rows": "max(mutt_audit_backlog_rows) / max(mutt_audit_backlog_limit)"},
            [
                Alert(
                    "MuttAuditBacklog", "max(mutt_audit_backlog_rows) > 0", "5m", "warning",
                    '{{ $value | printf "%.0f" }} audit rows wait for PostgreSQL; alerts flow.',
                ),
                Alert(
                    "MuttAuditBacklogFilling", "max(mutt_audit_backlog_rows) / max(mutt_audit_backlog_limit) > 0.5",
                    "1m", "critical",
                    "The audit backlog is {{ $value | humanizePercentage }} full; once full, nothing is decided.",
                ),
            ],
        ),
        Panel(
            "Elements no alerter could take", "alerter", "short",
            {"kept": "max(mutt_alerter_dlq_depth)"},
            [Alert(
                "MuttUnreadable", "max(mutt_alerter_dlq_depth) > 0", "1m", "warning",
                '{{ $value | printf "%.0f" }} elements or audit rows were set aside in mutt:dlq:alerter.',
            )],
        ),
        Panel(
            "Days until the audit log has no partition", "alerter", "d",
            {"days": "min(mutt_audit_partition_runway_days)"},
            [Alert(
                "MuttPartitionRunway", "min(mutt_audit_partition_runway_days) < 14", "1h", "warning",
                'The audit log has partitions for {{ $value | printf "%.0f" }} days only.',
            )],
        ),
    ],
    "Delivering": [
        Panel(
            "Delivery attempts", "forwarder", "reqps",
            {"{{status}}": _rate("mutt_moog_requests_total", "status")},
            [Alert(
                "MuttDeliveryFailing", f"{_FAILED} / sum(rate(mutt_moog_requests_total[5m])) > 0.2", "10m", "warning",
                "{{ $value | humanizePercentage }} of the delivery attempts fail.",
            )],
        ),
        Panel(
            "Circuit", "forwarder", "bool_on_off",
            {"open": "max(mutt_moog_circuit_open)"},
            [Alert(
                "MuttCircuitOpen", "max(mutt_moog_circuit_open) == 1", "1m", "critical",
                "Nothing is delivered: Moog fails. Alerts wait and are not lost.",
            )],
        ),
        Panel(
            "From receipt to Moog", "forwarder", "s",
            {"median": _quantile("mutt_delivery_latency_seconds", 0.5),
             "99 %": _quantile("mutt_delivery_latency_seconds", 0.99),
             "a request, 99 %": _quantile("mutt_moog_forward_latency_seconds", 0.99)},
        ),
        Panel(
            "Dead letters", "forwarder", "short",
            {"dead letters": "max(mutt_moog_dlq_depth)"},
            [
                Alert(
                    "MuttDeadLetters", "max(mutt_moog_dlq_depth) > 0", "1m", "warning",
                    '{{ $value | printf "%.0f" }} alerts were given up and wait in the dead letters.',
                ),
                Alert(
                    "MuttDeadLettersLost", "sum(increase(mutt_moog_dlq_overflow_total[10m])) > 0", "0m", "critical",
                    '{{ $value | printf "%.0f" }} dead letters were dropped: their list is full.',
                ),
            ],
        ),
        Panel("Waits at the rate limit", "forwarder", "cps", {"waits": _rate("mutt_moog_rate_limit_hits_total")}),
    ],
    "Vault and certificates": [
        Panel(
            "Vault", "all", "bool_yes_no",
            {"{{role}} {{instance}}": "mutt_vault_up and on (instance) (mutt_vault_logins_total > 0)"},
            [Alert(
                "MuttVaultAway", "mutt_vault_up == 0 and on (instance) (mutt_vault_logins_total > 0)", "5m", "warning",
                "{{ $labels.role }} on {{ $labels.instance }} cannot use Vault and goes on with the secrets it has.",
            )],
        ),
        Panel(
            "Vault token expires in", "all", "s",
            {"{{role}} {{instance}}": f"({_LEASE} > 0) - time()"},
            [Alert(
                "MuttVaultTokenEnds", f"({_LEASE} > 0) - time() < 3600 and on (instance) mutt_vault_up == 0", "1m",
                "critical",
                "The Vault token of {{ $labels.role }} expires in {{ $value | humanizeDuration }} and is not renewed.",
            )],
        ),
        Panel(
            "Certificates expire in", "all", "s",
            {"{{setting}}": f"min by (setting) ({_CERTIFICATE}) - time()"},
            [
                Alert(
                    "MuttCertificateEnds", f"{_CERTIFICATE} - time() < 14 * 86400", "1h", "warning",
                    "The certificate of {{ $labels.setting }} expires in {{ $value | humanizeDuration }}.",
                ),
                Alert(
                    "MuttCertificateEnded", f"{_CERTIFICATE} - time() < 86400", "1m", "critical",
                    "The certificate of {{ $labels.setting }} has expired or expires within a day.",
                ),
            ],
        ),
    ],
    "Processes": [
        Panel(
            "Up", "all", "short",
            {"{{role}}": 'sum by (role) (up{job="mutt"})'},
            [
                Alert(
                    "MuttRoleDown", f'sum by (role) (up{{job="mutt"}}) == 0 or {_ENDED}', "1m", "critical",
                    "No {{ $labels.role }} is running.",
                ),
                Alert(
                    "MuttProcessDown", 'up{job="mutt"} == 0', "1m", "warning",
                    "{{ $labels.role }} on {{ $labels.instance }} does not answer.",
                ),
            ],
        ),
        Panel(
            "Redis and PostgreSQL", "all", "bool_yes_no",
            {"{{component}} for {{role}}": "min by (component, role) (mutt_component_up)"},
            [
                Alert(
                    "MuttRedisAway", 'min by (role, instance) (mutt_component_up{component="redis"}) == 0', "1m",
                    "critical", "{{ $labels.role }} on {{ $labels.instance }} does not reach Redis.",
                ),
                Alert(
                    "MuttPostgresAway", 'min by (role, instance) (mutt_component_up{component="postgresql"}) == 0',
                    "1m", "critical", "{{ $labels.role }} on {{ $labels.instance }} does not reach PostgreSQL.",
                ),
            ],
        ),
        Panel(
            "Starts in 15 minutes", "all", "short",
            {"{{role}} {{instance}}": 'changes(process_start_time_seconds{job="mutt"}[15m])'},
            [Alert(
                "MuttRestarting", 'changes(process_start_time_seconds{job="mutt"}[15m]) > 2', "0m", "warning",
                "{{ $labels.role }} on {{ $labels.instance }} started {{ $value }} times in 15 minutes.",
            )],
        ),
        Panel("Batches taken over from lost workers", "alerter", "short",
              {"{{role}}": "sum by (role) (increase(mutt_adopted_batches_total[$__rate_interval]))"}),
        Panel("CPU", "all", "percentunit",
              {"{{role}} {{instance}}": 'rate(process_cpu_seconds_total{job="mutt"}[$__rate_interval])'}),
        Panel("Memory", "all", "bytes", {"{{role}} {{instance}}": 'process_resident_memory_bytes{job="mutt"}'}),
    ],
}  # fmt: skip
