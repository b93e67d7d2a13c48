"""TLS 1.2 and later, for every connection of mutt: contexts from files, renewed when these change, and the validity of
their certificates.
"""

from muttd.tls.contexts import (
    CertificateError,
    ClientFiles,
    NamedFile,
    RenewableContext,
    ServerFiles,
    client_context,
    server_context,
)
from muttd.tls.watch import CertificateWatch

__all__ = [
    "CertificateError",
    "CertificateWatch",
    "ClientFiles",
    "NamedFile",
    "RenewableContext",
    "ServerFiles",
    "client_context",
    "server_context",
]
