"""Junos: the message opens with its tag, `RPD_BGP_NEIGHBOR_STATE_CHANGED: text`."""

import re

from muttd.wire.dialects import Body
from muttd.wire.interfaces import interface_in
from muttd.wire.reading import Reading

_TAG = re.compile(r"([A-Z][A-Z0-9]{1,20}(?:_[A-Z0-9]{1,40}){1,8}): ")


def read_tag(reading: Reading) -> bool:
    """The message's tag and the interface that it is about."""
    tag = _TAG.match(reading.message)
    if tag:
        reading.found(mnemonic=tag[1], interface=interface_in(reading.message, tag.end()))
    return tag is not None


BODIES = (Body(r"[A-Z][A-Z0-9]++_[A-Z0-9_]++: ", read_tag),)
