"""What is wrong with the settings of drivers: everything at once, and no device is touched.

The drivers stop at the first mistake, so one after the other is put right in a copy until nothing is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from hal.clock import SteppedClock
from hal.connector_spec import ConnectorSpec, Settings
from hal.modbus.bus import line_of
from hal.modbus.meter import meter_names, open_meter
from hal.modbus.place import Place, take_place
from hal.registry import open_site_meter, prepare_evse, prepare_reader
from hal.site import SiteSpec

__all__ = ["Lines", "evse_mistakes", "meter_mistakes", "reader_mistakes", "site_meter_mistakes"]

Mistakes = dict[str, str]
"""What is wrong, by the key it is wrong with."""

_STAND_IN = "?"  # for a setting that is missing
_CLOCK = SteppedClock()


def evse_mistakes(spec: ConnectorSpec) -> Mistakes:
    """In the settings of `spec.evse`."""
    meter = {"driver": "simulated" if spec.evse.get("driver") == "simulated" else "none"}
    return _all("evse", spec.evse, lambda evse: prepare_evse(replace(spec, evse=evse, meter=meter), _CLOCK))


def meter_mistakes(spec: ConnectorSpec) -> Mistakes:
    """In the settings of `spec.meter`, beside those of `spec.evse`, which are right, or empty if unknown."""
    if spec.evse:
        return _all("meter", spec.meter, lambda meter: prepare_evse(replace(spec, meter=meter), _CLOCK))
    if spec.meter.get("driver") in meter_names():
        return _all("meter", spec.meter, lambda meter: open_meter(meter, _CLOCK))
    return {}


def reader_mistakes(settings: Settings) -> Mistakes:
    """In the settings of a card reader."""
    return _all("reader", settings, prepare_reader)


def site_meter_mistakes(settings: Settings, phases: int) -> Mistakes:
    """In the settings of a site's meter."""
    return _all("meter", settings, lambda meter: open_site_meter(SiteSpec(meter, phases, poll_s=1.0), _CLOCK))


class Lines:
    """Who is at which port; add one device after the other, their own settings being right."""

    def __init__(self) -> None:
        self._ports: dict[str, tuple[str, str]] = {}  # who is there, and how Modbus is spoken
        self._pins: dict[str, str] = {}
        self._units: dict[tuple[str, int], tuple[str, str]] = {}  # who has which, and as what part

    def add(self, who: str, part: str, settings: Settings) -> Mistakes:
        """One more device, called `who`; why it cannot be where another one is."""
        if part == "evse" and settings.get("driver") == "relay":
            return self._add_pins(who, settings)
        at = _at(part, settings)
        if at is not None:
            other, what = self._units.setdefault((str(at[0]), at[1]), (who, part))
            # A map of one's own may read the registers of a controller that measures by itself.
            within = what == "evse" and settings.get("driver") == "modbus"
            if other != who and not within:
                return {"unit": f"{at[1]} there is {other} already; each device has a unit of its own"}
        port = settings.get("port")
        if not isinstance(port, str):
            return {}
        spoken = "" if at is None else line_of(at[0])
        other, line = self._ports.setdefault(port, (who, spoken))
        if other == who or (spoken and spoken == line):
            return {}
        if spoken and line:
            return {"port": f"{other} speaks {line} there, this one {spoken}; set both devices alike"}
        return {"port": f"{other} is there already and they cannot share it; give each a port of its own"}

    def _add_pins(self, who: str, settings: Settings) -> Mistakes:
        named = {key: str(value) for key, value in settings.items() if key.endswith("pin")}
        others = {key: self._pins.setdefault(pin, who) for key, pin in named.items()}
        return {
            key: f"{named[key]} belongs to {other} already; use another one"
            for key, other in others.items()
            if other != who
        }


def _at(part: str, settings: Settings) -> tuple[Place, int] | None:
    """Place and unit of a Modbus device; None for any other, which has its port for itself."""
    driver = settings.get("driver")
    if part == "evse" and driver in ("evse-wb", "phoenix"):
        return take_place(part, dict(settings))
    if part == "meter" and driver in meter_names():
        meter = open_meter(settings, _CLOCK)
        return meter.place, meter.unit
    return None


def _all(part: str, settings: Settings, prepare: Callable[[Mapping[str, Any]], object]) -> Mistakes:
    """Put right what `prepare` says is wrong, by leaving it out, then by a stand-in, until it has no more."""
    found: Mistakes = {}
    tried: set[tuple[str, bool]] = set()
    left = dict(settings)
    while True:
        try:
            prepare(left)
            return found
        except ValueError as error:
            said, _, problem = str(error).removeprefix(f"{part}: ").partition(": ")
        key, problem = (said, problem) if problem else ("driver", said)
        found.setdefault(key, problem)
        there = key in left
        if key == "driver" or (key, there) in tried:
            return found
        tried.add((key, there))
        if there:
            del left[key]
        else:
            left[key] = _STAND_IN
