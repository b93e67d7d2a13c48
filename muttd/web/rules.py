"""Rules: listed with what they did, made, changed and deleted, each change with its record."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import orjson
from aiohttp import web

from muttd.rules import Rule, faults
from muttd.store import Store
from muttd.store.config import RULES, Config, Row, announce
from muttd.store.hits import Hits, rule_hits
from muttd.web.access import actor
from muttd.web.answers import answer, read_object
from muttd.web.problems import Fault, ProblemError

COLUMNS: Final = RULES.columns
_LENGTHS: Final[Mapping[str, int]] = {
    "name": 200,
    "match_string": 4096,
    "trap_oid": 1024,
    "host_pattern": 255,
    "app_name": 255,
    "varbind_oid": 1024,
    "varbind_value": 1024,
    "team_assignment": 200,
}
"""Characters, as sql/001_schema.sql has them."""
_PRIORITY_LIMIT: Final = 2**31 - 1
_AT: Final = re.compile(r"(.*) - at `\$\.?(\w*)")
_HITS_DAYS: Final = 1
_HITS_KEPT: Final = 30.0
"""Seconds for which counted hits are shown again: a list that five people look at is counted once."""


class RulesApi:
    """GET, POST /api/v1/rules; GET, PUT, DELETE /api/v1/rules/{id}; POST /api/v1/cache/reload."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._config = Config(store, RULES)
        self._hits: dict[int, Hits] = {}
        self._counted_at = -_HITS_KEPT

    async def listed(self, _: web.Request) -> web.Response:
        """All rules in the order in which they are asked, with what they decided in the last day."""
        rows = await self._config.rows()
        hits = await self._hits_of([row.content["id"] for row in rows])
        return answer({"items": [_shown(row, hits.get(row.content["id"])) for row in rows]})

    async def one(self, request: web.Request) -> web.Response:
        """The rule and, in ETag, its version."""
        row = await self._config.get(rule_id(request))
        return answer(_shown(row), headers=version_header(row))

    async def create(self, request: web.Request) -> web.Response:
        """201 and the rule with its id."""
        values = await read_object(request, (*COLUMNS, "reason"))
        row = await self._config.create(checked(values), actor(request, values))
        location = {"Location": f"/api/v1/rules/{row.content['id']}"}
        return answer(_shown(row), 201, headers={**location, **version_header(row)})

    async def change(self, request: web.Request) -> web.Response:
        """The rule as it is then. Fields that are not given stay as they are."""
        key = rule_id(request)
        values = await read_object(request, (*COLUMNS, "id", "created_at", "updated_at", "reason"))
        present = await self._config.get(key)
        wanted = {name: values.get(name, present.content[name]) for name in COLUMNS}
        row = await self._config.update(key, checked(wanted), actor(request, values), wanted_version(request))
        return answer(_shown(row), headers=version_header(row))

    async def delete(self, request: web.Request) -> web.Response:
        """204. Its history stays in the audit log."""
        await self._config.delete(rule_id(request), actor(request), wanted_version(request))
        return web.Response(status=204)

    async def reload(self, _: web.Request) -> web.Response:
        """Makes all alerters load the rules again. They do that by themselves at every change."""
        await announce(self._store)
        return answer({"status": "announced"}, 202)

    async def _hits_of(self, rules: list[int]) -> dict[int, Hits]:
        now = time.monotonic()
        if now - self._counted_at >= _HITS_KEPT or not self._hits.keys() >= set(rules):
            self._hits = await rule_hits(self._store, rules, datetime.now(UTC) - timedelta(days=_HITS_DAYS))
            self._counted_at = now
        return self._hits


def checked(values: Mapping[str, Any], number: int = 0) -> dict[str, Any]:
    """The columns of a rule that can be taken. Raises ProblemError 400 with a fault for each field that cannot."""
    found = [*_length_faults(values)]
    try:
        rule = msgspec.convert({"id": number, **{name: values[name] for name in COLUMNS if name in values}}, Rule)
    except msgspec.ValidationError as error:
        place = _AT.match(str(error))
        missing = re.search(r"required field `(\w+)`", str(error))
        name = missing[1] if missing else place[2] if place else ""
        found.append(Fault(name, "is missing" if missing else place[1] if place else str(error)))
    else:
        for line in faults(rule):
            name, _, reason = line.partition(": ")
            found.append(Fault(name, reason))
        if not found:
            plain = orjson.loads(msgspec.json.encode(rule))
            return {name: plain[name] for name in COLUMNS}
    raise ProblemError(400, "The rule cannot be taken.", found)


def _length_faults(values: Mapping[str, Any]) -> list[Fault]:
    found = []
    for name, limit in _LENGTHS.items():
        text = values.get(name)
        if isinstance(text, str) and (len(text) > limit or "\x00" in text):
            found.append(Fault(name, f"must have at most {limit} characters, and no NUL"))
    priority = values.get("priority")
    if isinstance(priority, int) and abs(priority) > _PRIORITY_LIMIT:
        found.append(Fault("priority", f"must be within ±{_PRIORITY_LIMIT}"))
    return found


def rule_id(request: web.Request) -> str:
    """The id in the path. Raises ProblemError 404."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ProblemError(404, "There is no such rule.")
    return text


def version_header(row: Row) -> dict[str, str]:
    """ETag."""
    return {"ETag": f'"{row.version}"'}


def wanted_version(request: web.Request) -> str | None:
    """What If-Match asks for; None for any version."""
    given = request.headers.get("If-Match", "*").strip()
    return None if given == "*" else given.removeprefix("W/").strip('"')


def _shown(row: Row, hits: Hits | None = None) -> dict[str, Any]:
    shown = {**row.content, "version": row.version}
    return shown if hits is None else {**shown, "hits_24h": hits.events, "last_hit": hits.last}
