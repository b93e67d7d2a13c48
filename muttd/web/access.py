"""Who may do what: API keys for scripts, sessions for browsers, and what every changing request must prove.

A script sends its key in the header X-API-KEY with every request. A browser sends it once, in the body of POST /login,
and has a cookie from then on, which scripts in the page cannot read and other sites' requests do not carry; what
changes something must also carry the session's token in X-CSRF-Token. A key is never part of a URL. Failures are
throttled by address and logged without the key.
"""

import hashlib
import hmac
import logging
import math
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from aiohttp import web

from muttd.pipeline.queue.sessions import ABSOLUTE, Session, Sessions
from muttd.store.config import Actor
from muttd.web.problems import Handler, ProblemError
from muttd.web.routes import ROLES, Role, allowed
from muttd.web.throttle import Throttle

log = logging.getLogger(__name__)

ROUTE_ROLES: Final = web.AppKey("route_roles", dict[tuple[str, str], Role | None])
"""(method, path pattern) → role needed; None: everybody. What is not in it nobody may do."""

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


class Access:
    """The door: keys, sessions, and the count of failures."""

    def __init__(self, sessions: Sessions, admin_key: str | None) -> None:
        """`admin_key` is the secret WEBUI_API_KEY; None: nobody is let in."""
        self._sessions = sessions
        self._admin_key = admin_key.encode() if admin_key else None
        self._throttle = Throttle()

    def _by_key(self, request: web.Request, key: str) -> Principal | None:
        """Whose key it is. Raises ProblemError 429 for an address that has failed too often."""
        address = request.remote or "?"
        wait = self._throttle.wait(address, time.monotonic())
        if wait:
            raise ProblemError(429, "Too many wrong keys from here.", headers={"Retry-After": str(math.ceil(wait))})
        given = key[:_KEY_LIMIT].encode("utf-8", "replace")
        if self._admin_key is not None and hmac.compare_digest(given, self._admin_key):
            self._throttle.succeeded(address)
            return Principal("admin", "admin")
        self._throttle.failed(address, time.monotonic())
        log.warning("wrong API key from %s for %s %s", address, request.method, request.path)
        return None

    def _key_id(self) -> str:
        return hashlib.sha256(self._admin_key or b"").hexdigest()[:16]

    async def by_session(self, request: web.Request) -> Principal | None:
        """Who has logged in here."""
        token = request.cookies.get(cookie_name(request))
        if not token:
            return None
        session = await self._sessions.find(token[:_KEY_LIMIT], time.time())
        # A key that was changed takes its sessions with it.
        if session is None or session.role not in ROLES or session.key_id != self._key_id():
            return None
        return Principal(session.name, session.role, session)

    async def principal(self, request: web.Request) -> Principal:
        """Who asks. Raises ProblemError: 401 unknown, 403 without proof that the page asks, 429 throttled."""
        key = request.headers.get("X-API-KEY")
        if key is not None:
            found = self._by_key(request, key)
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
        found = self._by_key(request, key)
        if found is None:
            return None
        log.info("%s logged in from %s", found.name, request.remote)
        return await self._sessions.begin(name=found.name, role=found.role, key_id=self._key_id(), now=time.time())

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
                    raise ProblemError(403, f"This needs the role {needed}; you have {found.role}.")
                request[PRINCIPAL] = found
        return await handler(request)


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
        foreign = origin is not None and urlsplit(origin).netloc != request.host
    if foreign:
        raise ProblemError(403, "Another site asked for this.")


def actor(request: web.Request, values: Mapping[str, Any] | None = None) -> Actor:
    """Who changes something, for the record; the reason stands in `values`."""
    reason = (values or {}).get("reason")
    return Actor(
        request[PRINCIPAL].name, request.remote or "", reason[:_REASON_LIMIT] if isinstance(reason, str) else None
    )
