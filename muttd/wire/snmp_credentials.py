"""Users' credentials, and their form on one engine: localised keys, prepared digests and ciphers.

Pure: no I/O, no clock.
"""

from typing import NamedTuple

from muttd.wire import usm
from muttd.wire.snmp_values import text_or_hex
from muttd.wire.usm import Decryptor, Digest, User

MAX_KEYS = 32_768
"""Localised keys cached, for two credentials per engine; about 15 MB. They can be made again."""
MAX_SIGNERS = 4096
"""Prepared digests and ciphers cached, about 4 kB each; making them from keys takes microseconds. The habits of as many
senders (muttd.wire.snmp_v3_shortcut) may hold others."""


class Credential(NamedTuple):
    """A user's protocols, with the passphrases made into keys."""

    number: int
    user: User
    auth_key: bytes
    priv_key: bytes


class Keys(NamedTuple):
    """A credential's keys on one engine. The first of `privacy` is the one that worked last."""

    auth: bytes
    privacy: tuple[bytes, ...]


class Signer(NamedTuple):
    """Whose digest a message has. `decryptors` are those of `keys.privacy`."""

    credential: Credential
    keys: Keys
    digest: Digest
    decryptors: tuple[Decryptor, ...]


def credential_of(number: int, user: User) -> Credential:
    """A user's credential: stretching a passphrase takes milliseconds."""
    auth_key = usm.stretched_key(user.auth, user.auth_password.encode()) if user.auth else b""
    priv_key = usm.stretched_key(user.auth, user.priv_password.encode()) if user.auth and user.priv else b""
    return Credential(number, user, auth_key, priv_key)


def keys_of(credential: Credential, engine_id: bytes, auth_key: bytes) -> Keys:
    """The remaining keys, made only once the sender has shown that it knows the password."""
    auth, priv = credential.user.auth, credential.user.priv
    privacy = usm.privacy_keys(auth, priv, credential.priv_key, engine_id) if auth and priv else ()
    return Keys(auth_key, privacy)


def wrong_digest(user: bytes) -> tuple[str, str]:
    """Reason and detail of the refusal of a message whose digest no credential of this user made."""
    detail = f"user {text_or_hex(user)!r} is known, but its auth protocol or password is another one here"
    return "wrong_digest", detail
