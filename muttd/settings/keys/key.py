"""One key of muttd.conf: a dataclass field that carries its manual and its limits."""

from dataclasses import field
from typing import Any


def key(
    default: Any,
    text: str,
    *,
    env: str | None = None,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    form: str | None = None,
    keyed_by: str = "network",
) -> Any:
    """A dataclass field. `low`/`high` are inclusive; `form` names a check in `forms`, `keyed_by` that of table keys."""
    metadata = {
        "text": text,
        "env": env,
        "low": low,
        "high": high,
        "choices": choices,
        "form": form,
        "keyed_by": keyed_by,
    }
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def port_key(default: int, text: str, env: str) -> Any:
    """The key of a port that we bind or connect to."""
    return key(default, text, env=env, low=1, high=65535)
