"""The energy register as it is billed (`hal.modbus.register_hygiene`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hal.modbus.register_hygiene import CONFIRMATIONS, EnergyRegister, KnownEnergy, _Doubt

RATED_W = 22_000.0


def fed(register: EnergyRegister, *values: float | None, power_w: float | None = None) -> list[float | None]:
    """What it shows after each value, one a second."""
    start = 1000.0
    return [register.feed(value, power_w, start + second) for second, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((1000.0, 1003.0, 1003.0, 1006.0), [1000.0, 1003.0, 1003.0, 1006.0]),
        ((1000.0, None, 1003.0), [1000.0, None, 1003.0]),
        ((1000.0, -5.0, math.nan, math.inf, 1003.0), [1000.0, None, None, None, 1003.0]),
        ((1000.0, 5e6, 1003.0), [1000.0, None, 1003.0]),
        ((1000.0, 5e6, 5e6, 1003.0, 5e6, 5e6, 1006.0), [1000.0, None, None, 1003.0, None, None, 1006.0]),
        ((1000.0, 5e6, 7e6, 9e6, 1003.0), [1000.0, None, None, None, 1003.0]),
        ((1000.0, 5e6, 5e6, 5e6, 5e6 + 4), [1000.0, None, None, 1000.0, 1004.0]),
        ((1000.0, 0.0, 0.0, 1002.0), [1000.0, None, None, 1002.0]),
        ((1000.0, 0.0, 2.0, 5.0, 9.0), [1000.0, None, None, 1005.0, 1009.0]),
        ((1000.0, 300.0, 301.0, 302.0, 303.0), [1000.0, None, None, 1002.0, 1003.0]),
        ((1000.0, 990.0, 995.0, 1000.0, 1004.0), [1000.0, 1000.0, 1000.0, 1000.0, 1004.0]),
        ((9_999_999.0, 1.0, 3.0, 5.0), [9_999_999.0, None, None, 10_000_003.0]),
    ],
    ids=[
        "rises",
        "absent once",
        "not a count",
        "a leap once",
        "a leap twice, twice",
        "three leaps that disagree",
        "another meter",
        "0 twice",
        "reset",
        "another meter with less",
        "misread upwards",
        "rollover",
    ],
)
def test_readings(values: tuple[float | None, ...], shown: list[float | None]) -> None:
    assert fed(EnergyRegister(RATED_W), *values) == shown


def test_the_first_value_of_all_can_need_a_second_that_agrees() -> None:
    register = EnergyRegister(RATED_W, first=2)
    said = (5e6, 0.0, None, 1000.0, 1002.0, 1004.0)
    assert [register.feed(wh, None, float(second)) for second, wh in enumerate(said)] == [None] * 4 + [
        1002.0,
        1004.0,
    ]


def test_a_long_silence_allows_what_can_have_flowed() -> None:
    register = EnergyRegister(RATED_W, known=KnownEnergy(1000.0, at=0.0))
    assert register.feed(23_000.0, None, 3600.0) == 23_000.0
    assert register.feed(60_000.0, None, 7200.0) is None


@pytest.mark.parametrize(
    ("known", "values", "shown"),
    [
        (KnownEnergy(5000.0), (5000.0, 5003.0), [5000.0, 5003.0]),
        (KnownEnergy(5000.0), (90_000.0,), [90_000.0]),
        (KnownEnergy(5000.0, at=900.0), (5300.0,), [5300.0]),
        (KnownEnergy(5000.0, at=900.0), (90_000.0,) * 3, [None, None, 5000.0]),
        (KnownEnergy(5000.0, at=1e6), (90_000.0,), [90_000.0]),
        (KnownEnergy(5000.0, offset_wh=4000.0), (1000.0, 1003.0), [5000.0, 5003.0]),
        (KnownEnergy(5000.0), (20.0, 20.0, 22.0, 25.0), [None, None, 5002.0, 5005.0]),
        (KnownEnergy(5060.0), (5000.0, 5100.0), [5060.0, 5100.0]),
    ],
    ids=[
        "goes on",
        "counted on meanwhile",
        "counted on within reason",
        "another meter meanwhile",
        "a clock that went back",
        "offset kept",
        "offset lost, or reset meanwhile",
        "kept between two steps",
    ],
)
def test_over_a_restart(known: KnownEnergy, values: tuple[float, ...], shown: list[float | None]) -> None:
    assert fed(EnergyRegister(RATED_W, step_wh=100.0, known=known), *values) == shown


def test_what_is_kept_leads_to_the_same_register() -> None:
    before = EnergyRegister(RATED_W)
    fed(before, 1000.0, 0.0, 2.0, 5.0)
    assert before.known == KnownEnergy(1005.0, 1000.0, 1003.0)
    after = EnergyRegister(RATED_W, known=before.known)
    assert after.feed(9.0, None, 1004.0) == 1009.0
    assert EnergyRegister(RATED_W).known is None


def test_between_coarse_steps_the_power_is_counted_but_never_beyond_the_next() -> None:
    register = EnergyRegister(RATED_W, step_wh=100.0, known=KnownEnergy(1000.0))
    seconds = range(0, 41, 5)
    shown = [register.feed(1000.0, 18_000.0, float(second)) for second in seconds]  # 25 Wh each 5 s
    assert shown == [1000.0, 1025.0, 1050.0, 1075.0, 1100.0, 1100.0, 1100.0, 1100.0, 1100.0]
    assert register.feed(1100.0, 18_000.0, 45.0) == 1100.0
    assert register.feed(1100.0, 18_000.0, 50.0) == 1125.0
    assert register.feed(1100.0, -18_000.0, 55.0) == 1125.0
    assert register.feed(1100.0, None, 60.0) == 1125.0
    assert register.feed(1200.0, 0.0, 65.0) == 1200.0


def test_fine_registers_are_not_helped() -> None:
    register = EnergyRegister(RATED_W, step_wh=10.0, known=KnownEnergy(1000.0))
    assert [register.feed(1000.0, 18_000.0, float(t)) for t in range(3)] == [1000.0] * 3


@pytest.mark.parametrize(
    ("power_w", "step_wh", "frozen_at"),
    [(11_000.0, 0.0, 60), (590.0, 0.0, 123), (400.0, 0.0, None), (11_000.0, 100.0, 66), (None, 0.0, None)],
    ids=["full power", "590 W: 20 Wh first", "below 500 W", "two steps first", "power unknown"],
)
def test_a_register_that_stands_still_while_power_flows(
    power_w: float | None, step_wh: float, frozen_at: int | None
) -> None:
    register = EnergyRegister(RATED_W, step_wh=step_wh, known=KnownEnergy(1000.0))
    seen = None
    for second in range(300):
        register.feed(1000.0, power_w, float(second))
        if register.frozen and seen is None:
            seen = second
    assert seen == frozen_at
    register.feed(1000.0 + max(step_wh, 1.0), power_w, 300.0)
    assert not register.frozen


def test_a_register_that_was_stuck_catches_up() -> None:
    register = EnergyRegister(RATED_W)
    for second in range(600):
        register.feed(1000.0, 11_000.0, float(second))
    assert register.feed(1000.0 + 600 * 11_000.0 / 3600.0, 11_000.0, 600.0) == pytest.approx(2833.3, abs=0.1)


def test_a_register_kept_over_a_restart_can_be_stuck_from_the_start() -> None:
    register = EnergyRegister(RATED_W, known=KnownEnergy(1000.0))
    for second in range(62):
        register.feed(1000.0, 11_000.0, float(second))
    assert register.frozen


# What a meter and its line may do between two readings, and the truth beside it.


@dataclass(frozen=True, slots=True)
class Act:
    power_w: float
    seconds: int
    happens: str = ""
    size: float = 0.0


ACTS = st.builds(
    Act,
    power_w=st.sampled_from([0.0, 300.0, 3_680.0, 11_040.0, RATED_W]),
    seconds=st.integers(1, 30),
    happens=st.sampled_from(
        [""] * 4 + ["absent", "negative", "glitch", "zero", "reset", "replaced", "restart"]
    ),
    size=st.floats(20_000.0, 5e6),
)

Register = Callable[[float, KnownEnergy | None], EnergyRegister]


def ordinary(step_wh: float, known: KnownEnergy | None) -> EnergyRegister:
    return EnergyRegister(RATED_W, step_wh=step_wh, known=known)


def lives(acts: Iterable[Act], step_wh: float, make: Register) -> None:
    """Let a meter live through `acts`: what is shown never falls, never exceeds what flowed, loses nothing to
    lies. A lie is told once: told again and again it is no different from the truth.
    """
    now, truth_wh, meter_wh = 0.0, 0.0, 50_000.0
    register = make(step_wh, None)
    first = register.feed(stepped(meter_wh, step_wh), 0.0, now)
    assert first == 50_000.0
    shown = [first]
    lied = replaced = False
    for act in acts:
        now += act.seconds
        flowed = act.power_w * act.seconds / 3600.0
        truth_wh += flowed
        meter_wh += flowed
        if act.happens in ("reset", "replaced"):
            meter_wh = 0.0 if act.happens == "reset" else meter_wh + act.size
            replaced = True
        elif act.happens == "restart":
            register = make(step_wh, register.known)
        said: float | None = stepped(meter_wh, step_wh)
        assert said is not None
        if act.happens == "absent":
            said = None
        elif act.happens == "negative":
            said = -1.0
        elif act.happens in ("glitch", "zero") and not lied:
            lied, said = True, said + act.size if act.happens == "glitch" else 0.0
        else:
            lied = False
        if (seen := register.feed(said, act.power_w, now)) is not None:
            shown.append(seen)
        assert shown[-1] <= 50_000.0 + truth_wh + max(step_wh, 1.0) + 1e-6, "more than flowed"
    if not replaced:
        last = register.feed(stepped(meter_wh, step_wh), 0.0, now + 1.0)
        assert last is not None
        assert last >= 50_000.0 + truth_wh - max(step_wh, 1e-6), "less than flowed"
    assert all(a <= b for a, b in pairwise(shown)), "fell"


def stepped(wh: float, step_wh: float) -> float:
    return math.floor(wh / step_wh + 1e-9) * step_wh if step_wh else wh


@given(acts=st.lists(ACTS, max_size=60), step_wh=st.sampled_from([0.0, 10.0, 100.0]))
def test_it_never_falls_and_never_shows_more_than_flowed(acts: list[Act], step_wh: float) -> None:
    lives(acts, step_wh, ordinary)


class Credulous(EnergyRegister):
    """Believes every leap at once."""

    def _doubted(self, wh: float, now: float) -> _Doubt:
        doubt = super()._doubted(wh, now)
        doubt.times = CONFIRMATIONS
        return doubt


class Forgetful(EnergyRegister):
    """Forgets over a restart what it added."""

    @property
    def known(self) -> KnownEnergy | None:
        return None


class Raw(EnergyRegister):
    """Shows what the meter says."""

    def feed(self, wh: float | None, power_w: float | None, now: float) -> float | None:
        return wh


class Boundless(EnergyRegister):
    """Integrates beyond the next step."""

    def feed(self, wh: float | None, power_w: float | None, now: float) -> float | None:
        shown = super().feed(wh, power_w, now)
        return None if shown is None else shown + (power_w or 0.0) / 20.0


@pytest.mark.search
@pytest.mark.parametrize("saboteur", [Forgetful, Raw, Boundless, Credulous])
def test_a_register_without_one_of_its_rules_is_found_out(saboteur: type[EnergyRegister]) -> None:
    def broken(step_wh: float, known: KnownEnergy | None) -> EnergyRegister:
        return saboteur(RATED_W, step_wh=step_wh, known=known)

    @settings(phases=[Phase.generate], report_multiple_bugs=False)
    @given(acts=st.lists(ACTS, max_size=60), step_wh=st.sampled_from([0.0, 10.0, 100.0]))
    def search(acts: list[Act], step_wh: float) -> None:
        lives(acts, step_wh, broken)

    with pytest.raises(AssertionError):
        search()
