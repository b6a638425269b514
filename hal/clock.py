"""The three clocks: wall time, wall time sped up, and one that jumps to its next timer."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from math import ceil, inf

from hal.api import Clock, Timer

__all__ = ["BatchedClock", "Clock", "ScaledClock", "SteppedClock", "Timer", "WallClock"]


class _Entry:
    """One timer; without an action it is cancelled."""

    __slots__ = ("_timers", "action")

    def __init__(self, action: Callable[[], None], timers: _Timers) -> None:
        self.action: Callable[[], None] | None = action
        self._timers = timers

    def cancel(self) -> None:
        if self.action is not None:
            self.action = None
            self._timers.cancelled += 1


class _Timers:
    """Timers by moment and, within a moment, in the order in which they were asked for."""

    __slots__ = ("_heap", "_order", "cancelled", "taken_at")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Entry]] = []
        self._order = itertools.count()
        self.cancelled = 0
        self.taken_at = inf  # when the action that was taken last had been due

    def add(self, when: float, action: Callable[[], None]) -> _Entry:
        entry = _Entry(action, self)
        heapq.heappush(self._heap, (when, next(self._order), entry))
        if self.cancelled > 250 and self.cancelled * 5 > len(self._heap):
            self._heap = [item for item in self._heap if item[2].action is not None]
            heapq.heapify(self._heap)
            self.cancelled = 0
        return entry

    def next_at(self) -> float | None:
        """When the first timer is due; None without timers."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
            self.cancelled -= 1
        return self._heap[0][0] if self._heap else None

    def take(self, due: float) -> Callable[[], None] | None:
        """The next action due by then, or None."""
        head = self.next_at()
        if head is None or head > due:
            return None
        self.taken_at = head
        entry = heapq.heappop(self._heap)[2]
        action, entry.action = entry.action, None
        return action


class _LoopClock:
    """Time that passes on an asyncio loop; one loop timer serves all timers of the clock.

    asyncio itself keeps no order among timers of one moment. With a grid, timers fire at the multiples of
    `grid_s` only, in their order.
    """

    __slots__ = ("_armed_at", "_grid_s", "_handle", "_loop", "_real", "_rounds_s", "_timers")

    def __init__(self, loop: asyncio.AbstractEventLoop | None, grid_s: float = 0.0) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._grid_s = grid_s
        # uvloop tells its time in whole milliseconds, and as of when it last waited: too coarse here.
        precise = isinstance(self._loop, asyncio.BaseEventLoop)
        self._real = self._loop.time if precise else time.monotonic
        self._rounds_s = 0.0 if precise else 0.0005  # by what the loop may wake us too soon
        self._timers = _Timers()
        self._handle: asyncio.TimerHandle | None = None
        self._armed_at = inf

    def now(self) -> float:
        raise AssertionError("each clock tells its own time")

    def _loop_time(self, when: float) -> float:
        raise AssertionError("each clock tells its own time")

    @property
    def late_s(self) -> float:
        taken_at = self._timers.taken_at
        if taken_at == inf:
            return 0.0
        return max(self._real() - self._loop_time(self._fires_at(taken_at)), 0.0)

    def call_at(self, when: float, action: Callable[[], None]) -> Timer:
        entry = self._timers.add(when, action)
        if when < self._armed_at:
            self._arm(when)
        return entry

    def _fires_at(self, when: float) -> float:
        """The next moment of the grid."""
        return ceil(when / self._grid_s) * self._grid_s if self._grid_s else when

    def _arm(self, when: float) -> None:
        if self._grid_s and when > self.now():
            when = self._fires_at(when)
            if when >= self._armed_at:
                return
        if self._handle is not None:
            self._handle.cancel()
        self._armed_at = when
        self._handle = self._loop.call_at(self._loop_time(when) + self._rounds_s, self._fire)

    def _fire(self) -> None:
        """Everything due by now, each on its own: one that fails does not keep the next from happening."""
        self._handle, self._armed_at = None, -inf  # what is asked for meanwhile waits for the next round
        due = self.now()
        while (action := self._timers.take(due)) is not None:
            try:
                action()
            except Exception as error:
                self._loop.call_exception_handler({"message": "a timer failed", "exception": error})
        self._armed_at = self._timers.taken_at = inf
        if (head := self._timers.next_at()) is not None:
            self._arm(head)

    def hold(self) -> None: ...

    def release(self, lost_s: float = 0.0) -> None: ...

    def touch(self) -> None: ...


class WallClock(_LoopClock):
    """Real time on the running asyncio loop.

    It starts at the host's time and then follows the loop's monotonic clock, so a step of the host's clock
    moves no timer. For thousands of stations in one process: with `grid_s` what is due within one such span
    happens together at its end, so that it wakes this process, and the other end's, once. A moment already
    past waits for no grid. What fires at its moment of the grid is not late.
    """

    __slots__ = ("_epoch",)

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None, *, grid_s: float = 0.0) -> None:
        super().__init__(loop, grid_s)
        self._epoch = time.time() - self._real()

    def now(self) -> float:
        return self._epoch + self._real()

    def _loop_time(self, when: float) -> float:
        return when - self._epoch


class ScaledClock(_LoopClock):
    """Real time sped up: `factor` station seconds pass in one real second, from `start` on."""

    __slots__ = ("_factor", "_origin", "_start")

    def __init__(
        self, factor: float, start: float | None = None, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        if factor <= 0:
            raise ValueError(f"a clock cannot run x{factor:g}: the factor must be above 0")
        super().__init__(loop)
        self._factor = factor
        self._origin = self._real()
        self._start = time.time() if start is None else start

    def now(self) -> float:
        return self._start + (self._real() - self._origin) * self._factor

    def _loop_time(self, when: float) -> float:
        return self._origin + (when - self._start) / self._factor


class SteppedClock:
    """Time that stands still until told to pass, then jumps from timer to timer.

    `advance` is for code without real I/O; `run_until` waits before each jump until nothing holds the clock
    and `linger_s` of real time have passed since the last `touch`.
    """

    __slots__ = ("_holds", "_moved", "_now", "_timers", "_touched", "linger_s", "lost_s")

    def __init__(self, start: float = 0.0, linger_s: float = 0.0) -> None:
        self.linger_s = linger_s
        self.lost_s = 0.0  # real seconds lost so far to answers that did not come
        self._now = start
        self._timers = _Timers()
        self._holds = 0
        self._touched = -inf
        self._moved: asyncio.Event | None = None

    @property
    def late_s(self) -> float:
        return 0.0

    def now(self) -> float:
        return self._now

    def call_at(self, when: float, action: Callable[[], None]) -> Timer:
        return self._timers.add(max(when, self._now), action)

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
        return self._timers.next_at()

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass and fire every timer on the way, in order; holds are not waited for."""
        until = self._now + seconds
        while (due := self.next_at()) is not None and due <= until:
            self._step(due, until)
        self._now = until

    async def run_until(self, until: float) -> float:
        """Let time pass up to `until`; returns the real seconds lost to answers that never came."""
        lost_before = self.lost_s
        while True:
            await self._quiet()
            due = self.next_at()
            if due is None or due > until:
                break
            self._step(due, until)
        self._now = max(self._now, until)
        return self.lost_s - lost_before

    def _step(self, due: float, until: float = inf) -> None:
        """Jump to `due` and fire what is due then, including what these timers ask for at once."""
        self._now = due
        while (action := self._timers.take(due)) is not None:
            action()

    async def _let_go(self, moved: asyncio.Event) -> None:
        """Wait for the last release."""
        await moved.wait()

    async def _quiet(self) -> None:
        """Wait until nothing holds the clock and no frame has moved for `linger_s`."""
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        while True:
            while self.held:
                self._moved = asyncio.Event()
                await self._let_go(self._moved)
                self._moved = None
            pause = self._touched + self.linger_s - loop.time() if self.linger_s else 0.0
            if pause <= 0:
                return
            await asyncio.sleep(pause)


class BatchedClock(SteppedClock):
    """A stepped clock for many stations at once: each jump fires the timers of a whole `batch_s`.

    Every timer still happens at its own moment, in order, but nothing real is waited for between those of one
    batch, so that what they ask a central system is under way together. What an answer brings happens at the
    last moment of its batch. When nothing has been released for `hold_at_most_s` of real time, the clock goes
    on without what still holds it, counted in `released_holds`: from then on a run is not reproducible.
    A timer that fails does not keep the next from happening.
    """

    __slots__ = ("_given_up", "_releases", "batch_s", "hold_at_most_s", "released_holds")

    def __init__(
        self, start: float = 0.0, linger_s: float = 0.0, *, batch_s: float = 1.0, hold_at_most_s: float = 1.0
    ) -> None:
        super().__init__(start, linger_s)
        self.batch_s = batch_s
        self.hold_at_most_s = hold_at_most_s
        self.released_holds = 0
        self._given_up = 0  # holds that are not waited for any more
        self._releases = 0

    @property
    def held(self) -> bool:
        """True while something real is under way that is still waited for."""
        return self._holds > self._given_up

    def release(self, lost_s: float = 0.0) -> None:
        self._releases += 1
        # Releases are anonymous. One that comes with a loss ends a hold given up; any other, while there are
        # such that are not, one of those: else each step would wait once more for the one given up.
        if self._given_up and (lost_s or not self.held):
            self._given_up -= 1
        super().release(lost_s)
        if not self.held and self._moved is not None:
            self._moved.set()

    def _step(self, due: float, until: float = inf) -> None:
        end = due - due % self.batch_s + self.batch_s
        while (head := self.next_at()) is not None and head < end and head <= until:
            self._now = head
            action = self._timers.take(head)
            assert action is not None
            try:
                action()
            except Exception as error:
                _report(error)

    async def _let_go(self, moved: asyncio.Event) -> None:
        while not moved.is_set():
            before = self._releases
            try:
                async with asyncio.timeout(self.hold_at_most_s):
                    await moved.wait()
            except TimeoutError:
                if self._releases == before:
                    self.released_holds += self._holds - self._given_up
                    self._given_up = self._holds
                    return


def _report(error: Exception) -> None:
    """To the loop if there is one; to the caller of `advance` if there is none."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise error from None
    loop.call_exception_handler({"message": "a timer failed", "exception": error})
