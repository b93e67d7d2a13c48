"""The page and the API, put together: every route with the role that it needs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from muttd.pipeline.event_ids import event_ids
from muttd.pipeline.queue.board import Board
from muttd.pipeline.queue.sessions import Sessions
from muttd.store import Store
from muttd.web.access import ROUTE_ROLES, Access, Role
from muttd.web.changes import ChangesApi
from muttd.web.current_rules import CurrentRules
from muttd.web.dashboard import DashboardApi
from muttd.web.events import EventsApi
from muttd.web.hosts import HostsApi
from muttd.web.letters import LettersApi
from muttd.web.pages import VIEWS, Pages, protect
from muttd.web.problems import as_problems
from muttd.web.pulse import Pulse
from muttd.web.rules import RulesApi
from muttd.web.status import StatusApi
from muttd.web.trials import TrialsApi
from muttd.web.unhandled import UnhandledApi

_BODY_LIMIT: Final = 262_144
"""Bytes of a request's body: a rule at its largest has some 10,000."""

_RESTART_PAUSE: Final = 1.0
"""Seconds."""

log = logging.getLogger(__name__)

_Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Route = tuple[str, str, Role | None, _Endpoint]


def web_application(
    *,
    store: Store,
    board: Board,
    sessions: Sessions,
    admin_key: str | None,
    default_team: str = "unassigned",
) -> web.Application:
    """The application. `admin_key` is the secret WEBUI_API_KEY (None: nobody is let in)."""
    access = Access(sessions, admin_key)
    pulse = Pulse(board)
    rules = CurrentRules(store, default_team=default_team)
    pages = Pages(access)
    dashboard = DashboardApi(pulse)
    events = EventsApi(store, board, rules)
    rule_table, hosts, changes = RulesApi(store), HostsApi(store), ChangesApi(store)
    letters = LettersApi(store, board)
    trials = TrialsApi(store, rules, event_ids())

    routes: list[_Route] = [
        *(("GET", path, None, pages.view) for path in VIEWS),
        ("GET", "/static/{name}", None, pages.static),
        ("GET", "/favicon.ico", None, pages.icon),
        ("POST", "/login", None, pages.log_in),
        ("POST", "/logout", None, pages.log_out),
        ("GET", "/api/v1/session", "viewer", pages.session),
        ("GET", "/api/v1/metrics/current", "viewer", dashboard.current),
        ("GET", "/api/v1/audit-logs", "viewer", events.page),
        ("GET", "/api/v1/events/{id}", "viewer", events.one),
        ("GET", "/api/v1/events/{id}/explain", "viewer", events.explain),
        ("GET", "/api/v1/rules", "viewer", rule_table.listed),
        ("POST", "/api/v1/rules", "editor", rule_table.create),
        ("POST", "/api/v1/rules/test", "viewer", trials.rules),
        ("GET", "/api/v1/rules/{id}", "viewer", rule_table.one),
        ("PUT", "/api/v1/rules/{id}", "editor", rule_table.change),
        ("DELETE", "/api/v1/rules/{id}", "editor", rule_table.delete),
        ("POST", "/api/v1/test-regex", "viewer", trials.regex),
        ("POST", "/api/v1/cache/reload", "editor", rule_table.reload),
        ("GET", "/api/v1/dev-hosts", "viewer", hosts.hosts),
        ("POST", "/api/v1/dev-hosts", "editor", hosts.add_host),
        ("DELETE", "/api/v1/dev-hosts/{hostname:.+}", "editor", hosts.delete_host),
        ("GET", "/api/v1/teams", "viewer", hosts.teams),
        ("POST", "/api/v1/teams", "editor", hosts.add_team),
        ("PUT", "/api/v1/teams/{hostname:.+}", "editor", hosts.change_team),
        ("DELETE", "/api/v1/teams/{hostname:.+}", "editor", hosts.delete_team),
        ("GET", "/api/v1/dlq", "viewer", letters.listed),
        ("POST", "/api/v1/dlq/replay", "operator", letters.replay),
        ("POST", "/api/v1/dlq/drop", "operator", letters.drop),
        ("GET", "/api/v1/unhandled", "viewer", UnhandledApi(board).listed),
        ("GET", "/api/v1/status", "viewer", StatusApi(store, board).status),
        ("GET", "/api/v1/changes", "viewer", changes.page),
        ("POST", "/api/v1/changes/{id}/revert", "editor", changes.revert),
    ]
    application = web.Application(middlewares=[as_problems, access.guard], client_max_size=_BODY_LIMIT)
    # What runtime.observe adds has no secrets, and probes have no key.
    needed: dict[tuple[str, str], Role | None] = {("GET", "/health"): None, ("GET", "/metrics"): None}
    for method, path, role, endpoint in routes:
        added = application.router.add_route(method, path, endpoint)
        assert added.resource is not None
        needed[method, added.resource.canonical] = role
    application[ROUTE_ROLES] = needed
    application.on_response_prepare.append(protect)
    application.cleanup_ctx.append(_running(pulse.run, rules.watch))
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
            log.exception("a task of the page met a fault of mutt")
        await asyncio.sleep(_RESTART_PAUSE)
