"""Whose frame is next on a line: in the order of asking, but nobody waits for another's silence in vain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_OVERTAKEN = 3
"""So many frames may go ahead of one that has to wait for silence: a reading of most meters."""


@dataclass(slots=True)
class _Waiter:
    granted: asyncio.Future[None]
    gap_s: float
    patient: bool
    overtaken: int = 0


class Turns:
    """One frame at a time. Moments are the loop's.

    A frame that has to wait for more silence than has passed lets others go ahead that need less: boards that
    want 0.1 s around each of their frames would fill a line of which they use a third.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiter] = []
        self._busy = False
        self._ended_at = 0.0
        self._ended_gap_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def turn(self, gap_s: float, *, patient: bool) -> AsyncIterator[None]:
        """Have the line for one frame that wants `gap_s` of silence first; `patient`: may be overtaken."""
        waiter = _Waiter(asyncio.get_running_loop().create_future(), gap_s, patient)
        self._waiting.append(waiter)
        self._grant()
        try:
            await waiter.granted
            yield
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self._busy = False
            self._grant()

    def ended(self, gap_s: float) -> None:
        """A frame, and its answer if there was one, is over and wants `gap_s` of silence behind it."""
        self._ended_at, self._ended_gap_s = asyncio.get_running_loop().time(), gap_s

    def silence_s(self, gap_s: float) -> float:
        """How much silence a frame that wants `gap_s` has to wait for."""
        return max(gap_s, self._ended_gap_s)

    def silent_at(self, gap_s: float) -> float:
        """When that has passed since the last frame."""
        return self._ended_at + self.silence_s(gap_s)

    def _grant(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._busy or not self._waiting:
            return
        loop = asyncio.get_running_loop()
        first = self._waiting[0]
        movable = first.patient and first.overtaken < _OVERTAKEN
        chosen = min(self._waiting, key=lambda w: self.silent_at(w.gap_s)) if movable else first
        if movable and (silent_at := self.silent_at(chosen.gap_s)) > loop.time():
            self._timer = loop.call_at(silent_at, self._grant)
            return
        for earlier in self._waiting[: self._waiting.index(chosen)]:
            earlier.overtaken += 1
        self._waiting.remove(chosen)
        self._busy = True
        if not chosen.granted.done():  # cancelled, it gives its turn back in a moment
            chosen.granted.set_result(None)
