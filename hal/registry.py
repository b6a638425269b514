"""The drivers by name: opens a connector or a card reader from its settings.

A driver's modules are imported when it is opened, so no installation needs the libraries of hardware it does
not have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from hal.api import Clock, Evse, EvseInfo, TagReader

Settings = Mapping[str, Any]
"""`driver`, and whatever else that driver understands."""


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """Everything needed to open one connector."""

    info: EvseInfo
    evse: Settings
    meter: Settings
    energy_wh: float = 0.0  # where a simulated register resumes


def driver_names() -> tuple[str, ...]:
    """The drivers of connectors, in alphabetical order."""
    return tuple(sorted(_EVSES))


def open_evse(spec: ConnectorSpec, clock: Clock) -> Evse:
    """The connector that `spec` describes. Raises `ValueError` for unknown drivers or settings."""
    return _EVSES[_driver("evse", spec.evse, _EVSES)](spec, clock)


def open_reader(settings: Settings, clock: Clock) -> TagReader:
    """The card reader that `settings` describe. Raises `ValueError` for unknown drivers or settings."""
    return _READERS[_driver("reader", settings, _READERS)](settings, clock)


def _simulated_evse(spec: ConnectorSpec, clock: Clock) -> Evse:
    from hal.simulated.evse import SimulatedEvse

    _driver("meter", spec.meter, _METERS_OF_SIMULATED)
    _refuse_others("evse", spec.evse)
    _refuse_others("meter", spec.meter)
    return SimulatedEvse(spec.info, clock, energy_wh=spec.energy_wh)


def _simulated_reader(settings: Settings, clock: Clock) -> TagReader:
    from hal.simulated.reader import SimulatedReader

    _refuse_others("reader", settings)
    return SimulatedReader()


_EVSES: Mapping[str, Callable[[ConnectorSpec, Clock], Evse]] = {"simulated": _simulated_evse}
_READERS: Mapping[str, Callable[[Settings, Clock], TagReader]] = {"simulated": _simulated_reader}
_METERS_OF_SIMULATED = ("simulated",)


def _driver(part: str, settings: Settings, known: Collection[str]) -> str:
    names = ", ".join(sorted(known))
    if "driver" not in settings:
        raise ValueError(f"{part}: driver: missing; there are {names}")
    driver = settings["driver"]
    if not isinstance(driver, str) or driver not in known:
        raise ValueError(f"{part}: driver: no {part} driver {driver!r} here; there are {names}")
    return driver


def _refuse_others(part: str, settings: Settings) -> None:
    """The simulated parts have no settings besides the driver's name."""
    for key in settings:
        if key != "driver":
            raise ValueError(f"{part}: {key}: unknown; driver {settings['driver']!r} has no such setting")
