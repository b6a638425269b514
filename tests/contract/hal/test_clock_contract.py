"""What every clock promises (`hal.api.Clock`), over the wall clock, one sped up and those that jump."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from hal.api import Clock
from hal.clock import BatchedClock, ScaledClock, SteppedClock, WallClock

CLOCKS = ("wall", "grid", "scaled", "stepped", "batched")
FACTOR = 60.0

# asyncio's own heap keeps no order among timers of one moment, and the clocks on a loop add none.


class HandMovedLoop(asyncio.SelectorEventLoop):
    """A real event loop whose time passes only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 1000.0

    def time(self) -> float:
        return self.moment

    def let_pass(self, seconds: float) -> None:
        """Pass in steps of an eighth, which floats hold exactly, with a turn of the loop after each."""
        for _ in range(int(seconds * 8)):
            self.moment += 0.125
            self.turn()
        self.turn()

    def turn(self) -> None:
        self.call_soon(self.stop)
        self.run_forever()


@dataclass(slots=True)
class Bench:
    """A clock and how its time is made to pass."""

    clock: Clock
    let_pass: Callable[[float], None]


@pytest.fixture
def loop() -> Iterator[HandMovedLoop]:
    loop = HandMovedLoop()
    yield loop
    loop.close()


@pytest.fixture(params=CLOCKS)
def bench(request: pytest.FixtureRequest, loop: HandMovedLoop) -> Bench:
    if request.param == "wall":
        return Bench(WallClock(loop), loop.let_pass)
    if request.param == "grid":
        return Bench(WallClock(loop, grid_s=1.0), loop.let_pass)
    if request.param == "scaled":
        return Bench(ScaledClock(FACTOR, 5000.0, loop), lambda seconds: loop.let_pass(seconds / FACTOR))
    stepped = BatchedClock(5000.0) if request.param == "batched" else SteppedClock(5000.0)
    return Bench(stepped, stepped.advance)


def test_time_passes(bench: Bench) -> None:
    before = bench.clock.now()
    bench.let_pass(60.0)
    assert bench.clock.now() - before == pytest.approx(60.0)


def test_an_action_happens_once_and_not_before_its_moment(bench: Bench) -> None:
    happened: list[float] = []
    due = bench.clock.now() + 30.0
    bench.clock.call_at(due, lambda: happened.append(bench.clock.now()))
    bench.let_pass(15.0)
    assert not happened
    bench.let_pass(120.0)
    assert len(happened) == 1
    assert happened[0] >= due - 1e-6


def test_actions_happen_in_the_order_of_their_moments(bench: Bench) -> None:
    happened: list[int] = []
    start = bench.clock.now()
    for wait in (30, 15, 45):
        bench.clock.call_at(start + wait, _appending(happened, wait))
    bench.let_pass(60.0)
    assert happened == [15, 30, 45]


@pytest.mark.parametrize("bench", CLOCKS, indirect=True)
def test_actions_of_one_moment_happen_in_the_order_of_asking(bench: Bench) -> None:
    happened: list[int] = []
    due = bench.clock.now() + 15.0
    for number in range(10):
        bench.clock.call_at(due, _appending(happened, number))
    bench.let_pass(30.0)
    assert happened == list(range(10))


@pytest.mark.parametrize("late_s", [0.0, 100.0], ids=["now", "past"])
def test_a_moment_already_past_is_soon_but_never_at_once(bench: Bench, late_s: float) -> None:
    happened: list[int] = []
    bench.clock.call_at(bench.clock.now() - late_s, _appending(happened, 1))
    assert not happened
    bench.let_pass(0.0)
    assert happened == [1]


def test_a_cancelled_action_does_not_happen(bench: Bench) -> None:
    happened: list[int] = []
    timer = bench.clock.call_at(bench.clock.now() + 15.0, _appending(happened, 1))
    timer.cancel()
    timer.cancel()
    bench.let_pass(30.0)
    assert not happened


def test_cancelling_what_has_happened_is_harmless(bench: Bench) -> None:
    happened: list[int] = []
    timer = bench.clock.call_at(bench.clock.now() + 15.0, _appending(happened, 1))
    bench.let_pass(30.0)
    timer.cancel()
    bench.let_pass(30.0)
    assert happened == [1]


def test_an_action_may_ask_for_another(bench: Bench) -> None:
    happened: list[int] = []

    def first() -> None:
        happened.append(1)
        bench.clock.call_at(bench.clock.now() + 15.0, _appending(happened, 2))

    bench.clock.call_at(bench.clock.now() + 15.0, first)
    bench.let_pass(60.0)
    assert happened == [1, 2]


def test_holding_releasing_and_touching_are_understood_everywhere(bench: Bench) -> None:
    happened: list[int] = []
    bench.clock.hold()
    bench.clock.touch()
    bench.clock.release(lost_s=0.5)
    bench.clock.call_at(bench.clock.now() + 15.0, _appending(happened, 1))
    bench.let_pass(30.0)
    assert happened == [1]


def _appending(to: list[int], number: int) -> Callable[[], None]:
    return lambda: to.append(number)
