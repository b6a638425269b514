"""One maximum over several connectors: OCPP 1.6 §3.13.1 (ChargePointMaxProfile limits the sum)."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chargepoint.domain.limits import Maximum
from chargepoint.domain.sharing import Share, Wish, allocate
from hal.api import NOTHING, Limit

CAP = "ChargePointMaxProfile 1"
CAMPAIGN = "CAMPAIGN" in os.environ


def ac(n: int, current_a: float = 32.0, **given: Any) -> Wish:
    return Wish(n, Limit(current_a, given.pop("power_w", None)), given.pop("since", n), "hardware", **given)


def dc(n: int, power_w: float = 69_000.0, current_a: float = 200.0, **given: Any) -> Wish:
    return Wish(n, Limit(current_a, power_w), given.pop("since", n), "hardware", dc=True, **given)


def amperes(value: float, phases: int = 3) -> Maximum:
    return Maximum(value, "A", phases, CAP)


def watts(value: float, phases: int = 3) -> Maximum:
    return Maximum(value, "W", phases, CAP)


NO_MAXIMUM = Maximum(math.inf, "A", 3, "no maximum")


@pytest.mark.parametrize(
    ("wishes", "maxima", "currents"),
    [
        ([ac(1), ac(2)], [], [32, 32]),
        ([ac(1), ac(2)], [NO_MAXIMUM], [32, 32]),
        ([ac(1)], [amperes(10)], [10]),
        ([ac(1), ac(2)], [amperes(32)], [16, 16]),
        ([ac(1), ac(2), ac(3)], [amperes(20)], [6.6, 6.6, 6.6]),
        ([ac(1, 8), ac(2)], [amperes(32)], [8, 24]),
        ([ac(1, 8), ac(2), ac(3)], [amperes(32)], [8, 12, 12]),
        ([ac(1), ac(2)], [amperes(11)], [11, 0]),
        ([ac(1, since=5), ac(2, since=4)], [amperes(11)], [0, 11]),
        ([ac(1, since=5), ac(2, since=5)], [amperes(11)], [11, 0]),
        ([ac(1), ac(2), ac(3)], [amperes(12)], [6, 6, 0]),
        ([ac(1), ac(2)], [amperes(5.9)], [0, 0]),
        ([ac(1)], [amperes(0)], [0]),
        ([ac(1, 5.9), ac(2)], [amperes(16)], [0, 16]),
        ([ac(1, 0), ac(2)], [amperes(16)], [0, 16]),
        ([ac(1, 10.17)], [], [10.1]),
        ([ac(1), ac(2)], [watts(22_080)], [16, 16]),
        ([ac(1, phases=1), ac(2, phases=1)], [watts(7360)], [0, 10.6][::-1]),
        ([ac(1, phases=1), ac(2, phases=1)], [watts(7360, 1)], [16, 16]),
        ([ac(1), ac(2, phases=1)], [watts(14_720, 1)], [16, 16]),
        ([ac(1), ac(2)], [watts(11_040, 1)], [8, 8]),
        ([ac(1), ac(2)], [amperes(40), watts(13_800)], [10, 10]),
        ([ac(1), ac(2)], [amperes(20), watts(22_080)], [10, 10]),
        ([ac(1), dc(2)], [amperes(40)], [20, 20]),
        ([ac(1), dc(2)], [amperes(8)], [6, 2]),
        ([ac(1), dc(2, 3450)], [amperes(30)], [25, 5]),
        ([dc(1), ac(2)], [amperes(5)], [5, 0]),
        ([dc(1, current_a=0)], [], [0]),
        ([ac(1, minimum_a=10), ac(2)], [amperes(18)], [10, 8]),
        ([ac(1, minimum_a=13), ac(2)], [amperes(18)], [9, 9]),
        ([ac(1, minimum_a=10), ac(2, minimum_a=9)], [amperes(18)], [10, 8]),
        ([ac(1, 12, minimum_a=20), ac(2)], [amperes(18)], [12, 6]),
    ],
    ids=["no-maximum", "infinite", "alone", "equal", "rounded-down", "redistributed", "redistributed-to-two",
         "latecomer", "latecomer-by-time", "latecomer-by-number", "floors-for-two", "floor-for-none", "zero",
         "own-limit-too-low", "own-limit-zero", "own-limit-rounded", "watts", "watts-single-phase",
         "watts-named-single-phase", "watts-mixed", "watts-one-phase-used-by-three", "two-maxima-watts",
         "two-maxima-amperes", "dc-beside-ac", "dc-below-the-floor", "dc-capped", "dc-first",
         "dc-no-current", "minimum", "minimum-does-not-fit", "second-minimum-does-not-fit",
         "minimum-above-own-limit"],
)  # fmt: skip
def test_shares(wishes: list[Wish], maxima: list[Maximum], currents: list[float]) -> None:
    """In amperes per line of the grid connection."""
    shares = allocate(wishes, maxima)
    found = [line_a(wish, shares[wish.connector_id].limit) for wish in wishes]
    assert found == pytest.approx(currents)


@pytest.mark.parametrize(
    ("wishes", "maxima", "limit", "because"),
    [
        ([ac(1, power_w=22_080)], [amperes(40)], Limit(32, 22_080), "hardware"),
        ([ac(1, power_w=22_080)], [amperes(20)], Limit(20), CAP),
        ([ac(1), ac(2)], [amperes(20)], Limit(10), f"{CAP} shared by 2"),
        ([ac(1), ac(2), ac(3, 4)], [amperes(20)], Limit(10), f"{CAP} shared by 2"),
        ([ac(1), ac(2, since=0)], [amperes(11)], NOTHING, f"{CAP}: nothing left"),
        ([ac(1, 5)], [], NOTHING, "hardware: below 6 A"),
        ([ac(1, 0)], [], NOTHING, "hardware"),
        ([dc(1)], [], Limit(200, 69_000), "hardware"),
        ([dc(1)], [amperes(50)], Limit(200, 34_500), CAP),
        ([dc(1), ac(2)], [amperes(6)], NOTHING, CAP),
    ],
    ids=["in-full-with-watts", "cut-without-watts", "shared", "who-gets-nothing-shares-nothing", "suspended",
         "below-the-floor", "zero", "dc", "dc-cut", "dc-nothing"],
)  # fmt: skip
def test_reason(wishes: list[Wish], maxima: list[Maximum], limit: Limit, because: str) -> None:
    share = allocate(wishes, maxima)[1]
    assert share.limit == limit
    assert share.because.startswith(because)


def test_nobody() -> None:
    assert allocate([], [amperes(10)]) == {}


# --- properties ---------------------------------------------------------------------------------------------

Allocate = Callable[[Sequence[Wish], Sequence[Maximum]], Mapping[int, Share]]


def line_a(wish: Wish, limit: Limit) -> float:
    """A limit in amperes per line, as the grid connection sees it."""
    if limit.zero:
        return 0.0
    if not wish.dc:
        return limit.current_a
    assert limit.power_w is not None
    return limit.power_w / (wish.voltage_v * 3)


def drawn(wishes: Sequence[Wish], shares: Mapping[int, Share], maximum: Maximum) -> float:
    """What a maximum counts when everybody takes its whole share."""
    total = 0.0
    for wish in wishes:
        current_a = line_a(wish, shares[wish.connector_id].limit)
        lines = 3 if wish.dc else max(wish.phases, maximum.phases)
        total += current_a if maximum.unit == "A" else current_a * wish.voltage_v * lines
    return total


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Wish], list[Maximum]]:
    tenths = st.integers(0, 400).map(lambda tenth: tenth / 10)
    wishes = []
    for n in range(1, draw(st.integers(1, 6)) + 1):
        common = {"since": draw(st.integers(0, 3)), "minimum_a": draw(st.sampled_from([0, 0, 7.5, 12, 40]))}
        if draw(st.integers(0, 3)):
            power_w = draw(st.sampled_from([None, None, 4139.0, 11_000.0]))
            wishes.append(ac(n, draw(tenths), power_w=power_w, phases=draw(st.integers(1, 3)), **common))
        else:
            wishes.append(dc(n, draw(st.integers(0, 60_000)), **common))
    maxima = [
        draw(
            st.one_of(
                st.integers(0, 1000).map(lambda tenth: amperes(tenth / 10)),
                st.builds(watts, st.integers(0, 90_000).map(float), st.integers(1, 3)),
            )
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    return wishes, maxima


def check(method: Allocate, wishes: list[Wish], maxima: list[Maximum]) -> None:
    """Everything that must hold of any allocation."""
    shares = method(wishes, maxima)
    assert set(shares) == {wish.connector_id for wish in wishes}
    for maximum in maxima:
        assert drawn(wishes, shares, maximum) <= maximum.value + 1e-5
    got = {wish.connector_id: line_a(wish, shares[wish.connector_id].limit) for wish in wishes}
    served = [wish for wish in wishes if got[wish.connector_id] > 0]
    for wish in wishes:
        assert got[wish.connector_id] <= wanted_a(wish) + 1e-6
        if not wish.dc:
            assert got[wish.connector_id] == 0 or got[wish.connector_id] >= 6
            assert got[wish.connector_id] * 10 == pytest.approx(round(got[wish.connector_id] * 10))
    for wish in wishes:
        mine = got[wish.connector_id]
        if wanted_a(wish) - mine <= 0.1:
            continue
        if mine == 0 and not wish.dc:
            # Suspended: nobody who came later is given energy in its place where both weigh the same.
            for other in served:
                if not other.dc and other.phases == wish.phases and wanted_a(wish) >= 6:
                    assert (other.since, other.connector_id) < (wish.since, wish.connector_id)
            if wanted_a(wish) >= 6:
                assert any(floors(wishes, [*served, wish], m) > m.value for m in maxima)
            continue
        # Whoever wants more shares a maximum that is used up but for what rounding leaves.
        spare = [(m.value - drawn(wishes, shares, m), m) for m in maxima]
        assert any(left <= 0.1 * len(wishes) * (1 if m.unit == "A" else 690) + 1e-5 for left, m in spare)
        for other in served:
            if other.minimum_a <= 6:
                assert got[other.connector_id] <= max(mine, 6) + 0.11


def wanted_a(wish: Wish) -> float:
    wanted = line_a(wish, wish.limit)
    return wanted if wish.dc else math.floor(wanted * 10 + 1e-6) / 10


def floors(wishes: Sequence[Wish], of: Sequence[Wish], maximum: Maximum) -> float:
    six = {wish.connector_id: Share(NOTHING, "") for wish in wishes}
    six |= {wish.connector_id: Share(Limit(6.0), "") for wish in of if not wish.dc}
    return drawn(wishes, six, maximum)


def search(method: Allocate, examples: int, phases: Sequence[Phase] = tuple(Phase)) -> None:
    @settings(
        max_examples=examples, phases=phases, derandomize=not CAMPAIGN, database=None, deadline=None,
        report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(situations())
    def property_holds(situation: tuple[list[Wish], list[Maximum]]) -> None:
        check(method, *situation)

    property_holds()


@pytest.mark.search
@pytest.mark.timeout(3600 if CAMPAIGN else 60)
def test_shares_keep_every_maximum_and_waste_nothing() -> None:
    search(allocate, 20_000 if CAMPAIGN else 200)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_sharing_campaign() -> None:
    search(allocate, 20_000)


def scaled(maxima: Sequence[Maximum], factor: float) -> list[Maximum]:
    return [replace(maximum, value=maximum.value * factor) for maximum in maxima]


def first_takes_all(wishes: Sequence[Wish], maxima: Sequence[Maximum]) -> Mapping[int, Share]:
    shares = {wish.connector_id: Share(NOTHING, "") for wish in wishes}
    first = min(wishes, key=lambda wish: (wish.since, wish.connector_id))
    return shares | allocate([first], maxima)


ERRORS: dict[str, Allocate] = {
    "maximum-ignored": lambda wishes, maxima: allocate(wishes, []),
    "only-the-first-maximum": lambda wishes, maxima: allocate(wishes, maxima[:1]),
    "maximum-for-each": lambda wishes, maxima: {
        wish.connector_id: allocate([wish], maxima)[wish.connector_id] for wish in wishes
    },
    "a-tenth-too-much": lambda wishes, maxima: allocate(wishes, scaled(maxima, 1.01)),
    "a-tenth-unused": lambda wishes, maxima: allocate(wishes, scaled(maxima, 0.9)),
    "last-come-first-served": lambda wishes, maxima: allocate(
        [replace(wish, since=-wish.since) for wish in wishes], maxima
    ),
    "first-takes-all": first_takes_all,
    "watts-on-one-phase": lambda wishes, maxima: allocate(
        [replace(wish, phases=1) for wish in wishes], maxima
    ),
}


@pytest.mark.search
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
def test_the_search_finds_a_planted_error(error: Allocate) -> None:
    with pytest.raises(AssertionError):
        search(error, 5000, phases=[Phase.generate])
