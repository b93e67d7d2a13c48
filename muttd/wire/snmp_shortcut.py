"""The shortcut: from the octets of an everyday trap straight to the JSON of its event.

Nearly all traps are well formed and repeat earlier ones, for another port or at another time. Their JSON is assembled
from cached pieces, without making values in between. Anything unusual raises Uncommon and is left to the long way
(muttd.wire.snmp), which decides what a datagram means: whenever the shortcut answers, it gives octet for octet what the
long way would (tests/unit/test_snmp_shortcut.py).

Where the content of an element begins is found unchecked, here and in muttd.wire.snmp and muttd.wire.snmp_v3_shortcut:
2 octets from its tag if the length's first octet is below 0x80, else as many as that octet minus 0x7E. That octet is
part of what is looked up, and on a miss `enter` checks it before anything is kept. (A function for this would cost 0.1
µs per trap.)

Pure: no I/O, no clock.
"""

from collections import Counter
from typing import NamedTuple

import msgspec

from muttd.memory import Memory
from muttd.wire import ber
from muttd.wire.snmp_bindings import MAX_VARBINDS, Bindings, Names, Show
from muttd.wire.snmp_bindings import TRAP_COMMUNITY as _TRAP_COMMUNITY
from muttd.wire.snmp_pdu import SYS_UPTIME, TRAP_OID, TRAP_V1, TRAP_V2, translated
from muttd.wire.snmp_values import COUNTER32, COUNTER64, GAUGE32, IP_ADDRESS, TIME_TICKS, ip_address, text_or_hex

MAX_REMEMBERED_OCTETS = 96
"""Longer bindings are texts, which seldom recur."""
MAX_LISTS = 8192
"""Whole lists of bindings cached, about 2 kB each: a flapping interface repeats itself except for the time."""
MAX_LIST_OCTETS = 8192
"""Of a cached list and its text; 64 MB in all at most. Anybody can send longer ones again and again."""
MAX_FRAMES = 4096
"""Beginnings of messages cached, one per length; about 250 octets each."""
PASSING = frozenset((COUNTER32, COUNTER64, TIME_TICKS))
"""Types whose values do not recur."""
APART = ("1.3.6.1.6.3.1.1.4", "1.3.6.1.6.3.18.1")
"""snmpTrap, and the objects one of which is a secret: what they say about the trap itself is left to the long way."""

NUMBERS = {
    ber.INTEGER: ('","type":"Integer32","value":', 4, True, 2**32 - 1),
    COUNTER32: ('","type":"Counter32","value":', 5, False, 2**32 - 1),
    GAUGE32: ('","type":"Gauge32","value":', 5, False, 2**32 - 1),
    TIME_TICKS: ('","type":"TimeTicks","value":', 5, False, 2**32 - 1),
    COUNTER64: ('","type":"Counter64","value":', 9, False, 2**64 - 1),
}
"""Types of numbers by their tag: the JSON between OID and value, the most octets, whether they have a sign, and the
largest value."""
TEXTS = {
    ber.OCTET_STRING: ('","type":"OctetString","value":', text_or_hex),
    ber.OBJECT_IDENTIFIER: ('","type":"ObjectIdentifier","value":', ber.oid),
    IP_ADDRESS: ('","type":"IpAddress","value":', ip_address),
}
"""Types that are shown as text, with their readers."""

TRAP_COMMUNITY = ber.write_oid(f"{_TRAP_COMMUNITY}.0")
"""snmpTrapCommunity.0 as encoded in a datagram, which then contains a secret and is left to the long way."""

_UPTIME = ber.write_oid(SYS_UPTIME) + bytes((TIME_TICKS,))
_TRAP_OID = ber.write_oid(TRAP_OID) + bytes((ber.OBJECT_IDENTIFIER,))
_NO_ERROR = ber.write_integer(0) * 2
_TO_UPTIME = len(_NO_ERROR) + 2 + 2 + len(_UPTIME) + 1
"""Octets from the end of the request-id to the value of sysUpTime.0, if the bindings' length has one octet."""


class Uncommon(Exception):  # noqa: N818 # not an error: it says which way to take
    """This datagram is for the long way. IndexError (it ends too early) and BerError mean the same."""


class Said(msgspec.Struct, frozen=True, gc=False):
    """What the event of a notification says, as pieces of JSON: `text` from the first letter of `message` to the end
    of `varbinds`, and the members of `snmp` that the PDU makes."""

    text: str
    snmp: str
    agent_address: str | None


class Peer(NamedTuple):
    """A sender: its address, and, as JSON, what is between the times of an event and its message, and what follows
    the bindings."""

    address: str
    members: str
    snmp: str


class Subject(NamedTuple):
    """A trap OID: how a sentence calls it, and the members of its event up to `varbinds`."""

    name: str
    members: str


class Head(NamedTuple):
    """A v1 trap up to its time stamp; `snmp` follows `uptime`."""

    subject: Subject
    snmp: str
    agent_address: str


class Column(NamedTuple):
    """Objects whose OIDs differ in their last number: what stands before it in the JSON of a binding, in the name, if
    they have one, and in the sentence, where `word` is all if it is not `numbered`."""

    oid: str
    name: str | None
    word: str
    numbered: bool
    show: Show | None


class Shortcut:
    """Reads notification PDUs. Raises Uncommon, IndexError or BerError."""

    def __init__(self, names: Names | None, bindings: Bindings, capacity: int, forgotten: Counter[str]) -> None:
        """`bindings` is the long way's reader of a single variable binding; `capacity` is that of each memory."""
        self._names = names
        self._bindings = bindings
        self._known: Memory[bytes, tuple[str, str]] = Memory("bindings", capacity, forgotten)
        self._frames: Memory[bytes, int] = Memory("frames", MAX_FRAMES, forgotten)
        """Lengths of PDUs by their octets up to sysUpTime.0, except for the values of that and of the request-id."""
        self._lists: Memory[bytes, str] = Memory("lists", MAX_LISTS, forgotten)
        self._columns: Memory[bytes, Column] = Memory("columns", capacity, forgotten)
        self._subjects: Memory[bytes, Subject] = Memory("trap_oids", capacity, forgotten)
        self._heads: Memory[bytes, Head] = Memory("v1_heads", capacity, forgotten)

    def trap_v2(self, data: bytes, position: int) -> Said:
        """The SNMPv2-Trap-PDU that fills `data` from `position` on."""
        # The lengths, unchecked (see the module's docstring), say where the numbers are. Everything around them is the
        # same in many traps, and is looked up.
        form = data[position + 1]
        id_at = position + (4 if form < 0x80 else form - 0x7C)
        id_stop = id_at + data[id_at - 1]
        form = data[id_stop + 7]
        uptime_at = id_stop + (_TO_UPTIME if form < 0x80 else _TO_UPTIME + form - 0x80)
        stop = uptime_at + data[uptime_at - 1]
        frame = data[position:id_at] + data[id_stop:uptime_at]
        if self._frames.get(frame) != len(data) - position:
            self._check(data, position, id_at, id_stop, uptime_at)
            self._frames.keep(frame, len(data) - position)
        request_id = int.from_bytes(data[id_at:id_stop], "big", signed=True)
        uptime = int.from_bytes(data[uptime_at:stop], "big")
        if uptime >> 32:
            raise Uncommon

        octets = data[stop:]
        text = self._lists.get(octets) or self._list(octets)
        return Said(text, f'"request_id":{request_id},"uptime":{uptime}', None)

    def _check(self, data: bytes, position: int, id_at: int, id_stop: int, uptime_at: int) -> None:
        """Checks everything up to the value of sysUpTime.0, except for the value of the request-id."""
        list_at, name_at = id_stop + len(_NO_ERROR), uptime_at - len(_UPTIME) - 1
        if (
            enter(data, position, TRAP_V2) != id_at - 2
            or data[id_at - 2] != ber.INTEGER
            or not 0 < id_stop - id_at <= 4
            or data[id_stop:list_at] != _NO_ERROR
            or enter(data, list_at, ber.SEQUENCE) != name_at - 2
            or data[name_at - 2] != ber.SEQUENCE
            or data[name_at - 1] != uptime_at + data[uptime_at - 1] - name_at
            or data[name_at : uptime_at - 1] != _UPTIME
            or not 0 < data[uptime_at - 1] <= 5
        ):
            raise Uncommon

    def _list(self, data: bytes) -> str:
        """The text of the bindings from snmpTrapOID.0 on, which begins `data`."""
        position = 2 + data[1]
        octets = data[:position]
        subject = self._subjects.get(octets) or self._subject(octets)
        text = self._bound(data, position, subject, MAX_VARBINDS - 2)
        size = len(data) + len(text) * (1 if text.isascii() else 4)  # one wide character widens all
        return self._lists.notice(data, text) if size <= MAX_LIST_OCTETS else text

    def trap_v1(self, data: bytes, position: int) -> Said:
        """The Trap-PDU that fills `data` from `position` on."""
        stop = position = enter(data, position, TRAP_V1)
        for _ in range(4):  # enterprise, agent-addr, generic-trap, specific-trap
            stop += 2 + data[stop + 1]
        octets = data[position:stop]
        head = self._heads.get(octets) or self._head(octets)
        start = stop + 2
        position = start + data[stop + 1]
        uptime = int.from_bytes(data[start:position], "big")
        if data[stop] != TIME_TICKS or not start < position <= start + 5 or uptime >> 32:
            raise Uncommon
        text = self._bound(data, enter(data, position, ber.SEQUENCE), head.subject, MAX_VARBINDS)
        return Said(text, f'"uptime":{uptime}{head.snmp}', head.agent_address)

    def _bound(self, data: bytes, position: int, subject: Subject, most: int) -> str:
        """The text of the bindings that fill `data` from `position` on."""
        known, end = self._known, len(data)
        words, varbinds = [subject.name], []
        while position < end:
            stop = position + 2 + data[position + 1]
            if data[position + 1] > 0x7F:
                stop = ber.announced(data, position, end)[2]
            octets = data[position:stop]
            varbind, word = known.get(octets) or self._piece(octets)
            varbinds.append(varbind)
            words.append(word)
            position = stop
        if position != end or len(varbinds) > most:
            raise Uncommon
        return f'{" ".join(words)}"{subject.members},"varbinds":[{",".join(varbinds)}]'

    def _piece(self, octets: bytes) -> tuple[str, str]:
        """One binding as an element of `varbinds` and as `name=value`."""
        if TRAP_COMMUNITY in octets:
            raise Uncommon
        name_stop = 4 + octets[3]
        tag, length, start = octets[name_stop], octets[name_stop + 1], name_stop + 2
        number = octets[name_stop - 1]
        if (
            octets[0] != ber.SEQUENCE
            or not octets[1] == len(octets) - 2 < 0x80
            or octets[2] != ber.OBJECT_IDENTIFIER
            or length != len(octets) - start
            or number > 0x7F
        ):
            return self._whole(octets)
        parent_stop = name_stop - 1
        if octets[parent_stop - 1] > 0x7F:
            parent_stop, number = _last_number(octets, name_stop)
        parent = octets[4:parent_stop]
        column = self._columns.get(parent) or self._column(parent)
        if column is None:
            return self._whole(octets)

        oid, name, word, numbered, show = column
        instance, content = str(number), octets[start:]
        if tag in NUMBERS:
            kind, most, signed, largest = NUMBERS[tag]
            value = int.from_bytes(content, "big", signed=signed)
            if not 0 < length <= most or value > largest:
                raise Uncommon
            quoted = said = str(value)
            display = show(value) if show else None
        elif tag in TEXTS:
            kind, read = TEXTS[tag]
            text = read(content)
            quoted = _json(text)
            said = quoted[1:-1]
            display = show(content if tag == ber.OCTET_STRING else text) if show else None
        else:
            return self._whole(octets)
        shown = ""
        if display is not None:
            shown_as = _json(display)
            shown, said = f',"display":{shown_as}', shown_as[1:-1] or said
        named = f'{name}{instance}"' if name else ""
        piece = (
            f"{oid}{instance}{kind}{quoted}{named}{shown}}}",
            f"{word}{instance}={said}" if numbered else f"{word}={said}",
        )
        if tag in PASSING or len(octets) > MAX_REMEMBERED_OCTETS:
            return piece
        return self._known.notice(octets, piece)

    def _column(self, parent: bytes) -> Column | None:
        """What all objects directly below this OID have in common; None if they may be of different kinds."""
        oid = ber.oid(parent)
        if not parent or oid.startswith(APART):
            raise Uncommon
        if self._names and self._names.is_branch(oid):
            return None
        label = self._names.instance(f"{oid}.0") if self._names else None
        before = f'{{"oid":"{oid}.'
        if label is None:
            return self._columns.keep(parent, Column(before, None, f"{oid}.", numbered=True, show=None))
        numbered = label.short.endswith(".0")
        name = _json(label.name)[:-2]  # without its 0 and last quote
        word = _json(label.short)[1 : -2 if numbered else -1]
        return self._columns.keep(parent, Column(before, f',"name":{name}', word, numbered, label.show))

    def _whole(self, octets: bytes) -> tuple[str, str]:
        """A binding as the long way reads it."""
        varbind, word, flaw = self._bindings.read(octets)
        if varbind is None or flaw is not None or varbind.oid.startswith(APART):
            raise Uncommon
        piece = _json(varbind), _json(word)[1:-1]
        return self._known.notice(octets, piece) if len(octets) <= MAX_REMEMBERED_OCTETS else piece

    def _subject(self, octets: bytes) -> Subject:
        """The binding of snmpTrapOID.0."""
        start = 2 + len(_TRAP_OID)
        content = octets[start + 1 :]
        if (
            octets[2:start] != _TRAP_OID
            or octets[0] != ber.SEQUENCE
            or not octets[1] == len(octets) - 2 < 0x80
            or octets[start] != len(content)
            or TRAP_COMMUNITY in content
        ):
            raise Uncommon
        return self._subjects.keep(octets, self._called(ber.oid(content)))

    def _called(self, trap_oid: str) -> Subject:
        trap = self._names.trap(trap_oid) if self._names else None
        if trap is None:
            return Subject(trap_oid, f',"trap_oid":"{trap_oid}"')
        name = _json(trap.name)
        severity = "" if trap.severity is None else f',"syslog_severity":{trap.severity}'
        return Subject(name[1:-1], f'{severity},"trap_oid":"{trap_oid}","trap_name":{name}')

    def _head(self, octets: bytes) -> Head:
        """A v1 trap from its enterprise to its specific-trap."""
        content, position = ber.content(octets, 0, len(octets), ber.OBJECT_IDENTIFIER, "enterprise")
        enterprise = ber.oid(content)
        content, position = ber.content(octets, position, len(octets), IP_ADDRESS, "agent-addr")
        address = ip_address(content)
        generic, position = ber.number(octets, position, len(octets), "generic-trap")
        specific, position = ber.number(octets, position, len(octets), "specific-trap")
        defects: list[str] = []
        trap_oid = translated(enterprise, generic, specific, defects)
        if defects or trap_oid is None or position != len(octets) or TRAP_COMMUNITY in octets:
            raise Uncommon
        snmp = (
            f',"enterprise":"{enterprise}","generic_trap":{generic},"specific_trap":{specific}'
            f',"agent_address":"{address}"'
        )
        return self._heads.keep(octets, Head(self._called(trap_oid), snmp, address))


def event_json(event_id: str, at: str, peer: Peer, said: Said, *, raw: str, sender: str = "") -> bytes:
    """The event. `at` is of `times_json`; `sender` are members of `snmp`; nothing in `event_id` and `raw` has to be
    escaped."""
    return f'{{"id":"{event_id}{at}{peer.members}{said.text}{peer.snmp}{said.snmp}{sender}}},"raw":"{raw}"}}'.encode()


def times_json(at: str) -> str:
    """What is between the id and the sender of an event that was received at this time."""
    return f'","kind":"trap","received_at":"{at}","timestamp":"{at}","source_ip":'


def peer_json(address: str, host: str, version: str) -> Peer:
    """A sender by its address and name."""
    return Peer(
        address,
        f'{_json(address)},"transport":"snmpv{version}","hostname":{_json(host)},"message":"',
        f',"snmp":{{"version":"{version}","pdu":"trap",',
    )


def members_json(members: dict[str, str]) -> str:
    """Members that follow others in an object."""
    return "," + _json(members)[1:-1] if members else ""


def enter(data: bytes, position: int, tag: int) -> int:
    """First octet of the content of the element that fills `data` from `position` on."""
    length = data[position + 1]
    start = position + 2
    if length == 0x81:
        length = data[start]
        start += 1
    elif length == 0x82:
        length = data[start] << 8 | data[start + 1]
        start += 2
    elif length > 0x7F:
        raise Uncommon
    if data[position] != tag or start + length != len(data):
        raise Uncommon
    return start


def _last_number(octets: bytes, stop: int) -> tuple[int, int]:
    """Where the last number of the object identifier that ends before `stop` begins, and that number."""
    start = stop - 2
    number = (octets[start] & 0x7F) << 7 | octets[stop - 1]
    shift = 14
    while octets[start - 1] > 0x7F:
        start -= 1
        number |= (octets[start] & 0x7F) << shift
        shift += 7
    if number > ber.MAX_SUBIDENTIFIER:
        raise Uncommon
    return start, number


def _json(value: object) -> str:
    return _encode(value).decode()


_encode = msgspec.json.Encoder().encode
