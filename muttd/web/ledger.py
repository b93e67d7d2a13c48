"""GET /api/v1/ledger: whether what came to every station of mutt left it, for people who must be able to say so."""

from datetime import datetime

import msgspec
from aiohttp import web

from muttd.pipeline.queue.board import Board
from muttd.web.answers import answer
from muttd.web.problems import Fault, ProblemError
from muttd.web.reading import Instant, in_utc, read_query


class LedgerQuery(msgspec.Struct, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """From when until when: from the beginning of the books, until now."""

    since: Instant | None = None
    until: Instant | None = None


class LedgerApi:
    """Reads the books."""

    def __init__(self, board: Board) -> None:
        self._board = board

    async def between(self, request: web.Request) -> web.Response:
        """The ledger between the points in time nearest to those asked for: it says which they are."""
        wanted = read_query(request.query, LedgerQuery)
        since, until = in_utc(wanted.since, "from"), in_utc(wanted.until, "to")
        if since and until and since >= until:
            raise ProblemError(400, "The range is empty.", [Fault("from", "must be before `to`")])
        return answer(await self._board.ledger(_epoch(since), _epoch(until)))


def _epoch(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
