"""The shortcut for SNMPv3: opens the everyday authPriv traps of senders that were believed before.

Everything such a message says about its sender is in octets that do not change, so it is looked up as a whole, and so
are the tags and lengths that messages of one length have in common; only what changes is read: time, digest, salt.
Digest and time are checked as strictly as on the long way (muttd.wire.snmp_security), which decides everything else:
anything unusual raises Uncommon and is left to it. Whenever both answer, they answer the same, refusals included
(tests/unit/test_snmp_shortcut.py, test_snmp_shortcut_forms.py).

Pure: no I/O; the time is an argument.
"""

from collections import Counter
from collections.abc import Callable
from hmac import compare_digest

from muttd.memory import Memory
from muttd.wire import ber
from muttd.wire import snmp_v3 as v3
from muttd.wire.snmp_clocks import Clocks
from muttd.wire.snmp_credentials import MAX_SIGNERS, Signer, wrong_digest
from muttd.wire.snmp_reading import Refused
from muttd.wire.snmp_shortcut import MAX_FRAMES, Uncommon, enter
from muttd.wire.snmp_v3 import Header
from muttd.wire.usm import SALT_OCTETS, EngineTime

_VERSION = ber.write_integer(3)
TRAP_FLAGS = v3.AUTHENTICATED | v3.PRIVATE
"""An inform is also reportable and has to be answered: it is left to the long way."""

MAX_CONTEXTS = 1024
"""Contexts cached per sender, about 100 octets each: a switch may have one for each of its VLANs. Only who has the
sender's password can fill this."""


class Habit:
    """What the authPriv traps of one user on one engine have in common, and the last time it gave."""

    __slots__ = ("at", "blank", "decrypt", "digest", "engine_id", "senders", "time", "user")

    def __init__(self, header: Header, signer: Signer, forgotten: Counter[str]) -> None:
        self.engine_id = header.engine_id
        self.user = header.user
        self.digest = signer.digest
        self.decrypt = signer.decryptors[0]
        self.blank = bytes(len(header.mac))
        """What replaces the digest while it is computed."""
        self.time = b""
        """The octets that `at` was read from; with them, the lengths around them are right too."""
        self.at = header.at
        self.senders: Memory[bytes, str] = Memory("contexts", MAX_CONTEXTS, forgotten)
        """Members of `snmp` by contextEngineID and contextName; the caller keeps them."""


class Habits:
    """Opens messages. Raises Uncommon or IndexError, BerError too, for what is for the long way."""

    def __init__(self, signer: Callable[[Header], Signer | None], clocks: Clocks, forgotten: Counter[str]) -> None:
        """`signer` gives the only possible signer of a message, if it was believed before."""
        self._signer = signer
        self._clocks = clocks
        self._forgotten = forgotten
        self._known: Memory[bytes, Habit] = Memory("habits", MAX_SIGNERS, forgotten)
        self._frames: Memory[bytes, tuple[int, int, int]] = Memory("v3_frames", MAX_FRAMES, forgotten)

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
        habit = self._known.get(lasting) or self._habit(data, position, lasting)

        time = data[boots_at:user_at]
        mac_stop = mac_at + len(habit.blank)
        salt_at = mac_stop + 2
        data_at = salt_at + SALT_OCTETS
        if time != habit.time:
            if data[engine_at - 3] != data_at - engine_at + 2:  # and the length around it is two more, which lasts
                raise Uncommon
            habit.at, habit.time = _time(time), time
        # The other tags and lengths, and what they must amount to in this message. Where the ciphertext begins is
        # unchecked (see muttd.wire.snmp_shortcut) until `enter` below.
        octets_at = data_at + (2 if data[data_at + 1] < 0x80 else data[data_at + 1] - 0x7E)
        lengths = data[: start + 2] + data[salt_at - 2 : salt_at] + data[data_at:octets_at]
        frame = len(data), engine_at - start, octets_at
        if self._frames.get(lengths) != frame:
            if (
                enter(data, 0, ber.SEQUENCE) + len(_VERSION) != position
                or data[position - len(_VERSION) : position] != _VERSION
                or data[position] != ber.SEQUENCE
                or data[position + 1] != engine_at - 6 - start
                or data[start] != ber.INTEGER
                or not 2 < size_at - start < 7
                or data[salt_at - 2] != ber.OCTET_STRING
                or data[salt_at - 1] != SALT_OCTETS
                or enter(data, data_at, ber.OCTET_STRING) != octets_at
            ):
                raise Uncommon
            self._frames.keep(lengths, frame)

        if not compare_digest(habit.digest(data[:mac_at] + habit.blank + data[mac_stop:]), data[mac_at:mac_stop]):
            raise Refused(*wrong_digest(habit.user))  # no Report: who sends a trap does not ask for one
        self._clocks.check(habit.engine_id, habit.at, source_ip, received)
        plain = habit.decrypt(habit.at, data[salt_at:data_at], data[octets_at:])
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
        return self._known.keep(lasting, Habit(header, signer, self._forgotten))


def _time(octets: bytes) -> EngineTime:
    """msgAuthoritativeEngineBoots and msgAuthoritativeEngineTime, which fill `octets`."""
    stop = 2 + octets[1]
    start = stop + 2
    boots, seconds = int.from_bytes(octets[2:stop], "big"), int.from_bytes(octets[start:], "big")
    if (
        not octets[0] == octets[stop] == ber.INTEGER
        or not 2 < stop < 7
        or not 0 < len(octets) - start < 5
        or (octets[2] | octets[start]) > 0x7F
        or boots >= v3.MAX_TIME  # where an engine's time ends, and its trust
    ):
        raise Uncommon
    return EngineTime(boots, seconds)


def read_context(octets: bytes) -> tuple[bytes, bytes]:
    """contextEngineID and contextName, which fill `octets`. Raises BerError or Uncommon."""
    engine_id, position = ber.content(octets, 0, len(octets), ber.OCTET_STRING, "contextEngineID")
    name, position = ber.content(octets, position, len(octets), ber.OCTET_STRING, "contextName")
    if position != len(octets) or max(len(engine_id), len(name)) > 0x7F:
        raise Uncommon
    return engine_id, name
