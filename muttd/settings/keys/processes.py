"""What every process has: its HTTP ports and its log."""

from dataclasses import dataclass

from muttd.settings.keys.key import key, port_key


@dataclass(frozen=True, slots=True)
class Http:
    """HTTP ports of all processes."""

    address: str = key(
        "*", "Address that every HTTP port below binds to; * is all of them, IPv4 and IPv6.", form="bind_address"
    )
    port_ingest: int = port_key(8080, "muttd: POST /ingest for relays, /health, /metrics.", "SERVER_PORT_INGESTOR")
    port_alerter: int = port_key(8081, "muttd alerter: /health.", "SERVER_PORT_ALERTER")
    port_alerter_metrics: int = port_key(8082, "muttd alerter: /metrics.", "SERVER_PORT_ALERTER_METRICS")
    port_forwarder: int = port_key(8083, "muttd forwarder: /health.", "SERVER_PORT_MOOG_FORWARDER")
    port_forwarder_metrics: int = port_key(8084, "muttd forwarder: /metrics.", "SERVER_PORT_MOOG_METRICS")
    port_webui: int = port_key(8090, "muttd webui: the page, the API, /health, /metrics.", "SERVER_PORT_WEBUI")
    tls: tuple[str, ...] = key(
        ("ingest", "webui"),
        "Which of them speak TLS once tls_cert is set: ingest, alerter (both of its ports), forwarder (both), webui.",
        form="http_side",
    )
    tls_cert: str = key(
        "", "PEM file with the certificate chain of this host. Empty: no TLS.", env="MUTT_HTTP_TLS_CERT"
    )
    tls_key: str = key("", "PEM file with its key, not encrypted; empty: it is in tls_cert.")
    tls_ca: str = key("", "PEM file with the CA certificates that clients' certificates are checked against.")
    tls_client_certificate: tuple[str, ...] = key(
        (),
        "Those of `tls` whose clients must present a certificate from tls_ca, on top of their key: probes and "
        "Prometheus too.",
        form="http_side",
    )
    max_body: int = key(
        10_485_760, "Bytes of one ingest request. This bounds what one relay can make muttd hold.", low=1024
    )
    max_connections: int = key(
        1000,
        "Connections to the HTTP ports of one process; any more are closed at once and counted. Each needs about 10 "
        "KiB, 55 with TLS.",
        low=1,
    )
    max_connections_per_peer: int = key(
        250,
        "Connections from one address, so that one client cannot take them all. Raise it where mutt is behind a "
        "proxy: everyone then comes from the proxy's address.",
        low=1,
    )


@dataclass(frozen=True, slots=True)
class Log:
    """mutt's own log, on standard error."""

    level: str = key("info", "Lowest level shown.", env="LOG_LEVEL", choices=("debug", "info", "warning", "error"))
    format: str = key("text", "text, or json: one object per line.", env="LOG_FORMAT", choices=("text", "json"))
