"""Physics of the simulated connector: what is read at one instant and over time fits together.

The closed form is held against a reference that knows nothing of it: the same vehicles in half-second steps.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hal.api import NOTHING, EvseInfo, Limit, MeterReading
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import Vehicle, load_vehicle, vehicle_from, vehicle_names

STEP_S = 0.5
REPEATABLE = settings(derandomize=True, deadline=None)

DC_KINDS = [name for name in vehicle_names() if load_vehicle(name).dc_max_power_w]
DC_INFO = EvseInfo(current="dc", max_current_a=300.0, max_power_w=150_000.0)


def interpolated(points: Sequence[tuple[float, float]], x: float) -> float:
    index = bisect_right([point[0] for point in points], x)
    if index == 0 or index == len(points):
        return points[max(0, index - 1)][1]
    (x0, y0), (x1, y1) = points[index - 1], points[index]
    return y0 * (x1 - x) / (x1 - x0) + y1 * (x - x0) / (x1 - x0)


def accepted_w(car: Vehicle, soc: float) -> float:
    """Battery power at the terminals: curve, temperature and constant-voltage tail, each in its own words."""
    peak_w = max(car.dc_max_power_w, car.ac_max_power_w)
    warmth = interpolated(
        [(-20, 0.05), (-10, 0.15), (0, 0.35), (10, 0.65), (20, 0.95), (25, 1), (45, 1), (50, 0.6), (55, 0.2)],
        car.battery_temperature_c,
    )
    ac_w = car.ac_max_power_w
    tail_w = interpolated(
        [(96, peak_w), (97, ac_w), (98, 0.45 * ac_w), (99, 0.2 * ac_w), (100, 0.08 * ac_w)], soc
    )
    return min(interpolated(car.curve, soc) * peak_w * warmth, tail_w)


def steps(seconds: float) -> list[float]:
    """Half-second steps and what is left over at the end."""
    whole = int(seconds / STEP_S)
    return [STEP_S] * whole + [seconds - whole * STEP_S]


def stepped_ac(
    car: Vehicle, soc: float, seconds: float, limit_a: float, phases: int, idle: float = 1.0
) -> tuple[float, float]:
    """Register and state of charge after so many seconds of charging, half a second at a time."""
    used = min(phases, car.ac_phases)
    single_a = car.ac_max_current_1p_a if used == 1 and car.ac_max_current_1p_a else car.ac_max_current_a
    current_a = min(limit_a, single_a)
    apparent_va = current_a * (230.0 - max((0.15, 0.17, 0.14)[:used]) * current_a)
    offered_w = used * apparent_va * car.power_factor * apparent_va / math.hypot(apparent_va, 612.0)
    idle_w = car.idle_w * idle
    energy_ws = 0.0
    for step_s in steps(seconds):
        if soc >= car.target_percent:
            break
        power_w = min(offered_w, car.ac_max_power_w, accepted_w(car, soc) / car.efficiency + idle_w)
        energy_ws += power_w * step_s
        soc += max(0.0, power_w - idle_w) * car.efficiency * step_s / (36.0 * car.battery_wh)
    return energy_ws / 3600.0, soc


def stepped_dc(car: Vehicle, soc: float, seconds: float, limit: Limit) -> tuple[float, float]:
    """The same for a DC outlet, whose output climbs by 15 A a second at first."""
    assert limit.power_w is not None
    climb_w_s = 15.0 * car.nominal_voltage_v * (0.9 + 0.18 * soc / 100.0)
    energy_ws = 0.0
    for step, step_s in enumerate(steps(seconds)):
        if soc >= car.target_percent:
            break
        pack_v = car.nominal_voltage_v * (0.9 + 0.18 * soc / 100.0)
        climbed_w = climb_w_s * (step + 0.5) * STEP_S
        power_w = min(climbed_w, accepted_w(car, soc), limit.current_a * pack_v, limit.power_w)
        energy_ws += power_w * step_s
        soc += power_w * car.dc_efficiency * step_s / (36.0 * car.battery_wh)
    return energy_ws / 3600.0, soc


def closed_form(
    car: Vehicle, soc: float, seconds: float, limit: Limit, info: EvseInfo
) -> tuple[float, float]:
    """What the connector itself says after so many seconds of charging."""
    clock = SteppedClock(1_800_000_000.0)
    evse = SimulatedEvse(info, clock)
    evse.plug_in(car, soc)
    evse.permit(limit)
    clock.advance(car.wake_s + (7.0 if info.current == "dc" else 0.0))
    assert evse.reading().energy_wh == 0.0
    clock.advance(seconds)
    reading = evse.reading()
    assert reading.soc_percent is not None
    return reading.energy_wh, reading.soc_percent


def agree(ours: tuple[float, float], theirs: tuple[float, float]) -> bool:
    """Within what half-second steps can know."""
    return ours[0] == pytest.approx(theirs[0], rel=0.003, abs=0.5) and ours[1] == pytest.approx(
        theirs[1], abs=0.05
    )


@pytest.mark.search
@settings(REPEATABLE, max_examples=40)
@given(
    st.sampled_from(vehicle_names()),
    st.floats(0.0, 99.0),
    st.floats(6.0, 32.0),
    st.sampled_from([1, 2, 3]),
    st.floats(-20.0, 55.0),
    st.floats(60.0, 5400.0),
)
def test_ac_register_and_charge_are_those_of_small_steps(
    kind: str, soc: float, limit_a: float, phases: int, temperature_c: float, seconds: float
) -> None:
    car = vehicle_from({"kind": kind, "battery_temperature_c": temperature_c})
    ours = closed_form(car, soc, seconds, Limit(limit_a), EvseInfo(phases=phases))
    assert agree(ours, stepped_ac(car, soc, seconds, limit_a, phases))


@pytest.mark.search
@settings(REPEATABLE, max_examples=40)
@given(
    st.sampled_from(DC_KINDS),
    st.floats(0.0, 99.0),
    st.floats(5.0, 300.0),
    st.floats(2_000.0, 150_000.0),
    st.floats(-20.0, 55.0),
    st.floats(60.0, 3600.0),
)
@example("bus", 0.0, 34.0, 20_000.0, 0.0, 3600.0)  # an efficiency of its own
def test_dc_register_and_charge_are_those_of_small_steps(
    kind: str, soc: float, limit_a: float, limit_w: float, temperature_c: float, seconds: float
) -> None:
    car = vehicle_from({"kind": kind, "battery_temperature_c": temperature_c})
    limit = Limit(limit_a, limit_w)
    assert agree(closed_form(car, soc, seconds, limit, DC_INFO), stepped_dc(car, soc, seconds, limit))


def test_the_comparison_notices_a_forgotten_loss() -> None:
    car = load_vehicle("compact")
    ours = closed_form(car, 40.0, 3600.0, Limit(6.0), EvseInfo(phases=1))
    assert agree(ours, stepped_ac(car, 40.0, 3600.0, 6.0, 1))
    assert not agree(ours, stepped_ac(car, 40.0, 3600.0, 6.0, 1, idle=0.5))
    assert not agree(ours, stepped_ac(car, 40.0, 3600.0, 6.2, 1))


def assert_coherent(reading: MeterReading, info: EvseInfo, limit: Limit, *, closed: bool) -> None:
    assert reading.power_w >= 0.0
    assert closed or reading.power_w == 0.0
    assert max(reading.current_a) <= limit.current_a * (1 + 1e-9)
    if info.current == "dc":
        assert reading.voltage_v[0] * reading.current_a[0] == pytest.approx(reading.power_w)
        assert limit.power_w is None or reading.power_w <= limit.power_w * (1 + 1e-9)
        return
    factor = reading.power_factor
    assert factor is not None
    assert 0.0 < factor <= 1.0
    assert sum(reading.power_phase_w) == pytest.approx(reading.power_w)
    for volts, amps, watts in zip(reading.voltage_v, reading.current_a, reading.power_phase_w, strict=True):
        assert volts * amps * factor == pytest.approx(watts, rel=1e-9, abs=1e-9)


Act = Callable[[SimulatedEvse], None]


def _permit(current_a: float) -> Act:
    return lambda evse: evse.permit(Limit(current_a, 60_000.0 if evse.info.current == "dc" else None))


def _adjusted(**change: float) -> Act:
    return lambda evse: evse.adjust(**change)  # type: ignore[arg-type]  # only numbers are changed here


ACTS = st.one_of(
    st.floats(0.0, 80.0).map(_permit),
    st.floats(0.0, 100.0).map(lambda soc: _adjusted(soc_percent=soc)),
    st.floats(0.0, 40.0).map(lambda amps: _adjusted(max_current_a=amps)),
    st.floats(0.0, 30_000.0).map(lambda watts: _adjusted(max_power_w=watts)),
    st.floats(500.0, 90_000.0).map(lambda capacity: _adjusted(battery_wh=capacity)),
    st.integers(1, 3).map(lambda phases: _adjusted(phases=phases)),
    st.sampled_from([0.0, 120.0, 140.0, 207.0, 230.0, 253.0]).map(lambda v: lambda evse: evse.set_supply(v)),
)
STORIES = st.lists(st.tuples(ACTS, st.floats(0.0, 4000.0)), min_size=1, max_size=12)
INFOS = st.sampled_from([EvseInfo(), EvseInfo(phases=1), EvseInfo(phases=2, max_current_a=16.0), DC_INFO])


@pytest.mark.search
@settings(REPEATABLE, max_examples=150)
@given(INFOS, st.sampled_from(DC_KINDS), STORIES)
def test_whatever_happens_each_reading_is_coherent_and_the_register_rises(
    info: EvseInfo, kind: str, story: list[tuple[Act, float]]
) -> None:
    clock = SteppedClock(1_800_000_000.0)
    evse = SimulatedEvse(info, clock, energy_wh=1e6)
    evse.plug_in(load_vehicle(kind))
    evse.permit(Limit(16.0, 60_000.0))
    clock.advance(20.0)
    register_wh = 1e6
    for act, seconds in story:
        before = evse.reading()
        act(evse)
        after = evse.reading()
        assert after == evse.reading()
        assert after.energy_wh == pytest.approx(before.energy_wh, abs=1e-6), (
            "an act of no duration costs nothing"
        )
        for _ in range(3):
            assert_coherent(evse.reading(), info, evse.offered, closed=evse.closed)
            assert evse.reading().energy_wh >= register_wh
            register_wh = evse.reading().energy_wh
            clock.advance(seconds / 3)


@pytest.mark.search
@settings(REPEATABLE, max_examples=50)
@given(INFOS, STORIES)
def test_reading_changes_nothing(info: EvseInfo, story: list[tuple[Act, float]]) -> None:
    ends = []
    for looks in (1, 7):
        clock = SteppedClock(1_800_000_000.0)
        evse = SimulatedEvse(info, clock)
        evse.plug_in(load_vehicle("family"))
        for act, seconds in story:
            act(evse)
            for look in range(looks):
                clock.advance(seconds * (look + 1) / looks - seconds * look / looks)
                evse.reading()
        ends.append(evse.reading())
    assert ends[0].energy_wh == pytest.approx(ends[1].energy_wh, abs=0.02)
    assert ends[0].soc_percent == pytest.approx(ends[1].soc_percent, abs=1e-3)


def test_the_register_never_falls_between_readings_closer_than_rounding() -> None:
    """A clock near 0 tells moments apart in which less flows than the last digit of the register holds."""
    for start in range(40):
        clock = SteppedClock()
        evse = SimulatedEvse(EvseInfo(), clock)
        evse.plug_in(load_vehicle("long-range"), 98.2 + start * 0.0019)
        evse.permit(Limit(16.0))
        clock.advance(425.8)
        before = evse.reading().energy_wh
        for _ in range(100):
            clock.advance(1.2e-13)
            now = evse.reading().energy_wh
            assert now >= before
            before = now


STEEP = {"battery_wh": 1000, "curve": [[0, 1], [10, 1], [11, 0.2], [100, 0.2]]}


@pytest.mark.parametrize("soc", [9.0, 10.5, 99.0, 99.999], ids=lambda soc: f"{soc:g} %")
def test_a_climbing_output_passes_neither_the_curve_nor_the_target(soc: float) -> None:
    clock = SteppedClock()
    evse = SimulatedEvse(DC_INFO, clock)
    car = vehicle_from(STEEP)
    evse.plug_in(car, soc)
    evse.permit(Limit(300.0, 150_000.0))
    for _ in range(600):
        clock.advance(0.05)
        reading = evse.reading()
        assert reading.soc_percent is not None
        assert reading.soc_percent <= 100.0
        assert reading.power_w <= accepted_w(car, reading.soc_percent) * (1 + 1e-9)


def test_direct_current_stays_high_until_the_constant_voltage_phase() -> None:
    car = vehicle_from({"curve": [[0, 1], [100, 1]], "battery_wh": 100_000})
    ours = closed_form(car, 90.0, 300.0, Limit(300.0, 60_000.0), DC_INFO)
    assert ours[0] == pytest.approx(60_000.0 * 300.0 / 3600.0, rel=0.06)
    assert agree(ours, stepped_dc(car, 90.0, 300.0, Limit(300.0, 60_000.0)))


@pytest.mark.parametrize(("current_a", "factor"), [(6.0, 0.90), (16.0, 0.977), (32.0, 0.986)], ids=str)
def test_voltage_sags_and_power_factor_rises_with_load(current_a: float, factor: float) -> None:
    clock = SteppedClock()
    evse = SimulatedEvse(EvseInfo(), clock)
    evse.plug_in(load_vehicle("city"))
    idle = evse.reading()
    assert idle.voltage_v == (230.0, 230.0, 230.0)
    evse.permit(Limit(current_a))
    clock.advance(10.0)
    loaded = evse.reading()
    assert max(loaded.current_a) == pytest.approx(current_a)
    sags = [230.0 - volts for volts in loaded.voltage_v]
    assert sags == pytest.approx([current_a * ohm for ohm in (0.15, 0.17, 0.14)], rel=0.02)
    assert loaded.power_factor == pytest.approx(factor, abs=0.006)
    assert loaded.frequency_hz == 50.0


def test_the_body_warms_under_load_and_cools_after_it() -> None:
    clock = SteppedClock()
    evse = SimulatedEvse(EvseInfo(max_current_a=16.0), clock)
    evse.plug_in(load_vehicle("long-range"), 5.0)
    evse.permit(Limit(16.0))
    temperatures = []
    for _ in range(8):
        temperatures.append(evse.reading().temperature_c or 0.0)
        clock.advance(600.0)
    assert temperatures == sorted(temperatures)
    assert temperatures[0] == 25.0
    assert 40.0 < temperatures[-1] < 46.0
    evse.permit(NOTHING)
    warm = evse.reading().temperature_c or 0.0
    assert warm > temperatures[-1]
    clock.advance(7200.0)
    assert (evse.reading().temperature_c or 0.0) == pytest.approx(25.0, abs=0.1)
