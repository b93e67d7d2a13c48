"""Faults as RFC 9457 problem details. They never show SQL, paths or stack traces."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC
from http import HTTPStatus

import msgspec
from aiohttp import web

from muttd.errors import MuttError, UnavailableError
from muttd.store.config import AlreadyThereError, ChangedSinceError, ConflictError, NotThereError
from muttd.web.presence import GoneError

_SAY_AGAIN = 60.0
"""Seconds between two lines of the log about the same service."""

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_RETRY_AFTER = "5"
"""Seconds after which a service that is away is worth another try."""


class Fault(msgspec.Struct, frozen=True):
    """One field of a request and what is wrong with it."""

    field: str
    reason: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """RFC 9457 problem details; `errors` names the fields that were at fault."""

    title: str
    status: int
    detail: str
    errors: list[Fault] = []
    type: str = "about:blank"


class ProblemError(Exception):
    """An answer that says what was wrong. `detail` is one sentence for a person."""

    def __init__(
        self, status: int, detail: str, faults: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = faults
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        """The answer, application/problem+json."""
        problem = Problem(
            title=HTTPStatus(self.status).phrase, status=self.status, detail=self.detail, errors=list(self.faults)
        )
        return web.Response(
            status=self.status,
            body=msgspec.json.encode(problem),
            content_type="application/problem+json",
            headers=self.headers,
        )


def unavailable(error: UnavailableError) -> ProblemError:
    """503 that says which service is away, and not more."""
    detail = f"{_service(error)} is away or does not answer in time. No events are being lost."
    return ProblemError(503, detail, headers={"Retry-After": _RETRY_AFTER})


def _service(error: UnavailableError) -> str:
    return "Redis" if str(error).startswith("Redis") else "PostgreSQL"


def _conflict(error: ConflictError) -> ProblemError:
    by = error.by or "somebody, not through the API"
    who = error.by or f"{by},"
    when = f" at {error.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if error.at else ""
    if isinstance(error, AlreadyThereError):
        return ProblemError(409, f"It already exists: {who} created or changed it{when}.")
    if isinstance(error, ChangedSinceError):
        detail = f"It was changed since, last by {by}{when}. Reverting this change would undo the later ones too."
        return ProblemError(412, detail)
    return ProblemError(412, f"It is not the version that you loaded: {who} changed it{when}. Load it again.")


class Problems:
    """Makes an answer of whatever a handler raises. A fault of ours is logged with its traceback; what is away once a
    minute, however many pages ask."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The middleware."""
        try:
            return await _answered(request, handler)
        except UnavailableError as error:
            service, now = _service(error), time.monotonic()
            if now >= self._said.get(service, 0.0):
                self._said[service] = now + _SAY_AGAIN
                log.warning("%s %s: %s", request.method, request.path, error)
            return unavailable(error).response()


async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except UnavailableError:
        raise
    except ProblemError as problem:
        return problem.response()
    except NotThereError:
        return ProblemError(404, "It does not exist (any more).").response()
    except ConflictError as error:
        return _conflict(error).response()
    except MuttError as error:
        log.warning("%s %s: %s", request.method, request.path, error)
        return ProblemError(422, "The database refused a value; the log says which.").response()
    except web.HTTPException as answer:
        if answer.status < 400:
            raise
        allowed = {"Allow": answer.headers["Allow"]} if "Allow" in answer.headers else None
        return ProblemError(
            answer.status, f"{request.method} {request.path}: {answer.reason}.", headers=allowed
        ).response()
    except GoneError:  # nobody reads this
        return ProblemError(400, "The connection was lost.").response()
    except Exception:  # a process's top loop: the next request must not suffer
        log.exception("%s %s hit a bug in mutt", request.method, request.path)
        return ProblemError(500, "This is a bug in mutt; its log has the details.").response()
