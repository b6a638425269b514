"""Faults of a simulated connector: its meter, contactor, lock and pilot, and vehicles that misbehave."""

from __future__ import annotations

from collections.abc import Callable

from hal.api import Fault, FaultKind, Timer
from hal.simulated.evse import SimulatedEvse
from hal.simulated.trouble import ContactorTrouble, MeterTrouble
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
}
_CONTACTOR: dict[str, ContactorTrouble] = {
    "contactor_welded": "welded",
    "contactor_not_closing": "not_closing",
}
_SENSED = {
    "pilot": Fault(FaultKind.PILOT, info="pilot out of range"),
    "over_temperature": Fault(FaultKind.OVER_TEMPERATURE, info="station too hot"),
    "ground": Fault(FaultKind.GROUND, info="residual current"),
    "over_current": Fault(FaultKind.OVER_CURRENT, info="vehicle draws more than offered"),
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
        """Break it."""
        self._break()
        self._place.struck(self._what)

    async def heal(self) -> None:
        """Mend it."""
        self._mend()


class Flapping:
    """The vehicle asks for energy, does not, asks again: a pilot between B and C."""

    def __init__(self, disturbance: Disturbance, place: Place, evse: SimulatedEvse) -> None:
        self._every_s = disturbance.every
        self._place = place
        self._evse = evse
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
        self._evse.misbehave(shunned=False)

    def _flap(self) -> None:
        clock = self._place.clock
        self._timer = clock.call_at(clock.now() + self._every_s, self._flap)
        self._shunned = not self._shunned
        self._evse.misbehave(shunned=self._shunned)


def part_of(disturbance: Disturbance, place: Place) -> Part | Flapping:
    """The fault that `disturbance` describes. Raises `BadDisturbance`, `Unsuitable`."""
    evse = _evse(place, disturbance.connector)
    kind = disturbance.kind
    if kind == "meter_phase_lost" and evse.info.current == "dc":
        raise BadDisturbance(f"connector {disturbance.connector} has direct current and no phases")
    if kind == "ev_flapping":
        return Flapping(disturbance, place, evse)
    broken, mended = _ways(kind, disturbance, evse)
    return Part(place, f"{kind}, connector {disturbance.connector}", broken, mended)


def _ways(
    kind: str, disturbance: Disturbance, evse: SimulatedEvse
) -> tuple[Callable[[], None], Callable[[], None]]:
    """How it breaks and how it is mended."""
    if kind in _METER:
        return lambda: evse.break_meter(_METER[kind]), lambda: evse.break_meter(None)
    if kind in _CONTACTOR:
        return lambda: evse.break_contactor(_CONTACTOR[kind]), lambda: evse.break_contactor(None)
    if kind in _SENSED:
        fault = _SENSED[kind]
        return lambda: evse.inject(fault), lambda: evse.clear(fault.kind)
    if kind == "lock_broken":
        return lambda: evse.break_lock(True), lambda: evse.break_lock(False)
    if kind == "ev_draws_more":
        return lambda: evse.misbehave(excess_a=disturbance.by_a), lambda: evse.misbehave(excess_a=0.0)
    if kind == "ev_ignores_stop":
        return lambda: evse.misbehave(ignores_stop=True), lambda: evse.misbehave(ignores_stop=False)

    if kind == "limit_ignored":
        return lambda: evse.break_controller(True), lambda: evse.break_controller(False)

    def leap() -> None:
        by_wh = {"meter_back": -disturbance.by_wh, "meter_jump": disturbance.by_wh}.get(kind)
        evse.set_register(0.0 if by_wh is None else max(evse.register_wh + by_wh, 0.0))

    return leap, lambda: None


def _evse(place: Place, connector: int) -> SimulatedEvse:
    station = place.station
    if connector > len(station.evses):
        raise BadDisturbance(f"{station.identity} has no connector {connector}")
    evse = station.evses[connector - 1]
    if not isinstance(evse, SimulatedEvse):
        raise Unsuitable(f"connector {connector} of {station.identity} is real hardware")
    return evse
