"""What mutt raises on purpose.

A MuttError is expected: it tells the operator in one line what is wrong and what would be right, and the command line
prints it without a traceback. Anything else that is raised is a bug in mutt and shows its traceback.
"""


class MuttError(Exception):
    """Something the operator can fix. `str()` is the whole line to show."""

    exit_status = 1


class ConfigurationError(MuttError):
    """One or more faults in muttd.conf or the environment, one line each in `faults`.

    Exit status 78 is EX_CONFIG of sysexits(3): a supervisor must not restart on it.
    """

    exit_status = 78

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class UnavailableError(MuttError):
    """An outside service (Redis, PostgreSQL, Vault, Moog) cannot be reached or refuses us; trying later may help."""
