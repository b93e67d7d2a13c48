"""TLS of one connection as a value: octets of the wire in, text out (syslog: RFC 5425). No I/O here.

The handshake is ours and not the event loop's, so that a PROXY header can stand before it, a failed one is counted by
its reason, and renewed certificates serve the next connection while the open ones live on.
"""

import ssl
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_RECORD = 16_384
"""Octets of text in one TLS record at most (RFC 8446 section 5.1)."""

_REASONS = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "tls_no_certificate",
    "CERTIFICATE_VERIFY_FAILED": "tls_untrusted",
    "UNSUPPORTED_PROTOCOL": "tls_version",
    "NO_SHARED_CIPHER": "tls_cipher",
    "HTTP_REQUEST": "tls_not_spoken",
    "HTTPS_PROXY_REQUEST": "tls_not_spoken",
    "WRONG_VERSION_NUMBER": "tls_not_spoken",
    "UNKNOWN_PROTOCOL": "tls_not_spoken",
}
"""What a metric shows of OpenSSL's reasons, of which there are hundreds."""


class Refusal(NamedTuple):
    """Why a connection ends: a word for the metric, and what to tell a person."""

    reason: str
    detail: str


def refusal(error: ssl.SSLError) -> Refusal:
    """Why a handshake failed, or the session after it."""
    detail = getattr(error, "verify_message", None) or error.reason or str(error)
    alert = "ALERT" in (error.reason or "")
    return Refusal("tls_alert" if alert else _REASONS.get(error.reason or "", "tls_other"), str(detail))


class TlsStream:
    """The server's side of one connection."""

    def __init__(self, context: ssl.SSLContext, permitted_names: Sequence[str]) -> None:
        """`permitted_names`: patterns of which a client's certificate must meet one; none: every certificate will do.

        A client without a certificate is the context's business.
        """
        self._permitted_names = permitted_names
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.ended = False
        """The peer said that it sends no more."""
        self.refusal: Refusal | None = None
        """Why the connection must end."""

    def feed(self, data: bytes) -> bytes:
        """The text that `data` completes; what it had to say is in `to_send`. Look at `refusal` and `ended` then."""
        self._incoming.write(data)
        texts: list[bytes] = []
        self._attempt(lambda: self._read(texts))
        return b"".join(texts)

    def to_send(self) -> bytes:
        """Octets for the peer, each given once."""
        return self._outgoing.read()

    def close(self) -> None:
        """Says that we send no more."""
        if self.established:
            self._attempt(self._tls.unwrap)

    def _attempt(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.refusal = refusal(error)

    def _handshake(self) -> None:
        self._tls.do_handshake()
        self.established = True
        certificate = self._tls.getpeercert()
        if certificate and self._permitted_names:
            names = certificate_names(certificate)
            if not any(meets(name, pattern) for name in names for pattern in self._permitted_names):
                self.refusal = Refusal("tls_name", f"its certificate is for {', '.join(names) or 'nobody'}"[:200])

    def _read(self, texts: list[bytes]) -> None:
        if not self.established:
            self._handshake()
        while self.refusal is None:
            text = self._tls.read(_RECORD)
            if not text:
                self.ended = True
                return
            texts.append(text)


def certificate_names(certificate: dict[str, Any]) -> list[str]:
    """DNS names and addresses a certificate is for; its common name where it has no such names (RFC 5425 section 5.2).

    `certificate` is what SSLObject.getpeercert() gives.
    """
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}]
    if not names:
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names


def meets(name: str, pattern: str) -> bool:
    """Whether `name` is `pattern`, of which the leftmost label may be * for any one label; case does not count."""
    labels, wanted = _labels(name), _labels(pattern)
    return labels[1:] == wanted[1:] and (wanted[0] == "*" or labels[0] == wanted[0])


def _labels(name: str) -> list[str]:
    return name.lower().removesuffix(".").split(".")
