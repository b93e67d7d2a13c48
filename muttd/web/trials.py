"""Trying things without doing them: a pattern on a text, rules on a message."""

import base64
import binascii
import re
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from muttd.event import Event
from muttd.rules import Rule, compile_pattern
from muttd.store import Store
from muttd.web.answers import answer
from muttd.web.current_rules import CurrentRules, Told, told
from muttd.web.problems import Fault, ProblemError
from muttd.web.reading import read_body
from muttd.web.rule_forms import COLUMNS, checked
from muttd.wire.snmp import TrapReader
from muttd.wire.syslog import SyslogReader

_DRAFT: Final = 0
"""The id of a rule that is not stored: none has it."""
_SOMEBODY: Final = "192.0.2.1"
"""Who sends what is tried, where nobody is named (RFC 5737)."""
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_BETWEEN_HEX: Final = re.compile(r"0x|[\s:,-]")

_Text = Annotated[str, Meta(max_length=65_536)]
_Pattern = Annotated[str, Meta(max_length=4096)]
Draft = Annotated[dict[str, Any], Meta(description="A rule as POST rules takes it, with its id where it has one.")]


class RegexForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pattern in RE2's syntax, and where it is looked for."""

    pattern: _Pattern
    message: _Text
    case_sensitive: bool = False


class RegexFound(msgspec.Struct, frozen=True):
    """Whether the pattern is in the message, what its groups took, and from where to where, in characters."""

    match: bool
    groups: list[str | None]
    span: list[int] | None


class TrialForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of line, trap and event; a draft besides, where one is to be tried."""

    line: _Text | None = None
    trap: Annotated[str, Meta(max_length=65_536, description="A datagram, hexadecimal or base64.")] | None = None
    event: Annotated[dict[str, Any], Meta(description="An event as GET events/{id} gives it.")] | None = None
    source_ip: Annotated[str, Meta(max_length=60, description="Who sends it.")] | None = None
    rule: Draft | None = None


class Trial(msgspec.Struct, frozen=True):
    """How the message is read, what the rules in force make of it, and what they would with the draft among them."""

    event: Event
    now: Told
    draft: Told | None


class TrialsApi:
    """POST /api/v1/test-regex and /api/v1/rules/test."""

    def __init__(
        self, store: Store, rules: CurrentRules, new_id: Callable[[], str], syslog: SyslogReader, traps: TrapReader
    ) -> None:
        """`syslog` and `traps` are set up as the receivers' are, but nobody else's: they remember what they read."""
        self._store = store
        self._rules = rules
        self._new_id = new_id
        self._syslog = syslog
        self._traps = traps

    async def regex(self, request: web.Request) -> web.Response:
        """Looks for a pattern in a message, as a rule would."""
        form = await read_body(request, RegexForm)
        try:
            compile_pattern(form.pattern)  # by itself, so that places in reasons are those of what was typed
            found = compile_pattern(form.pattern if form.case_sensitive else f"(?i:{form.pattern})").search(
                form.message
            )
        except ValueError as error:
            raise ProblemError(400, "The pattern cannot be accepted.", [Fault("pattern", str(error))]) from None
        if found is None:
            return answer(RegexFound(False, [], None))
        return answer(RegexFound(True, list(found.groups()), list(found.span())))

    async def rules(self, request: web.Request) -> web.Response:
        """What the rules make of one syslog line, trap or event; with `rule`, also what that draft would change."""
        form = await read_body(request, TrialForm)
        event = self._event(form)
        now = told(await self._rules.get(), event)
        draft = None
        if form.rule is not None:
            draft = told(await self._rules.compiled(await self._store.load_rules(), [drafted(form.rule)]), event)
        return answer(Trial(event, now, draft))

    def _event(self, form: TrialForm) -> Event:
        given = [name for name in ("line", "trap", "event") if getattr(form, name) is not None]
        if len(given) != 1:
            raise ProblemError(400, "Give exactly one of line, trap and event.", [Fault("line", "is missing")])
        source_ip = _address(form.source_ip or _SOMEBODY)
        if form.event is not None:
            try:
                return msgspec.convert(form.event, Event)
            except msgspec.ValidationError as error:
                raise ProblemError(400, "The event cannot be read.", [Fault("event", str(error))]) from None
        if form.line is not None:
            line = form.line.encode("utf-8", "surrogatepass")
            return self._syslog.read(line, source_ip, "udp", time.time(), self._new_id())
        return self._trap(datagram(form.trap or ""), source_ip)

    def _trap(self, data: bytes, source_ip: str) -> Event:
        event, reply, refused = self._traps.read(data, source_ip, time.time(), self._new_id())
        if event is None:
            raise ProblemError(400, "The trap cannot be read.", [Fault("trap", refused.detail if refused else "empty")])
        if reply is not None:
            self._traps.settle(event.id, safe=False)  # the next try must not count as a retransmission
        return event


def datagram(text: str) -> bytes:
    """The octets that `text` stands for. Raises ProblemError 400."""
    plain = _BETWEEN_HEX.sub("", text)
    # Each SNMP message begins with 30, and no base64 of one does.
    if plain.startswith("30") and _HEX.fullmatch(plain):
        return bytes.fromhex(plain)
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ProblemError(400, "The trap cannot be read.", [Fault("trap", "must be hexadecimal or base64")]) from None


def drafted(given: dict[str, Any]) -> Rule:
    """The rule that is tried. Raises ProblemError 400."""
    number = given.get("id")
    columns = checked({name: given[name] for name in COLUMNS if name in given})
    return msgspec.convert({"id": number if type(number) is int else _DRAFT, **columns}, Rule)


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ProblemError(400, "A field cannot be accepted.", [Fault("source_ip", "must be an IP address")]) from None
