"""Certificates of a TLS listener: read and checked when the configuration is, and again when they are renewed."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from muttd.settings.keys import Syslog

_VERIFY = {"no": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


class CertificateError(ValueError):
    """A file that cannot serve; `key` is the setting that names it."""

    def __init__(self, key: str, text: str) -> None:
        super().__init__(text)
        self.key = key


def faults(given: Syslog) -> Iterator[tuple[str, str]]:
    """What is wrong with the TLS settings: key and text."""
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
    except CertificateError as error:
        yield error.key, str(error)


def server_context(given: Syslog) -> ssl.SSLContext:
    """TLS 1.2 and later with the files that the settings name. Raises CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0  # connections last for weeks: nobody resumes
    for key in ("tls_cert", "tls_key", "tls_ca"):
        if file := getattr(given, key):
            _check_readable(key, file)
    _load(
        "tls_cert",
        f"{given.tls_cert} with {given.tls_key}" if given.tls_key else given.tls_cert,
        lambda: context.load_cert_chain(given.tls_cert, given.tls_key or None, _no_password),
    )
    if given.tls_client_certificate != "no":
        _load("tls_ca", given.tls_ca, lambda: context.load_verify_locations(given.tls_ca))
    context.verify_mode = _VERIFY[given.tls_client_certificate]
    return context


def _check_readable(key: str, file: str) -> None:
    try:
        with Path(file).open("rb"):
            pass
    except OSError as error:
        raise CertificateError(key, f"{file}: cannot be read: {error.strerror}") from None


def _load(key: str, what: str, load: Callable[[], None]) -> None:
    try:
        load()
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError("tls_key", f"{what}: key and certificate do not belong together") from None
        raise CertificateError(key, f"{what}: not what TLS can use: {error.reason or 'nothing in PEM form'}") from None
    except ValueError as error:
        raise CertificateError("tls_key", str(error)) from None


def _no_password() -> str:
    raise ValueError("the key is encrypted; mutt has no password for it: keep it in clear, readable by mutt alone")
