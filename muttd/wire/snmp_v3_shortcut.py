"""The shortcut for SNMPv3: opens the everyday authPriv traps of senders that were believed before.

Everything such a message says about its sender is in octets that do not change, so it is looked up as a whole and only
what changes is read: time, digest, salt. Digest and time are checked as strictly as on the long way
(muttd.wire.snmp_security), which decides everything else: anything unusual raises Uncommon and is left to it. Whenever
both answer, they answer the same, refusals included (tests/unit/test_snmp_shortcut.py).

Pure: no I/O; the time is an argument.
"""

from collections import Counter
from collections.abc import Callable
from hmac import compare_digest
from typing import NamedTuple

from muttd.memory import Memory
from muttd.wire import ber
from muttd.wire import snmp_v3 as v3
from muttd.wire.snmp_clocks import Clocks
from muttd.wire.snmp_credentials import MAX_SIGNERS, Signer, wrong_digest
from muttd.wire.snmp_reading import Refused
from muttd.wire.snmp_shortcut import Uncommon, enter
from muttd.wire.snmp_v3 import Header
from muttd.wire.usm import SALT_OCTETS, Decryptor, Digest, EngineTime

TRAP_FLAGS = v3.AUTHENTICATED | v3.PRIVATE
"""An inform is also reportable and has to be answered: it is left to the long way."""


class Habit(NamedTuple):
    """What the authPriv traps of one user on one engine have in common."""

    engine_id: bytes
    user: bytes
    digest: Digest
    decrypt: Decryptor
    blank: bytes
    """What replaces the digest while it is computed."""


class Habits:
    """Opens messages. Raises Uncommon or IndexError, BerError too, for what is for the long way."""

    def __init__(self, signer: Callable[[Header], Signer | None], clocks: Clocks, forgotten: Counter[str]) -> None:
        """`signer` gives the only possible signer of a message, if it was believed before."""
        self._signer = signer
        self._clocks = clocks
        self._known: Memory[bytes, Habit] = Memory("habits", MAX_SIGNERS, forgotten)

    def clear(self) -> None:
        """Forgets everybody, because others may be believed from now on."""
        self._known.clear()

    def open(self, data: bytes, position: int, source_ip: str, received: float) -> tuple[Habit, bytes]:
        """Whose message it is, and the content of its ScopedPDU. Its version ends before `position`.

        Raises Refused if its digest is wrong or its time is outside the window.
        """
        start = position + 2
        size_at = start + 2 + data[start + 1]  # msgMaxSize; what has no number of its own below has a fixed length
        engine_at = size_at + 2 + data[size_at + 1] + 12
        boots_at = engine_at + data[engine_at - 1]
        seconds_at = boots_at + 2 + data[boots_at + 1]
        user_at = seconds_at + 2 + data[seconds_at + 1]
        mac_at = user_at + 4 + data[user_at + 1]
        lasting = data[size_at:boots_at] + data[user_at:mac_at]
        habit = self._known.get(lasting)
        if habit is None:
            habit = self._habit(data, position, lasting)
        engine_id, user, digest, decrypt, blank = habit

        salt_at = mac_at + len(blank) + 2
        data_at = salt_at + SALT_OCTETS
        boots = int.from_bytes(data[boots_at + 2 : seconds_at], "big")
        seconds = int.from_bytes(data[seconds_at + 2 : user_at], "big")
        if (
            data[position] != ber.SEQUENCE
            or data[position + 1] != engine_at - 6 - start
            or not data[start] == data[boots_at] == data[seconds_at] == ber.INTEGER
            or not 2 < size_at - start < 7 > seconds_at - boots_at > 2
            or not 2 < user_at - seconds_at < 7
            or boots >= v3.MAX_TIME  # where an engine's time ends, and its trust
            or data[boots_at + 2] > 0x7F
            or data[seconds_at + 2] > 0x7F
            or data[engine_at - 3] != data_at - engine_at + 2  # and the length around it is two more, which lasts
            or data[salt_at - 2] != ber.OCTET_STRING
            or data[salt_at - 1] != SALT_OCTETS
        ):
            raise Uncommon
        octets = data[enter(data, data_at, ber.OCTET_STRING) :]

        mac_stop = salt_at - 2
        if not compare_digest(digest(data[:mac_at] + blank + data[mac_stop:]), data[mac_at:mac_stop]):
            raise Refused(*wrong_digest(user))  # no Report: who sends a trap does not ask for one
        at = EngineTime(boots, seconds)
        self._clocks.check(engine_id, at, source_ip, received)
        plain = decrypt(at, data[salt_at:data_at], octets)
        if plain is None:
            raise Uncommon
        return habit, ber.content(plain, 0, len(plain), ber.SEQUENCE, "ScopedPDU")[0]

    def _habit(self, data: bytes, position: int, lasting: bytes) -> Habit:
        """The habit of a message, kept under the octets it shares with the next if the message is its sender's."""
        header = v3.everyday_header(data, position, len(data))
        if header is None or header.flags != TRAP_FLAGS:
            raise Uncommon
        signer = self._signer(header)
        if signer is None or not signer.decryptors:
            raise Uncommon
        blank = bytes(len(header.mac))
        message = data[: header.mac_at] + blank + data[header.mac_at + len(blank) :]
        if not compare_digest(signer.digest(message), header.mac):
            raise Uncommon
        habit = Habit(header.engine_id, header.user, signer.digest, signer.decryptors[0], blank)
        return self._known.keep(lasting, habit)


def split_context(scoped: bytes) -> tuple[int, bytes]:
    """Where the PDU in the content of a ScopedPDU begins, and what stands before it, if its lengths have one octet."""
    name_at = 2 + scoped[1]
    pdu_at = name_at + 2 + scoped[name_at + 1]
    return pdu_at, scoped[:pdu_at]


def read_context(octets: bytes) -> tuple[bytes, bytes]:
    """contextEngineID and contextName, which fill `octets`. Raises BerError or Uncommon."""
    engine_id, position = ber.content(octets, 0, len(octets), ber.OCTET_STRING, "contextEngineID")
    name, position = ber.content(octets, position, len(octets), ber.OCTET_STRING, "contextName")
    if position != len(octets) or max(len(engine_id), len(name)) > 0x7F:
        raise Uncommon
    return engine_id, name
