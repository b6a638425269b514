"""The wall clock of a fleet: timers fire at the moments of a grid, together and in order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from hal.clock import WallClock

GRID_S = 4.0


class HandMovedLoop(asyncio.SelectorEventLoop):
    """A real event loop whose time passes only when told to, and that counts how often a timer woke it."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 1000.0
        self.armed = 0

    def time(self) -> float:
        return self.moment

    def call_at(self, *args: Any, **more: Any) -> asyncio.TimerHandle:  # type: ignore[override]  # it only counts the calls
        self.armed += 1
        return super().call_at(*args, **more)

    def move_to(self, moment: float) -> None:
        self.moment = moment
        self.call_soon(self.stop)
        self.run_forever()


@pytest.fixture
def loop() -> Iterator[HandMovedLoop]:
    loop = HandMovedLoop()
    yield loop
    loop.close()


@pytest.fixture
def clock(loop: HandMovedLoop) -> WallClock:
    """Its present moment lies half a second behind one of the grid."""
    clock = WallClock(loop, grid_s=GRID_S)
    loop.moment += GRID_S - clock.now() % GRID_S + 0.5
    return clock


def test_what_is_due_in_one_span_happens_together_at_its_end_in_the_order_of_moments(
    loop: HandMovedLoop, clock: WallClock
) -> None:
    happened: list[float] = []
    start, now = loop.moment, clock.now()
    for wait_s in (3.0, 1.0, 2.0, 5.0):
        clock.call_at(now + wait_s, lambda wait_s=wait_s: happened.append(wait_s))  # type: ignore[misc]  # mypy infers no lambda with a default
    for passed_s in (1.0, 2.0, 3.0, 3.4):
        loop.move_to(start + passed_s)
        assert not happened
    loop.move_to(start + 3.6)
    assert happened == [1.0, 2.0, 3.0]
    loop.move_to(start + 7.6)
    assert happened == [1.0, 2.0, 3.0, 5.0]
    assert loop.armed == 2, "one timer of the loop for each span"


@pytest.mark.parametrize("late_s", [0.0, 1.5])
def test_what_happens_at_the_end_of_its_span_is_late_from_then_on(
    loop: HandMovedLoop, clock: WallClock, late_s: float
) -> None:
    told: list[float] = []
    start = loop.moment
    clock.call_at(clock.now() + 1.0, lambda: told.append(clock.late_s))
    loop.move_to(start + 3.5 + late_s + 1e-6)
    assert told == [pytest.approx(late_s, abs=1e-5)]


def test_what_is_past_waits_for_no_grid_even_when_an_action_asks(
    loop: HandMovedLoop, clock: WallClock
) -> None:
    happened: list[str] = []

    def first() -> None:
        happened.append("first")
        clock.call_at(clock.now(), lambda: happened.append("second"))

    clock.call_at(clock.now() - 1.0, first)
    clock.call_at(clock.now() + 1.0, lambda: happened.append("later"))
    loop.move_to(loop.moment)
    loop.move_to(loop.moment)
    assert happened == ["first", "second"]


def test_without_a_grid_nothing_waits(loop: HandMovedLoop) -> None:
    happened: list[int] = []
    clock = WallClock(loop)
    clock.call_at(clock.now() + 1.0, lambda: happened.append(1))
    loop.move_to(loop.moment + 1.001)
    assert happened == [1]
