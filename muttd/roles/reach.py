"""`muttd --check-config --connect`: whether everything mutt needs can be reached, the way mutt itself would reach it.

One finding each: OK and what was found, or what is wrong and what to do. Nothing is changed anywhere.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Final, Literal, NamedTuple
from urllib.parse import urlsplit

from muttd.connections import Contexts, database_arguments, redis_client, secrets_file, vault_access
from muttd.errors import MuttError
from muttd.pipeline.moog import authentication
from muttd.pipeline.queue.faults import FAULTS
from muttd.roles.readers import trap_reader
from muttd.settings import Settings
from muttd.store.schema import schema_state
from muttd.vault import COMMUNITIES, INGEST_KEYS, NAMES, USERS, Document, Secrets, Vault, compose

_LIMIT: Final = 15.0
"""Seconds for one check."""


class Finding(NamedTuple):
    """The result of one check."""

    check: str
    state: Literal["OK", "NOTE", "FAULT"]
    text: str

    def __str__(self) -> str:
        return f"{self.check:<13}{self.state:<7}{self.text}"


class _FaultError(Exception):
    """What is wrong, and what to do."""


async def reach(
    settings: Settings, secrets: Secrets, environment: Mapping[str, str], *, will_migrate: bool = False
) -> AsyncIterator[Finding]:
    """Checks Vault, the keys, Redis, PostgreSQL and Moog, in this order.

    `secrets` are those of this machine; Vault's are added to them.
    `will_migrate`: missing tables are not a fault.
    """
    contexts = Contexts(settings)
    looks: list[tuple[str, Callable[[], Awaitable[str]]]] = [
        ("Vault", lambda: _vault(settings, secrets, environment)),  # first: the others need its secrets
        ("keys", lambda: _keys(settings, secrets)),
        ("Redis", lambda: _redis(settings, secrets, contexts)),
        ("PostgreSQL", lambda: _database(settings, secrets, contexts, will_migrate=will_migrate)),
        ("Moog", lambda: _moog(settings, contexts)),
    ]
    has_secrets = not (settings.vault.addr and settings.vault.secret_id_wrapped)
    for name, look in looks:
        if name == "keys" and not has_secrets:
            continue  # what is missing may be in Vault
        try:
            async with asyncio.timeout(_LIMIT):
                found = Finding(name, "OK", await look())
        except TimeoutError:
            found = Finding(name, "FAULT", f"no answer within {_LIMIT:g} s")
        except (_FaultError, MuttError) as error:
            found = Finding(name, "FAULT", " ".join(str(error).split()))
        has_secrets = has_secrets and (name, found.state) != ("Vault", "FAULT")
        yield found


async def _vault(settings: Settings, secrets: Secrets, environment: Mapping[str, str]) -> str:
    if not settings.vault.addr:
        return "not used (vault.addr)"
    vault = Vault(vault_access(settings, environment))
    if settings.vault.secret_id_wrapped and settings.vault.auth == "approle":
        left = await asyncio.to_thread(vault.wrapping_left)
        return (
            f"{settings.vault.addr}: the wrapped secret ID can be unwrapped for {left:.0f} s more. That works only "
            "once and was left to mutt, so the rest is checked without Vault's secrets"
        )
    grant = await asyncio.to_thread(vault.log_in)
    values = await asyncio.to_thread(vault.read)
    secrets.replace(compose(secrets_file(settings), environment, Document("Vault", values)))
    known = [name for name in NAMES if name in values]
    lease = f"for {grant.length:g} s{'' if grant.renewable else ', not renewable'}" if grant.length else "without end"
    has = ", ".join(known) or f"none of {', '.join(NAMES)}"
    return f"{settings.vault.addr}: logged in {lease}; {settings.vault.secrets_path} has {has}"


async def _keys(settings: Settings, secrets: Secrets) -> str:
    """The keys without which a process would end at its start."""
    trap_reader(settings, secrets)
    moog, content = settings.moog, secrets.content
    key = content.texts.get("MOOG_API_KEY", "")
    if moog.webhook_url and moog.auth != "none" and not key:
        raise _FaultError('MOOG_API_KEY: no such secret; or set moog.auth = "none"')
    authentication(moog.auth, key)
    lists = {COMMUNITIES: content.communities, USERS: content.snmp_users, INGEST_KEYS: content.relays}
    found = [*content.texts, *(name for name, listed in lists.items() if listed)]
    return ", ".join(found) or "none"


async def _redis(settings: Settings, secrets: Secrets, contexts: Contexts) -> str:
    given = settings.redis
    where = given.host if given.host.startswith("/") else f"{given.host}:{given.port}"
    if given.sentinels:
        where = f"{given.sentinel_primary} of {', '.join(given.sentinels)}"
    client = redis_client(settings, secrets, contexts)
    try:
        about = await client.info("server")
        role = (await client.info("replication")).get("role", "?")
    except FAULTS as error:
        raise _FaultError(f"{where}: {_redis_fault(error)}") from None
    finally:
        await client.aclose()
    tls = "TLS" if given.tls_enabled and not given.host.startswith("/") else "no TLS"
    if role != "master":
        raise _FaultError(f"{where}: a replica, which takes no events; remedy: the primary, or redis.sentinels")
    return f"{where}: {about.get('redis_version', '?')}, {tls}"


def _redis_fault(error: BaseException) -> str:
    text = str(error) or type(error).__name__
    upper = text.upper()
    if "WRONGPASS" in upper or "INVALID PASSWORD" in upper or "INVALID USERNAME" in upper or "NOAUTH" in upper:
        return f"{text}; remedy: the secret REDIS_PASS as Redis has it"
    if "AUTHENTICATION REQUIRED" in upper or "WITHOUT ANY PASSWORD" in upper or "AUTH <PASSWORD> CALLED" in upper:
        return f"{text}; the secret REDIS_PASS is wrong"
    if "SSL" in upper or "CERTIFICATE" in upper:
        return f"{text}; see redis.tls_enabled, redis.tls_ca_cert and, where Redis asks for one, redis.tls_cert"
    return f"{text}; is it running, and are redis.host and redis.port right?"


async def _database(settings: Settings, secrets: Secrets, contexts: Contexts, *, will_migrate: bool) -> str:
    given = settings.database
    where = f"{given.user}@{given.host}:{given.port}/{given.name}"
    try:
        found = await schema_state(database_arguments(settings, secrets, contexts))
    except MuttError as error:
        text = str(error)
        hint = "is it running, and are database.host and database.port right?"
        if "password" in text or "no PostgreSQL user name" in text:
            hint = (
                "remedy: the secret DB_PASS as PostgreSQL has it "
                f"(it says the same if the role does not exist; to make it: createuser -P {given.user})"
            )
        elif "SSL" in text or "certificate" in text.lower():
            hint = "see database.ssl_mode, database.ssl_root_cert and database.ssl_cert"
        elif "does not exist" in text:
            hint = (
                "remedy: database.name and database.user as PostgreSQL has them; "
                f"to make them: createuser -P {given.user} && createdb -O {given.user} {given.name}"
            )
        raise _FaultError(f"{where}: {text}; {hint}") from None
    if found.missing and will_migrate:
        return f"{where}: {found.server}, the tables lack {', '.join(found.missing)}"
    if found.missing:
        raise _FaultError(f"{where}: the tables lack {', '.join(found.missing)}; run `muttd migrate`")
    if found.newer:
        raise _FaultError(f"{where}: the tables are of a newer mutt ({', '.join(found.newer)}); upgrade this one")
    return f"{where}: {found.server}, tables are of this version ({found.applied[-1].removesuffix('.sql')})"


async def _moog(settings: Settings, contexts: Contexts) -> str:
    if not settings.moog.webhook_url:
        return "not used (moog.webhook_url)"
    parts = urlsplit(settings.moog.webhook_url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    where = f"{host}:{port}"
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=contexts.of_client("moog") if secure else None)
    except ssl.SSLCertVerificationError as error:
        raise _FaultError(f"{where}: {error.verify_message}; remedy: its CA in moog.ca_cert") from None
    except ssl.SSLError as error:
        raise _FaultError(f"{where}: TLS fails: {error.reason}; see moog.ca_cert and moog.client_cert") from None
    except OSError as error:
        resolved = error.errno and not isinstance(error, socket.gaierror)
        text = os.strerror(error.errno or 0) if resolved else error.strerror or type(error).__name__
        raise _FaultError(f"{where}: {text}; is moog.webhook_url right, and does a firewall stand between?") from None
    spoken = writer.get_extra_info("ssl_object")
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
    return f"{where}: {spoken.version() if spoken else 'TCP; events and key are sent in the clear'}; no alert was sent"
