"""What operators paste and apply agrees with the code: the drain of docs/operate.md."""

import re
import shlex
from pathlib import Path

from muttd.setup import host

ROOT = Path(__file__).parents[2]


def test_the_drain_stops_all_that_receives() -> None:
    """A socket left open would start muttd again with the next message."""
    drain = re.search(
        r"^## Drain$.*?^    systemctl (stop [^\n]+)$", (ROOT / "docs/operate.md").read_text(), re.M | re.S
    )
    assert drain is not None
    stopped = [name if "." in name else f"{name}.service" for name in shlex.split(drain[1])[1:]]
    assert tuple(stopped) == host.RECEIVING
