"""Trying things without doing them: a pattern on a text, rules on a message."""

import base64
import binascii
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final

import msgspec
from aiohttp import web

from muttd.event import Event
from muttd.rules import Rule, compile_pattern
from muttd.store import Store
from muttd.web.answers import answer, read_object
from muttd.web.current_rules import CurrentRules, told
from muttd.web.problems import Fault, ProblemError
from muttd.web.rules import COLUMNS, checked
from muttd.wire.snmp import TrapReader
from muttd.wire.syslog import SyslogReader

_PATTERN_LIMIT: Final = 4096
_TEXT_LIMIT: Final = 65_536
"""Characters of a message or datagram."""
_DRAFT: Final = 0
"""The id of a rule that is not stored: none has it."""


class TrialsApi:
    """POST /api/v1/test-regex and /api/v1/rules/test."""

    def __init__(self, store: Store, rules: CurrentRules, new_id: Callable[[], str]) -> None:
        self._store = store
        self._rules = rules
        self._new_id = new_id
        self._syslog = SyslogReader()

    async def regex(self, request: web.Request) -> web.Response:
        """{"match", "groups", "span"} of a pattern in a message, as a rule would look for it."""
        values = await read_object(request, ("pattern", "message", "case_sensitive"))
        pattern = _text(values, "pattern", _PATTERN_LIMIT)
        message = _text(values, "message", _TEXT_LIMIT)
        try:
            compile_pattern(pattern)  # by itself, so that places in reasons are those of what was typed
            found = compile_pattern(pattern if values.get("case_sensitive") else f"(?i:{pattern})").search(message)
        except ValueError as error:
            raise ProblemError(400, "The pattern cannot be taken.", [Fault("pattern", str(error))]) from None
        if found is None:
            return answer({"match": False, "groups": [], "span": None})
        return answer({"match": True, "groups": list(found.groups()), "span": list(found.span())})

    async def rules(self, request: web.Request) -> web.Response:
        """What the rules make of one syslog line, trap (base64) or event; with `rule`, also what a draft would change.

        {"event", "now": decision and explanation, "draft": the same with the draft in force, or null}
        """
        values = await read_object(request, ("line", "trap", "event", "source_ip", "rule"))
        event = self._event(values)
        now = told(await self._rules.get(), event)
        draft = None
        if values.get("rule") is not None:
            given = values["rule"]
            if not isinstance(given, dict):
                raise ProblemError(400, "The rule cannot be taken.", [Fault("rule", "must be an object")])
            number = given.get("id") if isinstance(given.get("id"), int) else _DRAFT
            columns = checked({name: given[name] for name in COLUMNS if name in given})
            rule = msgspec.convert({"id": number, **columns}, Rule)
            draft = told(await self._rules.compiled(await self._store.load_rules(), [rule]), event)
        return answer({"event": event, "now": now, "draft": draft})

    def _event(self, values: dict[str, Any]) -> Event:
        given = [name for name in ("line", "trap", "event") if values.get(name) is not None]
        if len(given) != 1:
            raise ProblemError(400, "Give exactly one of line, trap and event.", [Fault("line", "is missing")])
        source_ip = _address(values.get("source_ip") or "192.0.2.1")
        if given[0] == "event":
            try:
                return msgspec.convert(values["event"], Event)
            except msgspec.ValidationError as error:
                raise ProblemError(400, "The event cannot be read.", [Fault("event", str(error))]) from None
        text = _text(values, given[0], _TEXT_LIMIT)
        if given[0] == "line":
            return self._syslog.read(text.encode(), source_ip, "udp", time.time(), self._new_id())
        try:
            datagram = base64.b64decode(text, validate=True)
        except binascii.Error:
            raise ProblemError(400, "The trap cannot be read.", [Fault("trap", "must be base64")]) from None
        # A reader of its own: what was tried must not count as a retransmission.
        event, _, refused = TrapReader().read(datagram, source_ip, time.time(), self._new_id())
        if event is None:
            raise ProblemError(400, "The trap cannot be read.", [Fault("trap", refused.detail if refused else "empty")])
        return event


def _text(values: dict[str, Any], name: str, limit: int) -> str:
    text = values.get(name)
    if not isinstance(text, str) or len(text) > limit:
        raise ProblemError(
            400, "A field cannot be taken.", [Fault(name, f"must be text of at most {limit} characters")]
        )
    return text


def _address(text: object) -> str:
    try:
        return str(ip_address(str(text)))
    except ValueError:
        raise ProblemError(400, "A field cannot be taken.", [Fault("source_ip", "must be an IP address")]) from None
