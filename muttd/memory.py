"""What keeps a process's memory, in which its secrets are, to itself.

Not dumpable (prctl(2)): the kernel writes no core of the process, also not to a program that would keep it, and lets
nobody but root attach to it or read its memory. RLIMIT_CORE alone does not bind such a program. What is lost is the
core itself: a crash in C shows as a traceback of Python on standard error instead.
"""

import ctypes
import faulthandler
import resource
import sys

_PR_SET_DUMPABLE = 4


def keep_private() -> None:
    """For this process, from now on, and for those it forks; not for the programs that they become."""
    faulthandler.enable(sys.stderr)
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
