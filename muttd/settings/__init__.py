"""muttd.conf and the environment, read into frozen, typed settings.

Every key, default, limit and reason stands in `keys`, a file for each concern; `forms` checks texts that have one;
`loading` reads; `manual` writes muttd.conf from the keys, so that the shipped file is the manual and cannot differ from
the code.
"""

from muttd.settings.keys import Settings
from muttd.settings.loading import load

__all__ = ["Settings", "load"]
