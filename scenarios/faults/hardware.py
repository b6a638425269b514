"""Faults of a simulated connector: its meter, contactor, lock and pilot, and vehicles that misbehave."""

from __future__ import annotations

from collections.abc import Callable

from hal.api import Fault, FaultKind, Timer
from hal.simulated.evse import SimulatedEvse
from hal.simulated.trouble.contactor import ContactorTrouble, Contradiction
from hal.simulated.trouble.maker import Troublemaker
from hal.simulated.trouble.meter import MeterTrouble
from hal.simulated.trouble.vehicle import VehicleTrouble
from scenarios.faults.fault import BadDisturbance, Place, Unsuitable
from scenarios.faults.model import Disturbance

__all__ = ["Flapping", "Part", "part_of"]

_METER: dict[str, MeterTrouble] = {
    "meter_silent": "silent",
    "meter_nan": "nan",
    "meter_frozen": "frozen",
    "meter_backwards": "backwards",
    "meter_kilowatts": "kilowatts",
    "meter_phase_lost": "phase_lost",
    "meter_frequency": "frequency",
}
_CONTACTOR: dict[str, ContactorTrouble] = {
    "contactor_welded": "welded",
    "contactor_not_closing": "not_closing",
    "contactor_bounces": "bounces",
    "mirror_broken": "unseen",
}
_KINDS = {how: kind for kind, how in _CONTACTOR.items()}
_VEHICLE: dict[str, VehicleTrouble] = {
    "ev_ventilation": "ventilation",
    "ev_no_diode": "no_diode",
    "ev_sleeps": "sleeps",
    "ev_eager": "eager",
}
_OWN_A = 16.0  # what a controller offers when nobody has told it anything yet
_CABLE_A = 13.0  # coded by 1.5 kOhm (IEC 61851-1, table B.2)
_SENSED = {
    "pilot": Fault(FaultKind.PILOT, info="pilot out of range"),
    "over_temperature": Fault(FaultKind.OVER_TEMPERATURE, info="station too hot"),
    "ground": Fault(FaultKind.GROUND, info="residual current"),
    "over_current": Fault(FaultKind.OVER_CURRENT, info="vehicle draws more than offered"),
}


_OF_AC_ONLY = {
    "meter_phase_lost": "phases",
    "meter_frequency": "frequency",
    "cable_limit": "cable of its own",
    "limit_turned": "pilot that says how much",
    "controller_reboot": "pilot that says how much",
}


class Part:
    """Something breaks, and is as good as new afterwards."""

    def __init__(
        self, place: Place, what: str, broken: Callable[[], None], mended: Callable[[], None]
    ) -> None:
        self._place = place
        self._what = what
        self._break = broken
        self._mend = mended

    async def strike(self) -> None:
        """Break it. Raises `BadDisturbance` if that contradicts what is broken already."""
        try:
            self._break()
        except Contradiction as error:
            present = _KINDS[error.present]
            raise BadDisturbance(f"{self._what}, contradicts {present} there: calm that first") from None
        self._place.struck(self._what)

    async def heal(self) -> None:
        """Mend it."""
        self._mend()


class Flapping:
    """The vehicle asks for energy, does not, asks again: a pilot between B and C."""

    def __init__(self, disturbance: Disturbance, place: Place, evse: SimulatedEvse) -> None:
        self._every_s = disturbance.every
        self._place = place
        self._maker = Troublemaker(evse)
        self._shunned = False
        self._timer: Timer | None = None

    async def strike(self) -> None:
        """Begin."""
        self._place.struck("ev_flapping")
        self._flap()

    async def heal(self) -> None:
        """It has made up its mind."""
        if self._timer is not None:
            self._timer.cancel()
        self._shunned = False
        self._maker.misbehave(shunned=False)

    def _flap(self) -> None:
        clock = self._place.clock
        self._timer = clock.call_at(clock.now() + self._every_s, self._flap)
        self._shunned = not self._shunned
        self._maker.misbehave(shunned=self._shunned)


def part_of(disturbance: Disturbance, place: Place) -> Part | Flapping:
    """The fault that `disturbance` describes. Raises `BadDisturbance`, `Unsuitable`."""
    evse = _evse(place, disturbance.connector)
    kind = disturbance.kind
    if evse.info.current == "dc" and kind in _OF_AC_ONLY:
        missing = _OF_AC_ONLY[kind]
        raise BadDisturbance(f"connector {disturbance.connector} has direct current and no {missing}")
    if kind == "ev_flapping":
        return Flapping(disturbance, place, evse)
    broken, mended = _ways(kind, disturbance, evse)
    return Part(place, f"{kind}, connector {disturbance.connector}", broken, mended)


def _ways(
    kind: str, disturbance: Disturbance, evse: SimulatedEvse
) -> tuple[Callable[[], None], Callable[[], None]]:
    """How it breaks and how it is mended."""
    maker = Troublemaker(evse)
    if kind in _METER:
        return lambda: maker.break_meter(_METER[kind]), lambda: maker.break_meter(None)
    if kind in _CONTACTOR:
        return lambda: maker.break_contactor(_CONTACTOR[kind]), lambda: maker.mend_contactor(_CONTACTOR[kind])
    if kind in _SENSED:
        fault = _SENSED[kind]
        return lambda: evse.inject(fault), lambda: evse.clear(fault.kind)
    if kind == "lock_broken":
        return lambda: evse.break_lock(True), lambda: evse.break_lock(False)
    if kind == "ev_draws_more":
        return lambda: maker.misbehave(excess_a=disturbance.by_a), lambda: maker.misbehave(excess_a=0.0)
    if kind == "ev_ignores_stop":
        return lambda: maker.misbehave(ignores_stop=True), lambda: maker.misbehave(ignores_stop=False)
    if kind == "limit_ignored":
        return lambda: maker.break_controller(True), lambda: maker.break_controller(False)
    if kind == "controller_silent":
        return lambda: maker.silence_controller(True), lambda: maker.silence_controller(False)
    if kind == "cable_limit":
        cable_a = _CABLE_A if disturbance.to_a is None else disturbance.to_a
        return lambda: maker.limit_cable(cable_a), lambda: maker.limit_cable(None)
    if kind in _VEHICLE:
        return lambda: maker.break_vehicle(_VEHICLE[kind]), lambda: maker.break_vehicle(None)
    return _at_once(kind, disturbance, evse, maker), lambda: None


def _at_once(
    kind: str, disturbance: Disturbance, evse: SimulatedEvse, maker: Troublemaker
) -> Callable[[], None]:
    """What happens in a moment and mends itself."""
    own_a = _OWN_A if disturbance.to_a is None else disturbance.to_a
    if kind == "limit_turned":
        return lambda: maker.turn(own_a)
    if kind == "controller_reboot":
        return lambda: maker.reboot_controller(own_a)
    if kind == "watchdog_unfed":
        return maker.starve_watchdog

    def leap() -> None:
        by_wh = {"meter_back": -disturbance.by_wh, "meter_jump": disturbance.by_wh}.get(kind)
        evse.set_register(0.0 if by_wh is None else max(evse.register_wh + by_wh, 0.0))

    return leap


def _evse(place: Place, connector: int) -> SimulatedEvse:
    station = place.station
    if connector > len(station.evses):
        raise BadDisturbance(f"{station.identity} has no connector {connector}")
    evse = station.evses[connector - 1]
    if not isinstance(evse, SimulatedEvse):
        raise Unsuitable(f"connector {connector} of {station.identity} is real hardware")
    return evse
