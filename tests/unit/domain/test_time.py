"""The station's UTC: its clock, corrected by the central system (OCPP 1.6 §4.6)."""

from __future__ import annotations

import pytest

from chargepoint.domain.time import StationTime
from hal.clock import SteppedClock

START = 1_767_225_600.0


class Bell:
    """Remembers when it rang, on the clock and in UTC."""

    def __init__(self, time: StationTime) -> None:
        self.time = time
        self.rang: list[tuple[float, float]] = []

    def __call__(self) -> None:
        self.rang.append((self.time.clock.now() - START, self.time.utc() - START))


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(START)


@pytest.fixture
def time(clock: SteppedClock) -> StationTime:
    return StationTime(clock)


@pytest.mark.parametrize(
    ("ahead_s", "moved"),
    [(0.0, False), (0.9, False), (-1.0, False), (1.5, True), (-1.5, True), (7200.0, True), (-86_400.0, True),
     (1e9, True)],
)  # fmt: skip
def test_only_real_differences_count(
    time: StationTime, clock: SteppedClock, ahead_s: float, moved: bool
) -> None:
    assert time.correct(START + ahead_s) is moved
    assert time.utc() == pytest.approx(START + (ahead_s if moved else 0.0))
    clock.advance(100)
    assert time.utc() == pytest.approx(START + 100 + (ahead_s if moved else 0.0))


def test_a_slow_drift_is_corrected_when_it_has_grown(time: StationTime, clock: SteppedClock) -> None:
    moved = []
    for beat in range(1, 7):
        clock.advance(100)
        moved.append(time.correct(START + 100.3 * beat))
    assert moved == [False, False, False, True, False, False]


def test_a_clock_that_is_not_real_does_not_follow(clock: SteppedClock) -> None:
    time = StationTime(clock, follow=False)
    assert time.correct(START + 7200) is False
    assert time.utc() == START


@pytest.mark.parametrize(
    ("ahead_s", "clock_s"),
    [(0.0, 500.0), (200.0, 300.0), (-200.0, 700.0), (7200.0, 100.0), (-7200.0, 7700.0)],
    ids=["unchanged", "forward", "back", "past-it", "hours-back"],
)
def test_a_moment_in_utc_follows_a_correction(
    time: StationTime, clock: SteppedClock, ahead_s: float, clock_s: float
) -> None:
    """A moment that was jumped over comes as soon as possible; each comes once."""
    bell = Bell(time)
    time.at_utc(START + 500, bell)
    clock.advance(100)
    time.correct(clock.now() + ahead_s)
    assert not bell.rang, "never within the correction itself"
    clock.advance(20_000)
    assert bell.rang == [pytest.approx((clock_s, clock_s + ahead_s))]


def test_a_span_does_not(time: StationTime, clock: SteppedClock) -> None:
    bell = Bell(time)
    time.after(500, bell)
    clock.advance(100)
    time.correct(clock.now() + 7200)
    clock.advance(1000)
    assert bell.rang == [(500, 7700)]


def test_corrected_twice_it_comes_once(time: StationTime, clock: SteppedClock) -> None:
    bell = Bell(time)
    time.at_utc(START + 500, bell)
    time.correct(START + 300)
    time.correct(START + 100)
    clock.advance(1000)
    assert bell.rang == [(400, 500)]


def test_cancelled_it_never_comes(time: StationTime, clock: SteppedClock) -> None:
    bell = Bell(time)
    moment = time.at_utc(START + 500, bell)
    moment.cancel()
    moment.cancel()
    time.correct(START + 450)
    clock.advance(1000)
    assert not bell.rang
    assert clock.next_at() is None


def test_what_came_or_was_cancelled_is_forgotten(time: StationTime, clock: SteppedClock) -> None:
    bell = Bell(time)
    moments = [time.at_utc(START + n, bell) for n in range(1, 101)]
    for moment in moments[50:]:
        moment.cancel()
    clock.advance(1000)
    time.correct(clock.now() - 2000)
    assert clock.next_at() is None
    clock.advance(5000)
    assert len(bell.rang) == 50


def test_an_action_may_ask_for_the_next_moment(time: StationTime, clock: SteppedClock) -> None:
    rang: list[float] = []

    def ring() -> None:
        rang.append(time.utc() - START)
        if len(rang) < 4:
            time.at_utc(time.utc() + 60, ring)

    time.at_utc(START + 60, ring)
    clock.advance(130)
    time.correct(clock.now() + 10)
    clock.advance(130)
    assert rang == pytest.approx([60, 120, 180, 240])
