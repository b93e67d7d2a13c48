"""Levels as words, which some senders write before the host name or the tag although the PRI says the same."""

import re

_LEVELS = ("emerg", "alert", "crit", "critical", "err", "error", "warn", "warning", "notice", "info", "debug")
_FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"),
    *(f"local{number}" for number in range(8)),
)
_SPELLINGS = [*_LEVELS, *(level.upper() for level in _LEVELS)]
_LEVEL = f"(?:{'|'.join(_SPELLINGS)})"
LEVEL = re.compile(
    rf"(?:<(?P<bracketed>{'|'.join(_FACILITIES)})\.{_LEVEL}>"
    rf"|(?P<facility>{'|'.join(_FACILITIES)})(?:\|security)?[.:]{_LEVEL}(?:\|(?:panic|error|warning))?"
    rf"|{_LEVEL})\s{{1,4}}"
)
"""A level, alone or behind its facility, that some senders write before the host name or the tag: `notice` (F5, SONiC),
`user.info` (CMS), `<local0.info>` (NetScaler), `auth|security:info` and `daemon:err|error`
(AIX)."""
NO_HOSTS = frozenset(
    prefix + level
    for prefix in ("", *(f"{facility}." for facility in _FACILITIES))
    for level in (*_SPELLINGS, *(level.capitalize() for level in _LEVELS))
)
"""Words that are not host names, although they are in the place of one."""
