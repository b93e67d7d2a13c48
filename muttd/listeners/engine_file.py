"""The identity of our SNMPv3 engine, kept on disk: the id never changes, the boots increase with every start.

RFC 3414 section 2.2.2 requires both: a sender that has learned our boots refuses an engine whose boots went backwards.
"""

import fcntl
import json
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from muttd.errors import MuttError

_PREFIX = bytes.fromhex("8000000005")
"""RFC 3411 SnmpEngineID: enterprise 0 (we have no number of our own), format 5: octets, administratively assigned."""
_MOST_BOOTS = 2**31 - 1


class Identity(NamedTuple):
    """`id` has 5 to 32 octets; `boots` is 1 to 2^31 - 1."""

    id: bytes
    boots: int


def start(file: Path) -> Identity:
    """Counts one more boot and returns the identity, which the first start makes. Raises MuttError."""
    try:
        file.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o640), "r+") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX)
            known = _read(opened.read(), file)
            identity = Identity(known.id, min(known.boots + 1, _MOST_BOOTS))
            opened.seek(0)
            opened.write(json.dumps({"id": identity.id.hex(), "boots": identity.boots}) + "\n")
            opened.truncate()
            opened.flush()
            os.fsync(opened.fileno())  # boots that went backwards after a power loss would lock senders out
    except OSError as error:
        raise MuttError(
            f"snmp.engine_file {file}: {error.strerror}; SNMPv3 users need a file that muttd may write"
        ) from None
    return identity


def _read(text: str, file: Path) -> Identity:
    if not text:
        return Identity(_PREFIX + secrets.token_bytes(12), 0)
    try:
        document = json.loads(text)
        identity = Identity(bytes.fromhex(document["id"]), int(document["boots"]))
    except (ValueError, KeyError, TypeError):
        identity = Identity(b"", 0)
    if not 5 <= len(identity.id) <= 32 or not 0 <= identity.boots <= _MOST_BOOTS:
        raise MuttError(f"snmp.engine_file {file}: damaged; remove it, and SNMPv3 senders learn the new engine")
    return identity
