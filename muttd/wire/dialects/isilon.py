"""Dell PowerScale (Isilon OneFS): the node's number stands behind the host name, `isi1-3(id3) isi_audit[7]: x`."""

import re

from muttd.wire.dialects import Origin, Place

_NODE = re.compile(r"(?P<host>\w[\w.-]{0,254}+)\((?P<node>id\d{1,4})\) ")


def read_node(rest: str) -> Origin | None:
    """The host name, and the node's number as `node`."""
    node = _NODE.match(rest)
    return Origin(node["host"], rest[node.end() :], {"node": node["node"]}) if node else None


ORIGINS = (Place(r"\w[\w.-]{0,254}+\(id\d", read_node),)
