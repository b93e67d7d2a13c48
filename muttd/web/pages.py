"""The page itself: its files, the log-in, and the headers that keep what devices send from doing anything."""

import html
import ipaddress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from muttd.errors import UnavailableError
from muttd.web.access import PRINCIPAL, Access, check_same_origin, cookie_name, is_secure, set_cookie
from muttd.web.answers import answer
from muttd.web.problems import ProblemError, unavailable
from muttd.web.reading import read_form
from muttd.web.routes import Role

STATIC: Final = Path(__file__).parent / "static"
VIEWS: Final = ("/", "/live", "/events", "/rules", "/hosts", "/unhandled", "/delivery", "/changes", "/keys", "/status")
"""Addresses that people bookmark: all are the one page, which looks at its address."""

_FORM_LIMIT: Final = 4096
_IN_CLEAR: Final = (
    '<p class="warn">This connection is not encrypted: anyone on its path can read the key. '
    "Set http.tls_cert, or put a proxy with TLS in front of mutt.</p>"
)
_TYPES: Final = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; object-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "X-Frame-Options": "DENY",
}


async def protect(request: web.Request, response: web.StreamResponse) -> None:
    """The headers of every answer (signal on_response_prepare)."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "mutt"  # not which versions of what
    response.headers.setdefault("Cache-Control", "no-store")
    if is_secure(request):
        response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"


class WhoAmI(msgspec.Struct, frozen=True):
    """Who asks."""

    name: str
    role: Role
    csrf: str | None


class Pages:
    """Serves static/, which is read once: it is small, and a path from outside never reaches the disk."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._files = {file.name: file.read_bytes() for file in STATIC.iterdir() if file.suffix in _TYPES}

    async def view(self, request: web.Request) -> web.Response:
        """GET of one of VIEWS: the page for who has logged in, the log-in for others."""
        try:
            known = await self._access.by_session(request) is not None
        except UnavailableError as error:
            return self._away(unavailable(error))
        return self._file("index.html") if known else self._log_in_form(request, request.path_qs)

    async def static(self, request: web.Request) -> web.Response:
        """GET /static/{name}."""
        name = request.match_info["name"]
        if name not in self._files or name.endswith(".html"):
            raise ProblemError(404, "There is no such file.")
        return self._file(name)

    async def icon(self, _: web.Request) -> web.Response:
        """GET /favicon.ico, which browsers ask for whatever the page says."""
        return self._file("icon.svg")

    async def log_in(self, request: web.Request) -> web.Response:
        """POST /login: takes the key once, gives a session."""
        if request.content_length is None:
            raise ProblemError(411, "Send Content-Length.")
        if request.content_length > _FORM_LIMIT:
            raise ProblemError(413, "The form is too large.")
        form = await read_form(request)
        following = _local(form.get("next", "/"))
        try:
            token = await self._access.log_in(request, form.get("key", ""))
        except UnavailableError as error:
            return self._log_in_form(request, following, unavailable(error).detail, 503)
        except ProblemError as problem:
            wait = f" Wait {problem.headers['Retry-After']} s." if "Retry-After" in problem.headers else ""
            shown = self._log_in_form(request, following, problem.detail + wait, problem.status)
            shown.headers.update(problem.headers)
            return shown
        if token is None:
            return self._log_in_form(request, following, "This key is not valid.", 401)
        response = web.Response(status=303, headers={"Location": following})
        set_cookie(request, response, token)
        return response

    async def log_out(self, request: web.Request) -> web.Response:
        """POST /logout."""
        check_same_origin(request)
        await self._access.log_out(request)
        response = web.Response(status=303, headers={"Location": "/", "Clear-Site-Data": '"cache"'})
        response.del_cookie(cookie_name(request), path="/", secure=is_secure(request), httponly=True, samesite="Strict")
        return response

    async def session(self, request: web.Request) -> web.Response:
        """Who one is, and for a browser the token that changes need."""
        found = request[PRINCIPAL]
        return answer(WhoAmI(found.name, found.role, found.session.csrf if found.session else None))

    def _file(self, name: str) -> web.Response:
        return web.Response(
            body=self._files[name],
            content_type=_TYPES[Path(name).suffix],
            charset="utf-8",
            headers={"Cache-Control": "no-cache"},
        )

    def _away(self, problem: ProblemError) -> web.Response:
        """A page for people that asks again by itself."""
        text = self._files["away.html"].decode().replace("{{detail}}", html.escape(problem.detail))
        again = {**problem.headers, "Refresh": problem.headers["Retry-After"]}
        return web.Response(status=problem.status, text=text, content_type="text/html", headers=again)

    def _log_in_form(self, request: web.Request, following: str, message: str = "", status: int = 200) -> web.Response:
        text = self._files["login.html"].decode().replace("{{warning}}", "" if _is_private(request) else _IN_CLEAR)
        text = text.replace("{{next}}", html.escape(following)).replace("{{message}}", html.escape(message))
        return web.Response(status=status, text=text, content_type="text/html")


def _is_private(request: web.Request) -> bool:
    """Whether nobody between the browser and us can read what is sent."""
    if is_secure(request):
        return True
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


def _local(address: str) -> str:
    """`address` where it is a view of ours, else the first one: nobody is sent elsewhere."""
    try:
        parts = urlsplit(address)
    except ValueError:  # http://[
        return "/"
    known = parts.path in VIEWS and not parts.scheme and not parts.netloc and address.isprintable()
    return address if known and address.startswith("/") and not address.startswith("//") else "/"
