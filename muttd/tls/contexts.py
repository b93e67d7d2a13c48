"""TLS contexts from PEM files. Every fault is a CertificateError that says which file cannot be used, and why."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

Role = Literal["cert", "key", "ca"]
Asked = Literal["no", "optional", "required"]

_VERIFY: Final = {"no": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class NamedFile(NamedTuple):
    """A file that a setting names."""

    role: Role
    path: str


class CertificateError(ValueError):
    """A file that cannot be used; `role` is what it was meant to be."""

    def __init__(self, role: Role, text: str) -> None:
        super().__init__(text)
        self.role: Role = role


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Our certificate chain, its key (empty: it is in `cert`), and the CA whose certificates clients need, if any."""

    cert: str
    key: str = ""
    ca: str = ""
    clients: Asked = "no"


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """The CA we trust (empty: the system's), and our certificate, in case the server asks for one."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True
    check_hostname: bool = True


def server_context(files: ServerFiles) -> ssl.SSLContext:
    """For a listener. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_chain(context, files.cert, files.key)
    if files.clients != "no":
        _load_ca(context, files.ca)
    context.verify_mode = _VERIFY[files.clients]
    return context


def client_context(files: ClientFiles) -> ssl.SSLContext:
    """For our own connections. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = files.verify and files.check_hostname
    context.verify_mode = ssl.CERT_REQUIRED if files.verify else ssl.CERT_NONE
    if files.verify and files.ca:
        _load_ca(context, files.ca)
    elif files.verify:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if files.cert:
        _load_chain(context, files.cert, files.key)
    return context


class RenewableContext(ssl.SSLContext):
    """A context for libraries that keep the one they are given: new connections use whatever was made last."""

    _make: Callable[[], ssl.SSLContext]
    _made: ssl.SSLContext

    def __new__(cls, make: Callable[[], ssl.SSLContext]) -> "RenewableContext":
        """`make` raises CertificateError if the files cannot be used."""
        made = make()
        self = super().__new__(cls, made.protocol)
        self._make, self._made = make, made
        return self

    def renew(self) -> None:
        """Makes it again. If that raises CertificateError, it stays as it was."""
        self._made = self._make()

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """A connection over memory buffers, as event loops use them."""
        return self._made.wrap_bio(*arguments, **options)

    def wrap_socket(self, *arguments: Any, **options: Any) -> ssl.SSLSocket:
        """A connection over a socket."""
        return self._made.wrap_socket(*arguments, **options)


def _load_chain(context: ssl.SSLContext, cert: str, key: str) -> None:
    _check_readable("cert", cert)
    if key:
        _check_readable("key", key)
    what = f"{cert} with {key}" if key else cert
    _load("cert", what, lambda: context.load_cert_chain(cert, key or None, _no_password))


def _load_ca(context: ssl.SSLContext, file: str) -> None:
    _check_readable("ca", file)
    _load("ca", file, lambda: context.load_verify_locations(file))


def _check_readable(role: Role, file: str) -> None:
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        raise CertificateError(role, f"{file}: cannot be read: {error.strerror}") from None


def _load(role: Role, what: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError("key", f"{what}: key and certificate do not match") from None
        raise CertificateError(role, f"{what}: cannot be used for TLS: {error.reason or 'no PEM data'}") from None
    except ValueError as error:
        raise CertificateError("key", str(error)) from None


def _no_password() -> str:
    raise ValueError("the key is encrypted; mutt has no password for it: keep it unencrypted, readable by mutt alone")
