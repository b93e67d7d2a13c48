"""The rules in force, compiled when somebody asks what they make of an event, and again after they changed."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from muttd.event import Environment, Event
from muttd.pipeline.outage import Outage
from muttd.rules import Considered, Rule, RuleSet
from muttd.rules.hosts import HostTable
from muttd.rules.patterns import network
from muttd.store import RuleTables, Store


class Compiled(NamedTuple):
    """The rules, and which rows of the two tables of hosts apply to whom."""

    rules: RuleSet
    development_hosts: HostTable
    teams: HostTable
    """Both with their keys as values."""


class NamedRule(msgspec.Struct, frozen=True):
    """A rule by its name."""

    id: int
    name: str | None


class DecisionTold(msgspec.Struct, frozen=True):
    """What is done with an event."""

    rule: NamedRule | None
    handling: str
    team: str
    environment: Environment
    forwarded: bool


class HostTold(msgspec.Struct, frozen=True):
    """Which host it is, and the rows of the tables that decided about it: names, patterns or networks."""

    hostname: str
    source_ip: str
    development_host: str | None
    """None: no row fits, so the host is in production."""
    team: str | None
    """None: no row fits, so the default team has it."""


class Told(msgspec.Struct, frozen=True):
    """What rules make of an event, and how: all that match, the first one decides, and those that nearly do."""

    decision: DecisionTold
    matched: list[Considered]
    missed: list[Considered]
    host: HostTold


class CurrentRules:
    """Holds one compiled set. Compiling 3,000 rules takes a while, so it is done in a thread, once per change."""

    def __init__(self, store: Store, *, default_team: str, domains: Sequence[str] = ()) -> None:
        self._store = store
        self._default_team = default_team
        self._domains = tuple(domains)
        self._compiled: Compiled | None = None
        self._generation = 0
        self._lock = asyncio.Lock()
        self._outage = Outage("the page may show what rules did before their last change")

    def forget(self) -> None:
        """The rules have changed: the next `get` loads them."""
        self._generation += 1
        self._compiled = None

    async def get(self) -> Compiled:
        """The rules in force. Raises UnavailableError where PostgreSQL is away."""
        async with self._lock:
            if self._compiled is not None:
                return self._compiled
            generation = self._generation
            found = await self.compiled(await self._store.load_rules())
            if generation == self._generation:  # else they changed meanwhile, and the next who asks loads them again
                self._compiled = found
            return found

    async def compiled(self, tables: RuleTables, drafts: Iterable[Rule] = ()) -> Compiled:
        """`tables` with the rules in `drafts` in the place of those with their ids."""
        rules = {rule.id: rule for rule in [*tables.rules, *drafts]}
        return await asyncio.to_thread(self._compile, tables, list(rules.values()))

    def _compile(self, tables: RuleTables, rules: list[Rule]) -> Compiled:
        ruleset, _ = RuleSet.compile(
            rules,
            development_hosts=tables.development_hosts,
            teams=tables.teams,
            default_team=self._default_team,
            domains=self._domains,
        )
        return Compiled(
            ruleset,
            HostTable({name: name for name in tables.development_hosts}, ruleset.domains),
            HostTable({name: name for name in tables.teams}, ruleset.domains),
        )

    def _changed(self) -> None:  # called when listening begins again, too: something may have been missed
        self._outage.over()
        self.forget()

    def _listening_ended(self, reason: str) -> None:
        self._outage.failed(reason)

    async def watch(self) -> None:
        """Forgets the rules at every change, until it is cancelled."""
        await self._store.listen_for_rule_changes(self._changed, self._listening_ended)


def told(compiled: Compiled, event: Event) -> Told:
    """What the rules make of `event`, in the API's form."""
    decision, explanation = compiled.rules.decide(event), compiled.rules.explain(event)
    rule = decision.rule
    # As RuleSet.decide: the sender's network does not count where the name is an address itself.
    is_address = network(event.hostname) is not None

    def row(table: HostTable) -> str | None:
        found = table.by_name(event.hostname)
        return found if found is not None or is_address else table.by_address(event.source_ip)

    return Told(
        decision=DecisionTold(
            rule=None if rule is None else NamedRule(rule.id, rule.name),
            handling=decision.handling,
            team=decision.team,
            environment=decision.environment,
            forwarded=decision.forwarded,
        ),
        matched=explanation.matched,
        missed=explanation.missed,
        host=HostTold(event.hostname, event.source_ip, row(compiled.development_hosts), row(compiled.teams)),
    )
