"""Vehicles as data: the shipped kinds, their charging times, and what is said about mistakes."""

from __future__ import annotations

from typing import Any

import pytest

from hal.api import EvseInfo, Limit
from hal.clock import SteppedClock
from hal.simulated.curve import at
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import (
    Vehicle,
    acceptance_w,
    load_vehicle,
    parse_vehicle,
    vehicle_from,
    vehicle_names,
)

FAST = EvseInfo(current="dc", max_current_a=500.0, max_power_w=350_000.0)
PROMISED = {"compact", "city", "family", "long-range", "van", "plug-in-hybrid", "bus", "truck"}


def charging(
    vehicle: Vehicle, soc_percent: float, info: EvseInfo, limit: Limit
) -> tuple[SimulatedEvse, SteppedClock]:
    """A connector at which that vehicle has just begun to charge."""
    clock = SteppedClock(1_800_000_000.0)
    evse = SimulatedEvse(info, clock)
    evse.permit(limit)
    evse.plug_in(vehicle, soc_percent)
    while not evse.closed:
        clock.advance(0.5)
    return evse, clock


def hours_to(evse: SimulatedEvse, clock: SteppedClock, soc_percent: float, step_s: float) -> float:
    start = clock.now()
    while (evse.soc_percent or 0.0) < soc_percent:
        clock.advance(step_s)
        assert clock.now() < start + 80 * 3600, "it does not get there"
    return (clock.now() - start) / 3600.0


def test_the_promised_kinds_are_shipped() -> None:
    assert set(vehicle_names()) >= PROMISED
    assert len(vehicle_names()) >= 10


@pytest.mark.parametrize("name", vehicle_names())
def test_every_shipped_kind_loads_and_is_shared(name: str) -> None:
    vehicle = load_vehicle(name)
    assert vehicle.name == name
    assert load_vehicle(name) is vehicle
    assert 1.0 <= vehicle.wake_s <= 3.0
    assert vehicle.wake_s + vehicle.react_s <= EvseInfo().start_grace_s


@pytest.mark.parametrize(
    ("name", "minutes"),
    [
        ("hatchback", 42.0),
        ("city", 62.0),
        ("compact", 28.0),
        ("long-range", 28.0),
        ("family-800-volt", 16.5),
        ("suv", 49.0),
        ("supermini", 32.0),
        ("family", 26.5),
        ("sports", 19.0),
        ("bus", 118.0),
        ("truck", 69.0),
    ],
)
def test_dc_from_10_to_80_percent(name: str, minutes: float) -> None:
    evse, clock = charging(load_vehicle(name), 10.0, FAST, Limit(500.0))
    assert hours_to(evse, clock, 80.0, 5.0) * 60.0 == pytest.approx(minutes, rel=0.1)


@pytest.mark.parametrize(
    ("name", "current_a", "phases", "power_w", "efficiency"),
    [
        ("compact", 16.0, 3, 10_700.0, 0.91),
        ("compact", 6.0, 1, 1_240.0, 0.75),
        ("city", 32.0, 3, 21_100.0, 0.91),
        ("hatchback", 16.0, 3, 3_570.0, 0.87),
        ("long-range", 32.0, 1, 7_080.0, 0.92),
        ("long-range", 32.0, 3, 10_700.0, 0.93),
        ("plug-in-hybrid", 32.0, 3, 3_570.0, 0.85),
        ("plug-in-hybrid", 6.0, 1, 1_240.0, 0.73),
    ],
    ids=lambda value: f"{value:g}" if isinstance(value, float | int) else value,
)
def test_ac_power_and_efficiency(
    name: str, current_a: float, phases: int, power_w: float, efficiency: float
) -> None:
    vehicle = load_vehicle(name)
    evse, clock = charging(vehicle, 20.0, EvseInfo(phases=phases), Limit(current_a))
    begun = evse.reading()
    assert begun.power_w == pytest.approx(power_w, rel=0.015)
    hours = hours_to(evse, clock, 80.0, 60.0)
    end = evse.reading()
    stored_wh = vehicle.battery_wh * ((end.soc_percent or 0.0) - 20.0) / 100.0
    assert stored_wh / (end.energy_wh - begun.energy_wh) == pytest.approx(efficiency, abs=0.02)
    assert hours == pytest.approx(vehicle.battery_wh * 0.6 / efficiency / power_w, rel=0.04)


@pytest.mark.parametrize(
    ("temperature_c", "power_w"), [(-20, 7_700.0), (-10, 22_500.0), (0, 54_000.0), (25, 145_000.0)], ids=str
)
def test_a_cold_battery_takes_little(temperature_c: float, power_w: float) -> None:
    vehicle = vehicle_from({"kind": "long-range", "battery_temperature_c": temperature_c})
    evse, clock = charging(vehicle, 40.0, FAST, Limit(500.0))
    clock.advance(40.0)
    assert evse.reading().power_w == pytest.approx(power_w, rel=0.1)


def test_a_hot_battery_is_protected_too() -> None:
    mild, hot = (acceptance_w(vehicle_from({"battery_temperature_c": t})) for t in (30.0, 55.0))
    assert at(hot, 50.0) == pytest.approx(0.2 * at(mild, 50.0))


def test_the_last_percent_take_long_and_end_in_full() -> None:
    evse, clock = charging(load_vehicle("long-range"), 97.5, EvseInfo(), Limit(16.0))
    powers = []
    while evse.closed:
        powers.append(evse.reading().power_w)
        clock.advance(60.0)
    assert len(powers) == pytest.approx(48, abs=3)
    assert powers == sorted(powers, reverse=True)
    assert powers[-1] < 0.2 * powers[0]
    assert evse.soc_percent == 100.0


def test_other_keys_replace_those_of_the_kind() -> None:
    like = load_vehicle("van")
    van = vehicle_from({"kind": "van", "battery_wh": 90_000, "curve": [[0, 1], [100, 0.5]]})
    assert (van.battery_wh, van.curve) == (90_000, ((0.0, 1.0), (100.0, 0.5)))
    assert (van.name, van.ac_max_power_w) == (like.name, like.ac_max_power_w)


def test_without_kind_it_is_like_the_compact_one() -> None:
    assert vehicle_from({}) == load_vehicle("compact")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"kind": "spaceship"}, "no vehicle 'spaceship'; there are .*compact"),
        ({"kind": 7}, "kind: 7 is not a name"),
        ({"batery_wh": 1}, "batery_wh: unknown; did you mean battery_wh?"),
        ({"soc": 50}, "soc: unknown; did you mean soc_percent?"),
        ({"name": "mine"}, "name: unknown"),
        ({"battery_wh": 0}, "battery_wh: 0 is not between 100 and 2e"),
        ({"battery_wh": "many"}, "battery_wh: 'many' is not a number"),
        ({"battery_wh": True}, "battery_wh: True is not a number"),
        ({"battery_wh": float("nan")}, "battery_wh: nan is not a number"),
        ({"ac_phases": 4}, "ac_phases: 4 is not between 1 and 3"),
        ({"ac_phases": 1.5}, r"ac_phases: 1\.5 is not a whole number"),
        ({"soc_percent": 101}, "soc_percent: 101 is not between 0 and 100"),
        ({"curve": []}, "curve: a list of"),
        ({"curve": [[0, 1], [50]]}, r"curve: \[50\] is not"),
        ({"curve": [[50, 1], [20, 1]]}, "curve: states of charge must ascend from 0 to 100, 20 does not"),
        ({"curve": [[0, 0]]}, "curve: fraction 0 at 0 % is not above 0"),
        ({"curve": [[0, 1.5]]}, r"curve: fraction 1\.5 at 0 %"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_is_named(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vehicle_from(mapping)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("battery_wh: 1000", "mine.yaml: ac_phases: missing"),
        ("battery_wh: [", "mine.yaml: "),
        ("battery_wh: 1000\nbattery_wh: 2000", 'mine.yaml: .*duplicate key "battery_wh"'),
        ("- 1", "mine.yaml: a vehicle is a mapping"),
        ("wheels: 4", "mine.yaml: wheels: unknown; did you mean"),
    ],
    ids=["missing key", "no yaml", "key twice", "a list", "unknown key"],
)
def test_a_mistake_in_a_file_names_the_file(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){message}"):
        parse_vehicle("mine", text, "mine.yaml")
