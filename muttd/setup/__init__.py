"""`muttd setup`: from an installed package to a service at work; `muttd setup --undo`: back again.

Asks or reads what is wished (wish, questions), looks at what is there (host, files) with doctor's own checks, decides
(plan), shows that, does it (work), and sends one message through it (datagram). Safe to repeat. What it cannot take
back (undoing) it says.
"""

from muttd.setup.questions import Talk
from muttd.setup.undoing import undo
from muttd.setup.work import setup

__all__ = ["Talk", "setup", "undo"]
