"""What a TrapReader returns for one datagram: an event, or the reason why there is none.

Pure: no I/O, no clock.
"""

from typing import NamedTuple

from muttd.event import Event

ROUTINE = frozenset(("discovery", "retransmission"))
"""Reasons that are part of the protocol's normal operation: counted, but not warned about."""


class Refusal(NamedTuple):
    """Why a datagram gave no event.

    `reason` is a metric label: version, not_a_notification, community, unknown_user, level, wrong_digest,
    not_in_time_window, unknown_engine, decryption, security_model, discovery, retransmission.
    `detail` is one sentence that an engineer can act on; it contains no secret.
    """

    reason: str
    detail: str


class Reading(NamedTuple):
    """Exactly one of `event` and `refused` is set.

    With an event, `reply` answers an inform, and is to be sent once the event is safe. With a refusal, it is to be sent
    at once: a Report, or the answer to a retransmitted inform whose event is already safe.
    """

    event: Event | None
    reply: bytes | None
    refused: Refusal | None


class Refused(Exception):  # noqa: N818 # not an error of ours: it carries a Refusal from deep in a message to its reader
    """Raised inside wire/ only; TrapReader turns it into a Reading."""

    def __init__(self, reason: str, detail: str, reply: bytes | None = None) -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)
        self.reply = reply
