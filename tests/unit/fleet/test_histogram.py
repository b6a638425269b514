"""Durations: what a percentile may be off, and that nothing gets lost when histograms meet."""

from __future__ import annotations

import json
from math import ceil

import pytest

from chargepoint.domain.chance import draw
from chargepoint.fleet.measures.histogram import RELATIVE_ERROR, SHORTEST_S, Histogram


def of(*durations: float) -> Histogram:
    histogram = Histogram()
    for seconds in durations:
        histogram.record(seconds)
    return histogram


def drawn(count: int, purpose: str = "durations") -> list[float]:
    """From 0.1 ms to 100 s, as many in each decade."""
    return [10 ** (draw(1, "CP1", purpose, n) * 6 - 4) for n in range(count)]


@pytest.mark.parametrize("percent", [1, 50, 66, 95, 99, 99.9])
def test_a_percentile_is_two_per_cent_off_at_most(percent: float) -> None:
    durations = sorted(drawn(5000))
    exact = durations[ceil(len(durations) * percent / 100) - 1]
    assert of(*durations).percentile(percent) == pytest.approx(exact, rel=RELATIVE_ERROR)


def test_extremes_mean_and_count_are_exact() -> None:
    histogram = of(0.3, 0.1, 0.2)
    assert (histogram.count, histogram.min_s, histogram.max_s) == (3, 0.1, 0.3)
    assert histogram.mean_s == pytest.approx(0.2)
    assert histogram.percentile(100) == 0.3


def test_without_values_everything_is_zero() -> None:
    empty = Histogram()
    assert (empty.percentiles((50, 100)), empty.mean_s, empty.at_most((1.0,))) == ([0.0, 0.0], 0.0, [0])


@pytest.mark.parametrize("seconds", [-1.0, 0.0, SHORTEST_S / 2])
def test_what_is_too_short_to_tell_counts_all_the_same(seconds: float) -> None:
    histogram = of(seconds, 1.0)
    assert histogram.percentile(50) <= SHORTEST_S
    assert histogram.count == 2


def test_two_added_are_as_if_one_had_counted_all() -> None:
    some, others = drawn(300), drawn(200, "others")
    whole, sum_of_parts = of(*some, *others), of(*some)
    sum_of_parts.add(of(*others))
    sum_of_parts.add(Histogram())
    assert sum_of_parts.to_json() == {**whole.to_json(), "sum_s": pytest.approx(whole.sum_s)}


def test_it_survives_the_way_to_another_process() -> None:
    histogram = of(*drawn(100))
    arrived = Histogram.from_json(json.loads(json.dumps(histogram.to_json())))
    assert arrived.to_json() == histogram.to_json()
    assert arrived.count == 100


def test_cumulative_counts_for_a_scraper() -> None:
    histogram = of(0.001, 0.02, 0.02, 0.3, 40.0)
    assert histogram.at_most((0.005, 0.05, 0.5, 5.0, 60.0)) == [1, 3, 4, 4, 5]


def test_what_came_since_an_earlier_copy() -> None:
    histogram = of(5.0, 0.01)
    before = histogram.copy()
    histogram.record(0.02)
    later = histogram.since(before)
    assert later.count == 1
    assert later.sum_s == pytest.approx(0.02)
    assert later.max_s == pytest.approx(0.02, rel=RELATIVE_ERROR)
    assert histogram.since(histogram.copy()).percentile(99) == 0.0
