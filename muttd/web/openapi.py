"""OpenAPI 3.1 from the table of routes: nothing in it is written twice, so nothing in it can grow old."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

import msgspec
from aiohttp import web

from muttd import __version__
from muttd.web.problems import Problem
from muttd.web.routes import Media, Route

_VARIABLE: Final = re.compile(r"\{(\w+)(?::(?:[^{}]|\{[^{}]*\})*)?\}")
_REFERENCE: Final = "#/components/schemas/{name}"
_FOR_A_KEY: Final = (401, 403, 429)
_FOR_A_BODY: Final = (400, 408, 413, 415)
_ALWAYS: Final = 503


class Specification:
    """GET /api/v1/openapi.json."""

    def __init__(self) -> None:
        self._document = b""

    def describe(self, routes: Iterable[Route]) -> None:
        """What there is to tell: it is one of the routes itself, so it is told of them later."""
        self._document = msgspec.json.encode(description(routes, __version__))

    async def document(self, _: web.Request) -> web.Response:
        """This API, described in OpenAPI 3.1."""
        return web.Response(body=self._document, content_type="application/json")


def description(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document; `version` is mutt's."""
    routes = [route for route in routes if route.described]
    types = _Types(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(plain_path(route.path), {})[route.method.lower()] = _operation(route, types)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mutt",
            "version": version,
            "description": "Send an API key in X-API-KEY. Faults are RFC 9457 problem details.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": types.components,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-mutt-session",
                    "description": "From POST /login; what changes something also needs X-CSRF-Token.",
                },
            },
        },
    }


def plain_path(path: str) -> str:
    """The path without the patterns of its variables."""
    return _VARIABLE.sub(r"{\1}", path)


class _Types:
    """The schemas of all types that routes name."""

    def __init__(self, routes: Iterable[Route]) -> None:
        named = [_kind(found) for route in routes for found in (route.gives, route.takes)]
        fields = [given_type(field.type) for route in routes for field in _query_fields(route)]
        wanted = [*(found for found in named if found is not None), *fields, Problem]
        schemas, components = msgspec.json.schema_components(wanted, ref_template=_REFERENCE)
        self._schemas = list(zip(wanted, schemas, strict=True))
        self.components: Mapping[str, Any] = components

    def __getitem__(self, wanted: Any) -> Mapping[str, Any]:
        return next(schema for one, schema in self._schemas if one == wanted)


def given_type(kind: Any) -> Any:
    """The type of what is given at all: a query has no null."""
    if get_origin(kind) not in {Union, UnionType}:
        return kind
    return Union[tuple(one for one in get_args(kind) if one is not NoneType)]  # noqa: UP007  # of a tuple


def _query_fields(route: Route) -> tuple[Any, ...]:
    return () if route.query is None else msgspec.structs.fields(route.query)


def _operation(route: Route, types: _Types) -> dict[str, Any]:
    text = " ".join((route.endpoint.__doc__ or "").split())
    role = "Needs no key." if route.role is None else f"Needs the role {route.role}."
    variables = _VARIABLE.findall(route.path)
    operation: dict[str, Any] = {
        "operationId": "_".join([route.method.lower(), *re.findall(r"\w+", plain_path(route.path).split("/v1/")[-1])]),
        "summary": text.partition(". ")[0].rstrip("."),
        "description": f"{text} {role}".strip(),
        "security": [] if route.role is None else [{"key": []}, {"session": []}],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in variables),
            *(_parameter(field, types) for field in _query_fields(route)),
            *([_IF_MATCH] if route.version and route.method != "GET" else []),
        ],
        "responses": _responses(route, types, bool(variables)),
    }
    if route.takes is not None:
        operation["requestBody"] = {"required": True, "content": _content(route.takes, types)}
    return operation


_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of the version that the caller has seen; 412 where it is not the present one.",
}


def _parameter(field: Any, types: _Types) -> dict[str, Any]:
    return {
        "name": field.encode_name,
        "in": "query",
        "required": field.required,
        "schema": types[given_type(field.type)],
    }


def _kind(content: Any) -> Any:
    if isinstance(content, str):
        return str
    return content.kind if isinstance(content, Media) else content


def _content(content: Any, types: _Types) -> dict[str, Any]:
    name = content.name if isinstance(content, Media) else content if isinstance(content, str) else "application/json"
    return {media: {"schema": types[_kind(content)]} for media in name.split(", ")}


def _responses(route: Route, types: _Types, variables: bool) -> dict[str, Any]:
    problems = {*route.also, _ALWAYS}
    if route.role is not None:
        problems.update(_FOR_A_KEY)
    if route.takes is not None:
        problems.update(_FOR_A_BODY)
    if route.query is not None:
        problems.add(400)
    if variables:
        problems.add(404)
    if route.version and route.method != "GET":
        problems.add(412)
    good: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.gives is not None:
        good["content"] = _content(route.gives, types)
    if route.version and route.status != 204:
        good["headers"] = {"ETag": {"schema": {"type": "string"}, "required": True}}
    told = {"application/problem+json": {"schema": types[Problem]}}
    return {
        str(route.status): good,
        **{str(one): {"description": HTTPStatus(one).phrase, "content": told} for one in sorted(problems)},
    }
