"""What comes in: the receiver, syslog, SNMP notifications, and what is known of the senders."""

from dataclasses import dataclass

from muttd.settings.keys.key import key

_EVERYWHERE_514 = ("0.0.0.0:514", "[::]:514")
_EVERYWHERE_162 = ("0.0.0.0:162", "[::]:162")


@dataclass(frozen=True, slots=True)
class Receiving:
    """muttd as a whole."""

    processes: int = key(
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

    udp: tuple[str, ...] = key(
        _EVERYWHERE_514, "Addresses to receive datagrams on (RFC 5426). [] turns UDP off.", form="address"
    )
    tcp: tuple[str, ...] = key(
        _EVERYWHERE_514,
        "Addresses to accept connections on (RFC 6587): octet counting and newline, told apart per message. [] turns "
        "TCP off.",
        form="address",
    )
    allow: tuple[str, ...] = key(
        (),
        "Networks that may send; [] allows everyone. Messages from elsewhere are counted as rejected and not read.",
        form="network",
    )
    receive_buffer: int = key(
        8_388_608,
        "Bytes of kernel buffer to ask for, per UDP socket. It bridges pauses: 8 MiB hold about 10,000 short "
        "messages. Without CAP_NET_ADMIN the kernel grants no more than net.core.rmem_max; muttd says so when it "
        "starts.",
        low=4096,
        high=1 << 30,
    )
    max_message: int = key(
        65_536,
        "Bytes of one message; a longer one is cut and marked. This bounds what one peer can make muttd hold.",
        low=480,
        high=1 << 24,
    )
    tcp_idle_timeout: int = key(
        3600, "Seconds without a byte before a connection is closed. Devices reconnect by themselves.", low=1
    )
    tcp_max_connections: int = key(
        1000, "Connections in all; any more are closed at once and counted. Each needs about 70 KiB at worst.", low=1
    )
    tcp_max_connections_per_peer: int = key(
        100, "Connections from one address, so that one device cannot take them all.", low=1
    )
    tls: tuple[str, ...] = key(
        (),
        'Addresses to accept TLS connections on (RFC 5425), for example ["0.0.0.0:6514", "[::]:6514"]. [] turns TLS '
        "off.",
        form="address",
    )
    tls_cert: str = key(
        "",
        "PEM file with the certificate chain of this host. All three files are read again when they change, and on "
        "SIGHUP; connections stay open.",
    )
    tls_key: str = key("", "PEM file with its key, not encrypted; empty: it is in tls_cert.")
    tls_ca: str = key("", "PEM file with the CA certificates that clients' certificates are checked against.")
    tls_client_certificate: str = key(
        "no",
        "Whether clients need a certificate. no: anyone whom `allow` lets through may send.",
        choices=("no", "optional", "required"),
    )
    tls_permitted_names: tuple[str, ...] = key(
        (),
        "DNS names or addresses (subjectAltName, else common name), one of which a client's certificate must have; * "
        'stands for a whole leftmost label: ["*.net.example.org"]. [] accepts every certificate from the CA.',
        form="name_pattern",
    )
    proxy_protocol: tuple[str, ...] = key(
        (),
        "Networks of load balancers whose TCP and TLS connections open with a PROXY header (version 1 or 2). The "
        "header is believed: whoever can send from there can send in any name.",
        form="network",
    )
    rate: float = key(
        0.0,
        "Messages a second taken from one source on average; those above it are dropped, counted, and reported in "
        "one event a minute. 0: no limit.",
        low=0,
    )
    burst: int = key(1000, "Messages taken at once from one source after a pause, where a rate is set.", low=1)
    nul_trailer: bool = key(False, "true: NUL also ends a message on TCP (some senders do, RFC 6587 section 3.4.2).")
    time_zone: str = key(
        "UTC", "Time zone of devices whose timestamps have none: an IANA name or an offset such as +02:00.", form="zone"
    )
    time_zones: dict[str, str] = key(
        {}, 'The same per source network; the longest match wins: { "10.1.0.0/16" = "Europe/Berlin" }.', form="zone"
    )
    charset: str = key("latin-1", "How to read text that is not UTF-8. Any Python codec name.", form="charset")
    charsets: dict[str, str] = key({}, 'The same per source network: { "10.2.0.0/16" = "gb18030" }.', form="charset")


@dataclass(frozen=True, slots=True)
class Snmp:
    """SNMP notifications from devices: v1, v2c and v3 traps and informs."""

    udp: tuple[str, ...] = key(_EVERYWHERE_162, "Addresses to receive on. [] turns SNMP off.", form="address")
    allow: tuple[str, ...] = key(
        (), "Networks that may send, and whose informs are answered; [] allows everyone.", form="network"
    )
    receive_buffer: int = key(
        8_388_608, "Bytes of kernel buffer to ask for, per socket. See syslog.receive_buffer.", low=4096, high=1 << 30
    )
    rate: float = key(0.0, "Notifications a second taken from one source; see syslog.rate. 0: no limit.", low=0)
    burst: int = key(1000, "Notifications taken at once from one source after a pause; see syslog.burst.", low=1)
    engine_file: str = key(
        "/var/lib/mutt/snmp-engine.json",
        "Our SNMPv3 engine ID and how often it was started (RFC 3414 section 2.2), for informs sent to us. Made and "
        "kept by muttd; only one muttd may use it.",
    )
    mib_files: tuple[str, ...] = key(
        (), "Files made by `muttd mib compile`, laid over the shipped names in the order given."
    )
    severities: dict[str, str] = key(
        {},
        "Severity of traps where the shipped one does not suit, by name or OID; emergency, alert, critical, error, "
        'warning, notice, informational or debug: { "IF-MIB::linkDown" = "critical" }.',
        form="severity",
        keyed_by="trap",
    )
    refusals_as_events: bool = key(
        False,
        "true: what was refused (unknown user, wrong community, ...) also becomes an event, once an hour for each "
        "source and reason, so that rules can turn it into alerts. It is counted and logged in any case.",
    )


@dataclass(frozen=True, slots=True)
class Sources:
    """What mutt knows of the senders, whatever they speak."""

    names: dict[str, str] = key(
        {},
        'Host name for a source address or network, where a message names none: { "192.0.2.7" = "core-1", '
        '"10.9.0.0/16" = "branch" }.',
        form="name",
    )
    reverse_lookup: bool = key(
        False,
        "true: ask the resolver for the name of an address that neither the message nor `names` gives. Nothing waits "
        "for the answer: the first events from an address carry the address itself.",
    )
