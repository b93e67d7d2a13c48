"""Notifications as devices send them, all different: what bench/snmp.py sends.

Kinds are those in the shipped MIB index with at most six objects; all are equally frequent, with five to eight variable
bindings (including sysUpTime.0 and snmpTrapOID.0).
"""

import hashlib
import random
from collections.abc import Iterator
from typing import NamedTuple

from muttd.mib.index import SHIPPED, Object, Table, read_table
from muttd.wire import ber, snmp_pdu, snmp_v3, usm
from muttd.wire import snmp_values as values

ENGINES = tuple(bytes.fromhex("80001f8804") + b"bench%d" % number for number in range(8))
USER = usm.User("bench", "SHA", "authentication", "AES", "confidentiality")
COMMUNITY = b"public"

PADDING = ("1.3.6.1.2.1.2.2.1.1", "1.3.6.1.2.1.2.2.1.2", "1.3.6.1.2.1.2.2.1.8")
"""ifIndex, ifDescr and ifOperStatus, for kinds that have few objects of their own."""
PORTS = 48
"""Instances per device; their states recur, their counters do not."""
MANY = 1_000_000
"""Instances in the load in which almost nothing recurs."""


class Kind(NamedTuple):
    """A notification's OID and the columns of its objects."""

    oid: str
    columns: list[str]


def kinds(table: Table) -> list[Kind]:
    """Those with five to eight variable bindings, padded if there are fewer."""
    columns = {known.name.rpartition("::")[2]: oid for oid, known in table.objects.items()}
    found = []
    for oid, trap in table.traps.items():
        own = [columns[name] for name in trap.objects if name in columns]
        if len(own) == len(trap.objects) <= 6:
            padding = [column for column in PADDING if column not in own]
            found.append(Kind(oid, own + padding[: max(0, 3 - len(own))]))
    return found


def pdus(count: int, *, spread: int, seed: int = 1) -> Iterator[bytes]:
    """SNMPv2-Trap-PDUs about `spread` instances."""
    chance = random.Random(seed)
    table = read_table(SHIPPED)
    known = kinds(table)
    for _ in range(count):
        kind = chance.choice(known)
        instance = chance.randrange(1, spread + 1)
        bound = [
            ber.write_oid(snmp_pdu.SYS_UPTIME) + ber.write_integer(chance.randrange(2**31), values.TIME_TICKS),
            ber.write_oid(snmp_pdu.TRAP_OID) + ber.write_oid(kind.oid),
            *(
                ber.write_oid(f"{column}.{instance}") + _value(table, column, instance, chance)
                for column in kind.columns
            ),
        ]
        zero = ber.write_integer(0)
        bindings = ber.write(ber.SEQUENCE, b"".join(ber.write(ber.SEQUENCE, binding) for binding in bound))
        yield ber.write(snmp_pdu.TRAP_V2, ber.write_integer(chance.randrange(2**24, 2**31)) + zero + zero + bindings)


def _value(table: Table, column: str, instance: int, chance: random.Random) -> bytes:
    """A plausible value for the object's name and type, constant for one instance unless it counts or measures."""
    known: Object = table.objects[column]
    name = known.name.rpartition("::")[2].lower()
    labels = table.types[known.type].labels if known.type in table.types else {}
    if known.type == "OBJECT IDENTIFIER":
        return ber.write_oid(f"1.3.6.1.2.1.2.2.1.1.{instance}")
    if labels:
        return ber.write_integer(chance.choice(list(labels)))
    if any(word in name for word in ("descr", "name", "alias", "text", "string", "message")):
        return ber.write(ber.OCTET_STRING, f"TenGigabitEthernet1/0/{instance} {name[:24]}".encode())
    if "addr" in name:
        return ber.write(values.IP_ADDRESS, bytes((10, 0, 0, 0))[:2] + (instance % 65536).to_bytes(2, "big"))
    if "time" in name or "change" in name:
        return ber.write_integer(chance.randrange(2**31), values.TIME_TICKS)
    if any(word in name for word in ("count", "drops", "inserts", "deletes", "errors", "number")):
        return ber.write_integer(chance.randrange(2**32), values.COUNTER32)
    if "index" in name:
        return ber.write_integer(instance)
    if any(word in name for word in ("mac", "phys", "id")):
        return ber.write(ber.OCTET_STRING, hashlib.sha256(b"%d" % instance).digest()[:6])
    return ber.write_integer(chance.randrange(100), values.GAUGE32)


def v2c(count: int, *, spread: int) -> list[bytes]:
    """Messages of SNMPv2c."""
    head = ber.write_integer(1) + ber.write(ber.OCTET_STRING, COMMUNITY)
    return [ber.write(ber.SEQUENCE, head + pdu) for pdu in pdus(count, spread=spread)]


def v3(count: int, *, spread: int, seconds: int) -> list[bytes]:
    """authPriv messages with SHA and AES-128 from ENGINES, whose clocks say `seconds` since their first start."""
    assert USER.auth is not None
    assert USER.priv is not None
    at = usm.EngineTime(1, seconds)
    auth_key, priv_key = (
        usm.stretched_key(USER.auth, word.encode()) for word in (USER.auth_password, USER.priv_password)
    )
    keys = {
        engine: (
            usm.localized_key(USER.auth, auth_key, engine),
            usm.privacy_keys(USER.auth, USER.priv, priv_key, engine)[0],
        )
        for engine in ENGINES
    }
    messages = []
    for number, pdu in enumerate(pdus(count, spread=spread)):
        engine = ENGINES[number % len(ENGINES)]
        auth, priv = keys[engine]
        salt = (seconds << 32 | number).to_bytes(usm.SALT_OCTETS, "big")
        scoped = snmp_v3.write_scoped(snmp_v3.Scoped(engine, b"", pdu))
        header = snmp_v3.Header(
            message_id=2**24 + number,
            max_size=snmp_v3.MAX_MESSAGE,
            flags=snmp_v3.AUTHENTICATED | snmp_v3.PRIVATE,
            security_model=snmp_v3.USM,
            engine_id=engine,
            at=at,
            user=USER.name.encode(),
            mac=bytes(usm.AUTHENTICATION[USER.auth].mac_octets),
            mac_at=0,
            salt=salt,
            data_at=0,
        )
        sealed = ber.write(ber.OCTET_STRING, usm.encrypt(USER.priv, priv, at, salt, scoped))
        message, mac_at = snmp_v3.write_message(header, sealed)
        mac = usm.mac(USER.auth, auth, message)
        messages.append(message[:mac_at] + mac + message[mac_at + len(mac) :])
    return messages
