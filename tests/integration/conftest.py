"""Fixtures that several files of integration tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from muttd.embedded import Valkey
from tests.alerting import add_rule, prepared
from tests.pems import Pems
from tests.setting_up import Site
from tests.vaults import Bao


@pytest.fixture
async def tables(database: dict[str, str]) -> dict[str, str]:
    """A database with tables and partitions, and one rule: `page` in the message pages."""
    await prepared(database)
    await add_rule(database, name="pages", match_string="page", team_assignment="network")
    return database


@pytest.fixture
def pems(tmp_path: Path) -> Pems:
    return Pems(tmp_path / "pems")


@pytest.fixture
def strangers(tmp_path: Path) -> Pems:
    return Pems(tmp_path / "strangers")


@pytest.fixture(scope="module")
def bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bao]:
    server = Bao(tmp_path_factory.mktemp("bao"))
    server.start()
    server.set_up()
    yield server
    server.stop()


@pytest.fixture
def site(tmp_path: Path, valkey: Valkey, redis: Any, database: dict[str, str]) -> Site:
    return Site(tmp_path, valkey, database)
