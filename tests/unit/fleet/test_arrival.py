"""Arrivals follow the closed form: a Poisson process by the hours of a week, its integral inverted."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from chargepoint.domain import chance
from chargepoint.fleet.people.arrival import DAY_S, HOUR_S, WEEK_S, LocalTime, Week
from chargepoint.fleet.people.behaviour_file import load_config
from chargepoint.fleet.people.chances import Lognormal, Normal, Weighted

PROFILES = ["home", "work", "street", "motorway", "depot", "steady"]
DRAWS = 4000
WINTER = datetime(2026, 1, 5, tzinfo=UTC).timestamp()  # a Monday, midnight


def arrivals(week: Week, count: int, seed: int = 7, **more: float) -> list[float]:
    """Moments since a Monday."""
    at, found = 0.0, []
    for n in range(count):
        at += week.wait_s(at % WEEK_S, -math.log(1 - chance.draw(seed, "CP", "arrival", n)), **more)
        found.append(at)
    return found


def misfit(found: list[float], week: Week) -> float:
    """Chi-square of arrivals by hour of the week against the rates: standard deviations beyond its mean."""
    weeks = found[-1] / WEEK_S
    expected = [week.rate_s(hour * HOUR_S) * HOUR_S * weeks for hour in range(168)]
    observed = [0] * 168
    for at in found:
        observed[int(at % WEEK_S // HOUR_S)] += 1
    assert all(seen == 0 for seen, rate in zip(observed, expected, strict=True) if rate == 0)
    # Hours of the same rate go together, so that each class has enough to be judged by.
    classes: dict[float, tuple[float, int]] = {}
    for seen, rate in zip(observed, expected, strict=True):
        before = classes.get(rate, (0.0, 0))
        classes[rate] = before[0] + rate, before[1] + seen
    large = [(rate, seen) for rate, seen in classes.values() if rate > 5]
    square = sum((seen - rate) ** 2 / rate for rate, seen in large)
    return (square - len(large)) / math.sqrt(2 * len(large))


def per_hour(name: str) -> list[float]:
    week = load_config(name).arrivals.week()
    return [week.rate_s(hour * HOUR_S) * HOUR_S for hour in range(168)]


@pytest.mark.parametrize("name", PROFILES)
def test_arrivals_follow_the_rates_of_the_week(name: str) -> None:
    week = load_config(name).arrivals.week()
    found = arrivals(week, DRAWS)
    assert misfit(found, week) < 4
    assert found[-1] / WEEK_S * week.total == pytest.approx(DRAWS, abs=4 * math.sqrt(DRAWS))


def flat(rates: list[float]) -> list[float]:
    return [sum(rates) / 168] * 168


def one_hour_late(rates: list[float]) -> list[float]:
    return rates[-1:] + rates[:-1]


def no_weekend(rates: list[float]) -> list[float]:
    return [*rates[:120], *rates[:48]]


@pytest.mark.parametrize("planted", [flat, one_hour_late, no_weekend])
def test_the_check_finds_wrong_rates(planted: Callable[[list[float]], list[float]]) -> None:
    rates = per_hour("street")
    wrong = arrivals(Week(planted(rates)), DRAWS)
    assert misfit(wrong, Week(rates)) > 6


def test_the_integral_of_the_rate_over_the_wait_is_what_was_drawn() -> None:
    week = load_config("work").arrivals.week()

    def integral(start: float, wait: float, times: float, flat_s: float) -> float:
        total, at, end = 0.0, start, start + wait
        while at < end - 1e-9:
            edge = min((at // HOUR_S + 1) * HOUR_S, end)
            total += (times * week.rate_s(at % WEEK_S) + flat_s) * (edge - at)
            at = edge
        return total

    for n in range(500):
        start = chance.draw(1, "", "start", n) * WEEK_S
        amount = 12 * chance.draw(1, "", "amount", n) ** 3
        times = 4 * chance.draw(1, "", "times", n) + 0.1
        flat_s = chance.draw(1, "", "flat", n) * 1e-5 * (n % 2)
        wait = week.wait_s(start, amount, times, flat_s)
        assert integral(start, wait, times, flat_s) == pytest.approx(amount, rel=1e-6, abs=1e-9)


def test_twice_as_many_come_in_half_the_time() -> None:
    week = load_config("home").arrivals.week()
    assert arrivals(week, DRAWS, times=2.0)[-1] == pytest.approx(arrivals(week, DRAWS)[-1] / 2, rel=0.01)


def test_nothing_ever_happens_without_a_rate() -> None:
    nothing = Week([0.0] * 168)
    assert nothing.wait_s(3.0, 1.0) == math.inf
    assert nothing.wait_s(3.0, 1.0, flat_s=0.5) == pytest.approx(2.0)
    assert LocalTime("Europe/Berlin").later(WINTER, math.inf) == math.inf


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
)
def test_the_hours_are_those_of_the_wall_and_time_never_goes_back(zone: str) -> None:
    only_seven = Week([1.0 if hour % 24 == 7 else 0.0 for hour in range(168)])
    local, at = LocalTime(zone), WINTER
    for n in range(400):  # more than a year, with both changes of the clocks
        wait = only_seven.wait_s(local.position_s(at), -math.log(1 - chance.draw(3, zone, "arrival", n)))
        later = local.later(at, wait)
        assert later > at
        at = later
        assert datetime.fromtimestamp(at, ZoneInfo(zone)).hour == 7
    assert at > WINTER + 300 * DAY_S


def test_the_repeated_hour_of_autumn_is_no_trap() -> None:
    """At 2:30 for the second time, the next arrival must not be set in the first 2 o'clock again."""
    local = LocalTime("Europe/Berlin")
    second_half_past_two = datetime(2026, 10, 25, 1, 30, tzinfo=UTC).timestamp()
    assert local.later(second_half_past_two, 600.0) == second_half_past_two + 600.0
    before_both = second_half_past_two - HOUR_S
    assert local.later(before_both, 600.0) == before_both + 600.0


def test_a_day_can_begin_when_the_run_does() -> None:
    local = LocalTime("Asia/Tokyo")
    local.shift_s = 7.5 * HOUR_S - local.position_s(WINTER + 1234)
    assert local.position_s(WINTER + 1234) == pytest.approx(7.5 * HOUR_S)


# --- distributions ----------------------------------------------------------------------------------


def distance(values: list[float], below: Callable[[float], float]) -> float:
    """Kolmogorov-Smirnov, times the root of how many there are: 1.95 is passed once in 1,000 times."""
    values = sorted(values)
    furthest = max(abs(below(value) - (n + 0.5) / len(values)) for n, value in enumerate(values))
    return furthest * math.sqrt(len(values))


def cut_lognormal(median: float, spread: float, least: float, most: float) -> Callable[[float], float]:
    def whole(value: float) -> float:
        return 0.5 * (1 + math.erf(math.log(value / median) / math.log(spread) / math.sqrt(2)))

    return lambda value: (whole(value) - whole(least)) / (whole(most) - whole(least))


def test_times_are_lognormal_between_their_ends() -> None:
    drawn = Lognormal(600, 2, 120, 3600)
    values = [drawn.at(chance.draw(1, "CP", "stay", n)) for n in range(DRAWS)]
    assert distance(values, cut_lognormal(600, 2, 120, 3600)) < 1.95
    assert distance(values, cut_lognormal(700, 2, 120, 3600)) > 3  # the check sees a wrong median
    assert distance(values, cut_lognormal(600, 1.7, 120, 3600)) > 3  # and a wrong spread
    assert min(values) >= 120
    assert max(values) <= 3600
    assert sum(values) / DRAWS == pytest.approx(drawn.mean, rel=0.05)


def test_states_of_charge_are_normal_between_their_ends() -> None:
    drawn = Normal(50, 20, 10, 90)
    values = [drawn.at(chance.draw(1, "CP", "soc", n)) for n in range(DRAWS)]

    def whole(value: float) -> float:
        return 0.5 * (1 + math.erf((value - 50) / 20 / math.sqrt(2)))

    assert distance(values, lambda value: (whole(value) - whole(10)) / (whole(90) - whole(10))) < 1.95
    assert min(values) >= 10
    assert max(values) <= 90


def test_ends_and_certainty_are_no_trouble() -> None:
    assert Normal(40, 0, 5, 95).at(0.3) == 40
    assert Normal(40, 0, 50, 95).at(0.3) == 50
    assert Lognormal(60, 1, 1, 600).at(0.99) == pytest.approx(60)
    for u in (0.0, 1e-12, 1 - 1e-16):
        assert 5 <= Normal(1000, 1, 5, 95).at(u) <= 95


def test_weights_are_kept() -> None:
    things = Weighted([("a", 1.0), ("never", 0.0), ("b", 3.0)])
    seen = [things.at(chance.draw(1, "CP", "thing", n)) for n in range(DRAWS)]
    assert set(seen) == {"a", "b"}
    assert seen.count("b") == pytest.approx(0.75 * DRAWS, abs=4 * math.sqrt(DRAWS * 0.75 * 0.25))
    assert things.shares == (("a", 0.25), ("b", 0.75))
    assert things.at(1.0) == "b"
    assert not Weighted([("never", 0.0)])
