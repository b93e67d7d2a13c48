"""Rules as code: all of them out as one file, all of them in from one, after a look at what that would change."""

import asyncio
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web

from muttd.store import Store
from muttd.store.rule_set import RuleSetChange, changing_rules, whole_rules
from muttd.web.access import actor
from muttd.web.answers import answer, wanted_version
from muttd.web.problems import ProblemError
from muttd.web.reading import PRINTABLE, read_content, read_query
from muttd.web.routes import Media
from muttd.web.rule_files import FILE_LIMIT, read, written
from muttd.web.rule_forms import RuleFields
from muttd.web.rule_plan import Mode, Plan, WantedRule, plan

_YAML: Final = "application/yaml"
"""RFC 9512."""
_FILE_TIME: Final = 120.0
"""Seconds for a file to come in."""
_TAKEN: Final = {_YAML, "application/x-yaml", "text/yaml", "text/x-yaml"}


class ExportForm(msgspec.Struct, frozen=True, kw_only=True):
    """`ids`: with the rules' numbers, which only this installation knows."""

    ids: bool = True


class ImportForm(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done with the file. Where nothing is said, nothing is changed."""

    dry_run: bool = True
    mode: Mode = "replace"
    reason: Annotated[str, msgspec.Meta(max_length=500, pattern=PRINTABLE)] | None = None


class RuleOfFile(RuleFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule in a file: with an id the one that has it, without the one that has its name, else a new one."""

    id: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


class RuleFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All rules; 10,000 are the most."""

    rules: list[RuleOfFile]


RULE_FILE: Final = Media(_YAML, RuleFile)


class Imported(Plan, frozen=True, kw_only=True):
    """What was changed, or would be."""

    dry_run: bool
    version: str
    """Of the rules as they are then: what If-Match asks for."""


class RuleFileApi:
    """GET /api/v1/rules/export and POST /api/v1/rules/import."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def export(self, request: web.Request) -> web.Response:
        """All rules as YAML, for a repository or another installation."""
        form = read_query(request.query, ExportForm)
        whole = await whole_rules(self._store)
        text = await asyncio.to_thread(written, [row.content for row in whole.rows], ids=form.ids)
        return web.Response(
            text=text,
            content_type=_YAML,
            charset="utf-8",
            headers={"ETag": f'"{whole.version}"', "Content-Disposition": 'attachment; filename="mutt-rules.yaml"'},
        )

    async def take(self, request: web.Request) -> web.Response:
        """Makes the rules what a YAML file says, all of it or nothing; with dry_run (so it is where nothing is said)
        only tells what would change. What is done for good needs If-Match, the ETag of the rules that were seen."""
        form = read_query(request.query, ImportForm)
        if request.content_type not in _TAKEN:
            raise ProblemError(415, f"Send Content-Type: {_YAML}.")
        if not form.dry_run and "If-Match" not in request.headers:
            raise ProblemError(428, "Send If-Match with the ETag of the rules that you loaded, or * for any.")
        wanted = await asyncio.to_thread(read, await read_content(request, most=FILE_LIMIT, within=_FILE_TIME))
        version = wanted_version(request)
        if form.dry_run:
            whole = await whole_rules(self._store)
            found = _planned([row.content for row in whole.rows], wanted, form.mode)
            return self._told(found, True, whole.version)
        async with changing_rules(self._store, actor(request, form.reason or "import of a file"), version) as change:
            found = _planned([row.content for row in change.whole.rows], wanted, form.mode)
            await _apply(change, found, {rule.place: rule for rule in wanted})
        return self._told(found, False, (await whole_rules(self._store)).version)

    def _told(self, found: Plan, dry_run: bool, version: str) -> web.Response:
        content = Imported(**msgspec.structs.asdict(found), dry_run=dry_run, version=version)
        return answer(content, headers={"ETag": f'"{version}"'})


def _planned(present: list[dict[str, object]], wanted: list[WantedRule], mode: Literal["replace", "merge"]) -> Plan:
    found, faults = plan(present, wanted, mode)
    if faults:
        raise ProblemError(400, "The file cannot be accepted; nothing was changed.", faults[:100])
    return found


async def _apply(change: RuleSetChange, found: Plan, wanted: dict[int, WantedRule]) -> None:
    for gone in found.deleted:
        assert gone.id is not None
        await change.delete(gone.id)
    for different in found.changed:
        assert different.id is not None
        assert different.place is not None
        await change.update(different.id, wanted[different.place].columns)
    for new in found.created:
        assert new.after is not None
        await change.create(new.after)
