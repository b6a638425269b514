"""The devices of a configuration, looked at by reading only: found or not, and what they show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chargepoint.cli.tables import Row
from chargepoint.config import StationConfig, load
from chargepoint.config.hardware import ConnectorConfig, DriverConfig
from chargepoint.config.section import Context
from chargepoint.config.source import read as read_document
from chargepoint.errors import ConfigError
from hal.api import Clock, EvseInfo
from hal.connector_spec import ConnectorSpec
from hal.look import Look, Onlooker, connector_onlookers, meter_onlooker, reader_onlooker
from hal.modbus.bus import open_buses
from hal.registry import driver_names, meter_names, reader_names
from hal.scan import scan

__all__ = ["RIGHT", "Devices", "connectors_in", "devices_of", "single_device", "specs_of"]

RIGHT = ("offered", "current", "power", "energy", "asked", "answered", "silent", "garbled", "refused", "p95")
"""Columns of figures."""

_SCANNED = ("evse-wb", "phoenix")


def specs_of(config: StationConfig) -> list[ConnectorSpec]:
    """The connectors of a configuration, as drivers are opened from them."""
    return [
        ConnectorSpec(connector.info, connector.evse.settings, connector.meter.settings)
        for connector in config.connectors
    ]


def connectors_in(path: Path) -> tuple[list[ConnectorSpec], list[str]]:
    """The connectors of a configuration file as far as they can be switched off, and the mistakes in it.

    Raises `ConfigError` if what holds their contactors cannot be understood.
    """
    try:
        return specs_of(load(path)), []
    except ConfigError as error:
        connectors = read_document(path).tree.get("connectors")
        context = Context(path.parent, check_drivers=False)
        try:
            if not isinstance(connectors, list) or not connectors:
                raise error
            return [_spec_in(connector, context) for connector in connectors], error.problems
        except ValidationError:
            raise error from None


def _spec_in(connector: Any, context: Context) -> ConnectorSpec:
    """One connector; if something beside its controller is wrong, the controller alone."""
    try:
        config = ConnectorConfig.model_validate(connector, context=context)
    except ValidationError:
        if not isinstance(connector, dict) or "evse" not in connector:
            raise
        evse = DriverConfig.model_validate(connector["evse"], context=context)
        return ConnectorSpec(ConnectorConfig().info, evse.settings, {"driver": "none"})
    return ConnectorSpec(config.info, config.evse.settings, config.meter.settings)


@dataclass(slots=True)
class Devices:
    """What there is to look at, by the name of the place it belongs to: "connector 1", "site", "station"."""

    places: dict[str, list[Onlooker]] = field(default_factory=dict)
    settings: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # by the onlooker's id()
    looks: dict[int, Look | None] = field(default_factory=dict)

    def add(self, place: str, onlookers: Iterable[Onlooker], *settings: Mapping[str, Any]) -> None:
        """More at a place, each with what was configured for it."""
        for onlooker, configured in zip(onlookers, settings, strict=False):
            self.places.setdefault(place, []).append(onlooker)
            self.settings[id(onlooker)] = configured

    def __iter__(self) -> Iterator[tuple[str, Onlooker]]:
        return iter([(place, one) for place, several in self.places.items() for one in several])

    async def find(self) -> bool:
        """Open every one of them; True if all are there."""
        found = [await onlooker.find() for _, onlooker in self]
        return all(found)

    async def look(self) -> bool:
        """Ask every one of them once; True if all answered."""
        for _, onlooker in self:
            self.looks[id(onlooker)] = await onlooker.look()
        return not any(onlooker.problem for _, onlooker in self)

    async def close(self) -> None:
        """Let go of all."""
        for _, onlooker in self:
            await onlooker.close()

    async def hint(self, onlooker: Onlooker) -> str | None:
        """What answers in its place with other settings; None where nothing can be tried."""
        configured = self.settings[id(onlooker)]
        if onlooker.driver not in _SCANNED and onlooker.part not in ("meter", "site"):
            return None
        if onlooker.driver == "controller":
            return None
        known = {key: value for key, value in configured.items() if key in _PLACE_KEYS}
        for _, other in self:
            await other.close()  # its bus, for another speed of the same port
        return await scan("evse" if onlooker.part == "evse" else "meter", known)

    # --- as rows ------------------------------------------------------------------------------------

    def findings(self) -> list[Row]:
        """Who is there and who is not."""
        return [
            {
                "where": place,
                "part": onlooker.part,
                "driver": onlooker.driver,
                "at": onlooker.where,
                "found": "no: " + onlooker.problem if onlooker.problem else onlooker.identity,
            }
            for place, onlooker in self
        ]

    def readings(self) -> list[Row]:
        """What each place shows."""
        return [
            _reading(place, [(one, self.looks.get(id(one))) for one in several])
            for place, several in self.places.items()
        ]

    def as_json(self) -> list[dict[str, Any]]:
        """Everything known about each device, as JSON values."""
        return [
            {
                "where": place,
                "part": onlooker.part,
                "driver": onlooker.driver,
                "at": onlooker.where,
                "identity": onlooker.identity or None,
                "problem": onlooker.problem or None,
                **_figures(self.looks.get(id(onlooker))),
            }
            for place, onlooker in self
        ]


_PLACE_KEYS = (
    "driver",
    "port",
    "host",
    "tcp_port",
    "baudrate",
    "parity",
    "stopbits",
    "local_echo",
    "unit",
    "map",
)


def devices_of(config: StationConfig, clock: Clock) -> Devices:
    """All real devices of a configuration. Raises `ConfigError`; call it inside the running loop."""
    devices, problems = Devices(), []
    for n, (connector, spec) in enumerate(zip(config.connectors, specs_of(config), strict=True), 1):
        place = f"connector {n}"
        try:
            for onlooker in connector_onlookers(spec, clock):
                devices.add(place, [onlooker], spec.evse if onlooker.part == "evse" else spec.meter)
            if connector.reader is not None:
                _add_reader(devices, place, connector.reader)
        except ValueError as error:
            problems.append(f"{place}: {error}")
    try:
        for reader in config.readers[:1]:
            _add_reader(devices, "station", reader)
        if config.site is not None and config.site.meter.driver not in ("simulated", "fed"):
            settings = config.site.meter.settings
            devices.add("site", [meter_onlooker(settings, clock)], settings)
    except ValueError as error:
        problems.append(str(error))
    if problems:
        raise ConfigError(problems)
    return devices


def single_device(settings: Mapping[str, Any], clock: Clock) -> Devices:
    """One device that is not in a configuration. Raises `ConfigError`; call it inside the running loop."""
    driver, devices = settings["driver"], Devices()
    try:
        if driver in meter_names() and driver not in ("simulated", "controller", "none"):
            devices.add("device", [meter_onlooker(settings, clock)], settings)
        elif driver in driver_names() and driver != "simulated":
            spec = ConnectorSpec(EvseInfo(), settings, {"driver": "none"})
            devices.add("device", connector_onlookers(spec, clock), settings)
        elif driver in reader_names() and (reader := reader_onlooker(settings)) is not None:
            devices.add("device", [reader], settings)
        else:
            raise ValueError(
                f"there is no device behind a driver {driver!r}; chargepoint hardware drivers lists them"
            )
    except ValueError as error:
        raise ConfigError([str(error)]) from None
    return devices


def bus_rows() -> list[Row]:
    """How the lines in use have done so far."""
    rows: list[Row] = []
    for bus in open_buses():
        for unit, figures in bus.statistics().items():
            rows.append(
                {
                    "line": str(bus.place),
                    "unit": str(unit),
                    "asked": str(figures.requests),
                    "answered": str(figures.answered),
                    "silent": str(figures.silent),
                    "garbled": str(figures.garbled),
                    "refused": str(figures.refused),
                    "p95": "" if figures.p95_s is None else f"{figures.p95_s * 1000:.0f} ms",
                }
            )
    return rows


def _add_reader(devices: Devices, place: str, config: DriverConfig) -> None:
    reader = reader_onlooker(config.settings)
    if reader is not None:
        devices.add(place, [reader], config.settings)


def _reading(place: str, seen: Sequence[tuple[Onlooker, Look | None]]) -> Row:
    row = dict.fromkeys(
        ("where", "pilot", "offered", "contactor", "current", "power", "energy", "card", "errors"), ""
    )
    row["where"] = place
    errors = []
    for onlooker, look in seen:
        if onlooker.problem:
            errors.append(f"{onlooker.part}: {onlooker.problem}")
        if look is None:
            continue
        errors += [f"{onlooker.part}: {fault.info or fault.kind.value}" for fault in look.faults]
        row["pilot"] = row["pilot"] or (look.pilot.value if look.pilot is not None else "")
        row["card"] = row["card"] or look.card or ""
        if look.offered_a is not None:
            row["offered"] = f"{look.offered_a:g} A"
        if look.closed is not None:
            row["contactor"] = "closed" if look.closed else "open"
        if look.meter is not None:
            amperes = " ".join("-" if a is None else f"{a:.1f}" for a in look.meter.current_a)
            row["current"] = amperes and f"{amperes} A"
            row["power"] = "" if look.meter.power_w is None else f"{look.meter.power_w / 1000:.2f} kW"
            row["energy"] = "" if look.meter.import_wh is None else f"{look.meter.import_wh / 1000:.3f} kWh"
    row["errors"] = "; ".join(errors)
    return row


def _figures(look: Look | None) -> dict[str, Any]:
    if look is None:
        return {}
    meter = look.meter
    measured = (
        {}
        if meter is None
        else {
            "energy_wh": meter.import_wh,
            "export_wh": meter.export_wh,
            "power_w": meter.power_w,
            "current_a": list(meter.current_a),
            "voltage_v": list(meter.voltage_v),
            "frequency_hz": meter.frequency_hz,
        }
    )
    figures = {
        "pilot": look.pilot and look.pilot.value,
        "offered_a": look.offered_a,
        "closed": look.closed,
        "card": look.card,
        "faults": [fault.info or fault.kind.value for fault in look.faults],
        **measured,
    }
    return {
        key: value
        for key, value in figures.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
