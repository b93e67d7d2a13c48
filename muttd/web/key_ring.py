"""The keys that are stored: recognised by their SHA-256, remembered while PostgreSQL is away.

Promises: a key that was deleted or changed is so for every process a second later; while PostgreSQL is away, who was
let in shortly before stays in, since that is when the page is needed most. However many unknown keys come, they hold
one connection to PostgreSQL at most, and none waits for more than two questions.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from muttd.errors import UnavailableError
from muttd.store import Store
from muttd.store.keys import StoredKey, key_by_id, keys_by_digest

T = TypeVar("T")

FRESH: Final = 1.0
"""Seconds for which an answer holds: a page that asks ten things at once asks PostgreSQL once."""
_OUTAGE_LIMIT: Final = 3600.0
"""Seconds for which an answer holds while PostgreSQL is away."""
_PATIENCE: Final = 2.0
"""Seconds until PostgreSQL counts as away: longer would slow every request."""
_AWAY_FOR: Final = 5.0
"""Seconds for which it is not asked again then, where an answer is remembered."""
_REMEMBERED_LIMIT: Final = 1000
"""Keys: some 300 kB. Only right ones are remembered, so guessing does not push them out."""


class _Answer(NamedTuple):
    key: StoredKey
    asked: float


class _Question:
    """Keys that PostgreSQL is asked about together."""

    def __init__(self) -> None:
        self.digests: set[bytes] = set()
        self.found: asyncio.Task[Mapping[bytes, StoredKey]] | None = None
        """The answer to come; None before anybody has asked."""


class KeyRing:
    """Asks PostgreSQL, or remembers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._answers: OrderedDict[bytes | int, _Answer] = OrderedDict()
        self._away_until = 0.0
        self._next = _Question()
        self._asking = asyncio.Lock()

    async def by_secret(self, secret: bytes) -> StoredKey | None:
        """Whose key this is; None for nobody's. Raises UnavailableError where that cannot be found out."""
        digest = digest_of(secret)
        return await self._recognised(digest, lambda: self._among_others(digest))

    async def by_id(self, number: int) -> StoredKey | None:
        """The same for the key of a session."""
        return await self._recognised(number, lambda: _in_time(key_by_id(self._store, number)))

    def forget(self) -> None:
        """Keys have changed: ask again."""
        self._answers.clear()

    async def _recognised(self, sign: bytes | int, ask: Callable[[], Awaitable[StoredKey | None]]) -> StoredKey | None:
        now = time.monotonic()
        known = self._answers.get(sign)
        if known is None or now - known.asked >= FRESH:
            if known is None or now >= self._away_until:
                known = await self._asked(sign, ask, known)
            elif now - known.asked > _OUTAGE_LIMIT:
                raise UnavailableError("PostgreSQL does not answer")
        if known is None or (known.key.expires_at is not None and known.key.expires_at.timestamp() <= time.time()):
            return None
        return known.key

    async def _asked(
        self, sign: bytes | int, ask: Callable[[], Awaitable[StoredKey | None]], known: _Answer | None
    ) -> _Answer | None:
        try:
            found = await ask()
        except (UnavailableError, TimeoutError) as error:
            now = time.monotonic()
            self._away_until = now + _AWAY_FOR
            if known is None or now - known.asked > _OUTAGE_LIMIT:
                raise UnavailableError("PostgreSQL does not answer") from error
            return known
        self._answers.pop(sign, None)
        if found is None:
            return None
        answer = self._answers[sign] = _Answer(found, time.monotonic())
        if len(self._answers) > _REMEMBERED_LIMIT:
            self._answers.popitem(last=False)
        return answer

    async def _among_others(self, digest: bytes) -> StoredKey | None:
        """Asks about `digest` and all others that come while the question before is on its way."""
        question = self._next
        question.digests.add(digest)
        if question.found is None:
            question.found = asyncio.create_task(self._answer_to(question))
        # The task belongs to no caller: one that is cancelled takes the answer from no other.
        return (await asyncio.shield(question.found)).get(digest)

    async def _answer_to(self, question: _Question) -> Mapping[bytes, StoredKey]:
        """The keys found, once it is the question's turn; until then it may grow."""
        async with self._asking:
            self._next = _Question()
            return await _in_time(keys_by_digest(self._store, question.digests))


async def _in_time(answer: Awaitable[T]) -> T:
    async with asyncio.timeout(_PATIENCE):
        return await answer


def digest_of(secret: bytes) -> bytes:
    """What is stored of a key."""
    return hashlib.sha256(secret).digest()
