"""The three clocks: wall time, wall time sped up, and one that jumps to its next timer."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from hal.api import Clock, Timer

__all__ = ["Clock", "ScaledClock", "SteppedClock", "Timer", "WallClock"]


class WallClock:
    """Real time on the running asyncio loop.

    It starts at the host's time and then follows the loop's monotonic clock, so a step of the host's clock
    moves no timer.
    """

    __slots__ = ("_epoch", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._epoch = time.time() - self._loop.time()

    def now(self) -> float:
        return self._epoch + self._loop.time()

    def call_at(self, when: float, action: Callable[[], None]) -> Timer:
        return self._loop.call_at(when - self._epoch, action)

    def hold(self) -> None: ...

    def release(self, lost_s: float = 0.0) -> None: ...

    def touch(self) -> None: ...


class ScaledClock:
    """Real time sped up: `factor` station seconds pass in one real second, from `start` on."""

    __slots__ = ("_factor", "_loop", "_origin", "_start")

    def __init__(
        self, factor: float, start: float | None = None, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        if factor <= 0:
            raise ValueError(f"a clock cannot run x{factor:g}: the factor must be above 0")
        self._loop = loop or asyncio.get_running_loop()
        self._factor = factor
        self._origin = self._loop.time()
        self._start = time.time() if start is None else start

    def now(self) -> float:
        return self._start + (self._loop.time() - self._origin) * self._factor

    def call_at(self, when: float, action: Callable[[], None]) -> Timer:
        return self._loop.call_at(self._origin + (when - self._start) / self._factor, action)

    def hold(self) -> None: ...

    def release(self, lost_s: float = 0.0) -> None: ...

    def touch(self) -> None: ...


class _Entry:
    """One timer of a stepped clock; without an action it is cancelled."""

    __slots__ = ("_clock", "action")

    def __init__(self, action: Callable[[], None], clock: SteppedClock) -> None:
        self.action: Callable[[], None] | None = action
        self._clock = clock

    def cancel(self) -> None:
        if self.action is not None:
            self.action = None
            self._clock._cancelled += 1


class SteppedClock:
    """Time that stands still until told to pass, then jumps from timer to timer.

    `advance` is for code without real I/O; `run_until` waits before each jump until nothing holds the clock
    and `linger_s` of real time have passed since the last `touch`.
    """

    __slots__ = (
        "_cancelled",
        "_heap",
        "_holds",
        "_moved",
        "_now",
        "_order",
        "_touched",
        "linger_s",
        "lost_s",
    )

    def __init__(self, start: float = 0.0, linger_s: float = 0.0) -> None:
        self.linger_s = linger_s
        self.lost_s = 0.0  # real seconds lost so far to answers that did not come
        self._now = start
        self._heap: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()
        self._holds = 0
        self._touched = float("-inf")
        self._cancelled = 0
        self._moved: asyncio.Event | None = None

    def now(self) -> float:
        return self._now

    def call_at(self, when: float, action: Callable[[], None]) -> Timer:
        entry = _Entry(action, self)
        heapq.heappush(self._heap, (max(when, self._now), next(self._order), entry))
        if self._cancelled > 1000 and self._cancelled * 2 > len(self._heap):
            self._heap = [item for item in self._heap if item[2].action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0
        return entry

    def hold(self) -> None:
        self._holds += 1

    def release(self, lost_s: float = 0.0) -> None:
        assert self._holds > 0, "release without hold"
        self._holds -= 1
        self.lost_s += lost_s
        if not self._holds and self._moved is not None:
            self._moved.set()

    def touch(self) -> None:
        if self.linger_s:
            self._touched = asyncio.get_running_loop().time()

    @property
    def held(self) -> bool:
        """True while something real is under way."""
        return self._holds > 0

    def next_at(self) -> float | None:
        """When the next timer is due; None without timers."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else None

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass and fire every timer on the way, in order; holds are not waited for."""
        until = self._now + seconds
        while (due := self.next_at()) is not None and due <= until:
            self._step(due)
        self._now = until

    async def run_until(self, until: float) -> float:
        """Let time pass up to `until`; returns the real seconds lost on the way to answers that never came."""
        lost_before = self.lost_s
        while True:
            await self._quiet()
            due = self.next_at()
            if due is None or due > until:
                break
            self._step(due)
        self._now = max(self._now, until)
        return self.lost_s - lost_before

    def _step(self, due: float) -> None:
        """Jump to `due` and fire what is due then, including what these timers ask for at once."""
        self._now = due
        while self._heap and self._heap[0][0] <= due:
            entry = heapq.heappop(self._heap)[2]
            action, entry.action = entry.action, None
            if action is None:
                self._cancelled -= 1
            else:
                action()

    async def _quiet(self) -> None:
        """Wait until nothing holds the clock and no frame has moved for `linger_s`."""
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        while True:
            while self._holds:
                self._moved = asyncio.Event()
                await self._moved.wait()
                self._moved = None
            pause = self._touched + self.linger_s - loop.time() if self.linger_s else 0.0
            if pause <= 0:
                return
            await asyncio.sleep(pause)
