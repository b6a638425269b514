"""Event loops by name, and waiting on them while things are set up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")

LOOPS = ("asyncio", "uvloop") if find_spec("uvloop") else ("asyncio",)


def run(work: Coroutine[Any, Any, T], loop: str) -> T:
    """Run `work` on that kind of loop."""
    if loop == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(work)
    return asyncio.run(work)


async def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)
