"""Where events and rules are kept: Redis with its lists, the spool on disk, PostgreSQL."""

from dataclasses import dataclass

from muttd.settings.keys.key import key, port_key


@dataclass(frozen=True, slots=True)
class Redis:
    """Redis 5 or newer, or Valkey. The password is the secret REDIS_PASS."""

    host: str = key("127.0.0.1", "Name, address, or path of a Unix socket.", env="REDIS_HOST", form="host")
    port: int = port_key(6379, "Port; unused with a Unix socket.", "REDIS_PORT")
    tls_enabled: bool = key(
        True, "Speak TLS; unused with a Unix socket. false sends every event in the clear.", env="REDIS_TLS_ENABLED"
    )
    tls_ca_cert: str = key("", "File with the CA certificates; empty: the system's.", env="REDIS_TLS_CA_CERT")
    tls_cert: str = key("", "PEM file with our certificate, where Redis asks for one.", env="REDIS_TLS_CERT")
    tls_key: str = key("", "PEM file with its key; empty: it is in tls_cert.", env="REDIS_TLS_KEY")
    pool_max_conn: int = key(
        10, "Connections of one process. An idle one costs nothing.", env="REDIS_POOL_MAX_CONN", low=4
    )
    sentinels: tuple[str, ...] = key(
        (),
        'Sentinels that know the primary, for example ["redis-1.example.org:26379", …]; they replace host and port. A '
        "fail-over is followed without a restart; the Sentinels' password is the secret REDIS_SENTINEL_PASS. "
        "Replication is asynchronous: what the primary had confirmed but no replica had received is lost with it, "
        "some milliseconds of events. Set min-replicas-to-write 1 and min-replicas-max-lag 1 in Redis: a primary that "
        "has lost its replica then refuses writes within about a second, and events wait in the spool instead of "
        "being lost with it.",
        form="server",
    )
    sentinel_primary: str = key("mymaster", "Name under which the Sentinels know the primary.")
    timeout: int = key(5, "Seconds to wait for an answer before Redis counts as away.", low=1, high=60)


@dataclass(frozen=True, slots=True)
class Queue:
    """The lists in Redis and how they are filled."""

    ingest_name: str = key("mutt:ingest_queue", "List of events waiting for a decision.", env="INGEST_QUEUE_NAME")
    alert_name: str = key("mutt:alert_queue", "List of alerts waiting for delivery.", env="ALERT_QUEUE_NAME")
    max_ingest_size: int = key(
        1_000_000,
        "Elements of the ingest list; above this muttd holds events back, then drops and counts them. 1,000,000 need "
        "about 1 GB.",
        env="MAX_INGEST_QUEUE_SIZE",
        low=1000,
    )
    batch: int = key(
        1000,
        "Events in one push. A larger batch saves CPU under load and makes no difference otherwise.",
        low=1,
        high=5000,
    )
    buffer: int = key(
        100_000,
        "Events muttd holds in memory when neither Redis nor the spool takes them, about 1 KB each; above this UDP "
        "drops and counts, TCP stops reading, HTTP answers 503. A relay may post a quarter of this at once; more is "
        "answered with 413, and omhttp then drops it.",
        low=1000,
    )
    metrics_prefix: str = key("mutt:metrics", "Prefix of the counters that the dashboard reads.", env="METRICS_PREFIX")


@dataclass(frozen=True, slots=True)
class Spool:
    """Disk space for events that Redis cannot take."""

    directory: str = key(
        "/var/lib/mutt/spool",
        'Directory that muttd may write to; "": no spool, and queue.buffer is all there is.',
        env="MUTT_SPOOL_DIRECTORY",
    )
    max_bytes: int = key(
        1_073_741_824,
        "Bytes of events it may hold: 1 GiB is about a million events. Above this, the same happens as above "
        "queue.buffer.",
        low=1_048_576,
    )


@dataclass(frozen=True, slots=True)
class Database:
    """PostgreSQL 13 or newer. The password is the secret DB_PASS."""

    host: str = key("127.0.0.1", "Name, address, or directory of a Unix socket.", env="DB_HOST", form="host")
    port: int = port_key(5432, "Port.", "DB_PORT")
    name: str = key("mutt", "Name of the database.", env="DB_NAME")
    user: str = key("mutt", "Role; owns the tables after `muttd migrate`.", env="DB_USER")
    ssl_mode: str = key(
        "prefer",
        "The values of libpq's sslmode. Only verify-full also checks the server's name.",
        env="DB_SSL_MODE",
        choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    )
    ssl_root_cert: str = key(
        "",
        "File with the CA certificates, for verify-ca and verify-full; with require it is used as with verify-ca.",
        env="DB_SSL_ROOT_CERT",
    )
    ssl_cert: str = key(
        "", "PEM file with our certificate, where PostgreSQL asks for one (require and above).", env="DB_SSL_CERT"
    )
    ssl_key: str = key("", "PEM file with its key; empty: it is in ssl_cert.", env="DB_SSL_KEY")
    pool_min_conn: int = key(2, "Connections kept open by one process.", env="DB_POOL_MIN_CONN", low=1, high=100)
    pool_max_conn: int = key(10, "Connections of one process.", env="DB_POOL_MAX_CONN", low=2, high=100)
