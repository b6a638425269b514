"""Opens the driver `relay` from its settings: a contactor beside hardware that makes the pilot by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hal.api import AC_MINIMUM_A, Clock
from hal.board import BoardEvse
from hal.board_rules import REST_S
from hal.connector_spec import ConnectorSpec
from hal.device import EnergyMeter
from hal.gpio.pins import LAST_PIN, PULLED_UP
from hal.gpio.relay import GpioRelay, GpioTrip, MirrorContact
from hal.gpio.vehicle import VehicleContacts
from hal.polled_drivers import meter_of
from hal.serial.settings import SerialSettings
from hal.simulated.energy_meter import SimulatedEnergyMeter

_PINS = ("feedback_pin", "vehicle_pin", "request_pin", "rcd_pin")
_log = logging.getLogger(__name__)


def prepare_relay(spec: ConnectorSpec, clock: Clock) -> Callable[[], BoardEvse]:
    """A contactor at a pin. Raises `ValueError` with "part: key: problem"."""
    relay, pins, fixed_current_a, meter_lost = _settings(spec, clock)
    meter = meter_of(spec, clock)

    def opened() -> BoardEvse:
        _warn_of_boot(_texts(spec))
        evse = relay_connector(spec, clock, relay, pins, fixed_current_a, meter, meter_lost=meter_lost)
        if isinstance(meter, SimulatedEnergyMeter):
            meter.draws_a = lambda: fixed_current_a if evse.closed else 0.0
        return evse

    return opened


def relay_connector(
    spec: ConnectorSpec,
    clock: Clock,
    relay: GpioRelay,
    pins: dict[str, int],
    fixed_current_a: float,
    meter: EnergyMeter | None,
    **options: Any,
) -> BoardEvse:
    """The connector of these parts; it has no lock."""
    rcd_pin = pins.get("rcd_pin")
    return BoardEvse(
        replace(
            spec.info,
            lockable=False,
            max_current_a=fixed_current_a,
            start_grace_s=spec.info.start_grace_s + REST_S,
        ),
        clock,
        VehicleContacts(pins.get("vehicle_pin"), pins.get("request_pin")),
        relay,
        meter=meter,
        trip=None if rcd_pin is None else GpioTrip(rcd_pin),
        fixed_current_a=fixed_current_a,
        **options,
    )


def relay_of(spec: ConnectorSpec, clock: Clock) -> GpioRelay:
    """The relay alone, to switch it off. Raises `ValueError`."""
    return _settings(spec, clock)[0]


def _settings(spec: ConnectorSpec, clock: Clock) -> tuple[GpioRelay, dict[str, int], float, Any]:
    if spec.info.current != "ac":
        raise ValueError("evse: driver: relay is for ac")
    own = SerialSettings("evse", _texts(spec))
    if "pin" not in spec.evse:
        raise ValueError("evse: pin: missing; the BCM number of the pin that drives the relay")
    pin = own.whole("pin", 0, 0, LAST_PIN)
    pins = {key: own.whole(key, 0, 0, LAST_PIN) for key in _PINS if spec.evse.get(key) is not None}
    active_high = own.choice("active_high", "true", "false") == "true"
    feedback: MirrorContact = "no" if own.choice("feedback", "nc", "no") == "no" else "nc"
    most_a = spec.info.max_current_a
    fixed_current_a = own.number("fixed_current_a", most_a, AC_MINIMUM_A, most_a)
    meter_lost = own.choice("meter_lost", "stop", "continue")
    own.finish()
    used = {pin: "pin"}
    for key, number in pins.items():
        if number in used:
            raise ValueError(f"evse: {key}: {number} is the {used[number]} already; use another one")
        used[number] = key
    if active_high and pin in PULLED_UP:
        raise ValueError(
            f"evse: pin: {pin} is pulled up from reset until this program runs, which closes the contactor; "
            f"use one of 9 to {LAST_PIN}"
        )
    relay = GpioRelay(
        pin, clock, active_high=active_high, feedback_pin=pins.get("feedback_pin"), feedback=feedback
    )
    return relay, pins, fixed_current_a, meter_lost


def _warn_of_boot(settings: dict[str, Any]) -> None:
    if settings.get("active_high") == "false" and int(settings["pin"]) not in PULLED_UP:
        _log.warning(
            "GPIO %s is pulled down from reset until this program runs; see to it that the relay board, "
            "which is on while its input is low, is not switched on by that",
            settings["pin"],
        )


def _texts(spec: ConnectorSpec) -> dict[str, Any]:
    """The settings, with booleans as a file spells them and without what is null."""
    return {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in spec.evse.items()
        if value is not None
    }
