"""Curves of straight pieces (`hal.simulated.curve`)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.simulated.curve import Curve, at, between, lowest, scaled

HILL: Curve = ((0.0, 10.0), (50.0, 60.0), (100.0, 0.0))


def _curve(points: dict[int, int]) -> Curve:
    return tuple((float(x), float(y)) for x, y in sorted(points.items()))


CURVES = st.dictionaries(st.integers(0, 100), st.integers(1, 1000), min_size=1, max_size=8).map(_curve)


@pytest.mark.parametrize(
    ("x", "y"), [(-5, 10), (0, 10), (25, 35), (50, 60), (75, 30), (100, 0), (120, 0)], ids=lambda v: str(v)
)
def test_reading(x: float, y: float) -> None:
    assert at(HILL, x) == pytest.approx(y)


def test_scaling() -> None:
    assert scaled(HILL, 2.0, 5.0) == ((0.0, 25.0), (50.0, 125.0), (100.0, 5.0))


def test_a_part_has_both_its_ends() -> None:
    assert between(HILL, 25.0, 75.0) == ((25.0, 35.0), (50.0, 60.0), (75.0, 30.0))


def test_the_lower_of_two_crosses_where_they_cross() -> None:
    assert lowest(((0.0, 0.0), (100.0, 100.0)), ((0.0, 40.0),)) == ((0.0, 0.0), (40.0, 40.0), (100.0, 40.0))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(CURVES, CURVES, st.floats(0.0, 100.0))
@pytest.mark.search
def test_the_lower_of_two_is_the_lower_of_two_everywhere(first: Curve, second: Curve, x: float) -> None:
    both = lowest(first, second)
    assert all(before < after for (before, _), (after, _) in pairwise(both))
    assert at(both, x) == pytest.approx(min(at(first, x), at(second, x)), rel=1e-6, abs=1e-6)
