"""The page and the API, put together: every route with the role that it needs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from muttd.pipeline.event_ids import EventIds
from muttd.pipeline.ledger import Ledger
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.budget import Rate
from muttd.pipeline.queue.live import LiveChannel
from muttd.pipeline.queue.sessions import Sessions
from muttd.store import Store
from muttd.web.access import ROUTE_ROLES, Access, FirstKeys
from muttd.web.backtest import BackTestApi, BackTestForm
from muttd.web.changes import ChangePage, ChangesApi, ChangesQuery, Revert, Reverted
from muttd.web.current_rules import CurrentRules
from muttd.web.dashboard import DashboardApi
from muttd.web.dead_letters import (
    DeadLetterEdit,
    DeadLetterList,
    DeadLettersApi,
    DeadLettersChosen,
    DeadLettersEdit,
    DeadLetterShown,
    DeadLettersQuery,
    Dropped,
    Edited,
    Replayed,
)
from muttd.web.events import EventsApi, Explained, Page, WholeEntry
from muttd.web.exports import ExportsApi
from muttd.web.filters import ExportQuery, PageQuery
from muttd.web.hosts import (
    DevelopmentHost,
    DevelopmentHostList,
    HostsApi,
    NewDevelopmentHost,
    NewTeam,
    TeamChange,
    TeamList,
    TeamOfHost,
)
from muttd.web.key_ring import KeyRing
from muttd.web.keys import Key, KeyChange, KeyList, KeysApi, KeyShownOnce, NewKey
from muttd.web.ledger import LedgerApi, LedgerQuery
from muttd.web.live import LiveApi, LiveQuery, Tail
from muttd.web.openapi import Specification
from muttd.web.pages import VIEWS, Pages, WhoAmI, protect
from muttd.web.problems import Problems
from muttd.web.pulse import Pulse
from muttd.web.routes import Role, Route
from muttd.web.rule_file_api import RULE_FILE, ExportForm, Imported, ImportForm, RuleFileApi
from muttd.web.rule_forms import NewRule, RuleChange, RuleList, RuleShown
from muttd.web.rules import Announced, RulesApi
from muttd.web.sources import Senders, SourcesApi
from muttd.web.status import Status, StatusApi
from muttd.web.trials import RegexForm, RegexFound, Trial, TrialForm, TrialsApi
from muttd.web.unhandled import UnhandledApi
from muttd.wire.snmp import TrapReader
from muttd.wire.syslog import SyslogReader

_RESTART_PAUSE: Final = 1.0
"""Seconds."""

log = logging.getLogger(__name__)

_OBJECT: Final = dict[str, Any]
"""An answer whose shape openapi.json does not tell yet."""


def web_application(
    *,
    store: Store,
    board: Board,
    sessions: Sessions,
    first_keys: FirstKeys,
    live: LiveChannel,
    syslog: SyslogReader,
    traps: TrapReader,
    rate: Rate,
    ends: Callable[[], Mapping[str, float]] = dict,
    default_team: str = "unassigned",
    domains: Sequence[str] = (),
) -> web.Application:
    """The application. `first_keys` gives the present values of the secret WEBUI_API_KEY, administrators' keys.

    `syslog` and `traps` read what people try out, as the receivers' readers read what comes in.
    `rate` is what all forwarders together may send; `ends` tells what of this process runs out when (StatusApi).
    """
    ring = KeyRing(store)
    access = Access(sessions, ring, first_keys)
    pulse = Pulse(board)
    rules = CurrentRules(store, default_team=default_team, domains=domains)
    pages = Pages(access)
    dashboard = DashboardApi(pulse)
    events = EventsApi(store, board, rules)
    rule_table, hosts, changes = RulesApi(store, board), HostsApi(store), ChangesApi(store, ring)
    keys, rule_file = KeysApi(store, ring), RuleFileApi(store)
    letters = DeadLettersApi(store, board)
    specification = Specification()
    trials = TrialsApi(store, rules, EventIds(), syslog, traps)
    back_tests = BackTestApi(store, default_team=default_team, domains=domains)
    tail, sources = Tail(live), SourcesApi(store, board)

    routes: list[Route] = [
        *(Route("GET", path, None, pages.view) for path in VIEWS),
        Route("GET", "/static/{name}", None, pages.static),
        Route("GET", "/favicon.ico", None, pages.icon),
        Route("POST", "/login", None, pages.log_in),
        Route("POST", "/logout", None, pages.log_out),
        Route("GET", "/api/v1/session", "viewer", pages.session, WhoAmI),
        Route("GET", "/api/v1/metrics/current", "viewer", dashboard.current, _OBJECT),
        Route("GET", "/api/v1/audit-logs", "viewer", events.page, Page, PageQuery),
        Route(
            *("GET", "/api/v1/audit-logs/export", "viewer", ExportsApi(store).export),
            gives="text/csv, application/jsonl",
            query=ExportQuery,
        ),
        Route("GET", "/api/v1/events/live", "viewer", LiveApi(tail).stream, "text/event-stream", LiveQuery),
        Route("GET", "/api/v1/events/{id}", "viewer", events.one, WholeEntry),
        Route("GET", "/api/v1/events/{id}/explain", "viewer", events.explain, Explained, also=(409,)),
        Route("GET", "/api/v1/rules", "viewer", rule_table.listed, RuleList),
        Route("POST", "/api/v1/rules", "editor", rule_table.create, RuleShown, status=201, takes=NewRule, version=True),
        Route("POST", "/api/v1/rules/test", "viewer", trials.rules, Trial, takes=TrialForm),
        Route(
            *("POST", "/api/v1/rules/backtest", "viewer", back_tests.run, "application/x-ndjson"),
            takes=BackTestForm,
            also=(422,),
        ),
        Route(
            *("GET", "/api/v1/rules/export", "viewer", rule_file.export),
            gives=RULE_FILE,
            query=ExportForm,
            version=True,
        ),
        Route(
            *("POST", "/api/v1/rules/import", "editor", rule_file.take, Imported),
            query=ImportForm,
            takes=RULE_FILE,
            also=(412, 428),
            version=True,
        ),
        Route("GET", "/api/v1/rules/{id:[0-9]+}", "viewer", rule_table.one, RuleShown, version=True),
        Route(
            "PUT", "/api/v1/rules/{id:[0-9]+}", "editor", rule_table.change, RuleShown, takes=RuleChange, version=True
        ),
        Route("DELETE", "/api/v1/rules/{id:[0-9]+}", "editor", rule_table.delete, status=204, version=True),
        Route("POST", "/api/v1/test-regex", "viewer", trials.regex, RegexFound, takes=RegexForm),
        Route("POST", "/api/v1/cache/reload", "editor", rule_table.reload, Announced, status=202),
        Route("GET", "/api/v1/dev-hosts", "viewer", hosts.hosts, DevelopmentHostList),
        Route(
            *("POST", "/api/v1/dev-hosts", "editor", hosts.add_host, DevelopmentHost),
            takes=NewDevelopmentHost,
            status=201,
            also=(409,),
        ),
        Route("DELETE", "/api/v1/dev-hosts/{hostname:.+}", "editor", hosts.delete_host, status=204, version=True),
        Route("GET", "/api/v1/teams", "viewer", hosts.teams, TeamList),
        Route(
            *("POST", "/api/v1/teams", "editor", hosts.add_team, TeamOfHost),
            takes=NewTeam,
            status=201,
            also=(409,),
            version=True,
        ),
        Route(
            *("PUT", "/api/v1/teams/{hostname:.+}", "editor", hosts.change_team, TeamOfHost),
            takes=TeamChange,
            version=True,
        ),
        Route("DELETE", "/api/v1/teams/{hostname:.+}", "editor", hosts.delete_team, status=204, version=True),
        Route("GET", "/api/v1/keys", "admin", keys.listed, KeyList),
        Route(
            *("POST", "/api/v1/keys", "admin", keys.create, KeyShownOnce),
            takes=NewKey,
            status=201,
            also=(409,),
            version=True,
        ),
        Route("PUT", "/api/v1/keys/{id:[0-9]+}", "admin", keys.change, Key, takes=KeyChange, also=(409,), version=True),
        Route("DELETE", "/api/v1/keys/{id:[0-9]+}", "admin", keys.delete, status=204, version=True),
        Route("GET", "/api/v1/dlq", "viewer", letters.listed, DeadLetterList, DeadLettersQuery),
        Route(
            "GET",
            "/api/v1/dlq/{id:(?!(?:edit|replay|drop)$)[^/]+}",
            "viewer",
            letters.one,
            DeadLetterShown,
            version=True,
        ),
        Route(
            "PUT",
            "/api/v1/dlq/{id:(?!(?:edit|replay|drop)$)[^/]+}",
            "operator",
            letters.change,
            DeadLetterShown,
            takes=DeadLetterEdit,
            version=True,
        ),
        Route("POST", "/api/v1/dlq/edit", "operator", letters.edit, Edited, takes=DeadLettersEdit),
        Route("POST", "/api/v1/dlq/replay", "operator", letters.replay, Replayed, takes=DeadLettersChosen),
        Route("POST", "/api/v1/dlq/drop", "operator", letters.drop, Dropped, takes=DeadLettersChosen),
        Route("GET", "/api/v1/unhandled", "viewer", UnhandledApi(board).listed, _OBJECT),
        Route("GET", "/api/v1/status", "viewer", StatusApi(store, board, rate, ends).status, Status),
        Route("GET", "/api/v1/sources", "viewer", sources.listed, Senders),
        Route("GET", "/api/v1/ledger", "viewer", LedgerApi(board).between, Ledger, LedgerQuery),
        Route("GET", "/api/v1/changes", "viewer", changes.page, ChangePage, ChangesQuery),
        Route(
            "POST",
            "/api/v1/changes/{id:[0-9]+}/revert",
            "editor",
            changes.revert,
            Reverted,
            takes=Revert,
            also=(409, 412),
        ),
        Route("GET", "/api/v1/openapi.json", "viewer", specification.document, _OBJECT),
    ]
    application = web.Application(middlewares=[Problems().answer, access.guard])
    # What runtime.observe adds has no secrets, and probes have no key.
    needed: dict[tuple[str, str], Role | None] = {("GET", "/health"): None, ("GET", "/metrics"): None}
    for route in routes:
        added = application.router.add_route(route.method, route.path, route.endpoint)
        assert added.resource is not None
        needed[route.method, added.resource.canonical] = route.role
    specification.describe(routes)
    application[ROUTE_ROLES] = needed
    application.on_response_prepare.append(protect)
    application.on_shutdown.extend([tail.close, sources.close])
    application.cleanup_ctx.append(_running(pulse.run, rules.watch, tail.run))
    return application


def _running(*tasks: Callable[[], Awaitable[None]]) -> Callable[[web.Application], AsyncIterator[None]]:
    """`tasks` run while the application does. One that ends by a fault of ours is logged and started again."""

    async def context(_application: web.Application) -> AsyncIterator[None]:
        running = {asyncio.create_task(_for_ever(task)) for task in tasks}
        yield
        while running:  # asyncio.wait_for of Python 3.11 may swallow a cancellation that comes with a result
            for task in running:
                task.cancel()
            _, pending = await asyncio.wait(running, timeout=1.0)
            running = set(pending)

    return context


async def _for_ever(task: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await task()
        except Exception:  # a top loop: the page goes on
            log.exception("a task of the page hit a bug in mutt")
        await asyncio.sleep(_RESTART_PAUSE)
