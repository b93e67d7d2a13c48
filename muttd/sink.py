"""A stand-in for Moog, for rehearsals and tests: `muttd sink`.

    POST /ANY/PATH   alerts as the webhook (one object), the cloud (array) or the REST LAM ({"events": [...]}) has them
    GET  /events     {"total": N, "kept": K, "events": [{"received_at", "path", "alert"}, ...]}, oldest first;
                     ?limit=N gives only the last N; `total` counts all since the start, `kept` those still here
    DELETE /events   forget them and start counting at 0
    GET  /health     {"status": "ok"}
    POST /behave     misbehave from now on: {"status": 500, "count": 10, "delay": 0.5, "body": "html",
                     "retry_after": 2, "match": "text"}; each key may be left out. `count` requests (default: all) whose
                     body has `match` in it; `body` is empty, json, html or text; `status` 0 breaks the connection.
                     Alerts are kept only if the answer is a 2xx other than HTML. An array of such objects is
                     gone through in order. {} behaves well again

Each kept alert is printed on a line of its own; control characters and terminal escapes are shown, not obeyed.
"""

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable
from typing import Literal

import msgspec
from aiohttp import web

from muttd.errors import MuttError
from muttd.event import rfc3339
from muttd.listeners import http_answers

KEPT = 100_000
"""Alerts kept, about 100 MB: more than a rehearsal sends, and no problem for a machine that runs one."""
_BODY_LIMIT = 16 * 1024 * 1024
"""Bytes per request: a batch of a few thousand alerts."""
_PLAN_LIMIT = 10_000
"""Behaviours in one POST /behave."""
_LINE_LIMIT = 1000
"""Characters of a printed line."""
_STOP_GRACE = 1.0
"""Seconds for answers still under way when the sink stops."""

_BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "text/plain"),
    "json": (b'{"success": true}', "application/json"),
    "html": (b"<!DOCTYPE html><html><body>Please log in</body></html>", "text/html"),
    "text": (b"OK", "text/plain"),
}


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How POSTs are answered. Times in seconds."""

    status: int = 200
    count: int | None = None
    delay: float = 0.0
    body: Literal["empty", "json", "html", "text"] = "json"
    retry_after: int | None = None
    match: str = ""


class Kept(msgspec.Struct, frozen=True):
    """One alert that the sink accepted."""

    received_at: str
    path: str
    alert: object


def alerts_in(body: bytes) -> list[object]:
    """The alerts in a request in any of the three forms. Raises msgspec.DecodeError if it is not JSON."""
    document = msgspec.json.decode(body)
    if isinstance(document, dict) and isinstance(document.get("events"), list):
        document = document["events"]
    return document if isinstance(document, list) else [document]


def line(received_at: str, alert: object) -> str:
    """An alert as one printable line: time, severity, handling, team, signature, description."""
    fields = alert if isinstance(alert, dict) else {"description": alert}
    info = fields.get("custom_info") or fields.get("tags")
    info = info if isinstance(info, dict) else {}
    parts = (
        received_at,
        fields.get("severity", "-"),
        info.get("handling", "-"),
        info.get("team", "-"),
        fields.get("signature") or fields.get("deduplication_key", "-"),
        fields.get("description", "-"),
    )
    return _printable("  ".join(str(part) for part in parts))[:_LINE_LIMIT]


def _is_possible(wanted: Behaviour) -> bool:
    status = wanted.status == 0 or 200 <= wanted.status < 600
    return status and 0 <= wanted.delay < math.inf and (wanted.count is None or wanted.count > 0)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class Sink:
    """A running stand-in. `url` is where it listens; `events` what it accepted, oldest first."""

    def __init__(
        self, *, clock: Callable[[], float], show: Callable[[str], None] = lambda _: None, kept: int = KEPT
    ) -> None:
        """`clock` gives seconds since 1970; `show` gets a line for each alert."""
        self.events: deque[Kept] = deque(maxlen=kept)
        self.total = 0
        self.requests = 0
        """POSTs received, including those answered with misbehaviour."""
        self.answered = 0
        """POSTs that were answered or whose connection was broken on purpose."""
        self.authorization: str | None = None
        """The Authorization header of the last POST."""
        self.show = show
        self.url = ""
        self._clock = clock
        self._plan: deque[Behaviour] = deque()
        self._listening = contextlib.AsyncExitStack()

    async def start(self, host: str, port: int) -> None:
        """Listens; `port` 0 takes a free one. Raises MuttError if the port is taken."""
        application = web.Application(client_max_size=_BODY_LIMIT)
        application.add_routes(
            [
                web.get("/events", self._get_events),
                web.delete("/events", self._delete_events),
                web.get("/health", self._get_health),
                web.post("/behave", self._behave),
                web.post("/{path:.*}", self._post),
            ]
        )
        connected = await self._listening.enter_async_context(http_answers.answering(application, grace=_STOP_GRACE))
        try:
            server = await asyncio.get_running_loop().create_server(connected, host, port)
        except OSError as error:
            await self.stop()
            raise MuttError(f"sink: cannot listen on {host} port {port}: {error.strerror or error}") from error
        self._listening.callback(server.close)
        address, bound = server.sockets[0].getsockname()[:2]
        self.url = f"http://[{address}]:{bound}" if ":" in address else f"http://{address}:{bound}"

    async def stop(self) -> None:
        """Closes the socket and all connections."""
        await self._listening.aclose()

    def behave(self, *plan: Behaviour) -> None:
        """From now on misbehaves according to `plan`, in order; without one, and after it, behaves well."""
        self._plan = deque(plan)

    def _next_behaviour(self, body: bytes) -> Behaviour:
        if not self._plan or self._plan[0].match.encode() not in body:
            return Behaviour()
        now = self._plan.popleft()
        if now.count is None or now.count > 1:
            self._plan.appendleft(msgspec.structs.replace(now, count=now.count and now.count - 1))
        return now

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests += 1
        self.authorization = request.headers.get("Authorization")
        behaviour = self._next_behaviour(body)
        if behaviour.delay:
            await asyncio.sleep(behaviour.delay)
        self.answered += 1
        if behaviour.status == 0:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if 200 <= behaviour.status < 300 and behaviour.body != "html":
            try:
                alerts = alerts_in(body)
            except msgspec.DecodeError as error:
                return web.json_response({"error": f"not JSON: {error}"}, status=400)
            self._keep(request.path, alerts)
        content, kind = _BODIES[behaviour.body]
        headers = {} if behaviour.retry_after is None else {"Retry-After": str(behaviour.retry_after)}
        return web.Response(status=behaviour.status, body=content, content_type=kind, headers=headers)

    def _keep(self, path: str, alerts: list[object]) -> None:
        received_at = rfc3339(self._clock())
        for alert in alerts:
            self.events.append(Kept(received_at, path, alert))
            self.total += 1
            self.show(line(received_at, alert))

    async def _behave(self, request: web.Request) -> web.Response:
        try:
            wanted = msgspec.json.decode(await request.read(), type=Behaviour | list[Behaviour])
        except msgspec.DecodeError as error:
            return web.json_response({"error": str(error)}, status=400)
        plan = wanted if isinstance(wanted, list) else [wanted]
        if len(plan) > _PLAN_LIMIT or not all(_is_possible(one) for one in plan):
            fault = f"status: 0 or 200 to 599; delay: seconds from 0; count: from 1; at most {_PLAN_LIMIT} of them"
            return web.json_response({"error": fault}, status=400)
        self.behave(*plan)
        return _json(plan)

    async def _get_events(self, request: web.Request) -> web.Response:
        limit = request.query.get("limit", "")
        events = list(self.events)
        if limit.isdecimal() and limit.isascii():
            events = events[max(0, len(events) - int(limit[:9])) :]
        return _json({"total": self.total, "kept": len(self.events), "events": events})

    async def _delete_events(self, _: web.Request) -> web.Response:
        self.events.clear()
        self.total = 0
        return _json({"total": 0, "kept": 0, "events": []})

    async def _get_health(self, _: web.Request) -> web.Response:
        return _json({"status": "ok"})


def _json(document: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")


async def run_sink(
    host: str,
    port: int,
    stop: asyncio.Event,
    *,
    clock: Callable[[], float],
    show: Callable[[str], None],
    kept: int = KEPT,
) -> None:
    """Runs a sink until `stop` is set. `show` gets its address first, then a line for each alert; `kept` as in Sink.

    Raises MuttError if the port is taken.
    """
    sink = Sink(clock=clock, show=show, kept=kept)
    await sink.start(host, port)
    try:
        show(f"sink: listening on {sink.url}")
        await stop.wait()
    finally:
        await sink.stop()
