"""GET /api/v1/status: what there is of mutt and around it, and whether it is well."""

from datetime import UTC, datetime

from aiohttp import web

from muttd import __version__
from muttd.errors import UnavailableError
from muttd.pipeline.queue.board import Board
from muttd.store import Store
from muttd.web.answers import answer


class StatusApi:
    """Looks for itself: it must answer while other parts are away."""

    def __init__(self, store: Store, board: Board) -> None:
        self._store = store
        self._board = board

    async def status(self, _: web.Request) -> web.Response:
        """Always 200: what is away is said in it."""
        redis, postgresql = "ok", "ok"
        found: dict[str, object] = {"version": __version__}
        try:
            found["workers"] = [worker._asdict() for worker in await self._board.heartbeats()]
            found["circuit"] = (await self._board.circuit())._asdict()
            found["queues"] = (await self._board.depths())._asdict()
        except UnavailableError:
            redis = "away"
        try:
            found["partition_runway_days"] = round(await self._store.partition_runway(datetime.now(UTC)), 1)
        except UnavailableError:
            postgresql = "away"
        return answer({**found, "components": {"redis": redis, "postgresql": postgresql}})
