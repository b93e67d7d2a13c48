"""What is shown of a stream of decided events: the right ones, not too many, and how many more there were."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from muttd.pipeline.live import LOOKS, SENT, Sampler, Shown, Watch
from muttd.store import AuditRow

NOW = datetime(2026, 3, 5, tzinfo=UTC)
HOSTS = ("core-1", "core-2", "edge-1")
MESSAGES = ("Fan 3 FAILED", "link down", "")


def row(
    severity: int | None = 3, kind: str = "syslog", host: str = "core-1", handling: str = "Page_only", text: str = "x"
) -> AuditRow:
    return (
        *(NOW, NOW, None, str(UUID(int=7)), severity, 1, kind, host, handling),
        *("network", "prod", "app", "rule", text, "{}"),
    )


rows = st.lists(
    st.builds(
        row,
        st.none() | st.integers(0, 7),
        st.sampled_from(["syslog", "trap"]),
        st.sampled_from(HOSTS),
        st.sampled_from(["Page_only", "unhandled"]),
        st.sampled_from(MESSAGES),
    ),
    max_size=40,
)
watches = st.builds(
    Watch,
    host=st.none() | st.sampled_from(["core-1", "CORE-*", "?dge-1", "nowhere", "[c]ore-1"]),
    severity=st.none() | st.integers(0, 7),
    kind=st.none() | st.sampled_from(["syslog", "trap"]),
    handling=st.none() | st.sampled_from(["Page_only", "unhandled"]),
    text=st.none() | st.sampled_from(["failed", "DOWN", "nothing"]),
)


def fits(watch: Watch, one: AuditRow) -> bool:
    """The filter, said once more in plain words."""
    if watch.host == "CORE-*":
        host = one[7].startswith("core-")
    elif watch.host == "?dge-1":
        host = one[7] == "edge-1"
    else:
        host = watch.host is None or one[7] == watch.host
    return (
        host
        and watch.severity in {None, one[4]}
        and watch.kind in {None, one[6]}
        and watch.handling in {None, one[8]}
        and (watch.text is None or watch.text.lower() in one[13].lower())
    )


@settings(deadline=None, max_examples=200)
@given(st.lists(rows, max_size=4), st.lists(watches, min_size=1, max_size=4, unique=True))
def test_each_watch_gets_what_fits_it(batches: list[list[AuditRow]], wanted: list[Watch]) -> None:
    sampler = Sampler()
    sampler.watch([watch.name for watch in wanted])
    for batch in batches:
        sampler.offer(batch)
    found = sampler.report()
    assert found is not None
    everything = [one for batch in batches for one in batch]
    assert found.decided == len(everything)
    for watch, sight in zip(wanted, found.sights, strict=True):
        fitting = [one for one in everything if fits(watch, one)]
        assert sight.watch == watch.name.decode()
        assert sight.looked == len(everything)
        assert sight.matched == len(fitting)
        shown = [msgspec.json.decode(event, type=Shown) for event in sight.events]
        assert [(one.hostname, one.message) for one in shown] == [(one[7], one[13]) for one in fitting[:SENT]]
    again = sampler.report()
    assert again is not None
    assert again.decided == 0
    assert all(sight.matched == 0 for sight in again.sights)


def test_a_flood_costs_no_more_looks_than_are_allowed_and_says_so() -> None:
    sampler = Sampler()
    sampler.watch([Watch(host="core-1").name, Watch(text="never").name])
    for _ in range(10):
        sampler.offer([row()] * LOOKS)
    found = sampler.report()
    assert found is not None
    assert found.decided == 10 * LOOKS
    assert sum(sight.looked for sight in found.sights) == LOOKS
    assert [len(sight.events) for sight in found.sights] == [SENT, 0]


def test_nobody_watches_nothing_is_kept() -> None:
    sampler = Sampler()
    sampler.offer([row()] * 10)
    assert sampler.report() is None
    sampler.watch([b"not a watch", b'{"severity":"high"}'])
    assert sampler.report() is None
