"""Every setting of mutt: its default, unit, limits, environment variable, and what it is for.

One frozen dataclass per table of muttd.conf. The text of a key is its manual: it goes into muttd.conf as it stands.
Secrets have no key here: they come from the environment or the secrets file (`muttd.vault`).
"""

from dataclasses import dataclass, field
from typing import Any, Literal


def _key(
    default: Any,
    text: str,
    *,
    env: str | None = None,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    form: str | None = None,
    keyed_by: str = "network",
) -> Any:
    """A dataclass field. `low`/`high` are inclusive; `form` names a check in `forms`, `keyed_by` that of table keys."""
    metadata = {
        "text": text,
        "env": env,
        "low": low,
        "high": high,
        "choices": choices,
        "form": form,
        "keyed_by": keyed_by,
    }
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def _port(default: int, text: str, env: str) -> Any:
    return _key(default, text, env=env, low=1, high=65535)


_EVERYWHERE_514 = ("0.0.0.0:514", "[::]:514")
_EVERYWHERE_162 = ("0.0.0.0:162", "[::]:162")


@dataclass(frozen=True, slots=True)
class Receiving:
    """muttd as a whole."""

    processes: int = _key(
        1,
        "Number of receiving processes, for machines where one core is not enough. Senders are spread among them by "
        "address and port, so a single sender stays with one process and in order; sockets held by systemd and the "
        "HTTP port are shared. Connection limits, rates, queue.buffer, spool.max_bytes and the memory of batches that "
        "relays repeat apply to each process; the second and further ones keep their spools in process-2, process-3, "
        "… under spool.directory.",
        low=1,
        high=64,
    )


@dataclass(frozen=True, slots=True)
class Syslog:
    """Syslog from devices: RFC 3164, RFC 5424 and what devices really send."""

    udp: tuple[str, ...] = _key(
        _EVERYWHERE_514, "Addresses to receive datagrams on (RFC 5426). [] turns UDP off.", form="address"
    )
    tcp: tuple[str, ...] = _key(
        _EVERYWHERE_514,
        "Addresses to accept connections on (RFC 6587): octet counting and newline, told apart per message. [] turns "
        "TCP off.",
        form="address",
    )
    allow: tuple[str, ...] = _key(
        (),
        "Networks that may send; [] allows everyone. Messages from elsewhere are counted as rejected and not read.",
        form="network",
    )
    receive_buffer: int = _key(
        8_388_608,
        "Bytes of kernel buffer to ask for, per UDP socket. It bridges pauses: 8 MiB hold about 10,000 short "
        "messages. Without CAP_NET_ADMIN the kernel grants no more than net.core.rmem_max; muttd says so when it "
        "starts.",
        low=4096,
        high=1 << 30,
    )
    max_message: int = _key(
        65_536,
        "Bytes of one message; a longer one is cut and marked. This bounds what one peer can make muttd hold.",
        low=480,
        high=1 << 24,
    )
    tcp_idle_timeout: int = _key(
        3600, "Seconds without a byte before a connection is closed. Devices reconnect by themselves.", low=1
    )
    tcp_max_connections: int = _key(
        1000, "Connections in all; any more are closed at once and counted. Each needs about 70 KiB at worst.", low=1
    )
    tcp_max_connections_per_peer: int = _key(
        100, "Connections from one address, so that one device cannot take them all.", low=1
    )
    tls: tuple[str, ...] = _key(
        (),
        'Addresses to accept TLS connections on (RFC 5425), for example ["0.0.0.0:6514", "[::]:6514"]. [] turns TLS '
        "off.",
        form="address",
    )
    tls_cert: str = _key(
        "",
        "PEM file with the certificate chain of this host. All three files are read again when they change, and on "
        "SIGHUP; connections stay open.",
    )
    tls_key: str = _key("", "PEM file with its key, not encrypted; empty: it is in tls_cert.")
    tls_ca: str = _key("", "PEM file with the CA certificates that clients' certificates are checked against.")
    tls_client_certificate: str = _key(
        "no",
        "Whether clients need a certificate. no: anyone whom `allow` lets through may send.",
        choices=("no", "optional", "required"),
    )
    tls_permitted_names: tuple[str, ...] = _key(
        (),
        "DNS names or addresses (subjectAltName, else common name), one of which a client's certificate must have; * "
        'stands for a whole leftmost label: ["*.net.example.org"]. [] accepts every certificate from the CA.',
        form="name_pattern",
    )
    proxy_protocol: tuple[str, ...] = _key(
        (),
        "Networks of load balancers whose TCP and TLS connections open with a PROXY header (version 1 or 2). The "
        "header is believed: whoever can send from there can send in any name.",
        form="network",
    )
    rate: float = _key(
        0.0,
        "Messages a second taken from one source on average; those above it are left out, counted, and summed up in "
        "one event a minute. 0: no limit.",
        low=0,
    )
    burst: int = _key(1000, "Messages taken at once from one source after a pause, where a rate is set.", low=1)
    nul_trailer: bool = _key(False, "true: NUL also ends a message on TCP (some senders do, RFC 6587 section 3.4.2).")
    time_zone: str = _key(
        "UTC", "Time zone of devices whose timestamps have none: an IANA name or an offset such as +02:00.", form="zone"
    )
    time_zones: dict[str, str] = _key(
        {}, 'The same per source network; the longest match wins: { "10.1.0.0/16" = "Europe/Berlin" }.', form="zone"
    )
    charset: str = _key("latin-1", "How to read text that is not UTF-8. Any Python codec name.", form="charset")
    charsets: dict[str, str] = _key({}, 'The same per source network: { "10.2.0.0/16" = "gb18030" }.', form="charset")


@dataclass(frozen=True, slots=True)
class Snmp:
    """SNMP notifications from devices: v1, v2c and v3 traps and informs."""

    udp: tuple[str, ...] = _key(_EVERYWHERE_162, "Addresses to receive on. [] turns SNMP off.", form="address")
    allow: tuple[str, ...] = _key(
        (), "Networks that may send, and whose informs are answered; [] allows everyone.", form="network"
    )
    receive_buffer: int = _key(
        8_388_608, "Bytes of kernel buffer to ask for, per socket. See syslog.receive_buffer.", low=4096, high=1 << 30
    )
    rate: float = _key(0.0, "Notifications a second taken from one source; see syslog.rate. 0: no limit.", low=0)
    burst: int = _key(1000, "Notifications taken at once from one source after a pause; see syslog.burst.", low=1)
    engine_file: str = _key(
        "/var/lib/mutt/snmp-engine.json",
        "Our SNMPv3 engine ID and how often it was started (RFC 3414 section 2.2), for informs sent to us. Made and "
        "kept by muttd where there are SNMPv3 users; only one muttd may use it.",
    )
    mib_files: tuple[str, ...] = _key(
        (), "Files made by `muttd mib compile`, laid over the shipped names in the order given."
    )
    severities: dict[str, str] = _key(
        {},
        "Severity of traps where the shipped one does not suit, by name or OID; emergency, alert, critical, error, "
        'warning, notice, informational or debug: { "IF-MIB::linkDown" = "critical" }.',
        form="severity",
        keyed_by="trap",
    )
    refusals_as_events: bool = _key(
        False,
        "true: what was refused (unknown user, wrong community, ...) also becomes an event, once an hour for each "
        "source and reason, so that rules can turn it into alerts. It is counted and logged in any case.",
    )


@dataclass(frozen=True, slots=True)
class Sources:
    """What mutt knows of the senders, whatever they speak."""

    names: dict[str, str] = _key(
        {},
        'Host name for a source address or network, where a message names none: { "192.0.2.7" = "core-1", '
        '"10.9.0.0/16" = "branch" }.',
        form="name",
    )
    reverse_lookup: bool = _key(
        False,
        "true: ask the resolver for the name of an address that neither the message nor `names` gives. Nothing waits "
        "for the answer: the first events from an address carry the address itself.",
    )


@dataclass(frozen=True, slots=True)
class Http:
    """HTTP ports of all processes."""

    address: str = _key(
        "*", "Address that every HTTP port below binds to; * is all of them, IPv4 and IPv6.", form="bind_address"
    )
    port_ingest: int = _port(8080, "muttd: POST /ingest for relays, /health, /metrics.", "SERVER_PORT_INGESTOR")
    port_alerter: int = _port(8081, "muttd alerter: /health.", "SERVER_PORT_ALERTER")
    port_alerter_metrics: int = _port(8082, "muttd alerter: /metrics.", "SERVER_PORT_ALERTER_METRICS")
    port_forwarder: int = _port(8083, "muttd forwarder: /health.", "SERVER_PORT_MOOG_FORWARDER")
    port_forwarder_metrics: int = _port(8084, "muttd forwarder: /metrics.", "SERVER_PORT_MOOG_METRICS")
    port_webui: int = _port(8090, "muttd webui: the page, the API, /health, /metrics.", "SERVER_PORT_WEBUI")
    tls: tuple[str, ...] = _key(
        ("ingest", "webui"),
        "Which of them speak TLS once tls_cert is set: ingest, alerter (both of its ports), forwarder (both), webui.",
        form="http_side",
    )
    tls_cert: str = _key(
        "", "PEM file with the certificate chain of this host. Empty: no TLS.", env="MUTT_HTTP_TLS_CERT"
    )
    tls_key: str = _key("", "PEM file with its key, not encrypted; empty: it is in tls_cert.")
    tls_ca: str = _key("", "PEM file with the CA certificates that clients' certificates are checked against.")
    tls_client_certificate: tuple[str, ...] = _key(
        (),
        "Those of `tls` whose clients must present a certificate from tls_ca, on top of their key: probes and "
        "Prometheus too.",
        form="http_side",
    )
    max_body: int = _key(
        10_485_760, "Bytes of one ingest request. This bounds what one relay can make muttd hold.", low=1024
    )
    max_connections: int = _key(
        1000,
        "Connections to the HTTP ports of one process; any more are closed at once and counted. Each needs about 10 "
        "KiB, 55 with TLS.",
        low=1,
    )
    max_connections_per_peer: int = _key(
        250,
        "Connections from one address, so that one client cannot take them all. Raise it where mutt is behind a "
        "proxy: everyone then comes from the proxy's address.",
        low=1,
    )


@dataclass(frozen=True, slots=True)
class Redis:
    """Redis 5 or newer, or Valkey. The password is the secret REDIS_PASS."""

    host: str = _key("127.0.0.1", "Name, address, or path of a Unix socket.", env="REDIS_HOST", form="host")
    port: int = _port(6379, "Port; unused with a Unix socket.", "REDIS_PORT")
    tls_enabled: bool = _key(
        True, "Speak TLS; unused with a Unix socket. false sends every event in the clear.", env="REDIS_TLS_ENABLED"
    )
    tls_ca_cert: str = _key("", "File with the CA certificates; empty: the system's.", env="REDIS_TLS_CA_CERT")
    tls_cert: str = _key("", "PEM file with our certificate, where Redis asks for one.", env="REDIS_TLS_CERT")
    tls_key: str = _key("", "PEM file with its key; empty: it is in tls_cert.", env="REDIS_TLS_KEY")
    pool_max_conn: int = _key(
        10, "Connections of one process. An idle one costs nothing.", env="REDIS_POOL_MAX_CONN", low=4
    )
    sentinels: tuple[str, ...] = _key(
        (),
        'Sentinels that know the primary, for example ["redis-1.example.org:26379", …]; they replace host and port. A '
        "fail-over is followed without a restart; the Sentinels' password is the secret REDIS_SENTINEL_PASS. "
        "Replication is asynchronous: what the primary had confirmed but no replica had received is lost with it, "
        "some milliseconds of events. Set min-replicas-to-write 1 and min-replicas-max-lag 1 in Redis: a primary that "
        "has lost its replica then refuses writes within about a second, and events wait in the spool instead of "
        "being lost with it.",
        form="server",
    )
    sentinel_primary: str = _key("mymaster", "Name under which the Sentinels know the primary.")
    timeout: int = _key(5, "Seconds to wait for an answer before Redis counts as away.", low=1, high=60)


@dataclass(frozen=True, slots=True)
class Queue:
    """The lists in Redis and how they are filled."""

    ingest_name: str = _key("mutt:ingest_queue", "List of events waiting for a decision.", env="INGEST_QUEUE_NAME")
    alert_name: str = _key("mutt:alert_queue", "List of alerts waiting for delivery.", env="ALERT_QUEUE_NAME")
    max_ingest_size: int = _key(
        1_000_000,
        "Elements of the ingest list; above this muttd holds events back, then drops and counts them. 1,000,000 need "
        "about 1 GB.",
        env="MAX_INGEST_QUEUE_SIZE",
        low=1000,
    )
    batch: int = _key(
        1000,
        "Events in one push. A larger batch saves CPU under load and makes no difference otherwise.",
        low=1,
        high=5000,
    )
    buffer: int = _key(
        100_000,
        "Events muttd holds in memory when neither Redis nor the spool takes them, about 1 KB each; above this UDP "
        "drops and counts, TCP stops reading, HTTP answers 503. A relay may post a quarter of this at once; more is "
        "answered with 413, and omhttp then drops it.",
        low=1000,
    )
    metrics_prefix: str = _key("mutt:metrics", "Prefix of the counters that the dashboard reads.", env="METRICS_PREFIX")


@dataclass(frozen=True, slots=True)
class Spool:
    """Disk space for events that Redis cannot take."""

    directory: str = _key(
        "/var/lib/mutt/spool",
        'Directory that muttd may write to; "": no spool, and queue.buffer is all there is.',
        env="MUTT_SPOOL_DIRECTORY",
    )
    max_bytes: int = _key(
        1_073_741_824,
        "Bytes of events it may hold: 1 GiB is about a million events. Above this, the same happens as above "
        "queue.buffer.",
        low=1_048_576,
    )


@dataclass(frozen=True, slots=True)
class Database:
    """PostgreSQL 13 or newer. The password is the secret DB_PASS."""

    host: str = _key("127.0.0.1", "Name, address, or directory of a Unix socket.", env="DB_HOST", form="host")
    port: int = _port(5432, "Port.", "DB_PORT")
    name: str = _key("mutt", "Database.", env="DB_NAME")
    user: str = _key("mutt", "Role; owns the tables after `muttd migrate`.", env="DB_USER")
    ssl_mode: str = _key(
        "prefer",
        "As libpq's sslmode. Only verify-full also checks the server's name.",
        env="DB_SSL_MODE",
        choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    )
    ssl_root_cert: str = _key(
        "",
        "File with the CA certificates, for verify-ca and verify-full; with require it is used as with verify-ca.",
        env="DB_SSL_ROOT_CERT",
    )
    ssl_cert: str = _key(
        "", "PEM file with our certificate, where PostgreSQL asks for one (require and above).", env="DB_SSL_CERT"
    )
    ssl_key: str = _key("", "PEM file with its key; empty: it is in ssl_cert.", env="DB_SSL_KEY")
    pool_min_conn: int = _key(2, "Connections kept open by one process.", env="DB_POOL_MIN_CONN", low=1, high=100)
    pool_max_conn: int = _key(10, "Connections of one process.", env="DB_POOL_MAX_CONN", low=2, high=100)


@dataclass(frozen=True, slots=True)
class Alerter:
    """muttd alerter: decides what every event means and writes it down."""

    pod_name: str = _key(
        "", "Name in heartbeats; empty: the host's name. Two workers may share it.", env="ALERTER_POD_NAME"
    )
    heartbeat_interval: int = _key(
        30,
        "Seconds between heartbeats. A worker silent for three of them counts as gone: others take over its batch.",
        env="ALERTER_HEARTBEAT_INTERVAL",
        low=1,
        high=300,
    )
    batch: int = _key(
        1000,
        "Events decided and committed at once. More is faster, but more is done again after a crash.",
        low=1,
        high=5000,
    )
    rule_cache_refresh_interval: int = _key(
        300,
        "Seconds between full reloads of the rules. Changes are seen at once by LISTEN/NOTIFY; this is the safety net.",
        env="ALERTER_RULE_CACHE_REFRESH_INTERVAL",
        low=1,
    )
    unhandled_threshold: int = _key(
        100,
        "Events of one host and one template, matched by no rule, before one meta-alert is sent. 0: never.",
        env="UNHANDLED_EVENT_THRESHOLD",
        low=0,
    )
    unhandled_window: int = _key(
        3600, "Seconds over which they are counted, from the first one.", env="UNHANDLED_EVENT_WINDOW", low=1
    )
    default_team: str = _key("unassigned", "Team of an alert where neither rule nor host names one.")
    domains: tuple[str, ...] = _key(
        (),
        'Our domains, for example ["example.com"]: a host name with or without one of these at its end means the same '
        "host to rules, development hosts and teams. The audit log keeps the name as it came.",
        form="name",
    )
    audit: str = _key(
        "all", "all: every event gets an audit row. matched: only those a rule matched.", choices=("all", "matched")
    )
    audit_backlog: int = _key(
        1_000_000,
        "Audit rows kept in Redis while PostgreSQL is away, about 1 KB each; above this alerters wait.",
        low=1000,
    )
    retention_months: int = _key(
        0, "Months of audit log to keep; older partitions are dropped once a day. 0: keep all.", low=0
    )


@dataclass(frozen=True, slots=True)
class Moog:
    """muttd forwarder: delivers alerts to the Moog AIOps webhook. The key is the secret MOOG_API_KEY."""

    webhook_url: str = _key(
        "",
        "Where alerts go, https://HOST/events/webhook_webhook1. Empty: muttd forwarder does not start.",
        env="MOOG_WEBHOOK_URL",
        form="url",
    )
    profile: Literal["webhook", "rest-lam", "cloud"] = _key(
        "webhook",
        "What the other side is: webhook (on premises, one alert per request), rest-lam or cloud (several per "
        "request).",
        choices=("webhook", "rest-lam", "cloud"),
    )
    auth: str = _key(
        "bearer",
        "How MOOG_API_KEY is sent: bearer, basic (the key is user:password), header:NAME (cloud: header:apikey), none.",
        form="authentication",
    )
    ca_cert: str = _key("", "File with the CA certificates of the webhook; empty: the system's.")
    client_cert: str = _key("", "PEM file with our certificate, where the webhook asks for one.")
    client_key: str = _key("", "PEM file with its key; empty: it is in client_cert.")
    timeout: float = _key(10.0, "Seconds for one request.", env="MOOG_TIMEOUT", low=0.1, high=300)
    rate_limit: int = _key(
        50,
        "Alerts per rate_period, for all forwarders together. Any above it wait; none is dropped.",
        env="MOOG_RATE_LIMIT",
        low=1,
    )
    rate_period: float = _key(1.0, "Seconds over which rate_limit counts.", env="MOOG_RATE_PERIOD", low=0.01, high=3600)
    retry_base_delay: float = _key(
        1.0,
        "Longest wait before the first retry, in seconds; doubles each time, with full jitter.",
        env="MOOG_RETRY_BASE_DELAY",
        low=0.01,
    )
    retry_max_delay: float = _key(
        60.0, "Longest wait between two retries, in seconds.", env="MOOG_RETRY_MAX_DELAY", low=0.01
    )
    max_retries: int = _key(5, "Retries before an alert goes to the dead letters.", env="MOOG_MAX_RETRIES", low=0)
    concurrency: int = _key(20, "Requests that one forwarder has under way at once.", low=1, high=500)
    pod_name: str = _key("", "Name in heartbeats; empty: the host's name.", env="MOOG_POD_NAME")
    heartbeat_interval: int = _key(
        30,
        "Seconds between heartbeats; see alerter.heartbeat_interval.",
        env="MOOG_HEARTBEAT_INTERVAL",
        low=1,
        high=300,
    )


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where secrets are kept on this machine. The first source that has a secret wins: the environment variable of its
    name; the file vault_NAME or NAME in $CREDENTIALS_DIRECTORY (systemd: LoadCredential=vault:DIRECTORY, which holds a
    file NAME for each; for tools run by hand, the directory credentials beside this file, where they may read it); the
    file below. Where a source holds only text, lists are JSON: INGEST_API_KEYS=[{"name": "relay-1", "key": "…"}].
    """

    file: str = _key(
        "",
        "TOML file with REDIS_PASS, DB_PASS, INGEST_API_KEY, WEBUI_API_KEY, MOOG_API_KEY, SNMP_COMMUNITIES (a list; "
        "without it every community is accepted), tables [[INGEST_API_KEYS]] with name and key (one per relay; the "
        "name shows in the metrics), and tables [[SNMP_USERS]] with name, auth, auth_password, priv, priv_password "
        "(several with one name while its keys are changed). INGEST_API_KEY_PREVIOUS and WEBUI_API_KEY_PREVIOUS are "
        "accepted as well while keys are being changed. The file must belong to root or to mutt's user and be closed "
        "to group and others (chmod 600).",
        env="MUTT_SECRETS_FILE",
    )
    key_overlap: int = _key(
        3600,
        "Seconds for which an API key is still accepted after another has replaced it under its name while mutt runs. "
        "A key whose name is gone is refused at once.",
        low=0,
    )


@dataclass(frozen=True, slots=True)
class Vault:
    """Secrets from HashiCorp Vault or OpenBao, where addr is set. What the environment or the credentials directory has
    (see [secrets]) wins over Vault, and Vault over secrets.file. Names and forms are the same in Vault; lists may be
    JSON text. Changes take effect without a restart. If Vault is away while mutt runs, mutt goes on with the secrets it
    has, and mutt_vault_up is 0; if it is away at the start, mutt waits for it.
    """

    addr: str = _key("", "Address of Vault, https://HOST:8200. Empty: no Vault.", env="VAULT_ADDR", form="url")
    namespace: str = _key("", "Namespace, where Vault has any.", env="VAULT_NAMESPACE")
    ca_cert: str = _key("", "File with the CA certificates of Vault; empty: the usual ones.", env="VAULT_CACERT")
    client_cert: str = _key("", "PEM file with our certificate, where Vault asks for one.", env="VAULT_CLIENT_CERT")
    client_key: str = _key("", "PEM file with its key; empty: it is in client_cert.", env="VAULT_CLIENT_KEY")
    timeout: float = _key(5.0, "Seconds to connect, and to wait for an answer.", low=0.1, high=60)
    auth: Literal["approle", "kubernetes"] = _key(
        "approle", "How mutt logs in.", env="VAULT_AUTH", choices=("approle", "kubernetes")
    )
    auth_mount: str = _key("", "Where that method is mounted, below auth/; empty: approle or kubernetes.")
    role_id: str = _key("", "AppRole: the role ID.", env="VAULT_ROLE_ID")
    secret_id_file: str = _key(
        "",
        "AppRole: file with the secret ID, closed to others; empty: vault_secret_id in $CREDENTIALS_DIRECTORY. It is "
        "read at every log-in, so it may be replaced.",
        env="VAULT_SECRET_ID_FILE",
    )
    secret_id_wrapped: bool = _key(
        False,
        "AppRole: whether the file holds a token that wraps the secret ID. It can be unwrapped once: every process of "
        "mutt, and every command, needs a file of its own (VAULT_SECRET_ID_FILE), a fresh one at every start. Where "
        "something else has unwrapped it, mutt says so. --check-config --connect leaves it wrapped.",
    )
    kubernetes_role: str = _key("", "Kubernetes: the role.", env="VAULT_KUBERNETES_ROLE")
    kubernetes_token_file: str = _key(
        "/var/run/secrets/kubernetes.io/serviceaccount/token", "Kubernetes: file with the service account's token."
    )
    secrets_path: str = _key(
        "secret/mutt",
        "MOUNT/PATH of the secrets; secret/data/mutt means the same. A path without a mount is in secret/.",
        env="VAULT_SECRETS_PATH",
    )
    kv_version: Literal["auto", "1", "2"] = _key(
        "auto", "Version of the KV engine; auto asks Vault.", choices=("auto", "1", "2")
    )
    refresh: int = _key(
        300,
        "Seconds between reads of the secrets; SIGHUP reads them at once. A password changed in Vault is used for the "
        "next connection, so keep the old one valid for as long.",
        low=1,
    )
    token_renew_threshold: int = _key(
        3600,
        "Our token is renewed at two thirds of its lease, or when this many seconds are left, whichever is sooner. "
        "Ignored where it is more than half of the lease.",
        env="VAULT_TOKEN_RENEW_THRESHOLD",
        low=1,
    )


@dataclass(frozen=True, slots=True)
class Log:
    """mutt's own log, on standard error."""

    level: str = _key("info", "Lowest level shown.", env="LOG_LEVEL", choices=("debug", "info", "warning", "error"))
    format: str = _key("text", "text, or json: one object per line.", env="LOG_FORMAT", choices=("text", "json"))


@dataclass(frozen=True, slots=True)
class Settings:
    """All tables of muttd.conf."""

    receiving: Receiving = field(default_factory=Receiving)
    syslog: Syslog = field(default_factory=Syslog)
    snmp: Snmp = field(default_factory=Snmp)
    sources: Sources = field(default_factory=Sources)
    http: Http = field(default_factory=Http)
    redis: Redis = field(default_factory=Redis)
    queue: Queue = field(default_factory=Queue)
    spool: Spool = field(default_factory=Spool)
    database: Database = field(default_factory=Database)
    alerter: Alerter = field(default_factory=Alerter)
    moog: Moog = field(default_factory=Moog)
    secrets: Secrets = field(default_factory=Secrets)
    vault: Vault = field(default_factory=Vault)
    log: Log = field(default_factory=Log)
