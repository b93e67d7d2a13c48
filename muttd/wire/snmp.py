"""SNMP notifications: a datagram becomes an Event, with the answer its sender waits for (RFC 3416, 3412, 3414, 3584).

`TrapReader.read` is total: whatever the octets are, it returns an Event, with a line in `defects` for anything that
could not be read, or a Refusal with its reason. It keeps the state that SNMP requires (informs that may be repeated,
engines that authenticated, keys localised for them), each with a cap.

`TrapReader.encoded` gives the same, but the events of everyday traps already as JSON (muttd.wire.snmp_shortcut).

Pure: no I/O; the time is an argument.
"""

import hmac
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from muttd.event import Event, Snmp, rfc3339
from muttd.memory import Memory
from muttd.wire import ber, snmp_pdu
from muttd.wire.ber import BerError
from muttd.wire.snmp_bindings import Bindings, Names
from muttd.wire.snmp_clocks import TIME_WINDOW, Engine
from muttd.wire.snmp_event import sender_of, snmp_of, without_trap_community
from muttd.wire.snmp_informs import RecentInforms, Standing
from muttd.wire.snmp_pdu import INFORM, NOTIFICATIONS, PDU_NAMES, TRAP_V1, Notification
from muttd.wire.snmp_reading import ROUTINE, Reading, Refusal, Refused
from muttd.wire.snmp_security import Opened, Security
from muttd.wire.snmp_shortcut import (
    TRAP_COMMUNITY,
    Peer,
    Said,
    Shortcut,
    Uncommon,
    enter,
    event_json,
    members_json,
    peer_json,
    times_json,
)
from muttd.wire.snmp_v3_shortcut import Habit, read_context
from muttd.wire.sources import MAX_SOURCES, Network, Sources
from muttd.wire.usm import AUTH_PRIV, User

__all__ = ["ROUTINE", "Engine", "Names", "Reading", "Refusal", "TrapReader", "User"]

VERSIONS = {0: "1", 1: "2c"}
_VERSIONS = {ber.write_integer(number): version for number, version in VERSIONS.items()}
_VERSION_3 = ber.write_integer(3)

MAX_BINDINGS = 32_768
"""Variable bindings cached, and their names: four for 64 interfaces of 128 devices; about 700 octets, at
most 2 kB each."""
MAX_HEADS = 8_192
"""Beginnings of v1 and v2c messages cached, one per community and length; about 400 octets each, at most 700."""
MAX_INFORMS = 8_192
"""Informs remembered: two minutes' worth at 50 a second."""
NO_ADDRESS = "0.0.0.0"  # noqa: S104 # the agent-addr of a device that does not say, not an address to bind


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A datagram and what is known about it besides its octets. `source_ip` is normalised."""

    data: bytes
    source_ip: str
    received: float
    event_id: str


class Accepted(NamedTuple):
    """The beginning of a v1 or v2c message of `length` octets, up to its community: `masked` is its hex, `trap` reads
    the PDU."""

    length: int
    version: str
    masked: str
    trap: Callable[[bytes, int], Said]


class TrapReader:
    """Reads datagrams from any number of senders.

    communities: those accepted from v1 and v2c; none means any.
    users: v3 credentials; several of one name are tried in their order.
    engine: our own, for v3 informs. Without one, all are read, whomever they are for, but not answered: for captures.
    time_window: seconds that a v3 message may be late; None believes every clock: for captures too.
    names: a MIB index, or None to leave object identifiers as they are.
    host_names: networks and what to call their devices; the longest prefix counts.
    """

    def __init__(
        self,
        *,
        communities: Collection[bytes] = (),
        users: Sequence[User] = (),
        engine: Engine | None = None,
        time_window: float | None = TIME_WINDOW,
        names: Names | None = None,
        host_names: Sequence[tuple[Network, str]] = (),
        max_bindings: int = MAX_BINDINGS,
        max_informs: int = MAX_INFORMS,
    ) -> None:
        self._communities = tuple(communities)
        self._names = names
        self.forgotten: Counter[str] = Counter()
        """How often each memory was full and was cleared, by its name."""
        self._security = Security(users, engine, time_window=time_window, forgotten=self.forgotten)
        self._bindings = Bindings(names, max_bindings, self.forgotten)
        self._shortcut = Shortcut(names, self._bindings, max_bindings, self.forgotten)
        self._accepted: Memory[bytes, Accepted] = Memory("heads", MAX_HEADS, self.forgotten)
        self._senders: Memory[tuple[bytes, bytes, bytes, bytes, str], str] = Memory(
            "senders", MAX_SOURCES, self.forgotten
        )
        self._peers: Memory[tuple[str, str | None, str | None, str], Peer] = Memory(
            "peers", MAX_SOURCES, self.forgotten
        )
        self._informs = RecentInforms(max_informs, self.forgotten)
        self._sources = Sources(names=host_names)
        self._second = -1
        self._second_text = ""
        self._moment = -1.0
        self._moment_json = ""

    def replace_secrets(self, communities: Collection[bytes], users: Sequence[User]) -> None:
        """Accepts `communities` and `users` from now on, and no others."""
        self._security.replace_users(users)
        self._communities = tuple(communities)
        self._accepted.clear()

    def encoded(
        self, data: bytes, source_ip: str, received: float, event_id: str, known_as: str | None = None
    ) -> bytes | Reading:
        """Like `read`, but gives the event of an everyday trap as JSON, at a fraction of the cost.

        `known_as` is the sender's host name, used if none is configured.
        """
        try:
            position = 2 if data[1] < 0x80 else data[1] - 0x7E  # of the version's tag; unchecked as in snmp_shortcut
            if data[position : position + 3] == _VERSION_3:
                peer = self._peers.get((source_ip, None, known_as, "3")) or self._peer(source_ip, None, known_as, "3")
                return self._everyday_v3(data, position + 3, peer, received, event_id) or self._encoded_v3(
                    Arrival(data, peer.address, received, event_id), peer, enter(data, 0, ber.SEQUENCE) + 3
                )
            stop = position + 5 + data[position + 4]
            head = data[:stop]
            length, version, masked, trap = self._accepted.get(head) or self._accept(data, head)
            said = trap(data, stop) if length == len(data) else None
        except (Uncommon, BerError, IndexError):
            said = None
        if said is None:
            return self.read(data, source_ip, received, event_id)
        who = source_ip, said.agent_address, known_as, version
        peer = self._peers.get(who) or self._peer(*who)
        return event_json(event_id, self._times(received), peer, said, raw=masked + data[stop:].hex())

    def _everyday_v3(
        self, data: bytes, position: int, peer: Peer, received: float, event_id: str
    ) -> bytes | Reading | None:
        """The event of a trap whose sender was believed before; None if it is not an everyday one."""
        try:
            habit, scoped = self._security.everyday.open(data, position, peer.address, received)
            name_at = 2 + scoped[1]
            pdu_at = name_at + 2 + scoped[name_at + 1]
            context = scoped[:pdu_at]
            sender = habit.senders.get(context) or self._context(habit, context)
            said = self._shortcut.trap_v2(scoped, pdu_at)
        except (Uncommon, BerError, IndexError):
            return None
        except Refused as refused:
            return Reading(None, refused.reply, refused.refusal)
        return event_json(event_id, self._times(received), peer, said, raw=data.hex(), sender=sender)

    def _context(self, habit: Habit, octets: bytes) -> str:
        """The sender of an authPriv message with this contextEngineID and contextName, as members of `snmp`."""
        sender = self._sender(habit.user, habit.engine_id, *read_context(octets), AUTH_PRIV)
        return habit.senders.keep(octets, sender)

    def _encoded_v3(self, arrival: Arrival, peer: Peer, position: int) -> bytes | Reading:
        """What follows the version of a v3 message that fills its datagram."""
        data, received = arrival.data, arrival.received
        try:
            opened = self._security.open(data, position, peer.address, received)
            try:
                said = self._shortcut.trap_v2(opened.scoped.pdu, 0)
                header, scoped = opened.header, opened.scoped
                sender = self._sender(
                    header.user, header.engine_id, scoped.context_engine_id, scoped.context_name, opened.level
                )
            except (Uncommon, BerError, IndexError):
                return self._v3_notification(arrival, opened, len(data), [])
        except Refused as refused:
            return Reading(None, refused.reply, refused.refusal)
        return event_json(arrival.event_id, self._times(received), peer, said, raw=data.hex(), sender=sender)

    def _sender(self, *who: *tuple[bytes, bytes, bytes, bytes, str]) -> str:
        """Who sent a v3 message (user, engine ID, contextEngineID, contextName, level), as members of `snmp`."""
        known = self._senders.get(who)
        if known is None:
            texts = who[:4]
            if not who[1] or max(map(len, texts)) > 0x7F or any(TRAP_COMMUNITY in octets for octets in texts):
                raise Uncommon
            known = self._senders.keep(who, members_json(sender_of(*who)))
        return known

    def _accept(self, data: bytes, head: bytes) -> Accepted:
        """The version and community that a message begins with, if both are plain and accepted."""
        start = enter(data, 0, ber.SEQUENCE)
        version = _VERSIONS.get(head[start : start + 3])
        community = head[start + 5 :]
        if version is None or head[start + 3] != ber.OCTET_STRING or not head[start + 4] == len(community) < 0x80:
            raise Uncommon
        if not self._is_accepted(community):
            raise Uncommon
        trap = self._shortcut.trap_v1 if version == "1" else self._shortcut.trap_v2
        masked = head[: start + 5].hex() + b"*".hex() * len(community)
        return self._accepted.keep(head, Accepted(len(data), version, masked, trap))

    def _peer(self, source_ip: str, agent_address: str | None, known_as: str | None, version: str) -> Peer:
        """The sender as pieces of JSON."""
        address = self._sources[source_ip].address
        host = self._hostname(address, agent_address)
        if known_as and host == address:
            host = known_as
        return self._peers.keep((source_ip, agent_address, known_as, version), peer_json(address, host, version))

    def read(self, data: bytes, source_ip: str, received: float, event_id: str) -> Reading:
        """One datagram. `received` is seconds since 1970."""
        arrival = Arrival(data, self._sources[source_ip].address, received, event_id)
        defects: list[str] = []
        try:
            start, end = ber.enter(data, 0, len(data), ber.SEQUENCE, what="message", defects=defects)
            version, position = ber.number(data, start, end, "version")
        except BerError as fault:
            return self._unreadable(arrival, None, data, str(fault), defects)
        if end != len(data):
            defects.append(f"{len(data) - end} octets behind the message")
        try:
            if version in (0, 1):
                return self._community_message(arrival, VERSIONS[version], position, end, defects)
            if version == 3:
                return self._v3_message(arrival, data[:end], position, defects)
        except Refused as refused:
            return Reading(None, refused.reply, refused.refusal)
        refusal = Refusal("version", f"SNMP version number {version} is none of 0 (v1), 1 (v2c) and 3 (v3)")
        return Reading(None, None, refusal)

    def settle(self, event_id: str, *, safe: bool) -> None:
        """The fate of an inform's event: safe, so that a retransmission is answered; or lost, so that it is read again.

        To be called for every event with a reply. Until then a retransmission is not answered and makes no event.
        """
        self._informs.settle(event_id, safe=safe)

    def _community_message(
        self, arrival: Arrival, version: str, position: int, end: int, defects: list[str]
    ) -> Reading:
        """What follows the version of a v1 or v2c message (RFC 1157 section 4, RFC 1901 section 3)."""
        data = arrival.data
        try:
            community, position = ber.content(data, position, end, ber.OCTET_STRING, "community")
        except BerError as fault:
            # Where it ends is not known; its tag and length stay, so that raw fails in the same way.
            masked = data[: position + 2] + b"*" * (len(data) - position - 2)
            return self._unreadable(arrival, version, masked, str(fault), defects)
        if not self._is_accepted(community):
            raise Refused("community", f"v{version} community is not in the list of those accepted")
        masked = data[: position - len(community)] + b"*" * len(community) + data[position:]
        try:
            tag = _notification_tag(data, position, end)
            pdu = data[position:end]
            notification = snmp_pdu.read_notification(pdu, self._bindings, defects)
        except BerError as fault:
            return self._unreadable(arrival, version, masked, str(fault), defects)
        if (tag == TRAP_V1) != (version == "1"):
            defects.append(f"{PDU_NAMES[tag]} PDU in a v{version} message")
        snmp = snmp_of(notification, version, None)
        reply = None
        if tag == INFORM and (answer := snmp_pdu.response(pdu)):
            reply = data[:position] + answer
            self._once(arrival, (arrival.source_ip, community, pdu), reply)
        return Reading(self._event(arrival, notification, snmp, masked, defects), reply, None)

    def _is_accepted(self, community: bytes) -> bool:
        # All are compared, so that the time taken says nothing about which one it is.
        return not self._communities or sum(hmac.compare_digest(community, known) for known in self._communities) > 0

    def _v3_message(self, arrival: Arrival, data: bytes, position: int, defects: list[str]) -> Reading:
        """What follows the version of a v3 message."""
        try:
            opened = self._security.open(data, position, arrival.source_ip, arrival.received)
        except BerError as fault:
            return self._unreadable(arrival, "3", arrival.data, str(fault), defects)
        return self._v3_notification(arrival, opened, len(data), defects)

    def _v3_notification(self, arrival: Arrival, opened: Opened, limit: int, defects: list[str]) -> Reading:
        """What a v3 message holds that is believed; `limit` is its length, which no answer may exceed."""
        pdu = opened.scoped.pdu
        try:
            tag = _notification_tag(pdu, 0, len(pdu))
            notification = snmp_pdu.read_notification(pdu, self._bindings, defects)
        except BerError as fault:
            return self._unreadable(arrival, "3", arrival.data, str(fault), defects)
        if tag == TRAP_V1:
            defects.append("Trap PDU in a v3 message")
        if not opened.header.engine_id:
            defects.append("no engine ID")
        reply = None
        if tag == INFORM and (answer := snmp_pdu.response(pdu)):
            reply = self._security.respond(opened, answer, arrival.received, limit)
            self._once(arrival, (arrival.source_ip, opened.header.user, opened.level, pdu), reply)
        event = self._event(arrival, notification, snmp_of(notification, "3", opened), arrival.data, defects)
        return Reading(event, reply, None)

    def _once(self, arrival: Arrival, identity: tuple[object, ...], reply: bytes | None) -> None:
        """Raises Refused for an inform that was here before, with the reply if its event is safe."""
        standing = self._informs.arrive(hash(identity), arrival.event_id, arrival.received)
        if standing is not Standing.NEW:
            raise Refused(
                "retransmission",
                "inform was received before",
                reply if standing is Standing.SAFE else None,
            )

    def _event(
        self, arrival: Arrival, notification: Notification, snmp: Snmp, masked: bytes, defects: list[str]
    ) -> Event:
        trap_oid = notification.trap_oid
        trap = self._names.trap(trap_oid) if self._names and trap_oid else None
        received_at = self._received_at(arrival.received)
        subject = trap.name if trap else trap_oid or f"SNMP {notification.pdu} without a trap OID"
        return Event(
            id=arrival.event_id,
            kind="trap",
            received_at=received_at,
            timestamp=received_at,
            source_ip=arrival.source_ip,
            transport=f"snmpv{snmp.version}",
            hostname=self._hostname(arrival.source_ip, notification.agent_address),
            message=" ".join((subject, *notification.words)),
            syslog_severity=trap.severity if trap else None,
            trap_oid=trap_oid,
            trap_name=trap.name if trap else None,
            varbinds=notification.varbinds,
            snmp=snmp,
            raw=without_trap_community(masked).hex(),
            defects=defects or None,
        )

    def _unreadable(
        self, arrival: Arrival, version: str | None, masked: bytes, fault: str, defects: list[str]
    ) -> Reading:
        """The event for a datagram that cannot be read, with the reason."""
        for community in self._communities if version is None else ():
            if community:
                masked = masked.replace(community, b"*" * len(community))
        received_at = self._received_at(arrival.received)
        event = Event(
            id=arrival.event_id,
            kind="trap",
            received_at=received_at,
            timestamp=received_at,
            source_ip=arrival.source_ip,
            transport=f"snmpv{version}" if version else "udp",
            hostname=self._hostname(arrival.source_ip, None),
            message=f"SNMP datagram of {len(masked)} octets that cannot be read: {fault}",
            raw=without_trap_community(masked).hex(),
            defects=[*defects, fault],
        )
        return Reading(event, None, None)

    def _times(self, received: float) -> str:
        """The times of an event as JSON, kept because a burst of datagrams shares them."""
        if received != self._moment:
            self._moment = received
            self._moment_json = times_json(self._received_at(received))
        return self._moment_json

    def _received_at(self, received: float) -> str:
        """RFC 3339; the text of the second is kept, because many datagrams share it."""
        second = int(received)
        if second != self._second:
            self._second = second
            self._second_text = rfc3339(second)[:20]
        return f"{self._second_text}{int((received - second) * 1_000_000):06}Z"

    def _hostname(self, source_ip: str, agent_address: str | None) -> str:
        """The configured name of the sending device, else its address."""
        origin = source_ip if agent_address is None or agent_address == NO_ADDRESS else agent_address
        return self._sources[origin].name


def _notification_tag(data: bytes, position: int, end: int) -> int:
    """The tag of the PDU at `position`. Raises Refused if it is not a notification."""
    tag = snmp_pdu.kind(data, position, end)
    if tag not in NOTIFICATIONS:
        raise Refused("not_a_notification", f"{PDU_NAMES[tag]} is neither a trap nor an inform")
    return tag
