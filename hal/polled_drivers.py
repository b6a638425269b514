"""Opens the connectors that have a controller and a meter on a bus or a port from their settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from hal.api import AC_MINIMUM_A, Clock, Evse, EvseInfo
from hal.connector_spec import ConnectorSpec
from hal.device import EnergyMeter, EvseController
from hal.modbus.bus import Bus, Place, SerialLine, bus_at, take_place
from hal.modbus.meter import ModbusMeter, open_meter
from hal.polled import PolledEvse
from hal.serial.settings import SerialSettings
from hal.simulated.energy_meter import SimulatedEnergyMeter

__all__ = [
    "Polling",
    "meter_of",
    "polled",
    "prepare_evse_wb",
    "prepare_openevse",
    "prepare_phoenix",
    "refuse_rest",
    "take_polling",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Polling:
    """The settings of every polled connector, whatever its controller; see `PolledEvse`."""

    poll_s: float = 0.5
    meter_s: float = 1.0
    safe_current_a: float = 0.0
    meter_lost: Literal["stop", "continue"] = "stop"
    ventilated: bool = False


def prepare_evse_wb(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    """An EVSE-WB, EVSE DIN or SimpleEVSE; these have no lock."""
    from hal.modbus.evse_wb import GAP_S, EvseWb

    settings, polling = take_polling(spec)
    boot_current_a = _one_of(settings, "boot_current_a", None, (0, 6, None))
    if "port" in settings:
        settings.setdefault("gap_s", GAP_S)
    place, unit = take_place("evse", settings)

    def controller(bus: Bus) -> EvseController:
        return EvseWb(bus, unit, clock, boot_current_a=boot_current_a, safe_current_a=polling.safe_current_a)

    return _on_bus(spec, replace(spec.info, lockable=False), clock, polling, settings, place, controller)


def prepare_phoenix(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    """A Phoenix Contact EV Charge Control Basic."""
    from hal.modbus.phoenix import Phoenix

    settings, polling = take_polling(spec)
    place, unit = take_place("evse", settings)
    lock = spec.info.lockable and not spec.info.tethered

    def controller(bus: Bus) -> EvseController:
        return Phoenix(bus, unit, clock, lock=lock, safe_current_a=polling.safe_current_a)

    return _on_bus(spec, spec.info, clock, polling, settings, place, controller)


def prepare_openevse(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    """The connector that an OpenEVSE holds, with its own meter (`driver: controller`) or one on a bus."""
    from hal.serial.openevse import LONGEST_SUPERVISION_S, OpenEvse
    from hal.serial.openevse_meter import OpenEvseMeter
    from hal.serial.rapi import Rapi

    settings, polling = take_polling(spec)
    own = SerialSettings("evse", {"driver": spec.evse["driver"], **settings})
    port = own.text("port", "the serial port (ls /dev/serial/by-id)")
    timeout_s = own.number("timeout_s", 0.4, 0.05, 0.5)
    supervision_s = own.whole("supervision_s", 30, 5, LONGEST_SUPERVISION_S)
    own.finish()
    rapi = Rapi(port, timeout_s=timeout_s)
    controller = OpenEvse(rapi, clock, supervision_s=supervision_s, safe_current_a=polling.safe_current_a)
    meter: EnergyMeter | None
    if spec.meter.get("driver") == "controller":
        SerialSettings("meter", spec.meter).finish()
        meter = OpenEvseMeter(rapi, controller, clock, known=spec.known)
    else:
        meter = meter_of(spec, clock)

    def opened() -> Evse:
        evse = polled(replace(spec.info, lockable=False), clock, polling, controller, meter)
        controller.changed = evse.look_soon
        return evse

    return opened


def take_polling(spec: ConnectorSpec) -> tuple[dict[str, Any], Polling]:
    """The controller's own settings, without those that every polled connector has. Raises `ValueError`."""
    if spec.info.current != "ac":
        raise ValueError(f"evse: driver: {spec.evse['driver']} is for ac")
    settings = {key: value for key, value in spec.evse.items() if key != "driver"}
    safe_current_a = _number(settings, "safe_current_a", 0.0, 0.0, spec.info.max_current_a)
    if 0 < safe_current_a < AC_MINIMUM_A:
        raise ValueError(
            f"evse: safe_current_a: {safe_current_a:g}; 0, or at least {AC_MINIMUM_A:g}, is wanted"
        )
    return settings, Polling(
        poll_s=_number(settings, "poll_s", 0.5, 0.1, 10.0),
        meter_s=_number(settings, "meter_s", 1.0, 0.2, 60.0),
        safe_current_a=safe_current_a,
        meter_lost=_one_of(settings, "meter_lost", "stop", ("stop", "continue")),
        ventilated=_one_of(settings, "ventilated", False, (False, True)),
    )


def refuse_rest(spec: ConnectorSpec, settings: dict[str, Any]) -> None:
    """Raise `ValueError` for the first of the settings that nobody took."""
    for key in settings:
        raise ValueError(f"evse: {key}: unknown; driver {spec.evse['driver']!r} has no such setting")


def meter_of(spec: ConnectorSpec, clock: Clock) -> EnergyMeter | None:
    """The meter of a connector: one on a bus, the simulated one, or None for `none`.

    `none` is for tools, since no transaction starts without a reading.
    """
    driver = spec.meter.get("driver")
    if driver not in ("none", "simulated"):
        return open_meter(spec.meter, clock, known=spec.known)
    for key in spec.meter:
        if key != "driver":
            raise ValueError(f"meter: {key}: unknown; driver {driver!r} has no such setting")
    return SimulatedEnergyMeter(spec.info, clock, energy_wh=spec.energy_wh) if driver == "simulated" else None


def polled(
    info: EvseInfo, clock: Clock, polling: Polling, controller: EvseController, meter: EnergyMeter | None
) -> PolledEvse:
    """The connector of these parts."""
    evse = PolledEvse(
        info,
        controller,
        meter,
        clock,
        poll_s=polling.poll_s,
        meter_s=polling.meter_s,
        safe_current_a=polling.safe_current_a,
        meter_lost=polling.meter_lost,
        ventilated=polling.ventilated,
    )
    if isinstance(meter, SimulatedEnergyMeter):
        meter.draws_a = evse.allowed_a
    return evse


def _on_bus(
    spec: ConnectorSpec,
    info: EvseInfo,
    clock: Clock,
    polling: Polling,
    settings: dict[str, Any],
    place: Place,
    controller: Callable[[Bus], EvseController],
) -> Callable[[], Evse]:
    refuse_rest(spec, settings)
    meter = meter_of(spec, clock)
    if isinstance(meter, ModbusMeter):
        _check_shared(place, meter.place)

    def opened() -> Evse:
        try:
            bus = bus_at(place)
        except ValueError as error:
            raise ValueError(f"evse: port: {error}") from None
        return polled(info, clock, polling, controller(bus), meter)

    return opened


def _check_shared(place: Place, meter: Place) -> None:
    """Two devices on one line must agree on how it is spoken."""
    if not isinstance(place, SerialLine) or not isinstance(meter, SerialLine) or place.port != meter.port:
        return
    for key in ("baudrate", "parity", "stopbits", "local_echo"):
        if getattr(place, key) != getattr(meter, key):
            raise ValueError(
                f"meter: {key}: {getattr(meter, key)}; the evse on the same port has {getattr(place, key)}: "
                "set both devices alike, or give the meter a port of its own"
            )


def _number(settings: dict[str, Any], key: str, default: float, lowest: float, highest: float) -> float:
    value = settings.pop(key, default)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if isinstance(value, bool) or not lowest <= number <= highest:
        raise ValueError(f"evse: {key}: {value!r}; a number from {lowest:g} to {highest:g} is wanted")
    return number


def _one_of(settings: dict[str, Any], key: str, default: T, allowed: tuple[T, ...]) -> T:
    value = settings.pop(key, default)
    for choice in allowed:
        if str(value).strip().lower() == str(choice).lower():
            return choice
    there_are = ", ".join(str(choice).lower() for choice in allowed if choice is not None)
    raise ValueError(f"evse: {key}: {value!r}; there are {there_are}")
