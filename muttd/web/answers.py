"""JSON in and out: how the API answers, and how it reads a body."""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson
from aiohttp import web

from muttd.web.filters import check_names
from muttd.web.problems import Fault, ProblemError


def answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`content` (plain values, structs, times) as JSON."""
    return web.Response(
        status=status, body=msgspec.json.encode(content), content_type="application/json", headers=headers
    )


async def read_object(request: web.Request, known: tuple[str, ...]) -> dict[str, Any]:
    """The body, one JSON object with no other names than `known`. Raises ProblemError 400, 413, 415."""
    if request.content_type != "application/json":
        raise ProblemError(415, "Send Content-Type: application/json.")
    try:
        content = orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise ProblemError(
            400, f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    if not isinstance(content, dict):
        raise ProblemError(400, "The body must be one JSON object.")
    if faults := check_names(content, known):
        raise ProblemError(400, "The body has unknown fields.", faults)
    return content


def read_text(content: Mapping[str, Any], name: str, *, limit: int, required: bool = False) -> str | None:
    """One text field without control characters, outer blanks removed; None where it is absent, null or empty."""
    value = content.get(name)
    if value is None:
        value = ""
    if not isinstance(value, str) or len(value) > limit or any(not one.isprintable() for one in value):
        raise ProblemError(
            400, "A field cannot be taken.", [Fault(name, f"must be printable text of at most {limit} characters")]
        )
    value = value.strip()
    if required and not value:
        raise ProblemError(400, "A field is missing.", [Fault(name, "must not be empty")])
    return value or None
