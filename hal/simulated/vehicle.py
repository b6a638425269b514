"""Vehicles as data: what a kind of car brings to a charging station, read from one YAML file each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from hal.simulated.curve import Curve, at, lowest, scaled

DEFAULT_KIND = "compact"
"""The kind a mapping without `kind` starts from."""

_FULL_SOC = 100.0

_ACCEPTANCE_BY_TEMPERATURE: Curve = (
    (-20.0, 0.05),
    (-10.0, 0.15),
    (0.0, 0.35),
    (10.0, 0.65),
    (20.0, 0.95),
    (25.0, 1.0),
    (45.0, 1.0),
    (50.0, 0.6),
    (55.0, 0.2),
)

# Constant voltage phase: state of charge against a fraction of the on-board charger's power. Straight in the
# state of charge, so the current decays exponentially in time; the battery is full where it ends.
_TAIL: Curve = ((97.0, 1.0), (98.0, 0.45), (99.0, 0.2), (100.0, 0.08))
_TAIL_BEGINS_PERCENT = 96.0

_BOUNDS: Mapping[str, tuple[float, float]] = {
    "battery_wh": (100.0, 2_000_000.0),
    "ac_phases": (1, 3),
    "ac_max_current_a": (1.0, 80.0),
    "ac_max_current_1p_a": (1.0, 80.0),
    "ac_max_power_w": (100.0, 60_000.0),
    "dc_max_power_w": (0.0, 4_000_000.0),
    "nominal_voltage_v": (50.0, 1_500.0),
    "efficiency": (0.5, 1.0),
    "dc_efficiency": (0.5, 1.0),
    "idle_w": (0.0, 2_000.0),
    "power_factor": (0.5, 1.0),
    "wake_s": (0.0, 3_600.0),
    "react_s": (0.0, 60.0),
    "minimum_current_a": (6.0, 80.0),
    "soc_percent": (0.0, 100.0),
    "target_percent": (1.0, 100.0),
    "battery_temperature_c": (-40.0, 60.0),
}


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One vehicle as it arrives. Raises `ValueError`, naming the field first, for impossible values."""

    name: str
    battery_wh: float  # usable
    ac_phases: int  # the on-board charger uses, 1 to 3
    ac_max_current_a: float  # per phase
    ac_max_power_w: float  # all phases, from the grid
    curve: Curve  # (state of charge in percent, fraction of the battery's peak power), ascending
    dc_max_power_w: float = 0.0  # at the inlet; 0: no direct current
    ac_max_current_1p_a: float | None = None  # on a single phase, where that differs
    nominal_voltage_v: float = 400.0  # of the battery pack
    efficiency: float = 0.935  # of the on-board charger, beyond its own consumption
    dc_efficiency: float = 0.96  # from the inlet into the battery
    idle_w: float = 250.0  # what charger and electronics consume themselves while charging AC
    power_factor: float = 0.99  # at full load; lower below it
    wake_s: float = 2.0  # from a valid offer until the vehicle asks for energy
    react_s: float = 1.0  # until a raised offer is followed; reductions are followed at once
    minimum_current_a: float = 6.0  # AC offers below it are refused
    soc_percent: float = 30.0  # on arrival
    target_percent: float = 100.0  # where it stops
    battery_temperature_c: float = 25.0

    def __post_init__(self) -> None:
        for key, (low, high) in _BOUNDS.items():
            value = getattr(self, key)
            if value is None and key == "ac_max_current_1p_a":
                continue
            if not _is_number(value) or (key == "ac_phases" and value != int(value)):
                raise ValueError(f"{key}: {value!r} is not a {'whole ' if key == 'ac_phases' else ''}number")
            if not low <= value <= high:
                raise ValueError(f"{key}: {value:g} is not between {low:g} and {high:g}")
        _check_curve(self.curve)

    def pack_voltage_v(self, soc_percent: float) -> float:
        """Voltage at the DC inlet: 90 % of nominal when empty, 108 % when full."""
        return self.nominal_voltage_v * (0.90 + 0.18 * soc_percent / 100.0)

    def ac_current_a(self, phases: int) -> float:
        """The most the on-board charger draws per phase when it uses `phases` of them."""
        if phases == 1 and self.ac_max_current_1p_a is not None:
            return self.ac_max_current_1p_a
        return self.ac_max_current_a


@lru_cache(maxsize=256)
def acceptance_w(vehicle: Vehicle) -> Curve:
    """The power the battery takes at its terminals, from empty to full, at its temperature."""
    peak_w = max(vehicle.dc_max_power_w, vehicle.ac_max_power_w)
    temperature = at(_ACCEPTANCE_BY_TEMPERATURE, vehicle.battery_temperature_c)
    tail = ((0.0, peak_w), (_TAIL_BEGINS_PERCENT, peak_w), *scaled(_TAIL, vehicle.ac_max_power_w))
    return lowest(scaled(vehicle.curve, peak_w * temperature), tail)


@cache
def vehicle_names() -> tuple[str, ...]:
    """The kinds that are shipped, in alphabetical order."""
    folder = files("hal.simulated").joinpath("vehicles")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


@cache
def load_vehicle(name: str) -> Vehicle:
    """The shipped vehicle of that kind. Raises `ValueError`, naming the known ones, if there is none."""
    if name not in vehicle_names():
        raise ValueError(f"no vehicle {name!r}; there are {', '.join(vehicle_names())}")
    file = files("hal.simulated").joinpath("vehicles", f"{name}.yaml")
    return parse_vehicle(name, file.read_text(encoding="utf-8"), file.name)


def parse_vehicle(name: str, text: str, source: str) -> Vehicle:
    """A vehicle from YAML text. Raises `ValueError` naming `source` and the key at fault."""
    try:
        document = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(f"{source}: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{source}: a vehicle is a mapping of keys to values")
    try:
        _check_keys(document)
        missing = [key for key in _REQUIRED if key not in document]
        if missing:
            raise ValueError(f"{missing[0]}: missing")
        return Vehicle(name=name, **_values(document))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error


def vehicle_from(mapping: Mapping[str, Any]) -> Vehicle:
    """A vehicle like the one of its `kind` (default `compact`) with the other keys in place of that one's.

    Raises `ValueError` naming the key at fault.
    """
    changes = dict(mapping)
    kind = changes.pop("kind", DEFAULT_KIND)
    if not isinstance(kind, str):
        raise ValueError(f"kind: {kind!r} is not a name; there are {', '.join(vehicle_names())}")
    like = load_vehicle(kind)
    _check_keys(changes)
    kept = {field.name: getattr(like, field.name) for field in fields(Vehicle)}
    return Vehicle(**(kept | _values(changes)))


_KEYS = tuple(field.name for field in fields(Vehicle) if field.name != "name")
_REQUIRED = tuple(
    field.name for field in fields(Vehicle) if field.default is MISSING and field.name != "name"
)


def _check_keys(mapping: Mapping[Any, Any]) -> None:
    for key in mapping:
        if key not in _KEYS:
            nearest = get_close_matches(str(key), _KEYS, n=1, cutoff=0.0)[0]
            raise ValueError(f"{key}: unknown; did you mean {nearest}?")


def _values(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping with its curve, if any, as tuples of floats."""
    values = dict(mapping)
    if "curve" in values:
        values["curve"] = _curve(values["curve"])
    return values


def _curve(points: Any) -> Curve:
    if not isinstance(points, list | tuple) or not points:
        raise ValueError("curve: a list of [state of charge in percent, fraction] is needed")
    for point in points:
        if not isinstance(point, list | tuple) or len(point) != 2 or not all(map(_is_number, point)):
            raise ValueError(f"curve: {point!r} is not [state of charge in percent, fraction]")
    return tuple((float(soc), float(fraction)) for soc, fraction in points)


def _check_curve(curve: Curve) -> None:
    before = -math.inf
    for soc, fraction in curve:
        if not 0.0 <= soc <= _FULL_SOC or soc <= before:
            raise ValueError(f"curve: states of charge must ascend from 0 to 100, {soc:g} does not")
        if not 0.0 < fraction <= 1.0:
            raise ValueError(f"curve: fraction {fraction:g} at {soc:g} % is not above 0 and at most 1")
        before = soc


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
