"""Which files of certificates the settings name for which connection, and what is wrong with them."""

import ssl
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from muttd import tls
from muttd.settings.keys import Settings, Syslog
from muttd.tls import ClientFiles, NamedFile, ServerFiles
from muttd.tls.contexts import Role
from muttd.tls.expiry import untimely, untimely_authorities

Table = Literal["syslog", "http", "redis", "database", "vault", "moog"]


class _Keys(NamedTuple):
    """The names of the settings."""

    cert: str
    key: str
    ca: str


_ROLES: Final[tuple[Role, ...]] = ("cert", "key", "ca")
"""In the order of _Keys."""
KEYS: Final[Mapping[Table, _Keys]] = {
    "syslog": _Keys("tls_cert", "tls_key", "tls_ca"),
    "http": _Keys("tls_cert", "tls_key", "tls_ca"),
    "redis": _Keys("tls_cert", "tls_key", "tls_ca_cert"),
    "database": _Keys("ssl_cert", "ssl_key", "ssl_root_cert"),
    "vault": _Keys("client_cert", "client_key", "ca_cert"),
    "moog": _Keys("client_cert", "client_key", "ca_cert"),
}


def named_files(settings: Settings, table: Table) -> dict[str, NamedFile]:
    """The files of a table by their setting, `redis.tls_cert`: those that are set."""
    given, roles = getattr(settings, table), zip(_ROLES, KEYS[table], strict=True)
    return {f"{table}.{key}": NamedFile(role, path) for role, key in roles if (path := getattr(given, key))}


def http_files(settings: Settings, side: str) -> ServerFiles | None:
    """For the HTTP ports of one process (forms.HTTP_SIDES); None where they speak no TLS."""
    given = settings.http
    if not given.tls_cert or side not in given.tls:
        return None
    clients: Literal["required", "no"] = "required" if side in given.tls_client_certificate else "no"
    return ServerFiles(given.tls_cert, given.tls_key, given.tls_ca, clients)


def client_files(settings: Settings, table: Table) -> ClientFiles | None:
    """For a connection of ours; None where it speaks no TLS, or where libpq's words say that it need not be checked."""
    given: Any = getattr(settings, table)
    cert, key, ca = (getattr(given, name) for name in KEYS[table])
    match table:
        case "redis":
            return ClientFiles(ca, cert, key) if given.tls_enabled and not given.host.startswith("/") else None
        case "database":
            mode = given.ssl_mode
            if mode in {"disable", "allow", "prefer"} or given.host.startswith("/"):
                return None
            # As libpq: require with a CA file is verify-ca.
            return ClientFiles(ca, cert, key, mode != "require" or bool(ca), check_hostname=mode == "verify-full")
        case _:
            return ClientFiles(ca, cert, key)


def server_context(given: Syslog) -> ssl.SSLContext:
    """For syslog over TLS. Raises tls.CertificateError."""
    files = ServerFiles(given.tls_cert, given.tls_key, given.tls_ca, given.tls_client_certificate)  # type: ignore[arg-type]  # its choices
    context = tls.server_context(files)
    context.num_tickets = 0  # connections last for weeks: nobody resumes
    return context


def faults(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """What is wrong with the TLS settings and their files: table, key, text."""
    yield from (("syslog", *fault) for fault in _syslog_faults(settings.syslog))
    yield from (("http", *fault) for fault in _http_faults(settings))
    if settings.database.ssl_cert and settings.database.ssl_mode in {"disable", "allow", "prefer"}:
        yield "database", "ssl_cert", f"unused with ssl_mode {settings.database.ssl_mode}; it needs require or above"
    for table in ("redis", "database", "vault", "moog"):
        files = client_files(settings, table)
        if files is not None and named_files(settings, table):
            try:
                tls.client_context(files)
            except tls.CertificateError as error:
                yield table, getattr(KEYS[table], error.role), str(error)


def out_of_date(settings: Settings, now: datetime) -> Iterator[str]:
    """A line for each certificate of our own that is not good at `now`, and for each CA file that has no valid one."""
    for table in KEYS:
        for setting, file in named_files(settings, table).items():
            if file.role != "key":
                for text in (untimely if file.role == "cert" else untimely_authorities)(file.path, now):
                    yield f"{setting}: {text}"


def _syslog_faults(given: Syslog) -> Iterator[tuple[str, str]]:
    if not given.tls and not given.tls_cert:
        return
    if not given.tls_cert:
        yield "tls", "needs tls_cert, a file with this host's certificate"
        return
    if given.tls_client_certificate != "no" and not given.tls_ca:
        yield "tls_client_certificate", f"{given.tls_client_certificate} needs tls_ca, a file of CA certificates"
        return
    if given.tls_client_certificate == "no" and given.tls_permitted_names:
        yield "tls_permitted_names", 'no certificate is asked for: set tls_client_certificate to "required"'
    try:
        server_context(given)
    except tls.CertificateError as error:
        yield getattr(KEYS["syslog"], error.role), str(error)


def _http_faults(settings: Settings) -> Iterator[tuple[str, str]]:
    given = settings.http
    if not given.tls_cert:
        if given.tls_client_certificate:
            yield "tls_client_certificate", "needs tls_cert: without TLS there are no certificates"
        return
    if given.tls_client_certificate and not given.tls_ca:
        yield "tls_client_certificate", "needs tls_ca, a file of CA certificates"
        return
    for side in given.tls_client_certificate:
        if side not in given.tls:
            yield "tls_client_certificate", f"{side} speaks no TLS: it is not in http.tls"
    try:
        clients: Literal["required", "no"] = "required" if given.tls_client_certificate else "no"
        tls.server_context(ServerFiles(given.tls_cert, given.tls_key, given.tls_ca, clients))
    except tls.CertificateError as error:
        yield getattr(KEYS["http"], error.role), str(error)
