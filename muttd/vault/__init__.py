"""Secrets: what they are (content), where they are on this machine (sources), how a process sees them (secrets).

And how they are kept in step with Vault: what is due when (lease, pure), requests to Vault (client), and the loop that
drives it (keeper).
"""

from muttd.vault.client import Access, Vault, VaultError
from muttd.vault.content import COMMUNITIES, INGEST_KEYS, NAMES, USERS, ApiKey, Content, Document, combined
from muttd.vault.keeper import Keeper
from muttd.vault.secrets import Secrets
from muttd.vault.sources import compose, credential, read_secrets

__all__ = [
    "COMMUNITIES",
    "INGEST_KEYS",
    "NAMES",
    "USERS",
    "Access",
    "ApiKey",
    "Content",
    "Document",
    "Keeper",
    "Secrets",
    "Vault",
    "VaultError",
    "combined",
    "compose",
    "credential",
    "read_secrets",
]
