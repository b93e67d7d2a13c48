"""openapi.json is true: schemathesis sends what it allows and what it does not, and looks at every answer."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.page import KEY, Site, event, row, serving

DOCUMENT = "/api/v1/openapi.json"
EXAMPLES = "4"
"""Random ones for every operation, besides one for every edge of every field."""
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance"
)


@pytest.fixture
async def site(redis: Redis, database: dict[str, str]) -> AsyncIterator[Site]:
    async with serving(redis, database) as running:
        yield running


async def test_every_route_of_the_api_is_described_with_its_role(site: Site) -> None:
    document: dict[str, Any] = await site.get(DOCUMENT)
    assert document["openapi"].startswith("3.1")
    assert site.client.app is not None
    served = {
        (route.method.lower(), re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", route.resource.canonical))
        for route in site.client.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api/")
    }
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert described == served
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert "Needs the role" in operation["description"]


async def test_what_is_described_is_what_happens(site: Site, tmp_path: Path) -> None:
    await site.store.write_audit("b", [row(event(number)) for number in range(20)])
    # One worker: two threads that run ast.parse, as Hypothesis does, break each other's count of depth (SystemError
    # before CPython 3.11.8, python/cpython#106905), and the interpreter's lock makes two hardly faster than one.
    schemathesis = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{site.address}{DOCUMENT}"),
        *("--header", f"X-API-KEY: {KEY}", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", EXAMPLES, "--seed", "1", "--request-timeout", "10", "--continue-on-failure"),
        *("--exclude-path", "/api/v1/events/live", "--workers", "1", "--no-color", "--warnings", "off"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await schemathesis.communicate()
    assert schemathesis.returncode == 0, output.decode()[-10_000:]
