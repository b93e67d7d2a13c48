"""What becomes of events: the alerter that decides, the forwarder that delivers."""

from dataclasses import dataclass
from typing import Literal

from muttd.settings.keys.key import key


@dataclass(frozen=True, slots=True)
class Alerter:
    """muttd alerter: decides what every event means and writes it down."""

    pod_name: str = key(
        "", "Name in heartbeats; empty: the host's name. Two workers may share it.", env="ALERTER_POD_NAME"
    )
    heartbeat_interval: int = key(
        30,
        "Seconds between heartbeats. A worker silent for three of them counts as gone: others take over its batch.",
        env="ALERTER_HEARTBEAT_INTERVAL",
        low=1,
        high=300,
    )
    batch: int = key(
        1000,
        "Events decided and committed at once. More is faster, but more is done again after a crash.",
        low=1,
        high=5000,
    )
    rule_cache_refresh_interval: int = key(
        300,
        "Seconds between full reloads of the rules. Changes are seen at once by LISTEN/NOTIFY; this is the safety net.",
        env="ALERTER_RULE_CACHE_REFRESH_INTERVAL",
        low=1,
    )
    unhandled_threshold: int = key(
        100,
        "Events of one host and one template, matched by no rule, before one meta-alert is sent. 0: never.",
        env="UNHANDLED_EVENT_THRESHOLD",
        low=0,
    )
    unhandled_window: int = key(
        3600, "Seconds over which they are counted, from the first one.", env="UNHANDLED_EVENT_WINDOW", low=1
    )
    default_team: str = key("unassigned", "Team of an alert where neither rule nor host names one.")
    domains: tuple[str, ...] = key(
        (),
        'Our domains, for example ["example.com"]: a host name with or without one of these at its end means the same '
        "host to rules, development hosts and teams. The audit log keeps the name as it came.",
        form="name",
    )
    audit: str = key(
        "all", "all: every event gets an audit row. matched: only those a rule matched.", choices=("all", "matched")
    )
    audit_backlog: int = key(
        1_000_000,
        "Audit rows kept in Redis while PostgreSQL is away, about 1 KB each; above this alerters wait.",
        low=1000,
    )
    retention_months: int = key(
        0, "Months of audit log to keep; older partitions are dropped once a day. 0: keep all.", low=0
    )


@dataclass(frozen=True, slots=True)
class Moog:
    """muttd forwarder: delivers alerts to the Moog AIOps webhook. The key is the secret MOOG_API_KEY."""

    webhook_url: str = key(
        "",
        "Where alerts go, https://HOST/events/webhook_webhook1. Empty: muttd forwarder does not start.",
        env="MOOG_WEBHOOK_URL",
        form="url",
    )
    profile: Literal["webhook", "rest-lam", "cloud"] = key(
        "webhook",
        "What the other side is: webhook (on premises, one alert per request), rest-lam or cloud (several per "
        "request).",
        choices=("webhook", "rest-lam", "cloud"),
    )
    auth: str = key(
        "bearer",
        "How MOOG_API_KEY is sent: bearer, basic (the key is user:password), header:NAME (cloud: header:apikey), none.",
        form="authentication",
    )
    ca_cert: str = key("", "File with the CA certificates of the webhook; empty: the system's.")
    client_cert: str = key("", "PEM file with our certificate, where the webhook asks for one.")
    client_key: str = key("", "PEM file with its key; empty: it is in client_cert.")
    timeout: float = key(10.0, "Seconds for one request.", env="MOOG_TIMEOUT", low=0.1, high=300)
    rate_limit: int = key(
        50,
        "Alerts per rate_period, for all forwarders together. Any above it wait; none is dropped.",
        env="MOOG_RATE_LIMIT",
        low=1,
    )
    rate_period: float = key(1.0, "Seconds over which rate_limit counts.", env="MOOG_RATE_PERIOD", low=0.01, high=3600)
    retry_base_delay: float = key(
        1.0,
        "Longest wait before the first retry, in seconds; doubles each time, with full jitter.",
        env="MOOG_RETRY_BASE_DELAY",
        low=0.01,
    )
    retry_max_delay: float = key(
        60.0, "Longest wait between two retries, in seconds.", env="MOOG_RETRY_MAX_DELAY", low=0.01
    )
    max_retries: int = key(5, "Retries before an alert goes to the dead letters.", env="MOOG_MAX_RETRIES", low=0)
    concurrency: int = key(20, "Requests that one forwarder has under way at once.", low=1, high=500)
    pod_name: str = key("", "Name in heartbeats; empty: the host's name.", env="MOOG_POD_NAME")
    heartbeat_interval: int = key(
        30,
        "Seconds between heartbeats; see alerter.heartbeat_interval.",
        env="MOOG_HEARTBEAT_INTERVAL",
        low=1,
        high=300,
    )
