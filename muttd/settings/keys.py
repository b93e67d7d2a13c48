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
        "Processes that receive, for machines with more cores than one keeps busy. Senders are spread among them by "
        "address and port, so that a single one stays with one process and in order; sockets of systemd and the HTTP "
        "port are shared. Connection limits, rates, queue.buffer, spool.max_bytes and what is known of batches that "
        "relays repeat are those of each process; a second one and further ones have their spool in process-2, "
        "process-3, … under spool.directory.",
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
        (), "Networks that may send; [] lets everybody. Others are counted as rejected and not read.", form="network"
    )
    receive_buffer: int = _key(
        8_388_608,
        "Bytes of kernel buffer asked for, per UDP socket. It bridges pauses: 8 MiB hold about 10,000 short messages. "
        "Without CAP_NET_ADMIN the kernel grants no more than net.core.rmem_max; muttd says so at start.",
        low=4096,
        high=1 << 30,
    )
    max_message: int = _key(
        65_536,
        "Bytes of one message; what is longer is cut and marked. It bounds what one peer can make muttd hold.",
        low=480,
        high=1 << 24,
    )
    tcp_idle_timeout: int = _key(
        3600, "Seconds without a byte until a connection is closed. Devices come back by themselves.", low=1
    )
    tcp_max_connections: int = _key(
        1000, "Connections in all; further ones are closed at once and counted. One needs about 70 KiB at worst.", low=1
    )
    tcp_max_connections_per_peer: int = _key(
        100, "Connections of one address, so that one device cannot take them all.", low=1
    )
    tls: tuple[str, ...] = _key(
        (),
        'Addresses to accept TLS connections on (RFC 5425), as ["0.0.0.0:6514", "[::]:6514"]. [] turns TLS off.',
        form="address",
    )
    tls_cert: str = _key(
        "",
        "PEM file with the certificate chain of this host. All three files are read again when they change, and by "
        "SIGHUP; connections stay.",
    )
    tls_key: str = _key("", "PEM file with its key, not encrypted; empty: it stands in tls_cert.")
    tls_ca: str = _key("", "PEM file with the CA certificates that clients' certificates are held to.")
    tls_client_certificate: str = _key(
        "no",
        "Whether clients need a certificate. no: anybody who gets through `allow` may send.",
        choices=("no", "optional", "required"),
    )
    tls_permitted_names: tuple[str, ...] = _key(
        (),
        "DNS names or addresses (subjectAltName, else common name) of which a client's certificate must have one; * "
        'stands for a whole leftmost label: ["*.net.example.org"]. [] takes every certificate of the CA.',
        form="name_pattern",
    )
    proxy_protocol: tuple[str, ...] = _key(
        (),
        "Networks of balancers whose TCP and TLS connections open with a PROXY header (version 1 or 2). It is "
        "believed: who can send from there can send in every name.",
        form="network",
    )
    rate: float = _key(
        0.0,
        "Messages a second taken from one source on the average; what is above is left out, counted, and summed up in "
        "one event a minute. 0: no limit.",
        low=0,
    )
    burst: int = _key(1000, "Messages taken from one source at once after a pause, where there is a rate.", low=1)
    nul_trailer: bool = _key(False, "true: NUL also ends a message on TCP (some senders do, RFC 6587 section 3.4.2).")
    time_zone: str = _key(
        "UTC", "Zone of devices whose time has none: an IANA name or an offset such as +02:00.", form="zone"
    )
    time_zones: dict[str, str] = _key(
        {}, 'The same per source network, the longest match wins: { "10.1.0.0/16" = "Europe/Berlin" }.', form="zone"
    )
    charset: str = _key("latin-1", "How to read text that is not UTF-8. Any Python codec name.", form="charset")
    charsets: dict[str, str] = _key({}, 'The same per source network: { "10.2.0.0/16" = "gb18030" }.', form="charset")


@dataclass(frozen=True, slots=True)
class Snmp:
    """SNMP notifications from devices: v1, v2c and v3 traps and informs."""

    udp: tuple[str, ...] = _key(_EVERYWHERE_162, "Addresses to receive on. [] turns SNMP off.", form="address")
    allow: tuple[str, ...] = _key(
        (), "Networks that may send, and that informs are answered to; [] lets everybody.", form="network"
    )
    receive_buffer: int = _key(
        8_388_608, "Bytes of kernel buffer asked for, per socket. See syslog.receive_buffer.", low=4096, high=1 << 30
    )
    rate: float = _key(0.0, "Notifications a second taken from one source; see syslog.rate. 0: no limit.", low=0)
    burst: int = _key(1000, "Notifications taken from one source at once after a pause; see syslog.burst.", low=1)
    engine_file: str = _key(
        "/var/lib/mutt/snmp-engine.json",
        "Our SNMPv3 engine id and how often it was started (RFC 3414 section 2.2), for informs to us. Made and kept by "
        "muttd where there are SNMPv3 users; only one muttd may have it.",
    )
    mib_files: tuple[str, ...] = _key(
        (), "Files made by `muttd mib compile`, laid over the shipped names in their order."
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
        "source and reason, so that rules can make alerts of it. It is counted and logged in any case.",
    )


@dataclass(frozen=True, slots=True)
class Sources:
    """What mutt knows of the senders, whatever they speak."""

    names: dict[str, str] = _key(
        {},
        "Host name of a source address or network, for messages that name none: "
        '{ "192.0.2.7" = "core-1", "10.9.0.0/16" = "branch" }.',
        form="name",
    )
    reverse_lookup: bool = _key(
        False,
        "true: ask the resolver for the names of addresses that no message and no entry of `names` names. Nothing "
        "waits for it: the first events of an address bear the address.",
    )


@dataclass(frozen=True, slots=True)
class Http:
    """HTTP ports of all processes."""

    address: str = _key(
        "*", "Address that every HTTP port below binds; * is all of them, IPv4 and IPv6.", form="bind_address"
    )
    port_ingest: int = _port(8080, "muttd: POST /ingest for relays, /health, /metrics.", "SERVER_PORT_INGESTOR")
    port_alerter: int = _port(8081, "muttd alerter: /health.", "SERVER_PORT_ALERTER")
    port_alerter_metrics: int = _port(8082, "muttd alerter: /metrics.", "SERVER_PORT_ALERTER_METRICS")
    port_forwarder: int = _port(8083, "muttd forwarder: /health.", "SERVER_PORT_MOOG_FORWARDER")
    port_forwarder_metrics: int = _port(8084, "muttd forwarder: /metrics.", "SERVER_PORT_MOOG_METRICS")
    port_webui: int = _port(8090, "muttd webui: the page, the API, /health, /metrics.", "SERVER_PORT_WEBUI")
    tls: tuple[str, ...] = _key(
        ("ingest", "webui"),
        "Which of them speak TLS where tls_cert is set: ingest, alerter (both of its ports), forwarder (both), webui.",
        form="http_side",
    )
    tls_cert: str = _key(
        "", "PEM file with the certificate chain of this host. Empty: no TLS.", env="MUTT_HTTP_TLS_CERT"
    )
    tls_key: str = _key("", "PEM file with its key, not encrypted; empty: it stands in tls_cert.")
    tls_ca: str = _key("", "PEM file with the CA certificates that clients' certificates are held to.")
    tls_client_certificate: tuple[str, ...] = _key(
        (),
        "Those of tls whose clients must show a certificate of tls_ca, on top of their key. Probes and Prometheus too.",
        form="http_side",
    )
    max_body: int = _key(
        10_485_760, "Bytes of one ingest request. It bounds what one relay can make muttd hold.", low=1024
    )
    max_connections: int = _key(
        1000,
        "Connections to the HTTP ports of one process; further ones are closed at once and counted. One needs about "
        "10 KiB, with TLS 55.",
        low=1,
    )
    max_connections_per_peer: int = _key(
        250,
        "Connections of one address, so that one client cannot take them all. Raise it where a proxy stands before "
        "mutt: all come from its address then.",
        low=1,
    )


@dataclass(frozen=True, slots=True)
class Redis:
    """Redis 5 or newer, or Valkey. The password is the secret REDIS_PASS."""

    host: str = _key("127.0.0.1", "Name, address, or path of a Unix socket.", env="REDIS_HOST", form="host")
    port: int = _port(6379, "Port; unused with a Unix socket.", "REDIS_PORT")
    tls_enabled: bool = _key(
        True, "Speak TLS; unused with a Unix socket. false sends every event in clear.", env="REDIS_TLS_ENABLED"
    )
    tls_ca_cert: str = _key("", "File with the CA certificates; empty: the system's.", env="REDIS_TLS_CA_CERT")
    tls_cert: str = _key("", "PEM file with our certificate, where Redis asks for one.", env="REDIS_TLS_CERT")
    tls_key: str = _key("", "PEM file with its key; empty: it stands in tls_cert.", env="REDIS_TLS_KEY")
    pool_max_conn: int = _key(
        10, "Connections of one process. An idle one costs nothing.", env="REDIS_POOL_MAX_CONN", low=4
    )
    sentinels: tuple[str, ...] = _key(
        (),
        'Sentinels that know the primary, as ["redis-1.example.org:26379", …]; they replace host and port. A fail-over '
        "is followed without a restart; their password is the secret REDIS_SENTINEL_PASS. Replication is asynchronous: "
        "what the primary confirmed and no replica had yet is lost with it, some milliseconds of events. Set "
        "min-replicas-to-write 1 and min-replicas-max-lag 1 in Redis: then a primary that lost its replica refuses "
        "within about a second, and events wait in the spool instead of being lost with it.",
        form="server",
    )
    sentinel_primary: str = _key("mymaster", "Name under which the Sentinels know the primary.")
    timeout: int = _key(5, "Seconds to wait for an answer before Redis counts as away.", low=1, high=60)


@dataclass(frozen=True, slots=True)
class Queue:
    """The lists in Redis and how they are filled."""

    ingest_name: str = _key("mutt:ingest_queue", "List of events that wait for a decision.", env="INGEST_QUEUE_NAME")
    alert_name: str = _key("mutt:alert_queue", "List of alerts that wait for delivery.", env="ALERT_QUEUE_NAME")
    max_ingest_size: int = _key(
        1_000_000,
        "Elements of the ingest list; above it muttd holds back, then drops and counts. 1,000,000 need about 1 GB.",
        env="MAX_INGEST_QUEUE_SIZE",
        low=1000,
    )
    batch: int = _key(1000, "Events of one push. More saves CPU under load, nothing below it.", low=1, high=5000)
    buffer: int = _key(
        100_000,
        "Events muttd holds in memory when neither Redis nor the spool takes them, about 1 KB each; above it UDP drops "
        "and counts, TCP stops reading, HTTP answers 503. A relay may post a quarter of it at once; more is 413, which "
        "omhttp drops.",
        low=1000,
    )
    metrics_prefix: str = _key("mutt:metrics", "Prefix of the counters that the dashboard reads.", env="METRICS_PREFIX")


@dataclass(frozen=True, slots=True)
class Spool:
    """Disk space of muttd for events that Redis cannot take."""

    directory: str = _key(
        "/var/lib/mutt/spool",
        'Directory that muttd may write; "" does without: then queue.buffer is all there is.',
        env="MUTT_SPOOL_DIRECTORY",
    )
    max_bytes: int = _key(
        1_073_741_824,
        "Bytes of events it may hold: 1 GiB is about a million events. Above it, as above queue.buffer.",
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
        "As libpq's sslmode. Only verify-full also checks whom it talks to.",
        env="DB_SSL_MODE",
        choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    )
    ssl_root_cert: str = _key(
        "",
        "File with the CA certificates, for verify-ca and verify-full; with require it is used as for verify-ca.",
        env="DB_SSL_ROOT_CERT",
    )
    ssl_cert: str = _key(
        "", "PEM file with our certificate, where PostgreSQL asks for one (require and above).", env="DB_SSL_CERT"
    )
    ssl_key: str = _key("", "PEM file with its key; empty: it stands in ssl_cert.", env="DB_SSL_KEY")
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
        "Seconds between heartbeats. A worker silent for three of them is gone: others take its batch over.",
        env="ALERTER_HEARTBEAT_INTERVAL",
        low=1,
        high=300,
    )
    batch: int = _key(
        1000,
        "Events decided and committed at once. More is faster, and more is done again after a crash.",
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
        "Events of one host and one template that no rule matches until one meta-alert is sent. 0: never.",
        env="UNHANDLED_EVENT_THRESHOLD",
        low=0,
    )
    unhandled_window: int = _key(
        3600, "Seconds in which they are counted, from the first one.", env="UNHANDLED_EVENT_WINDOW", low=1
    )
    default_team: str = _key("unassigned", "Team of an alert where neither rule nor host names one.")
    domains: tuple[str, ...] = _key(
        (),
        'Our domains, as ["example.com"]: a host\'s name with and without one of them at its end is the same host to '
        "rules, development hosts and teams. The audit log keeps the name as it came.",
        form="name",
    )
    audit: str = _key(
        "all", "all: every event gets an audit row. matched: only those a rule matched.", choices=("all", "matched")
    )
    audit_backlog: int = _key(
        1_000_000,
        "Audit rows kept in Redis while PostgreSQL is away, about 1 KB each; above it alerters wait.",
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
        "What the other side is: webhook (on premises, one alert a request), rest-lam or cloud (several a request).",
        choices=("webhook", "rest-lam", "cloud"),
    )
    auth: str = _key(
        "bearer",
        "How MOOG_API_KEY is sent: bearer, basic (the key is user:password), header:NAME (cloud: header:apikey), none.",
        form="authentication",
    )
    ca_cert: str = _key("", "File with the CA certificates of the webhook; empty: the system's.")
    client_cert: str = _key("", "PEM file with our certificate, where the webhook asks for one.")
    client_key: str = _key("", "PEM file with its key; empty: it stands in client_cert.")
    timeout: float = _key(10.0, "Seconds for one request.", env="MOOG_TIMEOUT", low=0.1, high=300)
    rate_limit: int = _key(
        50,
        "Alerts per rate_period, by all forwarders together. What is above it waits; none is dropped.",
        env="MOOG_RATE_LIMIT",
        low=1,
    )
    rate_period: float = _key(1.0, "Seconds.", env="MOOG_RATE_PERIOD", low=0.01, high=3600)
    retry_base_delay: float = _key(
        1.0,
        "Seconds until the first retry at most; doubles each time, full jitter.",
        env="MOOG_RETRY_BASE_DELAY",
        low=0.01,
    )
    retry_max_delay: float = _key(60.0, "Seconds between two retries at most.", env="MOOG_RETRY_MAX_DELAY", low=0.01)
    max_retries: int = _key(5, "Retries until an alert goes to the dead letters.", env="MOOG_MAX_RETRIES", low=0)
    concurrency: int = _key(20, "Requests of one forwarder under way at once.", low=1, high=500)
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
    """Where secrets lie on this machine. The first that has one wins: the environment variable of its name; the file
    vault_NAME or NAME in $CREDENTIALS_DIRECTORY (systemd: LoadCredential=vault:DIRECTORY of files NAME; for tools by
    hand the directory credentials beside this file, where they may read it); the file below. Where a source has text
    alone, lists are JSON: INGEST_API_KEYS=[{"name": "relay-1", "key": "…"}].
    """

    file: str = _key(
        "",
        "TOML file with REDIS_PASS, DB_PASS, INGEST_API_KEY, WEBUI_API_KEY, MOOG_API_KEY, SNMP_COMMUNITIES (a list; "
        "without it every community is taken), tables [[INGEST_API_KEYS]] with name and key (one for each relay; the "
        "name shows in the metrics), and tables [[SNMP_USERS]] with name, auth, auth_password, priv, priv_password "
        "(several of one name to rotate keys). INGEST_API_KEY_PREVIOUS and WEBUI_API_KEY_PREVIOUS are taken as well "
        "while keys are being changed. It must belong to root or to mutt's user and be closed to group and others "
        "(chmod 600).",
        env="MUTT_SECRETS_FILE",
    )
    key_overlap: int = _key(
        3600,
        "Seconds for which an API key is still taken after another has replaced it under its name while mutt runs. One "
        "whose name is gone is refused at once.",
        low=0,
    )


@dataclass(frozen=True, slots=True)
class Vault:
    """Secrets from HashiCorp Vault or OpenBao, where addr is set. What the environment or the credentials directory has
    (see [secrets]) wins over Vault, and Vault over secrets.file. Names and forms are the same there; lists may be JSON
    text. Changes are used without a restart. Vault away while mutt runs: mutt goes on with the secrets it has, and
    mutt_vault_up is 0; away at the start: mutt waits for it.
    """

    addr: str = _key("", "Address of Vault, https://HOST:8200. Empty: no Vault.", env="VAULT_ADDR", form="url")
    namespace: str = _key("", "Namespace, where Vault has them.", env="VAULT_NAMESPACE")
    ca_cert: str = _key("", "File with the CA certificates of Vault; empty: the usual ones.", env="VAULT_CACERT")
    client_cert: str = _key("", "PEM file with our certificate, where Vault asks for one.", env="VAULT_CLIENT_CERT")
    client_key: str = _key("", "PEM file with its key; empty: it stands in client_cert.", env="VAULT_CLIENT_KEY")
    timeout: float = _key(5.0, "Seconds to connect, and to wait for an answer.", low=0.1, high=60)
    auth: Literal["approle", "kubernetes"] = _key(
        "approle", "How mutt logs in.", env="VAULT_AUTH", choices=("approle", "kubernetes")
    )
    auth_mount: str = _key("", "Where that is mounted, below auth/; empty: approle or kubernetes.")
    role_id: str = _key("", "AppRole: its role id.", env="VAULT_ROLE_ID")
    secret_id_file: str = _key(
        "",
        "AppRole: file with the secret id, closed to others; empty: vault_secret_id in $CREDENTIALS_DIRECTORY. It is "
        "read at every log-in, so that it may be replaced.",
        env="VAULT_SECRET_ID_FILE",
    )
    secret_id_wrapped: bool = _key(
        False,
        "AppRole: whether the file holds a token that wraps the secret id. It opens once: every process of mutt, and "
        "every command, needs a file of its own (VAULT_SECRET_ID_FILE), anew at every start. Where it was opened by "
        "another, mutt says so. --check-config --connect leaves it closed.",
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
        "Seconds between readings of the secrets; SIGHUP reads them at once. A password changed there is used for the "
        "next connection, so let the old one serve for as long.",
        low=1,
    )
    token_renew_threshold: int = _key(
        3600,
        "Our token is renewed at two thirds of its lease, or where this many seconds are left, whichever is sooner. "
        "It does not count where it is more than half of the lease.",
        env="VAULT_TOKEN_RENEW_THRESHOLD",
        low=1,
    )


@dataclass(frozen=True, slots=True)
class Log:
    """mutt's own log, on standard error."""

    level: str = _key("info", "Least level shown.", env="LOG_LEVEL", choices=("debug", "info", "warning", "error"))
    format: str = _key("text", "text, or json with one object a line.", env="LOG_FORMAT", choices=("text", "json"))


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
