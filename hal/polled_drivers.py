"""Opens the connectors that have a controller and a meter on a bus from their settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from hal.api import AC_MINIMUM_A, Clock, Evse, EvseInfo
from hal.device import EnergyMeter, EvseController
from hal.modbus.bus import Bus, Place, SerialLine, bus_at, take_place
from hal.modbus.meter import open_meter
from hal.modbus.register_hygiene import KnownEnergy
from hal.polled import PolledEvse

if TYPE_CHECKING:
    from hal.registry import ConnectorSpec

__all__ = [
    "Polling",
    "open_evse_wb",
    "open_phoenix",
    "polled",
    "refuse_rest",
    "take_polling",
    "without_meter",
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


def open_evse_wb(spec: ConnectorSpec, clock: Clock) -> Evse:
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


def open_phoenix(spec: ConnectorSpec, clock: Clock) -> Evse:
    """A Phoenix Contact EV Charge Control Basic."""
    from hal.modbus.phoenix import Phoenix

    settings, polling = take_polling(spec)
    place, unit = take_place("evse", settings)
    lock = spec.info.lockable and not spec.info.tethered

    def controller(bus: Bus) -> EvseController:
        return Phoenix(bus, unit, clock, lock=lock, safe_current_a=polling.safe_current_a)

    return _on_bus(spec, spec.info, clock, polling, settings, place, controller)


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


def without_meter(spec: ConnectorSpec) -> bool:
    """True for `meter: {driver: none}`: for tools, since no transaction starts without a reading."""
    if spec.meter.get("driver") != "none":
        return False
    for key in spec.meter:
        if key != "driver":
            raise ValueError(f"meter: {key}: unknown; driver 'none' has no such setting")
    return True


def polled(
    info: EvseInfo, clock: Clock, polling: Polling, controller: EvseController, meter: EnergyMeter | None
) -> PolledEvse:
    """The connector of these parts."""
    return PolledEvse(
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


def _on_bus(
    spec: ConnectorSpec,
    info: EvseInfo,
    clock: Clock,
    polling: Polling,
    settings: dict[str, Any],
    place: Place,
    controller: Callable[[Bus], EvseController],
) -> PolledEvse:
    refuse_rest(spec, settings)
    known = KnownEnergy(spec.energy_wh) if spec.energy_wh > 0 else None
    meter = None if without_meter(spec) else open_meter(spec.meter, clock, known=known)
    if meter is not None:
        _check_shared(place, meter.place)
    try:
        bus = bus_at(place)
    except ValueError as error:
        raise ValueError(f"evse: port: {error}") from None
    return polled(info, clock, polling, controller(bus), meter)


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
