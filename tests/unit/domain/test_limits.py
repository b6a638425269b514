"""What charging profiles allow: OCPP 1.6 §3.13, §5.7, §7.8-7.14; errata 3.8, 3.34, 3.43, 3.44, 3.69, 3.79."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from chargepoint.domain.limits import (
    Charging,
    Hardware,
    Kind,
    Period,
    Profile,
    Purpose,
    Recurrency,
    Schedule,
    Unit,
    composite,
    connector_allowance,
    round_down,
    station_maximum,
)
from tests.unit.domain.composite_reference import alone, composite_by_ticks, highest

NOW = 1_774_750_000.0
DAY = 86_400
AC = Hardware(32.0)
ONE_PHASE = Hardware(32.0, phases=1)
DC = Hardware(200.0, 100_000.0, dc=True)
TX = Charging("tx-1", NOW)

Steps = Sequence[tuple[int, float] | tuple[int, float, int]]


def profile(purpose: Purpose, steps: Steps, **given: Any) -> Profile:
    """A profile that starts now, absolutely, unless told otherwise."""
    number = given.pop("id", 1)
    schedule = Schedule(
        unit=given.pop("unit", "A"),
        periods=tuple(Period(*step) for step in steps),
        duration_s=given.pop("duration_s", None),
        start_at=given.pop("start_at", NOW),
        minimum=given.pop("minimum", None),
    )
    at_zero = purpose == "ChargePointMaxProfile"
    defaults: dict[str, Any] = {
        "connector_id": 0 if at_zero else 1,
        "stack_level": 0,
        "kind": "Absolute",
        "installed_at": NOW,
        "transaction_key": "tx-1" if purpose == "TxProfile" else None,
    }
    return Profile(id=number, purpose=purpose, schedule=schedule, **(defaults | given))


def maximum(steps: Steps, **given: Any) -> Profile:
    return profile("ChargePointMaxProfile", steps, **given)


def default(steps: Steps, **given: Any) -> Profile:
    return profile("TxDefaultProfile", steps, **given)


def tx_profile(steps: Steps, **given: Any) -> Profile:
    return profile("TxProfile", steps, **given)


def expected(*steps: tuple[int, float] | tuple[int, float, int]) -> list[Period]:
    return [Period(*step) if len(step) == 3 else Period(*step, 3) for step in steps]


def of_one(profiles: Sequence[Profile], duration_s: int, unit: Unit = "A", at: float = NOW) -> list[Period]:
    """The composite schedule of connector 1, whose transaction runs since `NOW`."""
    return composite(profiles, 1, {1: TX}, {1: AC}, unit, at, duration_s)


def amperes(profiles: Sequence[Profile], at: float, charging: Charging | None = TX) -> float:
    return connector_allowance(profiles, 1, charging, AC, at).limit.current_a


# --- worked examples ----------------------------------------------------------------------------------------


def test_tx_profile_over_default_under_maximum() -> None:
    """TC_066: when the TxProfile's duration ends before the transaction, the default applies again."""
    profiles = [
        maximum([(0, 10)], id=1),
        default([(0, 6), (60, 10), (120, 8), (180, 25), (260, 8)], duration_s=300, id=2),
        tx_profile([(0, 8), (50, 11), (140, 16), (200, 6), (240, 12)], duration_s=260, id=3),
    ]
    assert of_one(profiles, 400) == expected((0, 8), (50, 10), (200, 6), (240, 10), (260, 8), (300, 10))


def test_lower_stack_level_follows_a_higher_one_that_is_over() -> None:
    """TC_072."""
    profiles = [
        default([(0, 6), (50, 5), (100, 8), (200, 10)], duration_s=400, id=1),
        default([(0, 7), (100, 9)], duration_s=150, stack_level=1, id=2),
    ]
    assert of_one(profiles, 350) == expected((0, 7), (100, 9), (150, 8), (200, 10))


@pytest.mark.parametrize(
    ("connector", "steps"),
    [(0, [(0, 20), (60, 13)]), (1, [(0, 9)]), (2, [(0, 15), (60, 13)])],
    ids=["station", "connector-1", "connector-2"],
)
def test_maximum_of_the_sum(connector: int, steps: Steps) -> None:
    """A connector's schedule is capped by the whole maximum, the station's is the capped sum."""
    profiles = [
        maximum([(0, 20), (60, 13)], id=1),
        default([(0, 9)], connector_id=1, id=2),
        default([(0, 15)], connector_id=2, id=3),
    ]
    assert composite(profiles, connector, {}, {1: AC, 2: AC}, "A", NOW, 120) == expected(*steps)


def test_sum_below_the_maximum() -> None:
    profiles = [maximum([(0, 60)], id=1), default([(0, 9)], connector_id=0, id=2)]
    assert composite(profiles, 0, {}, {1: AC, 2: AC}, "A", NOW, 60) == expected((0, 18))


# --- which profile is in force ------------------------------------------------------------------------------


def test_top_level_without_duration_never_falls_back() -> None:
    profiles = [default([(0, 6)], id=1), default([(0, 9), (100, 12)], stack_level=1, id=2)]
    assert of_one(profiles, 10_000) == expected((0, 9), (100, 12))


def test_validity_is_half_open() -> None:
    limited = [default([(0, 9)], valid_from_at=NOW + 10, valid_to_at=NOW + 20)]
    assert of_one(limited, 30) == expected((0, 32), (10, 9), (20, 32))


def test_duration_is_half_open() -> None:
    limited = [default([(0, 9)], duration_s=20)]
    assert [amperes(limited, NOW + s) for s in (0, 19.9, 20)] == [9, 9, 32]


def test_periods_beyond_the_duration_are_not_executed() -> None:
    assert of_one([default([(0, 9), (30, 7)], duration_s=30)], 60) == expected((0, 9), (30, 32))


def test_default_of_a_connector_replaces_only_its_level() -> None:
    """A connector's own level 1 hides level 1 of connector 0 even while it is not valid; level 2 goes on."""
    profiles = [
        default([(0, 20)], connector_id=0, stack_level=1, id=1),
        default([(0, 8)], connector_id=0, stack_level=2, id=2, duration_s=50),
        default([(0, 12)], connector_id=1, stack_level=1, id=3, valid_from_at=NOW + 60),
    ]
    assert of_one(profiles, 100) == expected((0, 8), (50, 32), (60, 12))
    assert composite(profiles, 2, {}, {1: AC, 2: AC}, "A", NOW, 100) == expected((0, 8), (50, 20))


def test_tx_profile_of_another_transaction_does_not_count() -> None:
    assert amperes([tx_profile([(0, 9)])], NOW, Charging("tx-2", NOW)) == 32
    assert amperes([tx_profile([(0, 9)], transaction_key=None)], NOW, Charging(None, NOW)) == 32


@pytest.mark.parametrize("kind", ["Relative", "Absolute"])
def test_relative_schedule_counts_from_the_start_of_charging(kind: str) -> None:
    """Sent in mid-transaction, it skips what has elapsed; an Absolute one without start does the same."""
    profiles = [default([(0, 6), (60, 10), (120, 8)], kind=kind, start_at=None, installed_at=NOW + 70)]
    assert of_one(profiles, 60, at=NOW + 70) == expected((0, 10), (50, 8))
    assert amperes(profiles, NOW + 70, charging=None) == 32


@pytest.mark.parametrize("kind", ["Relative", "Absolute"])
def test_relative_maximum_counts_from_its_installation(kind: str) -> None:
    profiles = [maximum([(0, 20), (60, 10)], kind=kind, start_at=None, installed_at=NOW - 30)]
    found = [station_maximum(profiles, NOW + s) for s in (0, 30)]
    assert [(m.value, m.until) for m in found] == [(20, NOW + 30), (10, None)]


def test_no_transaction_is_computed_as_if_one_started_now() -> None:
    profiles = [default([(0, 6), (60, 10)], kind="Relative", start_at=None)]
    assert composite(profiles, 1, {}, {1: AC}, "A", NOW + 500, 100) == expected((0, 6), (60, 10))


# --- recurrence ---------------------------------------------------------------------------------------------


def test_daily_repeats_at_the_time_of_its_start() -> None:
    """Not at midnight; the first day begins at the first start, and a gap is filled by the level below."""
    start = NOW + 100
    profiles = [
        default(
            [(0, 10), (3600, 16)],
            kind="Recurring",
            recurrency="Daily",
            start_at=start,
            duration_s=7200,
            stack_level=1,
            id=1,
        ),
        default([(0, 20)], id=2),
    ]
    day = [(0, 10), (3600, 16), (7200, 20)]
    assert of_one(profiles, 2 * DAY) == expected(
        (0, 20), *((100 + DAY * n + s, limit) for n in range(2) for s, limit in day)
    )


def test_recurring_duration_is_cut_to_its_period() -> None:
    """Errata 3.44: what lies beyond a day never comes."""
    profiles = [
        default(
            [(0, 10), (DAY - 10, 8), (DAY + 10, 6)], kind="Recurring", recurrency="Daily", duration_s=2 * DAY
        )
    ]
    assert of_one(profiles, DAY + 20) == expected((0, 10), (DAY - 10, 8), (DAY, 10))


def test_weekly_until_valid_to() -> None:
    week = 7 * DAY
    profiles = [
        default(
            [(0, 10), (DAY, 8)],
            kind="Recurring",
            recurrency="Weekly",
            start_at=NOW - 3 * week,
            valid_to_at=NOW + week + 60,
        )
    ]
    assert of_one(profiles, 2 * week) == expected((0, 10), (DAY, 8), (week, 10), (week + 60, 32))


def test_daylight_saving_moves_nothing() -> None:
    """Errata 3.79: European clocks change at 2026-03-29 01:00 UTC, inside; days stay 24 hours long."""
    evening_before = 1_774_720_800.0  # 2026-03-28 18:00 UTC
    profiles = [
        default([(0, 10), (43_200, 20)], kind="Recurring", recurrency="Daily", start_at=evening_before)
    ]
    found = of_one(profiles, 2 * DAY, at=evening_before)
    assert [period.start_s for period in found] == [0, 43_200, DAY, DAY + 43_200]


def test_a_year_of_days_is_fast_and_complete() -> None:
    steps = [(900 * n, 6.0 + n % 2) for n in range(96)]
    profiles = [default(steps, kind="Recurring", recurrency="Daily")]
    assert len(of_one(profiles, 365 * DAY)) == 365 * 96


# --- units and phases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "unit", "hardware", "asked", "limit", "phases"),
    [
        ((0, 11_040), "W", AC, "A", 16.0, 3),
        ((0, 11_000), "W", AC, "A", 15.9, 3),
        ((0, 11_040), "W", ONE_PHASE, "A", 16.0, 1),
        ((0, 3680, 1), "W", AC, "A", 16.0, 1),
        ((0, 7360, 2), "W", AC, "A", 16.0, 2),
        ((0, 16), "A", AC, "W", 11_040.0, 3),
        ((0, 16, 1), "A", AC, "W", 3680.0, 1),
        ((0, 16), "A", ONE_PHASE, "W", 3680.0, 1),
        ((0, 16, 3), "A", ONE_PHASE, "A", 16.0, 1),
        ((0, 100_000), "W", AC, "W", 22_080.0, 3),
        ((0, 99), "A", AC, "A", 32.0, 3),
        ((0, 0), "A", AC, "A", 0.0, 3),
        ((0, 100), "A", DC, "A", 100.0, 3),
        ((0, 100), "A", DC, "W", 50_000.0, 3),
        ((0, 50_000), "W", DC, "A", 100.0, 3),
        ((0, 150_000), "W", DC, "W", 100_000.0, 3),
    ],
    ids=lambda value: "" if isinstance(value, Hardware) else str(value).replace(" ", ""),
)
def test_units(
    step: tuple[int, float], unit: Unit, hardware: Hardware, asked: Unit, limit: float, phases: int
) -> None:
    profiles = [default([step], unit=unit)]
    assert composite(profiles, 1, {}, {1: hardware}, asked, NOW, 60) == [Period(0, limit, phases)]


@pytest.mark.parametrize(
    ("unit", "value", "asked", "limit"),
    [
        ("A", 32, "W", 22_080.0),
        ("A", 32, "A", 44.1),  # 22,080 W at the nominal 500 V
        ("W", 30_000, "A", 60.0),
    ],
)
def test_maximum_of_the_grid_at_a_dc_output(unit: Unit, value: float, asked: Unit, limit: float) -> None:
    profiles = [maximum([(0, value)], unit=unit)]
    assert composite(profiles, 1, {}, {1: DC}, asked, NOW, 60) == expected((0, limit))


def test_dc_counts_at_the_grid_in_the_sum() -> None:
    assert composite([], 0, {}, {1: AC, 2: DC}, "A", NOW, 60) == expected((0, 176.9))  # 32 + 100,000/690
    assert composite([], 0, {}, {1: AC, 2: DC}, "W", NOW, 60) == expected((0, 122_080.0))


def test_phases_are_the_fewest_in_force() -> None:
    profiles = [maximum([(0, 99, 3), (10, 99, 1)], id=1), default([(0, 9, 2)], id=2)]
    assert of_one(profiles, 20) == expected((0, 9, 2), (10, 9, 1))


@pytest.mark.parametrize(
    ("steps", "given", "hardware", "current_a", "power_w", "because"),
    [
        ([(0, 9)], {}, AC, 9, None, "TxProfile 7 (stack 2)"),
        ([(0, 40)], {}, AC, 32, None, "hardware"),
        ([(0, 6900)], {"unit": "W"}, AC, 10, 6900, "TxProfile 7 (stack 2)"),
        ([(0, 90_000)], {"unit": "W"}, AC, 32, 90_000, "hardware"),
        ([(0, 150)], {}, DC, 150, 100_000, "TxProfile 7 (stack 2)"),
        ([(0, 50_000)], {"unit": "W"}, DC, 200, 50_000, "TxProfile 7 (stack 2)"),
        ([(0, 500)], {}, DC, 200, 100_000, "hardware"),
        ([(0, 9)], {}, Hardware(32.0, 4140.0), 6, None, "hardware"),
    ],
    ids=[
        "ac-amperes",
        "ac-hardware",
        "ac-watts",
        "ac-watts-hardware",
        "dc-amperes",
        "dc-watts",
        "dc-hardware",
        "ac-power-cap",
    ],
)
def test_allowance(
    steps: Steps, given: dict[str, Any], hardware: Hardware, current_a: float, power_w: float, because: str
) -> None:
    found = connector_allowance([tx_profile(steps, id=7, stack_level=2, **given)], 1, TX, hardware, NOW)
    assert (found.limit.current_a, found.limit.power_w, found.because) == (current_a, power_w, because)


def test_allowance_without_profiles() -> None:
    found = connector_allowance([], 1, None, AC, NOW)
    assert (found.limit.current_a, found.phases, found.because, found.until) == (32, 3, "hardware", None)


@pytest.mark.parametrize(
    ("hardware", "unit", "minimum", "minimum_a"),
    [(AC, "A", 8.0, 8.0), (AC, "W", 5520.0, 8.0), (DC, "W", 6900.0, 10.0), (DC, "A", 13.8, 10.0)],
)
def test_minimum_is_told_in_grid_amperes(
    hardware: Hardware, unit: Unit, minimum: float, minimum_a: float
) -> None:
    limited = tx_profile([(0, 20_000)], unit=unit, minimum=minimum)
    assert connector_allowance([limited], 1, TX, hardware, NOW).minimum_a == pytest.approx(minimum_a)


def test_until_names_whoever_may_take_over() -> None:
    """A lower level's own boundaries do not matter while a higher one is in force."""
    profiles = [
        default([(0, 9), (5, 10)], id=1, start_at=NOW - 1),
        default([(0, 8)], id=2, stack_level=1, duration_s=50),
        tx_profile([(0, 7)], id=3, valid_from_at=NOW + 20, valid_to_at=NOW + 30),
    ]
    moments, at = [], NOW
    while (until := connector_allowance(profiles, 1, TX, AC, at).until) is not None:
        moments.append(until - NOW)
        at = until
    assert moments == [20, 30, 50]


def test_a_timer_that_fires_a_little_early_finds_the_boundary_reached() -> None:
    """A clock plus its correction may come out one rounding step below the moment asked for."""
    profiles = [default([(0, 9), (60, 7)])]
    found = connector_allowance(profiles, 1, TX, AC, math.nextafter(NOW + 60, 0))
    assert (found.limit.current_a, found.until) == (7, None)


def test_no_maximum_is_infinite() -> None:
    found = station_maximum([maximum([(0, 9)], start_at=NOW + 5, id=4)], NOW)
    assert (found.value, found.until) == (math.inf, NOW + 5)
    found = station_maximum([maximum([(0, 9, 1)], unit="W", id=4)], NOW)
    assert (found.value, found.unit, found.phases, found.because) == (9, "W", 1, "ChargePointMaxProfile 4")


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(0.6, 0.6), (8.1, 8.1), (15.99, 15.9), (12.3 - 6.3, 6.0), (0.09, 0.0), (21.4, 21.4)],
)
def test_round_down(value: float, rounded: float) -> None:
    assert round_down(value) == rounded


# --- seconds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "boundaries", "duration_s", "starts"),
    [
        (0.0, [10.4, 20.5], 60, [0, 10, 21]),
        (0.9, [1.2, 5.0], 60, [0, 1, 5]),
        (0.1, [0.3, 5.0], 60, [0, 5]),  # the boundary at 0.3 s is second 0 itself
        (0.0, [10.6, 11.2, 11.4], 60, [0, 11]),
        (0.0, [9.7], 10, [0, 9]),  # rounds onto the end of the window
        (0.9, [10.8], 10, [0, 9]),
        (0.9, [10.95], 10, [0]),  # after the window
        (0.0, [0.7], 1, [0]),
    ],
)
def test_boundaries_between_seconds(
    at: float, boundaries: list[float], duration_s: int, starts: list[int]
) -> None:
    """Each boundary is the beginning of one more stack level, with a limit of its own."""
    profiles = [default([(0, 6)])] + [
        default([(0, 7 + n)], id=2 + n, stack_level=1 + n, start_at=NOW + boundary)
        for n, boundary in enumerate(boundaries)
    ]
    found = of_one(profiles, duration_s, at=NOW + at)
    assert [period.start_s for period in found] == starts
    reached = [n for n, boundary in enumerate(boundaries) if boundary < at + duration_s]
    assert found[-1].limit == 7 + reached[-1] if reached else 6


# --- against the slow reference -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """One random composite schedule to compute."""

    profiles: tuple[Profile, ...]
    connector: int
    charging: Mapping[int, Charging]
    hardwares: Mapping[int, Hardware]
    unit: Unit
    at: float
    duration_s: int
    tick_s: Fraction


Answer = Callable[[Question], list[Period]]

HARDWARES = [
    AC,
    ONE_PHASE,
    Hardware(16.0, 7000.0),
    Hardware(10.0, 22_000.0),
    Hardware(13.3, phases=2),
    DC,
    Hardware(50.0, dc=True),
]


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Few values, close together, so that boundaries coincide and levels compete."""
    fine = draw(st.booleans())
    ticks_per_s = 4 if fine else 1
    duration_s = draw(st.integers(1, 60 if fine else 240))
    at = NOW + draw(st.integers(0, 3)) / ticks_per_s
    reach = duration_s * ticks_per_s
    seconds = st.integers(0, duration_s)
    moments = st.integers(-reach, reach).map(lambda ticks: at + ticks / ticks_per_s)
    hardwares = {n + 1: draw(st.sampled_from(HARDWARES)) for n in range(draw(st.integers(1, 3)))}
    before = st.integers(0, reach).map(lambda ticks: at - ticks / ticks_per_s)
    charging = {n: Charging(f"tx-{n}", draw(before)) for n in hardwares if draw(st.booleans())}
    unique: dict[tuple[object, ...], Profile] = {}
    for number in range(draw(st.integers(0, 7))):
        purpose: Purpose = draw(st.sampled_from(["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]))
        if purpose == "TxProfile" and not charging:
            purpose = "TxDefaultProfile"
        connector = 0
        if purpose == "TxProfile":
            connector = draw(st.sampled_from(sorted(charging)))
        elif purpose == "TxDefaultProfile":
            connector = draw(st.sampled_from([0, *hardwares]))
        unit: Unit = draw(st.sampled_from(["A", "W"]))
        highest_limit = {"A": 400, "W": 250_000}[unit]
        kind: Kind = draw(st.sampled_from(["Absolute", "Recurring", "Relative"]))
        recurrency: Recurrency | None = None
        recurs_s = 0
        start_at: float | None = None
        if kind == "Recurring":
            recurrency = draw(st.sampled_from(["Daily", "Weekly"]))
            recurs_s = DAY if recurrency == "Daily" else 7 * DAY
            start_at = draw(moments) - draw(st.integers(0, 9)) * recurs_s
        elif kind == "Absolute" and draw(st.integers(0, 4)):
            start_at = draw(moments)
        # Some schedules reach into what a window around their next repetition sees, or beyond it.
        late = st.integers(recurs_s - duration_s, recurs_s)
        starts = st.one_of(seconds, late) if recurs_s else seconds
        later = sorted(s for s in draw(st.sets(starts, max_size=4)) if s > 0)
        steps = [
            Period(s, draw(st.integers(0, highest_limit)) / 10, draw(st.sampled_from([None, 1, 2, 3])))
            for s in [0, *later]
        ]
        lasts = draw(st.one_of(st.none(), starts.map(lambda s: max(s, 1))))
        valid_from = draw(st.one_of(st.none(), st.none(), moments))
        valid_to = draw(st.one_of(st.none(), st.none(), moments))
        made = Profile(
            id=number,
            connector_id=connector,
            stack_level=draw(st.integers(0, 3)),
            purpose=purpose,
            kind=kind,
            schedule=Schedule(unit, tuple(steps), lasts, start_at),
            installed_at=draw(before),
            recurrency=recurrency,
            valid_from_at=valid_from,
            valid_to_at=valid_to,
            transaction_key=f"tx-{connector}" if purpose == "TxProfile" else None,
        )
        unique[made.purpose, made.connector_id, made.stack_level] = made
    return Question(
        tuple(unique.values()),
        draw(st.sampled_from([0, *hardwares])),
        charging,
        hardwares,
        draw(st.sampled_from(["A", "W"])),
        at,
        duration_s,
        Fraction(1, ticks_per_s),
    )


def ours(asked: Question) -> list[Period]:
    return composite(
        asked.profiles,
        asked.connector,
        asked.charging,
        asked.hardwares,
        asked.unit,
        asked.at,
        asked.duration_s,
    )


def check(answer: Answer, asked: Question) -> None:
    """The property: the answer is the reference's."""
    slow = composite_by_ticks(
        asked.profiles,
        asked.connector,
        asked.charging,
        asked.hardwares,
        asked.unit,
        asked.at,
        asked.duration_s,
        asked.tick_s,
    )
    assert answer(asked) == slow


def search(
    answer: Answer, examples: int, phases: Sequence[Phase] = tuple(Phase), start: int | None = None
) -> None:
    """Look for a question that `answer` gets wrong."""

    @settings(
        max_examples=examples,
        phases=phases,
        derandomize=start is None and not CAMPAIGN,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(questions())
    def property_holds(asked: Question) -> None:
        check(answer, asked)

    if start is not None:
        seed(start)(property_holds)
    property_holds()


CAMPAIGN = "CAMPAIGN" in os.environ
EXAMPLES = 12_000 if CAMPAIGN else 100


@pytest.mark.search
@pytest.mark.timeout(3600 if CAMPAIGN else 60)
def test_composite_is_what_a_look_at_every_tick_finds() -> None:
    search(ours, EXAMPLES)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_composite_campaign() -> None:
    search(ours, 12_000)


def changed(asked: Question, **fields: Any) -> list[Period]:
    """Our answer to a question in which every profile got other values, each computed from the profile."""
    made = tuple(
        replace(each, **{name: compute(each) for name, compute in fields.items()}) for each in asked.profiles
    )
    return ours(replace(asked, profiles=made))


def without(asked: Question, *purposes: Purpose) -> list[Period]:
    return ours(replace(asked, profiles=tuple(p for p in asked.profiles if p.purpose not in purposes)))


def lasting(each: Profile, extra_s: int) -> Schedule:
    schedule = each.schedule
    return (
        schedule
        if schedule.duration_s is None
        else replace(schedule, duration_s=schedule.duration_s + extra_s)
    )


def all_phases(each: Profile) -> Schedule:
    return replace(each.schedule, periods=tuple(replace(p, phases=3) for p in each.schedule.periods))


def up_to_the_last_second(asked: Question) -> list[Period]:
    """Loses the last boundary of a window, as code does that drops what rounds onto its end."""
    return [period for period in ours(asked) if period.start_s != asked.duration_s - 1 or not period.start_s]


ERRORS: dict[str, Answer] = {
    "sum-limit-ignored": lambda q: without(q, "ChargePointMaxProfile"),
    "tx-profile-ignored": lambda q: without(q, "TxProfile"),
    "stack-order-reversed": lambda q: changed(q, stack_level=lambda p: 9 - p.stack_level),
    "duration-one-second-long": lambda q: changed(q, schedule=lambda p: lasting(p, 1)),
    "duration-never-ends": lambda q: changed(q, schedule=lambda p: replace(p.schedule, duration_s=None)),
    "valid-to-inclusive": lambda q: changed(
        q, valid_to_at=lambda p: None if p.valid_to_at is None else p.valid_to_at + float(q.tick_s)
    ),
    "valid-from-ignored": lambda q: changed(q, valid_from_at=lambda p: None),
    "relative-from-the-request": lambda q: ours(
        replace(q, charging={n: replace(c, started_at=q.at) for n, c in q.charging.items()})
    ),
    "maximum-from-the-request": lambda q: changed(q, installed_at=lambda p: q.at),
    "recurring-only-once": lambda q: changed(
        q, kind=lambda p: "Absolute" if p.kind == "Recurring" else p.kind, recurrency=lambda p: None
    ),
    "weeks-are-days": lambda q: changed(q, recurrency=lambda p: p.recurrency and "Daily"),
    "default-of-connector-0-ignored": lambda q: ours(
        replace(
            q,
            profiles=tuple(p for p in q.profiles if p.purpose != "TxDefaultProfile" or p.connector_id > 0),
        )
    ),
    "phases-always-3": lambda q: changed(q, schedule=all_phases),
    "window-from-the-full-second": lambda q: ours(replace(q, at=float(math.floor(q.at)))),
    "one-voltage-too-high": lambda q: ours(
        replace(q, hardwares={n: replace(h, voltage_v=240.0) for n, h in q.hardwares.items()})
    ),
    "rounded-up": lambda q: [replace(p, limit=round(p.limit + 0.1, 1)) for p in ours(q)],
    "last-boundary-lost": up_to_the_last_second,
    "first-step-lost": lambda q: ours(q)[1:],
}


FINDS_ALL = 1  # mostly soon; what is drawn also depends on the modules that happen to be imported


@pytest.mark.search
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
def test_the_search_finds_a_planted_error(error: Answer) -> None:
    """A property that could not fail would prove nothing: each of these mistakes must be noticed."""
    with pytest.raises(AssertionError):
        search(error, 3000, phases=[Phase.generate], start=FINDS_ALL)


@pytest.mark.search
@settings(max_examples=EXAMPLES // 2, derandomize=not CAMPAIGN, database=None, deadline=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(questions())
@pytest.mark.timeout(3600 if CAMPAIGN else 60)
def test_allowance_and_maximum_at_every_boundary(asked: Question) -> None:
    """From boundary to boundary, what is enforced is what the reference expects there and just before."""
    for n, hardware in asked.hardwares.items():
        charging, at = asked.charging.get(n), asked.at
        while at < asked.at + asked.duration_s:
            found = connector_allowance(asked.profiles, n, charging, hardware, at)
            end = min(math.inf if found.until is None else found.until, asked.at + asked.duration_s)
            for moment in (at, end - float(asked.tick_s)):
                current, power, phases = alone(asked.profiles, n, charging, hardware, moment)
                limit = found.limit
                if hardware.dc:
                    assert limit.power_w is not None
                    assert min(limit.power_w, limit.current_a * hardware.output_v) == pytest.approx(
                        float(power)
                    )
                else:
                    assert limit.current_a == pytest.approx(float(current))
                assert found.phases == phases
            assert end > at
            at = end
    maxima = [p for p in asked.profiles if p.purpose == "ChargePointMaxProfile"]
    at = asked.at
    while at < asked.at + asked.duration_s:
        cap = station_maximum(asked.profiles, at)
        end = min(math.inf if cap.until is None else cap.until, asked.at + asked.duration_s)
        for moment in (at, end - float(asked.tick_s)):
            step = highest(maxima, moment, None)
            assert (cap.value < math.inf) == (step is not None)
            assert step is None or (cap.unit, Fraction(str(cap.value)), cap.phases) == step
        at = end


def whole(moment: float | None) -> bool:
    return moment is None or moment == math.floor(moment)


@pytest.mark.search
@settings(max_examples=EXAMPLES // 2, derandomize=not CAMPAIGN, database=None, deadline=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(questions())
@pytest.mark.timeout(3600 if CAMPAIGN else 60)
def test_composite_is_what_is_enforced_at_each_of_its_boundaries(asked: Question) -> None:
    """Without a maximum and with full seconds only, a connector's schedule is its allowance, rounded down."""
    asked = replace(asked, at=float(math.floor(asked.at)))
    profiles = [
        each
        for each in asked.profiles
        if each.purpose != "ChargePointMaxProfile"
        and whole(each.valid_from_at)
        and whole(each.valid_to_at)
        and whole(each.schedule.start_at)
    ]
    for n, hardware in asked.hardwares.items():
        started_at = math.floor(asked.charging[n].started_at) if n in asked.charging else asked.at
        charging = Charging(f"tx-{n}", started_at)
        schedule = composite(profiles, n, {n: charging}, {n: hardware}, "A", asked.at, asked.duration_s)
        for period in schedule:
            found = connector_allowance(profiles, n, charging, hardware, asked.at + period.start_s)
            current_a = found.limit.current_a
            if hardware.dc and found.limit.power_w is not None:
                current_a = min(current_a, found.limit.power_w / hardware.output_v)
            assert (round_down(current_a), found.phases) == (period.limit, period.phases)
