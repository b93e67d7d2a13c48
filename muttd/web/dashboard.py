"""GET /api/v1/metrics/current: what the dashboard shows."""

from aiohttp import web

from muttd.web.answers import answer
from muttd.web.pulse import Pulse, State


class DashboardApi:
    """Reads the pulse for whoever asks."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse

    async def current(self, _: web.Request) -> web.Response:
        """Rates, depths, the last hour by minutes, workers and alarms."""
        return answer(shown(await self._pulse.state()))


def shown(state: State) -> dict[str, object]:
    """The state in the API's form. Rates are events per second; `minutes` are counts, oldest first."""
    names = sorted({name for minute in state.minutes for name in minute.counters})
    return {
        "time": state.time,
        "rates": state.rates,
        "today": state.today,
        "minutes": {
            "stamps": [minute.stamp for minute in state.minutes],
            "counts": {name: [minute.counters.get(name, 0) for minute in state.minutes] for name in names},
        },
        "queues": state.depths._asdict(),
        "oldest_waiting_seconds": state.oldest_waiting,
        "circuit": state.circuit._asdict(),
        "workers": [worker._asdict() for worker in state.workers],
        "alarms": state.alarms,
    }
