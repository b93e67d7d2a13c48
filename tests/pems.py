"""Certificates for tests, as files, and settings that name them."""

from pathlib import Path
from typing import Any

import trustme

from muttd.settings import Settings, load


class Pems:
    """A CA with what it issued, as files."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self.authority = trustme.CA()
        self.ca = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.server = self.issue("server", "127.0.0.1")
        self.client = self.issue("client", "mutt")

    def issue(self, name: str, *identities: str, **more: Any) -> Path:
        """One file with key and chain."""
        file = self.directory / f"{name}.pem"
        issued = self.authority.issue_cert(*identities, common_name=identities[0], **more)
        issued.private_key_and_cert_chain_pem.write_to_path(file)
        file.chmod(0o600)
        return file


def configured(directory: Path, text: str) -> Settings:
    file = directory / "muttd.conf"
    file.write_text(text)
    return load(file, {})
