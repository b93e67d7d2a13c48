"""Which SNMPv3 messages are believed, and how they are answered (RFC 3414 section 3).

Users are global: the engine of a trap's sender is learned from the message, and keys are localised for it when the
digest has to be checked. For informs we are the authoritative engine: `Engine`.

Pure: no I/O; the time is an argument.
"""

import hmac
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from muttd.memory import Memory
from muttd.wire import ber, snmp_pdu, usm
from muttd.wire import snmp_v3 as v3
from muttd.wire.ber import BerError
from muttd.wire.snmp_clocks import MAX_ENGINES, TIME_WINDOW, Clocks, Engine, time_of
from muttd.wire.snmp_credentials import (
    MAX_KEYS,
    MAX_SIGNERS,
    Credential,
    Keys,
    Signer,
    credential_of,
    keys_of,
    wrong_digest,
)
from muttd.wire.snmp_reading import Refused
from muttd.wire.snmp_v3 import Header, Scoped
from muttd.wire.snmp_v3_shortcut import Habits
from muttd.wire.snmp_values import text_or_hex
from muttd.wire.usm import Digest, EngineTime, User

LEVELS = {
    0: usm.NO_AUTH_NO_PRIV,
    v3.AUTHENTICATED: usm.AUTH_NO_PRIV,
    v3.AUTHENTICATED | v3.PRIVATE: usm.AUTH_PRIV,
}

_USM_STATS = "1.3.6.1.6.3.15.1.1"
UNSUPPORTED_LEVEL = f"{_USM_STATS}.1.0"
NOT_IN_TIME_WINDOW = f"{_USM_STATS}.2.0"
UNKNOWN_USER = f"{_USM_STATS}.3.0"
UNKNOWN_ENGINE = f"{_USM_STATS}.4.0"
WRONG_DIGEST = f"{_USM_STATS}.5.0"
DECRYPTION_ERROR = f"{_USM_STATS}.6.0"


class Opened(msgspec.Struct, frozen=True, gc=False):
    """A message that is believed. `credential` and `keys` are None if nothing was authenticated."""

    header: Header
    scoped: Scoped
    level: str
    credential: Credential | None
    keys: Keys | None


class Security:
    """Opens messages. Raises Refused, with a Report if the sender may have one."""

    def __init__(
        self,
        users: Sequence[User],
        engine: Engine | None,
        *,
        time_window: float | None = TIME_WINDOW,
        max_engines: int = MAX_ENGINES,
        max_keys: int = MAX_KEYS,
        forgotten: Counter[str],
    ) -> None:
        """`time_window` None trusts every clock, `engine` None reads any inform: for captures, not for a network.

        `forgotten` counts how often each memory was full and was cleared, by its name.
        """
        self._engine = engine
        self._time_window = time_window
        self._credentials: dict[bytes, dict[str, list[Credential]]] = {}
        """By user name and level, in their order."""
        self._made = 0
        """Credentials so far: each has a number of its own, never reused."""
        self._clocks = Clocks(time_window, max_engines, forgotten)
        self._keys: Memory[tuple[int, bytes], Keys] = Memory("keys", max_keys, forgotten)
        self._signers: Memory[tuple[int, bytes], Signer] = Memory("signers", MAX_SIGNERS, forgotten)
        self._counters: dict[str, int] = {}
        self.everyday = Habits(self._only_signer, self._clocks, forgotten)
        """The shortcut for traps."""
        self.replace_users(users)

    def replace_users(self, users: Sequence[User]) -> None:
        """Believes `users` and nobody else. The engines' clocks stay, so that nothing can be replayed."""
        known = {one.user: one for one in self._all()}
        credentials: dict[bytes, dict[str, list[Credential]]] = {}
        for user in users:
            if user not in known:  # stretching a passphrase takes milliseconds
                known[user] = credential_of(self._made, user)
                self._made += 1
            credentials.setdefault(user.name.encode(), {}).setdefault(user.level, []).append(known[user])
        self._credentials = credentials
        kept = {one.number for one in self._all()}
        for which in [which for which in self._keys if which[0] not in kept]:
            del self._keys[which]
        self._signers.clear()
        self.everyday.clear()

    def _all(self) -> Iterator[Credential]:
        for levels in self._credentials.values():
            for credentials in levels.values():
                yield from credentials

    def open(self, data: bytes, position: int, source_ip: str, received: float) -> Opened:
        """The message whose version ends before `position`, and which ends where `data` does.

        Raises BerError if its header, or what was not encrypted, cannot be read.
        """
        header = v3.read_header(data, position, len(data))
        if header.security_model != v3.USM:
            raise Refused("security_model", f"security model {header.security_model} is not USM (3)")
        level = LEVELS.get(header.flags & (v3.AUTHENTICATED | v3.PRIVATE))
        if level is None:
            raise Refused("level", "privacy without authentication is not a security level (RFC 3412 section 7.2)")
        request = Request(data, header, source_ip, received)
        if not header.engine_id and _plain_pdu_kind(request) not in (snmp_pdu.TRAP_V2, snmp_pdu.TRAP_V1):
            raise self._discovery(request)
        credentials = self._credentials_for(request, level)
        if level == usm.NO_AUTH_NO_PRIV:
            opened = Opened(header, v3.read_scoped(data, header.data_at, len(data)), level, None, None)
        else:
            signers = self._signed(request, credentials)
            if not signers:
                raise self._refused(request, *wrong_digest(header.user), WRONG_DIGEST)
            self._check_time(request, signers[0])
            if level == usm.AUTH_NO_PRIV:
                scoped = v3.read_scoped(data, header.data_at, len(data))
                opened = Opened(header, scoped, level, signers[0].credential, signers[0].keys)
            else:
                opened = self._decrypted(request, signers)
        if opened.scoped.pdu[0] == snmp_pdu.INFORM and self._engine and header.engine_id != self._engine.id:
            detail = f"inform for engine {header.engine_id.hex()}; ours is {self._engine.id.hex()}"
            raise self._refused(request, "unknown_engine", detail, UNKNOWN_ENGINE)
        return opened

    def respond(self, opened: Opened, pdu: bytes, received: float, limit: int) -> bytes | None:
        """A message that answers `opened` with this PDU at the same level, in at most `limit` octets.

        None if we have no engine to answer for.
        """
        if self._engine is None:
            return None
        header = replace(opened.header, flags=opened.header.flags & ~v3.REPORTABLE, at=time_of(self._engine, received))
        scoped = replace(opened.scoped, pdu=pdu)
        reply = _seal(header, scoped, opened.credential, opened.keys)
        if len(reply) > limit:  # our time has more octets than the sender's idea of it, which is in the window too
            reply = _seal(replace(header, at=opened.header.at), scoped, opened.credential, opened.keys)
        return reply if len(reply) <= limit else None

    def _credentials_for(self, request: "Request", level: str) -> list[Credential]:
        """The user's credentials of the message's level, in order."""
        known = self._credentials.get(request.header.user)
        if known is None:
            raise self._refused(
                request, "unknown_user", f"user {_user(request.header)} is not configured", UNKNOWN_USER
            )
        if level not in known:
            detail = f"user {_user(request.header)} sends {level}, but is configured for {' or '.join(known)}"
            raise self._refused(request, "level", detail, UNSUPPORTED_LEVEL)
        return known[level]

    def _signed(self, request: "Request", credentials: Sequence[Credential]) -> list[Signer]:
        """Those of the credentials that made the message's digest (RFC 3414 section 6.3.2), in order."""
        data, header = request.data, request.header
        engine_id, mac = header.engine_id, header.mac
        blank = data[: header.mac_at] + bytes(len(mac)) + data[header.mac_at + len(mac) :]
        signers = []
        for credential in credentials:
            signer = self._signers.get((credential.number, engine_id))
            # compare_digest is false for any other length, so a digest cut short is a wrong one.
            if signer is not None:
                if hmac.compare_digest(signer.digest(blank), mac):
                    signers.append(signer)
                continue
            auth = credential.user.auth
            assert auth is not None
            keys = self._keys.get((credential.number, engine_id))
            key = keys.auth if keys else usm.localized_key(auth, credential.auth_key, engine_id)
            if hmac.compare_digest(usm.mac(auth, key, blank), mac):
                signers.append(self._keep_signer(credential, engine_id, keys or keys_of(credential, engine_id, key)))
        return signers

    def _only_signer(self, header: Header) -> Signer | None:
        """Who signed an authPriv message, if only one signer, believed before, is possible and no engine is ours."""
        credentials = self._credentials.get(header.user, {}).get(usm.AUTH_PRIV, [])
        if len(credentials) != 1 or not header.engine_id or (self._engine and header.engine_id == self._engine.id):
            return None
        return self._signers.get((credentials[0].number, header.engine_id))

    def _keep_signer(self, credential: Credential, engine_id: bytes, keys: Keys) -> Signer:
        """What one credential has on one engine, prepared for the next message."""
        auth, priv = credential.user.auth, credential.user.priv
        assert auth is not None
        which = credential.number, engine_id
        if self._keys.get(which) is not keys:
            self._keys.keep(which, keys)
        decryptors = tuple(usm.decryptor(priv, key) for key in keys.privacy) if priv else ()
        return self._signers.keep(which, Signer(credential, keys, Digest(auth, keys.auth), decryptors))

    def _decrypted(self, request: "Request", signers: Sequence[Signer]) -> Opened:
        """The message under the first key that makes a ScopedPDU of it."""
        data, header = request.data, request.header
        octets, _ = ber.content(data, header.data_at, len(data), ber.OCTET_STRING, "encryptedPDU")
        for credential, keys, _, decryptors in signers:
            for decrypt in decryptors:
                plain = decrypt(header.at, header.salt, octets)
                if plain is None:
                    continue
                try:
                    scoped = v3.read_scoped(plain, 0, len(plain))
                except BerError:
                    continue
                if decrypt is not decryptors[0]:
                    self.everyday.clear()
                    keys = Keys(keys.auth, keys.privacy[::-1])  # noqa: PLW2901 # the one that fitted comes first now
                    self._keep_signer(credential, header.engine_id, keys)
                return Opened(header, scoped, usm.AUTH_PRIV, credential, keys)
        detail = f"user {_user(header)} is authenticated, but its priv protocol or password is another one here"
        raise self._refused(request, "decryption", detail, DECRYPTION_ERROR)

    def _check_time(self, request: "Request", signer: Signer) -> None:
        """Refuses possible replays (RFC 3414 section 3.2 (7))."""
        if self._time_window is None:
            return
        header = request.header
        if self._engine and header.engine_id == self._engine.id:
            fault = self._lag_behind_ours(header.at, time_of(self._engine, request.received))
            if fault:
                # An authenticated first message with no time asks for it (RFC 3414 section 4).
                reason = "discovery" if header.at == EngineTime(0, 0) else "not_in_time_window"
                raise self._refused(request, reason, fault, NOT_IN_TIME_WINDOW, signer)
            return
        self._clocks.check(header.engine_id, header.at, request.source_ip, request.received)

    def _lag_behind_ours(self, said: EngineTime, ours: EngineTime) -> str | None:
        assert self._time_window is not None
        if said.boots == ours.boots < v3.MAX_TIME and abs(said.seconds - ours.seconds) <= self._time_window:
            return None
        return f"inform for our boots {said.boots}, time {said.seconds} s; we are at {ours.boots}, {ours.seconds} s"

    def _discovery(self, request: "Request") -> Refused:
        """RFC 3414 section 4: a sender that asks with an empty engine ID is told ours."""
        if self._engine and request.header.flags & v3.REPORTABLE:
            return self._refused(request, "discovery", "asks for our engine ID", UNKNOWN_ENGINE)
        return Refused("unknown_engine", "message without an engine ID")

    def _refused(
        self,
        request: "Request",
        reason: str,
        detail: str,
        counter: str,
        signer: Signer | None = None,
    ) -> Refused:
        """A refusal, with a Report if the sender asks for one and we have an engine."""
        header = request.header
        if self._engine is None or not header.flags & v3.REPORTABLE:
            return Refused(reason, detail)
        if header.engine_id != self._engine.id:
            counter = UNKNOWN_ENGINE  # before all else the sender has to know whom it talks to
        count = self._counters[counter] = (self._counters.get(counter, 0) + 1) & 0xFFFFFFFF
        pdu = v3.report(counter, count, _request_id(request))
        answer = replace(
            header,
            flags=v3.AUTHENTICATED if signer else 0,
            engine_id=self._engine.id,
            at=time_of(self._engine, request.received),
            salt=b"",
        )
        scoped = Scoped(self._engine.id, b"", pdu)
        return Refused(reason, detail, _seal(answer, scoped, *(signer[:2] if signer else (None, None))))


class Request(msgspec.Struct, frozen=True, gc=False):
    """A message on its way through the checks."""

    data: bytes
    header: Header
    source_ip: str
    received: float


def _seal(header: Header, scoped: Scoped, credential: Credential | None, keys: Keys | None) -> bytes:
    """The whole message at the level that the header's flags say."""
    octets = v3.write_scoped(scoped)
    user = credential.user if credential else None
    header = replace(header, mac=b"", salt=b"", max_size=min(header.max_size, v3.MAX_MESSAGE))
    if user and user.priv and keys and header.flags & v3.PRIVATE:
        # Made from what is encrypted, the salt differs wherever that differs: no state, no chance to repeat it.
        salt = hmac.digest(keys.privacy[0], repr(header).encode() + octets, "sha256")[: usm.SALT_OCTETS]
        header = replace(header, salt=salt)
        octets = ber.write(ber.OCTET_STRING, usm.encrypt(user.priv, keys.privacy[0], header.at, salt, octets))
    if not (user and user.auth and keys and header.flags & v3.AUTHENTICATED):
        return v3.write_message(header, octets)[0]
    blank = bytes(usm.AUTHENTICATION[user.auth].mac_octets)
    message, mac_at = v3.write_message(replace(header, mac=blank), octets)
    return message[:mac_at] + usm.mac(user.auth, keys.auth, message) + message[mac_at + len(blank) :]


def _user(header: Header) -> str:
    return repr(text_or_hex(header.user))


def _plain_pdu_kind(request: Request) -> int | None:
    """The kind of a PDU that is not encrypted; None if it cannot be read."""
    data, header = request.data, request.header
    if header.flags & v3.PRIVATE:
        return None
    try:
        return v3.read_scoped(data, header.data_at, len(data)).pdu[0]
    except BerError:
        return None


def _request_id(request: Request) -> int:
    """The request-id, 0 if it cannot be read (RFC 3412 section 7.1 (3))."""
    data, header = request.data, request.header
    if header.flags & v3.PRIVATE:
        return 0
    try:
        pdu = v3.read_scoped(data, header.data_at, len(data)).pdu
        _, start, stop = ber.element(pdu, 0, len(pdu))
        return ber.number(pdu, start, stop, "request-id")[0]
    except BerError:
        return 0
