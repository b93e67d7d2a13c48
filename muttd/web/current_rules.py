"""The rules in force, compiled when somebody asks what they make of an event, and again after they changed."""

import asyncio
from collections.abc import Iterable

from muttd.event import Event
from muttd.pipeline.outage import Outage
from muttd.rules import Rule, RuleSet
from muttd.store import RuleTables, Store


class CurrentRules:
    """Holds one RuleSet. Compiling 3,000 rules takes a while, so it is done in a thread, once per change."""

    def __init__(self, store: Store, *, default_team: str) -> None:
        self._store = store
        self._default_team = default_team
        self._compiled: RuleSet | None = None
        self._lock = asyncio.Lock()
        self._outage = Outage("the page may show what rules did before their last change")

    def forget(self) -> None:
        """The rules have changed: the next `get` loads them."""
        self._compiled = None

    async def get(self) -> RuleSet:
        """The rules in force. Raises UnavailableError where PostgreSQL is away."""
        async with self._lock:
            if self._compiled is None:
                self._compiled = await self.compiled(await self._store.load_rules())
            return self._compiled

    async def compiled(self, tables: RuleTables, drafts: Iterable[Rule] = ()) -> RuleSet:
        """`tables` with the rules in `drafts` in the place of those with their ids."""
        rules = {rule.id: rule for rule in [*tables.rules, *drafts]}
        ruleset, _ = await asyncio.to_thread(
            RuleSet.compile,
            rules.values(),
            development_hosts=tables.development_hosts,
            teams=tables.teams,
            default_team=self._default_team,
        )
        return ruleset

    def _changed(self) -> None:  # called when listening begins again, too: something may have been missed
        self._outage.over()
        self.forget()

    def _listening_ended(self, reason: str) -> None:
        self._outage.failed(reason)

    def _lost(self, reason: str) -> None:
        self._outage.failed(reason)

    async def watch(self) -> None:
        """Forgets the rules at every change, until it is cancelled."""
        await self._store.listen_for_rule_changes(self._changed, self._listening_ended)


def told(ruleset: RuleSet, event: Event) -> dict[str, object]:
    """What `ruleset` makes of `event`: the decision and how it comes about, in the API's form."""
    decision, explanation = ruleset.decide(event), ruleset.explain(event)
    rule = decision.rule
    return {
        "decision": {
            "rule": None if rule is None else {"id": rule.id, "name": rule.name},
            "handling": decision.handling,
            "team": decision.team,
            "environment": decision.environment,
            "forwarded": decision.forwarded,
        },
        "matched": explanation.matched,
        "missed": explanation.missed,
    }
