"""Lua scripts, loaded from `lua/` beside this file."""

from pathlib import Path

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

_FOLDER = Path(__file__).parent / "lua"


def script(redis: "Redis", name: str) -> AsyncScript:
    """`lua/NAME.lua`, run by EVALSHA and loaded again if the server has forgotten it."""
    return redis.register_script((_FOLDER / f"{name}.lua").read_text(encoding="utf-8"))
