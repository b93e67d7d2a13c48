"""What a request says, read into structs: every field that cannot be taken is named with its reason.

The structs are what openapi.json tells, so that what is described is what is taken.
"""

import asyncio
import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin
from urllib.parse import parse_qsl

import msgspec
import orjson
from aiohttp import web
from multidict import MultiMapping

from muttd.web.problems import Fault, ProblemError

Form = TypeVar("Form", bound=msgspec.Struct)

PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$"
"""Text of one line: nothing in it steers a terminal."""
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A point in time, with its offset: without one nobody knows when it is."""
Reason = Annotated[str, msgspec.Meta(max_length=500, pattern=PRINTABLE, description="Why, for the record.")]

BODY_LIMIT: Final = 262_144
"""Bytes of a request's body: a rule at its largest has some 10,000."""
BODY_TIME: Final = 30.0
"""Seconds for a body to come in: 256 KiB at 70 kbit/s. Who is slower holds a connection that others need."""
_FORM_FIELDS: Final = 16
"""The log-in has two."""
_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")


def check_names(given: Iterable[str], known: Iterable[str]) -> list[Fault]:
    """A fault for every name that is not `known`, with the known one that it was probably meant to be."""
    known = list(known)
    faults = []
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            faults.append(Fault(name[:80], f"no such field; did you mean {close[0]}?" if close else "no such field"))
    return faults


def read_values(values: Mapping[str, Any], form: type[Form]) -> tuple[Form | None, list[Fault]]:
    """The struct, or every fault there is."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(form)}
    faults = check_names(values, fields)
    taken = {}
    for name, field in fields.items():
        if name not in values:
            if field.required:
                faults.append(Fault(name, "is missing"))
            continue
        try:
            taken[field.name] = msgspec.convert(values[name], field.type)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$")
            faults.append(Fault(name + place.rstrip("`"), _put(reason, field.type)))
    return (None if faults else form(**taken)), faults


def read_query(query: Mapping[str, str], form: type[Form]) -> Form:
    """The query of a request. Raises ProblemError 400."""
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(form)}
    values = {name: _meant(text, kinds.get(name)) for name, text in query.items()}
    found, faults = read_values(values, form)
    if isinstance(query, MultiMapping):
        faults += [Fault(name[:80], "is given more than once") for name in values if len(query.getall(name)) > 1]
    if found is None or faults:
        raise ProblemError(400, "The query cannot be read.", faults)
    return found


async def read_body(request: web.Request, form: type[Form]) -> Form:
    """The body of a request, one JSON object. Raises ProblemError 400, 408, 413, 415."""
    found, faults = read_values(await read_json(request), form)
    if found is None:
        raise ProblemError(400, "The body cannot be accepted.", faults)
    return found


async def read_content(request: web.Request, *, most: int = BODY_LIMIT, within: float = BODY_TIME) -> bytes:
    """The body: at most so many bytes, in at most so many seconds. Raises ProblemError 400, 408, 413."""
    found = bytearray()
    try:
        async with asyncio.timeout(within):
            async for chunk in request.content.iter_any():
                found += chunk
                if len(found) > most:
                    raise ProblemError(413, f"The body is larger than {most:,} bytes.")
    except TimeoutError:
        raise ProblemError(408, f"The body did not arrive within {within:g} seconds.") from None
    except (OSError, web.RequestPayloadError):
        raise ProblemError(400, "The body is incomplete.") from None
    return bytes(found)


async def read_form(request: web.Request) -> dict[str, str]:
    """The form that a browser sends; of a field that comes twice, the last. Raises ProblemError 400, 408, 413, 415."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise ProblemError(415, "Send Content-Type: application/x-www-form-urlencoded.")
    text = (await read_content(request)).decode("utf-8", "replace")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_FORM_FIELDS))
    except ValueError:
        raise ProblemError(400, f"The form has more than {_FORM_FIELDS} fields.") from None


async def read_json(request: web.Request) -> dict[str, Any]:
    """One JSON object, whatever is in it. Raises ProblemError 400, 408, 413, 415."""
    if request.content_type != "application/json":
        raise ProblemError(415, "Send Content-Type: application/json.")
    try:
        content = orjson.loads(await read_content(request))
    except orjson.JSONDecodeError as error:
        raise ProblemError(
            400, f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    if not isinstance(content, dict):
        raise ProblemError(400, "The body must be one JSON object.")
    return content


def in_utc(moment: datetime | None, field: str) -> datetime | None:
    """`moment` in UTC. Raises ProblemError 400 where it is outside of all that there is."""
    try:
        return None if moment is None else moment.astimezone(UTC)
    except OverflowError:
        raise ProblemError(
            400, "A time cannot be accepted.", [Fault(field, "is outside the years 1 to 9999")]
        ) from None


def _meant(text: str, kind: Any) -> Any:
    """The text of a query as the JSON value that it stands for."""
    if _holds(kind, datetime):
        return text.replace(" ", "+")  # a plus that was not escaped
    if _holds(kind, bool):
        return {"true": True, "false": False}.get(text, text)
    if _holds(kind, int) and _NUMBER.fullmatch(text):
        return int(text)
    return text


def _holds(kind: Any, wanted: type) -> bool:
    return kind is wanted or any(_holds(inner, wanted) for inner in get_args(kind))


def _put(reason: str, kind: Any) -> str:
    """msgspec's reason in words that say what would be right."""
    choices = _choices(kind)
    if choices:
        return f"must be one of {', '.join(choices)}"
    if _holds(kind, datetime):
        return "must be a time with offset, such as 2026-03-05T04:07:09Z"
    return reason[:1].lower() + reason[1:]


def _choices(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return tuple(str(one) for one in get_args(kind))
    return next((found for inner in get_args(kind) if (found := _choices(inner))), ())
