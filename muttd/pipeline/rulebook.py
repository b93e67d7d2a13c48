"""The rules in force: loaded at start, reloaded when they change, swapped as a whole.

Promises: a change in PostgreSQL takes effect within two seconds; an unusable rule is omitted and named, without
affecting the others; while PostgreSQL is away, the last rules loaded stay in force, even across a restart.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

import msgspec

from muttd.errors import UnavailableError
from muttd.metrics import Metrics
from muttd.pipeline.outage import Outage
from muttd.pipeline.queue.faults import FAULTS
from muttd.pipeline.queue.outcomes import Outcomes
from muttd.rules import RuleSet
from muttd.store import RuleTables, Store

log = logging.getLogger(__name__)


class Rulebook:
    """Keeps `current`, which is None until rules have been loaded for the first time."""

    def __init__(
        self,
        *,
        store: Store,
        outcomes: Outcomes,
        metrics: Metrics,
        refresh: float,
        default_team: str,
        domains: Sequence[str] = (),
    ) -> None:
        """`refresh`: seconds between loads without cause; `domains` as RuleSet.compile takes them."""
        self._store = store
        self._outcomes = outcomes
        self._metrics = metrics
        self._refresh = refresh
        self._default_team = default_team
        self._domains = tuple(domains)
        self._changed = asyncio.Event()
        self._refused: dict[int, str] = {}
        self._outage = Outage("the rules that were loaded last stay in force")
        self.current: RuleSet | None = None
        self.loaded = asyncio.Event()
        """Set once there are rules."""

    def reload(self) -> None:
        """Has the rules loaded soon: something may have changed."""
        self._changed.set()

    async def run(self) -> None:
        """Keeps the rules up to date until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._store.listen_for_rule_changes(self.reload, self._listening_ended))
            while True:
                self._changed.clear()
                wait = await self._load()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._changed.wait()

    def _listening_ended(self, reason: str) -> None:
        log.debug("not listening for changed rules: %s", reason)

    async def _load(self) -> float:
        """Seconds until the next load, unless something changes first."""
        try:
            tables = await self._store.load_rules()
        except UnavailableError as error:
            self._metrics.rules_loaded.set(0)
            if self.current is None:
                await self._take_saved()
            return self._outage.failed(error)
        self._outage.over()
        await self._take(tables)
        self._metrics.rules_loaded.set(1)
        with contextlib.suppress(*FAULTS):  # only a start during an outage of PostgreSQL would miss it
            await self._outcomes.save_rules(msgspec.json.encode(tables))
        return self._refresh

    async def _take_saved(self) -> None:
        with contextlib.suppress(msgspec.DecodeError, *FAULTS):
            saved = await self._outcomes.saved_rules()
            if saved is not None:
                log.warning("starting with the rules that were saved in Redis")
                await self._take(msgspec.json.decode(saved, type=RuleTables))

    async def _take(self, tables: RuleTables) -> None:
        # In a thread: thousands of rules take longer to compile than events should wait.
        rules, refused = await asyncio.to_thread(
            RuleSet.compile,
            tables.rules,
            development_hosts=tables.development_hosts,
            teams=tables.teams,
            default_team=self._default_team,
            domains=self._domains,
        )
        for rule_id, reason in refused:
            if self._refused.get(rule_id) != reason:
                log.warning("rule %d is left out: %s", rule_id, reason)
        self._refused = dict(refused)
        self._metrics.rules.labels("active").set(len(rules.rules))
        self._metrics.rules.labels("refused").set(len(refused))
        if self.current is None or rules.rules != self.current.rules:
            log.info("%d rules in force", len(rules.rules))
        self.current = rules
        self.loaded.set()
