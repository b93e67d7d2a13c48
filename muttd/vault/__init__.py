"""Secrets: from the environment, systemd's credentials directory, or a file that only its owner can read."""

from muttd.vault.content import NAMES, ApiKey, Content
from muttd.vault.secrets import Secrets
from muttd.vault.sources import read_secrets

__all__ = ["NAMES", "ApiKey", "Content", "Secrets", "read_secrets"]
