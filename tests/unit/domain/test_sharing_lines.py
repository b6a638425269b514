"""Maxima of single lines: each connector is limited by the lines it loads, and by no other (no norm)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chargepoint.domain.limits import Maximum
from chargepoint.domain.sharing import Wish, allocate
from hal.api import Limit

ROUNDING_A = 0.11


def wish(n: int, lines: tuple[int, ...] | None, current_a: float = 32.0) -> Wish:
    return Wish(n, Limit(current_a), n, "hardware", phases=len(lines or (0, 1, 2)), lines=lines)


def lines(*values: float) -> list[Maximum]:
    return [Maximum(value, "A", 3, f"L{n}", line=n - 1) for n, value in enumerate(values, 1)]


@pytest.mark.parametrize(
    ("wishes", "left_a", "currents"),
    [
        ([wish(1, (0,)), wish(2, (1,))], (10, 20, 0), [10, 20]),
        ([wish(1, (0,)), wish(2, (0,))], (20, 0, 0), [10, 10]),
        ([wish(1, (0,)), wish(2, (0,))], (11, 40, 40), [11, 0]),
        ([wish(1, None), wish(2, (1,))], (10, 40, 40), [10, 30]),
        ([wish(1, (0, 1, 2)), wish(2, (1,))], (40, 16, 40), [8, 8]),
        ([wish(1, (0,)), wish(2, None)], (40, 40, 5.9), [32, 0]),
        ([wish(1, (0,)), wish(2, (1,)), wish(3, (0, 1, 2))], (20, 40, 40), [10, 30, 10]),
    ],
)
def test_each_line_for_itself(wishes: list[Wish], left_a: Any, currents: list[float]) -> None:
    shares = allocate(wishes, lines(*left_a))
    assert [shares[one.connector_id].limit.current_a for one in wishes] == currents


def test_the_line_that_decides_is_named() -> None:
    shares = allocate([wish(1, (0,)), wish(2, (1,)), wish(3, (1,)), wish(4, (2,))], lines(8, 20, 3))
    assert [shares[n].because for n in (1, 2, 3, 4)] == [
        "L1",
        "L2 shared by 2",
        "L2 shared by 2",
        "L3: nothing left",
    ]


places = st.sampled_from([None, (0,), (1,), (2,), (0, 1, 2), (0, 2)])


@pytest.mark.search
@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(places, st.floats(6, 63)), min_size=1, max_size=6),
    st.tuples(*[st.floats(0, 120)] * 3),
    st.floats(0, 200),
)
def test_no_line_carries_too_much_and_nobody_can_have_more(
    wanted: list[tuple[Any, float]], left_a: tuple[float, ...], for_all_a: float
) -> None:
    wishes = [wish(n, place, current_a) for n, (place, current_a) in enumerate(wanted, 1)]
    maxima = [*lines(*left_a), Maximum(for_all_a, "A", 3, "all")]
    shares = {n: share.limit.current_a for n, share in allocate(wishes, maxima).items()}
    full: list[set[int]] = []
    for maximum in maxima:
        loading = {
            w.connector_id for w in wishes if maximum.line is None or maximum.line in (w.lines or (0, 1, 2))
        }
        carried = sum(shares[n] for n in loading)
        assert carried <= maximum.value + 1e-6
        if carried > maximum.value - ROUNDING_A * len(loading):
            full.append(loading)
    for one in wishes:
        mine = shares[one.connector_id]
        if not mine or mine >= one.limit.current_a - ROUNDING_A:
            continue
        # It is held back by something full on which nobody has more than it by more than rounding.
        assert any(
            one.connector_id in loading and all(shares[n] <= max(mine, 6.0) + ROUNDING_A for n in loading)
            for loading in full
        )
