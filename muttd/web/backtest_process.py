"""The process that a back-test runs in, so that the page's loop never waits for it: `python -m` this file.

Standard input: a line with the Job (JSON), then rows of the audit log as store/past.py gives them. Standard output: a
line of Progress now and then, and the Outcome when the rows have ended. It has no connection and no secret.
"""

import os
import sys
import time
from typing import Final

import msgspec

from muttd.rules.backtest import BackTest, Job, Past, Progress, Result

_TELL_EVERY: Final = 0.25
_LOOK_EVERY: Final = 500
"""Rows between looks at the clock."""
_NICENESS: Final = 10
"""What runs on this machine goes before what would have been."""


def past(line: bytes) -> Past:
    """One row. Raises ValueError where it is none."""
    minute, rule_id, handling, event = line.removesuffix(b"\n").split(b"\t", 3)
    # An event is stored without blanks between its tokens, so backslashes are all that COPY has escaped in it.
    return Past(
        int(minute), None if rule_id == b"\\N" else int(rule_id), handling.decode(), event.replace(b"\\\\", b"\\")
    )


def main() -> None:
    """Until the rows end, or nobody wants to hear of it any more."""
    os.nice(_NICENESS)
    test = BackTest(msgspec.json.decode(sys.stdin.buffer.readline(), type=Job))
    told = time.monotonic()
    for line in sys.stdin.buffer:
        test.take(past(line))
        if test.events % _LOOK_EVERY == 0 and time.monotonic() - told >= _TELL_EVERY:
            _say(Progress(test.events, test.matched))
            told = time.monotonic()
    _say(Result(test.outcome()))


def _say(what: Progress | Result) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        os._exit(1)  # nobody listens; Python would complain about the pipe once more
