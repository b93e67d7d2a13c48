"""Keeps a process's secrets in step with Vault: log-in, renewal, reading again on a schedule.

Promises: once `first` has returned, mutt never stops because Vault is away: it carries on with the secrets it has, says
so in the log and the metrics, and gets the new ones soon after Vault is back. Vault is called in threads, which end
when their calls time out: nothing waits for one that hangs.
"""

import asyncio
import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from muttd.errors import ConfigurationError
from muttd.metrics import Metrics
from muttd.vault.client import Vault, VaultError
from muttd.vault.content import Content, Document, differing
from muttd.vault.lease import Lease, Step, next_turn, pause_after
from muttd.vault.secrets import Secrets

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_REMIND: Final = 60.0
"""Seconds between log lines about a persistent fault."""
Compose = Callable[[Document], Content]
"""Merges what Vault has with this machine's secrets. Raises ConfigurationError."""


class Keeper:
    """Call `first`, then `run`."""

    def __init__(
        self,
        vault: Vault,
        secrets: Secrets,
        compose: Compose,
        metrics: Metrics,
        *,
        place: str,
        refresh: float,
        threshold: float,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`place` names Vault's path in faults. `refresh`: seconds between readings. `threshold`: see next_turn."""
        self._vault = vault
        self._secrets = secrets
        self._compose = compose
        self._metrics = metrics
        self._place = place
        self._refresh = refresh
        self._threshold = threshold
        self._clock = clock
        self._chance = chance
        self._lease: Lease | None = None
        self._read_at = self._retry_at = clock()
        self._failures = 0
        self._trouble = ""
        self._failing: Step | None = None
        self._remind_at = clock()
        self._look_again = asyncio.Event()
        self._proven = False
        """Whether the current token has read the secrets: if it no longer may, it was revoked."""

    def read_again(self) -> None:
        """Has the secrets read again as soon as Vault can be reached."""
        self._read_at = self._clock()
        self._look_again.set()

    async def first(self, stop: asyncio.Event, waiting: Callable[[str], None] = lambda _: None) -> bool:
        """Returns when the secrets have been read for the first time, however long Vault is away; False: stop was set.

        `waiting` gets the reason at every try. Raises ConfigurationError if the secrets are malformed.
        """
        stopped = asyncio.ensure_future(stop.wait())
        reading = asyncio.ensure_future(self._read_first(waiting))
        try:
            await asyncio.wait({stopped, reading}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading
                return True
            return False
        finally:
            for task in (stopped, reading):
                task.cancel()

    async def _read_first(self, waiting: Callable[[str], None]) -> None:
        while not self._proven:
            await self._take_turn("mutt waits for it", raise_faults=True)
            if self._trouble:
                waiting(self._trouble)

    async def run(self) -> None:
        """Does what is due, until cancelled."""
        while True:
            await self._take_turn("mutt goes on with the secrets it has")

    async def _take_turn(self, consequence: str, *, raise_faults: bool = False) -> None:
        """Waits until something is due, and does it."""
        self._look_again.clear()
        now = self._clock()
        turn = next_turn(
            self._lease, read_at=self._read_at, retry_at=self._retry_at, threshold=self._threshold, now=now
        )
        if turn.at > now:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(turn.at - now, _REMIND)):
                    await self._look_again.wait()
            return
        try:
            values = await self._ask(turn.step)
        except VaultError as error:
            self._failed(turn.step, error, consequence)
            return
        self._well(turn.step)
        if values is not None:
            self._proven = True
            self._read_at = self._clock() + self._refresh
            self._take(values, raise_faults=raise_faults)

    async def _ask(self, step: Step) -> Mapping[str, Any] | None:
        if step == "read":
            return await _in_thread(self._vault.read)
        asked_at = self._clock()
        if step == "log_in":
            grant = await _in_thread(self._vault.log_in)
            self._lease, self._proven = Lease(asked_at, grant.length, grant.renewable, grant.length), False
            self._metrics.vault_logins.inc()
        else:
            grant = await _in_thread(self._vault.renew)
            assert self._lease is not None
            self._lease = Lease(asked_at, grant.length, grant.renewable, self._lease.first)
        log.debug("Vault: %s gave a lease of %g s", step, grant.length)
        self._metrics.vault_lease_end.set(time.time() + grant.length if self._lease.first else 0)
        return None

    def _failed(self, step: Step, error: VaultError, consequence: str) -> None:
        self._failures += 1
        # Just past the token's maximum age, Vault reports an internal error instead.
        ended = step == "renew" and error.kind in {"denied", "failed"}
        if ended or (step == "read" and error.kind == "denied" and self._proven):
            log.info("Vault no longer accepts our token (too old, or revoked); logging in again")
            self._lease, self._proven = None, False
            if self._failures == 1:
                return
        pause = pause_after(self._failures, self._chance())
        if step == "read" and error.kind in {"denied", "missing"}:  # no reason to discard the token
            self._read_at = self._clock() + min(self._refresh, pause)
        else:
            self._retry_at = self._clock() + pause
        self._metrics.vault_up.set(0)
        if str(error) != self._trouble or self._clock() >= self._remind_at:
            log.warning("%s; %s and tries again", error, consequence)
            self._remind_at = self._clock() + _REMIND
        self._trouble, self._failing = str(error), step

    def _well(self, step: Step) -> None:
        if self._failing == "read" and step != "read":  # the token was not the problem
            return
        self._metrics.vault_up.set(1)
        if self._trouble:
            log.info("Vault is back")
        self._failures, self._trouble, self._failing = 0, "", None

    def _take(self, values: Mapping[str, Any], *, raise_faults: bool) -> None:
        try:
            content = self._compose(Document(self._place, values))
        except ConfigurationError as error:
            if raise_faults:
                raise
            log.error("the secrets stay as they were: %s", "; ".join(error.faults))  # noqa: TRY400 (its line says all)
            return
        self._metrics.secrets_read.set_to_current_time()
        changed = differing(self._secrets.content, content)
        if self._secrets.replace(content):
            log.info("secrets changed: %s", ", ".join(changed))


async def _in_thread(call: Callable[[], _T]) -> _T:
    """The result of `call`, from a thread that nobody has to wait for (asyncio would join its own at exit)."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(result: _T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # without an error it is a _T

    def work() -> None:
        result, fault = None, None
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 (it is raised where it is awaited)
            fault = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle, result, fault)

    threading.Thread(target=work, name="vault", daemon=True).start()
    return await done
