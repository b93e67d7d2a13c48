"""Keeps a process's memory, which contains its secrets, private.

Not dumpable (prctl(2)): the kernel writes no core dump of the process, not even to a program that collects them, and
lets nobody but root attach to it or read its memory. RLIMIT_CORE alone does not stop such a program. The price is the
core dump: a crash in C shows as a Python traceback on standard error instead.
"""

import ctypes
import faulthandler
import resource
import sys

_PR_SET_DUMPABLE = 4


def keep_private() -> None:
    """For this process from now on, and for those it forks, but not for the programs they execute."""
    faulthandler.enable(sys.stderr)
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
