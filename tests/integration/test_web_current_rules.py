"""The rules as the page holds them, against a real PostgreSQL: a change at any moment is seen by the next who asks."""

from typing import Any

import pytest

from muttd.store import RuleTables, Store, migrate
from muttd.store.config import RULES, Actor, Config
from muttd.web.current_rules import CurrentRules

RULE = {
    "match_type": "contains",
    "match_string": "a",
    "prod_handling": "Page_only",
    "dev_handling": "Log_only",
    "priority": 100,
    "case_sensitive": False,
    "negated": [],
    "is_active": True,
}
SOMEBODY = Actor("somebody", "192.0.2.1")


class Changing(Store):
    """A store whose one rule gets another name at a given moment."""

    page: CurrentRules
    rule = ""

    async def rename(self, name: str) -> None:
        await Config(self, RULES).update(self.rule, {"name": name}, SOMEBODY)
        self.page.forget()


class WhileLoading(Changing):
    """Right after the rules were read, before they are handed over."""

    async def load_rules(self) -> RuleTables:
        tables = await super().load_rules()
        if tables.rules[0].name == "old":
            await self.rename("new")
        return tables


class CompilesLate(CurrentRules):
    """While the rules that were read are compiled."""

    async def compiled(self, *given: Any) -> Any:
        made = await super().compiled(*given)
        assert isinstance(self._store, Changing)
        if made.rules.rules[0].name == "old":
            await self._store.rename("new")
        return made


@pytest.mark.parametrize(
    ("database_of", "page_of"), [(WhileLoading, CurrentRules), (Changing, CompilesLate)], ids=["loading", "compiling"]
)
async def test_a_change_while_rules_are_loaded_or_compiled_is_not_forgotten(
    database: dict[str, str], database_of: type[Changing], page_of: type[CurrentRules]
) -> None:
    await migrate(database)
    store = database_of(database)
    await store.open()
    try:
        store.rule = str((await Config(store, RULES).create({**RULE, "name": "old"}, SOMEBODY)).content["id"])
        store.page = page_of(store, default_team="unassigned")
        await store.page.get()
        assert [rule.name for rule in (await store.page.get()).rules.rules] == ["new"]
        assert await store.page.get() is await store.page.get(), "compiled again without a change"
    finally:
        await store.close()
