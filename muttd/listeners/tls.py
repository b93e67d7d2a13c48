"""TLS of one connection as a value: octets from the wire in, text out (syslog: RFC 5425). No I/O here.

We do the handshake, not the event loop, so that a PROXY header can precede it, failures are counted by reason, and
renewed certificates apply to the next connection while open ones continue.
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
"""Labels in metrics for OpenSSL's reasons, of which there are hundreds."""


class Refusal(NamedTuple):
    """Why a connection ends: a label for the metric, and a text for people."""

    reason: str
    detail: str


def refusal(error: ssl.SSLError) -> Refusal:
    """Why a handshake, or the session after it, failed."""
    detail = getattr(error, "verify_message", None) or error.reason or str(error)
    alert = "ALERT" in (error.reason or "")
    return Refusal("tls_alert" if alert else _REASONS.get(error.reason or "", "tls_other"), str(detail))


class TlsStream:
    """The server's side of one connection."""

    def __init__(self, context: ssl.SSLContext, permitted_names: Sequence[str]) -> None:
        """`permitted_names`: patterns, one of which a client's certificate must match; empty: any certificate will do.

        Clients without a certificate are up to the context.
        """
        self._permitted_names = permitted_names
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.ended = False
        """The peer announced that it will send no more."""
        self.refusal: Refusal | None = None
        """Why the connection must end."""

    def feed(self, data: bytes) -> bytes:
        """The text that `data` completes. Check `to_send`, `refusal` and `ended` afterwards."""
        self._incoming.write(data)
        texts: list[bytes] = []
        self._attempt(lambda: self._read(texts))
        return b"".join(texts)

    def to_send(self) -> bytes:
        """Octets for the peer, each returned once."""
        return self._outgoing.read()

    def close(self) -> None:
        """Announces that we will send no more."""
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
    """DNS names and addresses a certificate is for; its common name if it has none of them (RFC 5425 section 5.2).

    `certificate` is what SSLObject.getpeercert() gives.
    """
    names = [value for kind, value in certificate.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}]
    if not names:
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names


def meets(name: str, pattern: str) -> bool:
    """Whether `name` matches `pattern`, whose leftmost label may be * for any one label; case-insensitive."""
    labels, wanted = _labels(name), _labels(pattern)
    return labels[1:] == wanted[1:] and (wanted[0] == "*" or labels[0] == wanted[0])


def _labels(name: str) -> list[str]:
    return name.lower().removesuffix(".").split(".")
