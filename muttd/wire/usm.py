"""The ciphers of SNMPv3's User-based Security Model: keys, digests, privacy. Octets in, octets out.

Authentication HMAC-MD5-96 and HMAC-SHA-96 (RFC 3414), HMAC-SHA-2 (RFC 7860). Privacy CBC-DES (RFC 3414),
CFB128-AES-128 (RFC 3826), and AES-192 and AES-256, for which there is no RFC: devices extend a key that is too short
according to either draft-blumenthal-aes-usm-04 or, like Cisco's, draft-reeder-snmpv3-usm-3desede-00. `privacy_keys`
gives both.

Pure: no I/O, no clock.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from muttd.errors import ConfigurationError

NO_AUTH_NO_PRIV = "noAuthNoPriv"
AUTH_NO_PRIV = "authNoPriv"
AUTH_PRIV = "authPriv"

STRETCHED = 1_048_576
"""Octets of repeated passphrase that are hashed (RFC 3414 appendix A.2)."""
SALT_OCTETS = 8
DES_BLOCK = 8
AES_BLOCK = 16


class Authentication(NamedTuple):
    """A digest by hashlib's name, and how many octets of it a message contains."""

    digest: str
    mac_octets: int


AUTHENTICATION = {
    "MD5": Authentication("md5", 12),
    "SHA": Authentication("sha1", 12),
    "SHA-224": Authentication("sha224", 16),
    "SHA-256": Authentication("sha256", 24),
    "SHA-384": Authentication("sha384", 32),
    "SHA-512": Authentication("sha512", 48),
}
PRIVACY = {"DES": 16, "AES": 16, "AES-192": 24, "AES-256": 32}
"""Octets of key."""

_SPELLINGS = {name.replace("-", ""): name for name in (*AUTHENTICATION, *PRIVACY)} | {"SHA1": "SHA", "AES128": "AES"}


class EngineTime(msgspec.Struct, frozen=True, order=True, gc=False):
    """How often an engine was started, and the seconds since (RFC 3414 section 2.2): both 0 to 2^31 - 1."""

    boots: int
    seconds: int


@dataclass(frozen=True, slots=True)
class User:
    """One credential of a user. Several with the same name are tried in their order, so that keys can be rotated.

    A message must have exactly the security level that the credential has: authPriv with `priv`, authNoPriv with
    `auth` only, noAuthNoPriv with neither. Protocols are the names in AUTHENTICATION and PRIVACY; case, `-` and `_`
    do not matter. Raises ConfigurationError for what cannot work.
    """

    name: str
    auth: str | None = None
    auth_password: str = field(default="", repr=False)
    priv: str | None = None
    priv_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        faults = []
        if not 0 < len(self.name.encode()) <= 32:
            faults.append(f"SNMP user {self.name!r}: the name must have 1 to 32 octets")
        for key, known in (("auth", AUTHENTICATION), ("priv", PRIVACY)):
            given = getattr(self, key)
            if given is None:
                continue
            spelled = _SPELLINGS.get(given.upper().replace("-", "").replace("_", ""))
            if spelled is None or spelled not in known:
                faults.append(f"SNMP user {self.name!r}: {key} = {given!r} is not one of {', '.join(known)}")
            if not getattr(self, f"{key}_password"):
                faults.append(f"SNMP user {self.name!r}: {key} = {given!r} needs {key}_password")
            object.__setattr__(self, key, spelled)  # frozen for everybody else
        if self.priv and not self.auth:
            faults.append(f"SNMP user {self.name!r}: priv needs auth (RFC 3414 section 1.4.3 has no other level)")
        if faults:
            raise ConfigurationError(faults)

    @property
    def level(self) -> str:
        """The security level of messages with this credential."""
        return AUTH_PRIV if self.priv else AUTH_NO_PRIV if self.auth else NO_AUTH_NO_PRIV


def stretched_key(auth: str, passphrase: bytes) -> bytes:
    """A passphrase as a key for no engine yet (RFC 3414 appendix A.2): a few milliseconds of hashing."""
    repeated = passphrase * (STRETCHED // len(passphrase) + 1)
    return hashlib.new(AUTHENTICATION[auth].digest, repeated[:STRETCHED], usedforsecurity=False).digest()


def localized_key(auth: str, key: bytes, engine_id: bytes) -> bytes:
    """The key as it is on one engine (RFC 3414 section 2.6)."""
    return hashlib.new(AUTHENTICATION[auth].digest, key + engine_id + key, usedforsecurity=False).digest()


def privacy_keys(auth: str, priv: str, key: bytes, engine_id: bytes) -> tuple[bytes, ...]:
    """The keys that a device may encrypt with: one, or two if the digest is shorter than the cipher's key."""
    needed = PRIVACY[priv]
    localized = localized_key(auth, key, engine_id)
    if len(localized) >= needed:
        return (localized[:needed],)
    blumenthal = localized
    while len(blumenthal) < needed:
        blumenthal += hashlib.new(AUTHENTICATION[auth].digest, blumenthal, usedforsecurity=False).digest()
    reeder = part = localized
    while len(reeder) < needed:
        part = localized_key(auth, stretched_key(auth, part), engine_id)
        reeder += part
    return blumenthal[:needed], reeder[:needed]


def mac(auth: str, key: bytes, message: bytes) -> bytes:
    """The msgAuthenticationParameters of a message in which they are zero."""
    digest, octets = AUTHENTICATION[auth]
    return hmac.digest(key, message, digest)[:octets]


class Digest:
    """`mac` with one key, whose share of the work is done once: at least two of four hash blocks."""

    def __init__(self, auth: str, key: bytes) -> None:
        """`key` is a digest itself, and so fits into a block."""
        digest, self._octets = AUTHENTICATION[auth]
        blank = hashlib.new(digest, usedforsecurity=False)
        padded = key.ljust(blank.block_size, b"\0")
        assert len(padded) == blank.block_size
        self._inner, self._outer = blank.copy(), blank.copy()
        self._inner.update(bytes(octet ^ 0x36 for octet in padded))
        self._outer.update(bytes(octet ^ 0x5C for octet in padded))

    def __call__(self, message: bytes) -> bytes:
        # RFC 2104 section 4. An hmac object copied does the same, in twice the time.
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()[: self._octets]


Decryptor = Callable[[EngineTime, bytes, bytes], bytes | None]
"""Gives the plaintext, with its padding, by time, salt and ciphertext; None if the lengths are impossible for this
cipher."""


def decryptor(priv: str, key: bytes) -> Decryptor:
    """Decrypts any number of messages, in any order.

    One context is used for all messages: in both CFB and CBC, the block before a message's first acts as its
    initialisation vector, so the vector is passed in as a block. A context per message would cost six times as much.
    """
    is_des = priv == "DES"
    block = DES_BLOCK if is_des else AES_BLOCK
    update = _cipher(priv, key, bytes(block)).decryptor().update
    padding = [bytes(-length % block) for length in range(block)]
    last, front = EngineTime(0, 0), bytes(8)

    def decrypt(at: EngineTime, salt: bytes, octets: bytes) -> bytes | None:
        nonlocal last, front
        length = len(octets)
        over = padding[length % block]
        if len(salt) != SALT_OCTETS or (is_des and over):
            return None
        if is_des:
            vector = _des_vector(key, salt)
        else:
            if at is not last:  # messages of one second share it
                last, front = at, _aes_front(at)
            vector = front + salt
        return update(vector + octets + over)[block : block + length]

    return decrypt


def encrypt(priv: str, key: bytes, at: EngineTime, salt: bytes, octets: bytes) -> bytes:
    """The ciphertext. DES pads to its block; `salt` has eight octets and must not be reused."""
    if priv == "DES":
        octets += bytes(-len(octets) % DES_BLOCK)
    vector = _des_vector(key, salt) if priv == "DES" else _aes_front(at) + salt
    encryptor = _cipher(priv, key, vector).encryptor()
    return encryptor.update(octets) + encryptor.finalize()


def _cipher(priv: str, key: bytes, vector: bytes) -> Cipher[CBC] | Cipher[CFB]:
    if priv == "DES":
        return Cipher(TripleDES(key[:8] * 3), CBC(vector))  # one key thrice is DES
    return Cipher(AES(key), CFB(vector))


def _des_vector(key: bytes, salt: bytes) -> bytes:
    """RFC 3414 section 8.1.1.1."""
    return (int.from_bytes(key[8:], "big") ^ int.from_bytes(salt, "big")).to_bytes(DES_BLOCK, "big")


def _aes_front(at: EngineTime) -> bytes:
    """What precedes the salt (RFC 3826 section 3.1.2.1)."""
    return (at.boots << 32 | at.seconds).to_bytes(8, "big")
