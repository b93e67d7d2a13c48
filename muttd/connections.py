"""What the settings and secrets say of every connection: where the composition floor gets its plain values from."""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path

from muttd.errors import ConfigurationError
from muttd.metrics import Metrics
from muttd.settings import Settings
from muttd.vault import Access, Document, Keeper, Secrets, Vault, compose

log = logging.getLogger(__name__)


def secrets_file(settings: Settings) -> Path | None:
    """The file of secrets, where there is one."""
    return Path(settings.secrets.file) if settings.secrets.file else None


def vault_access(settings: Settings, environment: Mapping[str, str]) -> Access:
    """How to reach the Vault that the settings name."""
    given = settings.vault
    kubernetes = given.auth == "kubernetes"
    secret_id = given.secret_id_file or Path(environment.get("CREDENTIALS_DIRECTORY", ""), "vault_secret_id")
    return Access(
        addr=given.addr,
        path=given.secrets_path,
        auth=given.auth,
        auth_mount=given.auth_mount,
        role=given.kubernetes_role if kubernetes else given.role_id,
        credential=Path(given.kubernetes_token_file if kubernetes else secret_id),
        wrapped=given.secret_id_wrapped,
        kv_version=given.kv_version,
        namespace=given.namespace,
        ca_cert=given.ca_cert,
        client_cert=given.client_cert,
        client_key=given.client_key,
        timeout=given.timeout,
    )


def keeper(settings: Settings, secrets: Secrets, metrics: Metrics, environment: Mapping[str, str]) -> Keeper | None:
    """What keeps `secrets` as Vault has them; None where there is no Vault."""
    if not settings.vault.addr:
        return None
    return Keeper(
        Vault(vault_access(settings, environment)),
        secrets,
        functools.partial(compose, secrets_file(settings), environment),
        metrics,
        place=f"Vault {settings.vault.secrets_path}",
        refresh=settings.vault.refresh,
        threshold=settings.vault.token_renew_threshold,
    )


def read_again(settings: Settings, secrets: Secrets, environment: Mapping[str, str]) -> None:
    """Brings `secrets` up to date with this machine. Where they are not what they should be, they stay."""
    try:
        if secrets.replace(compose(secrets_file(settings), environment)):
            log.info("secrets changed")
    except ConfigurationError as error:
        log.error("the secrets stay as they were: %s", "; ".join(error.faults))  # noqa: TRY400 (its line says all)


def read_once(settings: Settings, environment: Mapping[str, str]) -> Secrets:
    """The secrets as they are now, for a command that ends soon. Raises MuttError."""
    document = None
    if settings.vault.addr:
        vault = Vault(vault_access(settings, environment))
        vault.log_in()
        document = Document(f"Vault {settings.vault.secrets_path}", vault.read())
    return Secrets(compose(secrets_file(settings), environment, document), overlap=settings.secrets.key_overlap)
