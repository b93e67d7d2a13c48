"""Who may do what: API keys for scripts, sessions for browsers, and what every changing request must prove.

A script sends its key in the header X-API-KEY with every request. A browser sends it once, in the body of POST /login,
and has a cookie from then on, which scripts in the page cannot read and other sites' requests do not carry; what
changes something must also carry the session's token in X-CSRF-Token. A key is never part of a URL. A session may what
its key may at the moment, and ends with it. Failures are throttled by address and logged without the key; a right key
of GUESSABLE characters or more is let in whoever else failed at its address.
"""

import hashlib
import hmac
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

from aiohttp import web

from muttd.errors import UnavailableError
from muttd.pipeline.queue.sessions import ABSOLUTE, Session, Sessions
from muttd.store.config import Actor
from muttd.web.key_ring import KeyRing
from muttd.web.problems import Handler, ProblemError
from muttd.web.routes import Role, allowed
from muttd.web.throttle import Throttle

log = logging.getLogger(__name__)

ROUTE_ROLES: Final = web.AppKey("route_roles", dict[tuple[str, str], Role | None])
"""(method, path pattern) → role needed; None: everybody. What is not in it nobody may do."""

FirstKeys = Callable[[], Iterable[str]]
FIRST_NAME: Final = "admin"
"""Who has the key of the secrets, in the record of changes. No stored key may have this name."""

GUESSABLE: Final = 32
"""Characters. A shorter key may have been made up by a person, and could be guessed if it were always looked at. What
mutt makes is random and no shorter: nobody guesses it at any rate, so it is looked at whatever failed before."""
_KEY_LIMIT: Final = 512
"""Characters of a key that is looked at."""
_REASON_LIMIT: Final = 500
"""Characters kept of why something was changed."""
_SAFE_METHODS: Final = {"GET", "HEAD", "OPTIONS"}


class Principal(NamedTuple):
    """Who asks."""

    name: str
    role: Role
    session: Session | None = None
    """None for a script with a key."""

    def may(self, role: Role) -> bool:
        """Whether it has `role` or a higher one."""
        return allowed(self.role, role)


PRINCIPAL: Final = web.RequestKey("principal", Principal)
"""Who asks, on every request that needs a role."""


class _Known(NamedTuple):
    """A key that is the right one."""

    name: str
    role: Role
    key_id: str
    """How a session names its key: a number, or the fingerprint of one in the secrets."""


class Access:
    """The door: keys, sessions, and the count of failures."""

    def __init__(self, sessions: Sessions, keys: KeyRing, first_keys: FirstKeys) -> None:
        """`first_keys` gives the secrets that are administrators' keys at the moment: they may change while we run."""
        self._sessions = sessions
        self._keys = keys
        self._first_keys = first_keys
        self._throttle = Throttle()

    async def _by_key(self, request: web.Request, key: str) -> _Known | None:
        """Whose key it is. Raises ProblemError 429 for an address that has failed too often."""
        address, guessable = request.remote or "?", len(key) < GUESSABLE
        wait = self._throttle.wait(address, time.monotonic())
        if wait and guessable:
            log.warning("too many wrong API keys from %s: %s %s not looked at", address, request.method, request.path)
            raise _too_many("Too many wrong keys came from your address: a short key has to wait.", wait)
        if guessable:  # counted before anything is awaited: guesses sent at once must not all pass the check above
            self._throttle.failed(address, time.monotonic())
        try:
            found = await self._known(key[:_KEY_LIMIT].encode("utf-8", "replace"))
        except UnavailableError:
            if guessable:  # nobody knows whether it was wrong
                self._throttle.taken_back(address)
            raise
        if found is not None:
            if guessable:  # a long one says nothing about who guesses short ones at the same address
                self._throttle.succeeded(address)
            return found
        if not guessable:
            self._throttle.failed(address, time.monotonic())
        log.warning("wrong API key from %s for %s %s", address, request.method, request.path)
        if wait:
            raise _too_many(
                "This key is wrong, as were many before it from your address.",
                self._throttle.wait(address, time.monotonic()),
            )
        return None

    async def _known(self, given: bytes) -> _Known | None:
        for first in self._first_keys():
            if hmac.compare_digest(given, first.encode()):
                return _Known(FIRST_NAME, "admin", _fingerprint(first))
        stored = await self._keys.by_secret(given)
        return None if stored is None else _Known(stored.name, _role(stored.role), str(stored.id))

    async def _of_session(self, session: Session) -> _Known | None:
        """The key that the session was begun with, as it is now."""
        if session.key_id.isdecimal():
            stored = await self._keys.by_id(int(session.key_id))
            return None if stored is None else _Known(stored.name, _role(stored.role), session.key_id)
        there = any(session.key_id == _fingerprint(first) for first in self._first_keys())
        return _Known(FIRST_NAME, "admin", session.key_id) if there else None

    async def by_session(self, request: web.Request) -> Principal | None:
        """Who has logged in here."""
        token = request.cookies.get(cookie_name(request))
        if not token:
            return None
        session = await self._sessions.find(token[:_KEY_LIMIT], time.time())
        found = None if session is None else await self._of_session(session)
        return None if found is None else Principal(found.name, found.role, session)

    async def principal(self, request: web.Request) -> Principal:
        """Who asks. Raises ProblemError: 401 unknown, 403 without proof that the page asks, 429 throttled."""
        key = request.headers.get("X-API-KEY")
        if key is not None:
            known = await self._by_key(request, key)
            found = None if known is None else Principal(known.name, known.role)
        else:
            found = await self.by_session(request)
            if found is not None and request.method not in _SAFE_METHODS:
                assert found.session is not None
                check_same_origin(request)
                given = request.headers.get("X-CSRF-Token", "").encode("utf-8", "replace")
                if not hmac.compare_digest(given, found.session.csrf.encode()):
                    raise ProblemError(403, "The request does not carry the session's X-CSRF-Token.")
        if found is None:
            raise ProblemError(401, "Send an API key in X-API-KEY, or log in.")
        return found

    async def log_in(self, request: web.Request, key: str) -> str | None:
        """A session's token for the right key, else None. Raises ProblemError as `principal` does."""
        check_same_origin(request)
        found = await self._by_key(request, key)
        if found is None:
            return None
        await self.log_out(request)  # a browser has one session: the one before is worth nothing from now on
        log.info("%s logged in from %s", found.name, request.remote)
        return await self._sessions.begin(name=found.name, role=found.role, key_id=found.key_id, now=time.time())

    async def log_out(self, request: web.Request) -> None:
        """Ends the session that the request belongs to."""
        token = request.cookies.get(cookie_name(request))
        if token:
            await self._sessions.end(token[:_KEY_LIMIT])

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Lets through who has the role that the route needs."""
        resource = request.match_info.route.resource
        if resource is not None:
            method = "GET" if request.method == "HEAD" else request.method
            needed = request.app[ROUTE_ROLES].get((method, resource.canonical), "admin")
            if needed is not None:
                found = await self.principal(request)
                if not found.may(needed):
                    log.warning(
                        "%s (%s) from %s may not %s %s",
                        found.name,
                        found.role,
                        request.remote,
                        request.method,
                        request.path,
                    )
                    raise ProblemError(403, f"This needs the role {needed}; you have {found.role}.")
                request[PRINCIPAL] = found
        return await handler(request)


def _too_many(detail: str, wait: float) -> ProblemError:
    return ProblemError(429, detail, headers={"Retry-After": str(math.ceil(wait))})


def _role(text: str) -> Role:
    """The database knows no other."""
    return cast("Role", text)


def _fingerprint(first: str) -> str:
    return "first:" + hashlib.sha256(first.encode()).hexdigest()[:16]


def is_secure(request: web.Request) -> bool:
    """Whether the browser speaks TLS, to us or to a proxy before us. Lying about it only harms the liar."""
    return request.secure or request.headers.get("X-Forwarded-Proto", "").lower() == "https"


def cookie_name(request: web.Request) -> str:
    """__Host- ties a cookie to this very host, and browsers take it over TLS only."""
    return "__Host-mutt-session" if is_secure(request) else "mutt-session"


def set_cookie(request: web.Request, response: web.Response, token: str) -> None:
    """Gives the browser its session."""
    response.set_cookie(
        cookie_name(request),
        token,
        max_age=ABSOLUTE,
        path="/",
        httponly=True,
        samesite="Strict",
        secure=is_secure(request),
    )


def check_same_origin(request: web.Request) -> None:
    """Raises ProblemError 403 where another site made the browser ask."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:  # a proxy may have rewritten Host, but not this
        foreign = site not in {"same-origin", "none"}
    else:
        foreign = origin is not None and origin.partition("://")[2] != request.host  # RFC 6454: scheme://host[:port]
    if foreign:
        raise ProblemError(403, "This request came from another site.")


def actor(request: web.Request, given: Mapping[str, Any] | str | None = None) -> Actor:
    """Who changes something, for the record; the reason is `given`, or stands in it."""
    reason = given.get("reason") if isinstance(given, Mapping) else given
    return Actor(
        request[PRINCIPAL].name, request.remote or "", reason[:_REASON_LIMIT] if isinstance(reason, str) else None
    )
