"""What settings and secrets say about every connection, as plain values for the composition floor."""

import functools
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muttd import tls
from muttd.errors import ConfigurationError, MuttError
from muttd.metrics import Metrics
from muttd.pipeline.queue.connection import connect, connect_by_sentinels
from muttd.settings import Settings, certificates
from muttd.settings.forms import server
from muttd.tls import CertificateWatch
from muttd.vault import Access, Document, Keeper, Secrets, Vault, compose, credential

log = logging.getLogger(__name__)


def secrets_file(settings: Settings) -> Path | None:
    """The file of secrets, if there is one."""
    return Path(settings.secrets.file) if settings.secrets.file else None


@dataclass(frozen=True, slots=True)
class Contexts:
    """TLS contexts by table of the settings, made on demand."""

    settings: Settings
    watch: CertificateWatch | None = None
    """Renews them when their files change; None for a short-lived command."""

    def of_client(self, table: certificates.Table) -> ssl.SSLContext | None:
        """For our connections to the table's service; None: no TLS. Raises MuttError."""
        files = certificates.client_files(self.settings, table)
        if files is None:
            return None
        return self._made(table, functools.partial(tls.client_context, files))

    def of_http(self, side: str) -> ssl.SSLContext | None:
        """For the HTTP ports of one process; None: no TLS. Raises MuttError."""
        files = certificates.http_files(self.settings, side)
        if files is None:
            return None
        return self._made("http", functools.partial(tls.server_context, files))

    def of_syslog(self) -> ssl.SSLContext:
        """For syslog over TLS. Raises MuttError."""
        return self._made("syslog", functools.partial(certificates.server_context, self.settings.syslog))

    def _made(self, table: certificates.Table, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
        try:
            context = tls.RenewableContext(make)
        except tls.CertificateError as error:
            raise MuttError(f"{table}.{getattr(certificates.KEYS[table], error.role)}: {error}") from None
        if self.watch is not None:
            self.watch.add(certificates.named_files(self.settings, table), context.renew)
        return context


def redis_client(settings: Settings, secrets: Secrets, contexts: Contexts) -> Any:
    """A client for the Redis named in the settings."""
    given = settings.redis
    options: dict[str, Any] = {
        "password": lambda: secrets.get("REDIS_PASS"),
        "tls": contexts.of_client("redis"),
        "timeout": given.timeout,
        "connections": given.pool_max_conn,
    }
    if given.sentinels:
        log.info("Redis is %s of the Sentinels %s", given.sentinel_primary, ", ".join(given.sentinels))
        servers = [server(text) for text in given.sentinels]
        options["sentinel_password"] = lambda: secrets.get("REDIS_SENTINEL_PASS")
        return connect_by_sentinels(servers, given.sentinel_primary, **options)
    where = given.host if given.host.startswith("/") else f"{given.host}:{given.port}"
    said = "" if given.host.startswith("/") else " with TLS" if given.tls_enabled else " without TLS"
    log.info("Redis is at %s%s", where, said)
    return connect(given.host, given.port, **options)


def database_arguments(settings: Settings, secrets: Secrets, contexts: Contexts) -> dict[str, Any]:
    """asyncpg's connection arguments."""
    given = settings.database
    arguments: dict[str, Any] = {
        "host": given.host,
        "port": given.port,
        "user": given.user,
        "database": given.name,
        "password": lambda: secrets.get("DB_PASS"),  # called for every connection
    }
    if not given.host.startswith("/"):
        arguments["ssl"] = contexts.of_client("database") or given.ssl_mode
    return arguments


def vault_access(settings: Settings, environment: Mapping[str, str]) -> Access:
    """How to reach the Vault named in the settings."""
    given = settings.vault
    kubernetes = given.auth == "kubernetes"
    secret_id = given.secret_id_file or credential(Path(environment.get("CREDENTIALS_DIRECTORY", "")), "secret_id")
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
    """What keeps `secrets` in step with Vault; None if there is no Vault."""
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
    """Updates `secrets` from this machine. If those are malformed, they stay as they were."""
    try:
        if secrets.replace(compose(secrets_file(settings), environment)):
            log.info("secrets changed")
    except ConfigurationError as error:
        log.error("the secrets stay as they were: %s", "; ".join(error.faults))  # noqa: TRY400 (its line says all)


def read_once(settings: Settings, environment: Mapping[str, str]) -> Secrets:
    """The secrets as they are now, for a short-lived command. Raises MuttError."""
    document = None
    if settings.vault.addr:
        if settings.vault.secret_id_wrapped and "VAULT_SECRET_ID_FILE" not in environment:
            raise MuttError(
                "vault.secret_id_wrapped: it can be unwrapped only once, by a mutt process; remedy: a file of this "
                "command's own in VAULT_SECRET_ID_FILE"
            )
        vault = Vault(vault_access(settings, environment))
        vault.log_in()
        document = Document(f"Vault {settings.vault.secrets_path}", vault.read())
    return Secrets(compose(secrets_file(settings), environment, document), overlap=settings.secrets.key_overlap)
