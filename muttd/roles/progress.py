"""What `systemctl status` shows for a process: how many events it has handled so far, and what is waiting."""

from typing import Literal

from prometheus_client import Counter

from muttd.errors import UnavailableError
from muttd.metrics import Metrics
from muttd.pipeline.queue.board import Board
from muttd.runtime import Progress


def of_receiver(metrics: Metrics) -> Progress:
    """For muttd."""

    async def progress() -> tuple[int, str]:
        tallies = metrics.tallies.values()
        waiting, spooled = sum(one.waiting for one in tallies), sum(one.spooled for one in tallies)
        return sum(one.received for one in tallies), f"{waiting:,} in memory, {spooled:,} on disk"

    return progress


def of_alerter(metrics: Metrics, board: Board) -> Progress:
    """For muttd alerter."""

    async def progress() -> tuple[int, str]:
        return _total(metrics.processed), f"{await _depth(board, 'ingest')} wait to be decided"

    return progress


def of_forwarder(metrics: Metrics, board: Board) -> Progress:
    """For muttd forwarder."""

    async def progress() -> tuple[int, str]:
        return _total(metrics.moog_requests), f"{await _depth(board, 'alert')} wait to be delivered"

    return progress


def _total(counter: Counter) -> int:
    """The sum over all its labels."""
    return sum(int(sample.value) for family in counter.collect() for sample in family.samples)


async def _depth(board: Board, which: Literal["ingest", "alert"]) -> str:
    try:
        return f"{getattr(await board.depths(), which):,}"
    except UnavailableError:
        return "Redis is away, an unknown number"
