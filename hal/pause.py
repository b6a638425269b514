"""Waiting on an injected clock, until a moment or until something happens."""

from __future__ import annotations

import asyncio

from hal.api import Clock


class Pause:
    """The rest between two polls of a task, which `end` cuts short, also before it began."""

    __slots__ = ("_clock", "_ended")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Let the pause that is, or the next one, end at once."""
        self._ended.set()

    async def until(self, when: float) -> None:
        """Wait until `when` on the clock, or `end`."""
        timer = self._clock.call_at(when, self._ended.set)
        try:
            await self._ended.wait()
        finally:
            timer.cancel()
            self._ended.clear()
