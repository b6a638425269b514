"""The stepped clock of a fleet: one step for the timers of a second, and no hold for ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hal.clock import BatchedClock
from tests.jumping_loop import run_jumping


def test_the_timers_of_one_second_fire_in_one_step_each_at_its_own_moment() -> None:
    async def scene() -> None:
        clock = BatchedClock(100.0)
        fired: list[tuple[str, float]] = []

        def call(name: str) -> None:
            fired.append((name, clock.now()))
            clock.hold()  # as a CALL does, until it is answered

        for name, when in (("a", 100.2), ("b", 100.7), ("c", 101.1)):
            clock.call_at(when, lambda name=name: call(name))  # type: ignore[misc]  # mypy infers no lambda with a default
        running = asyncio.create_task(clock.run_until(110.0))
        while len(fired) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert fired == [("a", 100.2), ("b", 100.7)]
        clock.release()
        await asyncio.sleep(0)
        assert len(fired) == 2, "one of them is not answered yet"
        clock.release()
        while len(fired) < 3:
            await asyncio.sleep(0)
        assert fired[2] == ("c", 101.1)
        clock.release()
        await running
        assert (clock.now(), clock.released_holds, clock.lost_s) == (110.0, 0, 0.0)

    run_jumping(scene())


def test_what_a_timer_asks_for_in_the_same_second_fires_in_the_same_step_in_order() -> None:
    clock = BatchedClock(0.0)
    fired: list[tuple[str, float]] = []

    def note(name: str) -> None:
        fired.append((name, clock.now()))

    def first() -> None:
        note("first")
        clock.call_at(0.5, lambda: note("asked for"))

    clock.call_at(0.9, lambda: note("last"))
    clock.call_at(0.1, first)
    clock.advance(1.0)
    assert fired == [("first", 0.1), ("asked for", 0.5), ("last", 0.9)]


def test_no_step_goes_beyond_the_end() -> None:
    clock = BatchedClock(0.0)
    fired: list[float] = []
    for when in (0.1, 0.4, 0.6):
        clock.call_at(when, lambda: fired.append(clock.now()))
    clock.advance(0.5)
    assert (fired, clock.now()) == ([0.1, 0.4], 0.5)


def test_a_hold_without_an_end_is_given_up_once_and_counted() -> None:
    async def scene() -> float:
        clock = BatchedClock(0.0, hold_at_most_s=0.05)
        clock.hold()

        def call() -> None:
            clock.hold()
            clock.release()

        for second in range(1, 200):
            # A CALL a second that is answered at once: none of these steps waits for the one given up.
            clock.call_at(float(second), call)
        before = asyncio.get_running_loop().time()
        await clock.run_until(300.0)
        assert clock.released_holds == 1
        clock.release(lost_s=30.0)
        assert not clock.held
        clock.hold()
        assert clock.held, "the next hold counts again"
        return asyncio.get_running_loop().time() - before

    assert run_jumping(scene()) < 1.0


def test_holds_that_end_one_after_the_other_are_waited_for() -> None:
    async def scene() -> None:
        clock = BatchedClock(0.0, hold_at_most_s=0.2)
        loop = asyncio.get_running_loop()
        for n in range(1, 7):
            clock.hold()
            loop.call_later(n * 0.08, clock.release)
        await clock.run_until(10.0)
        assert clock.released_holds == 0

    run_jumping(scene())


def test_a_late_answer_to_a_hold_given_up_settles_it() -> None:
    async def scene() -> None:
        clock = BatchedClock(0.0, hold_at_most_s=0.02)
        clock.hold()
        await clock.run_until(1.0)
        clock.release()
        clock.hold()
        asyncio.get_running_loop().call_later(0.005, clock.release)
        await clock.run_until(2.0)
        assert clock.released_holds == 1

    run_jumping(scene())


def test_a_timer_that_fails_does_not_keep_the_next_from_happening() -> None:
    async def scene() -> None:
        clock = BatchedClock(0.0)
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        fired: list[str] = []

        def fails() -> None:
            raise ZeroDivisionError

        clock.call_at(1.0, fails)
        clock.call_at(1.0, lambda: fired.append("next"))
        await clock.run_until(2.0)
        assert fired == ["next"]
        assert isinstance(told[0]["exception"], ZeroDivisionError)

    run_jumping(scene())


def test_without_a_loop_a_failure_reaches_who_advances() -> None:
    clock = BatchedClock(0.0)

    def fails() -> None:
        raise ZeroDivisionError

    clock.call_at(1.0, fails)
    with pytest.raises(ZeroDivisionError):
        clock.advance(2.0)
