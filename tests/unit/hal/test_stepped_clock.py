"""The clock that jumps: it waits for what is real before it does (`hal.clock.SteppedClock`)."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from hal.clock import ScaledClock, SteppedClock


class _NothingComes(selectors.SelectSelector):
    """A selector on which nothing ever arrives: waiting takes loop time but no real time."""

    waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "the loop waits for ever"
        self.waited_s += max(0.0, timeout)
        return []


class PatientLoop(asyncio.SelectorEventLoop):
    """A real event loop for which waiting is free."""

    def __init__(self) -> None:
        self.selector = _NothingComes()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.waited_s

    def run(self, coroutine: Coroutine[Any, Any, float]) -> float:
        return self.run_until_complete(coroutine)


@pytest.fixture
def loop() -> Iterator[PatientLoop]:
    loop = PatientLoop()
    yield loop
    loop.close()


def test_advance_fires_on_the_way_and_ends_where_told() -> None:
    clock = SteppedClock(100.0)
    seen: list[float] = []
    for due in (130.0, 110.0, 171.0):
        clock.call_at(due, lambda: seen.append(clock.now()))
    clock.advance(70.0)
    assert seen == [110.0, 130.0]
    assert clock.now() == 170.0
    assert clock.next_at() == 171.0


def test_a_timer_at_the_very_end_still_fires() -> None:
    clock = SteppedClock()
    seen: list[float] = []
    clock.call_at(60.0, lambda: seen.append(clock.now()))
    clock.advance(60.0)
    assert seen == [60.0]


def test_a_timer_for_the_same_moment_made_by_a_timer_fires_in_the_same_step() -> None:
    clock = SteppedClock()
    seen: list[str] = []

    def ask() -> None:
        clock.call_at(0.0, lambda: seen.append(f"late at {clock.now():g}"))

    clock.call_at(5.0, ask)
    clock.advance(5.0)
    assert seen == ["late at 5"]


def test_cancelled_timers_are_forgotten_even_in_great_numbers() -> None:
    clock = SteppedClock()
    seen: list[int] = []
    for _ in range(5000):
        clock.call_at(10.0, lambda: seen.append(0)).cancel()
    clock.call_at(10.0, lambda: seen.append(1))
    clock.advance(20.0)
    assert seen == [1]
    assert clock.next_at() is None


def test_run_until_jumps_without_waiting(loop: PatientLoop) -> None:
    clock = SteppedClock()
    seen: list[float] = []
    clock.call_at(86_400.0, lambda: seen.append(clock.now()))
    assert loop.run(clock.run_until(100_000.0)) == 0.0
    assert (seen, clock.now()) == ([86_400.0], 100_000.0)
    assert loop.time() == 0.0


def test_run_until_waits_for_every_hold(loop: PatientLoop) -> None:
    clock = SteppedClock()
    released_at: list[float] = []
    fired_at: list[float] = []
    clock.call_at(1.0, lambda: fired_at.append(loop.time()))
    clock.hold()
    clock.hold()
    for wait in (2.0, 3.0):
        loop.call_later(wait, clock.release)
        loop.call_later(wait, lambda: released_at.append(clock.now()))
    loop.run(clock.run_until(10.0))
    assert released_at == [0.0, 0.0], "time stood still while held"
    assert fired_at == [3.0]
    assert not clock.held


def test_a_hold_taken_by_a_timer_stops_the_next_jump(loop: PatientLoop) -> None:
    clock = SteppedClock()
    fired_at: list[float] = []

    def ask() -> None:
        clock.hold()
        loop.call_later(4.0, clock.release)

    clock.call_at(1.0, ask)
    clock.call_at(2.0, lambda: fired_at.append(loop.time()))
    loop.run(clock.run_until(5.0))
    assert fired_at == [4.0]


def test_lost_seconds_are_told_once(loop: PatientLoop) -> None:
    clock = SteppedClock()
    clock.hold()
    loop.call_later(30.0, lambda: clock.release(lost_s=30.0))
    assert loop.run(clock.run_until(5.0)) == 30.0
    assert loop.run(clock.run_until(6.0)) == 0.0
    assert clock.lost_s == 30.0


def test_after_a_frame_it_lingers_before_it_jumps(loop: PatientLoop) -> None:
    clock = SteppedClock(linger_s=0.02)
    fired_at: list[float] = []
    clock.call_at(1.0, lambda: fired_at.append(loop.time()))
    loop.call_later(0.0, clock.touch)
    loop.call_later(0.015, clock.touch)
    loop.run(clock.run_until(5.0))
    assert fired_at == [pytest.approx(0.035)]


def test_without_linger_a_frame_delays_nothing(loop: PatientLoop) -> None:
    clock = SteppedClock()
    clock.call_at(1.0, clock.touch)
    loop.run(clock.run_until(5.0))
    assert loop.time() == 0.0


def test_releasing_what_nobody_held_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError):
        SteppedClock().release()


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_a_clock_cannot_stand_still_or_run_backwards(loop: PatientLoop, factor: float) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        ScaledClock(factor, loop=loop)
