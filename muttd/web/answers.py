"""JSON in and out: how the API answers, and how it reads a body."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from muttd.store.config import Row
from muttd.web.problems import Fault, ProblemError


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`content` (plain values, structs, times) as JSON."""
    return web.Response(
        status=status, body=msgspec.json.encode(content), content_type="application/json", headers=headers
    )


def read_text(content: Mapping[str, Any], name: str, *, limit: int, required: bool = False) -> str | None:
    """One text field without control characters, outer blanks removed; None where it is absent, null or empty."""
    value = content.get(name)
    if value is None:
        value = ""
    if not isinstance(value, str) or len(value) > limit or any(not one.isprintable() for one in value):
        raise ProblemError(
            400, "A field cannot be accepted.", [Fault(name, f"must be printable text of at most {limit} characters")]
        )
    value = value.strip()
    if required and not value:
        raise ProblemError(400, "A field is missing.", [Fault(name, "must not be empty")])
    return value or None


def number_in_path(request: web.Request, what: str) -> str:
    """The id in the path. Raises ProblemError 404."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise ProblemError(404, f"There is no such {what}.")
    return text


def version_header(row: Row) -> dict[str, str]:
    """ETag."""
    return {"ETag": f'"{row.version}"'}


def wanted_version(request: web.Request) -> str | None:
    """What If-Match asks for; None for any version."""
    given = request.headers.get("If-Match", "*").strip()
    return None if given == "*" else given.removeprefix("W/").strip('"')
