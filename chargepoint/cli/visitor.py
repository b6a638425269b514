"""A simulated driver: comes, plugs in, shows a card, stays until the car is full, leaves, and comes again."""

from __future__ import annotations

from collections.abc import Callable

from chargepoint.domain import chance
from chargepoint.station import Station
from hal.api import DeviceError, PilotState, Timer
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import Vehicle

FIRST_AFTER_S = 5.0
SWIPES_AFTER_S = 4.0
LOOKS_EVERY_S = 300.0
LEAVES_AFTER_FULL_S = 600.0
STAYS_AT_MOST_S = 8 * 3600.0
AWAY_S = 1800.0
ID_TAG = "DRIVER"


class Visitor:
    """Uses the first connector over and over, in the station's time."""

    def __init__(
        self, station: Station, vehicle: Vehicle, seed: int, complain: Callable[[str], None]
    ) -> None:
        self._station = station
        self._vehicle = vehicle
        self._seed = seed
        self._complain = complain
        self._visits = 0
        self._came_at = 0.0
        self._timer: Timer | None = None
        evse = station.evses[0]
        self._evse = evse if isinstance(evse, SimulatedEvse) else None

    def start(self) -> None:
        """Come soon; does nothing at real hardware."""
        if self._evse is not None:
            self._later(FIRST_AFTER_S, self._arrive)

    def stop(self) -> None:
        """Stay away from now on."""
        if self._timer is not None:
            self._timer.cancel()

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        clock = self._station.clock
        self._timer = clock.call_at(clock.now() + seconds, action)

    def _arrive(self) -> None:
        assert self._evse is not None
        self._visits += 1
        soc = 20 + 40 * chance.draw(self._seed, self._station.identity, "arrival", self._visits)
        self._came_at = self._station.clock.now()
        if self._evse.vehicle is None:
            try:
                self._evse.plug_in(self._vehicle, soc_percent=round(soc, 1))
            except DeviceError as error:
                self._complain(f"the simulated driver stays away: {error}")
                return
        self._later(SWIPES_AFTER_S, self._swipe)

    def _swipe(self) -> None:
        self._station.tag_presented(ID_TAG, 1)
        self._later(LOOKS_EVERY_S, self._look)

    def _look(self) -> None:
        """Is the car full, or has it stood here for long enough?"""
        assert self._evse is not None
        stayed_s = self._station.clock.now() - self._came_at
        full = self._evse.pilot is PilotState.B and not self._evse.offered.zero
        if full or stayed_s >= STAYS_AT_MOST_S:
            self._later(LEAVES_AFTER_FULL_S, self._leave)
        else:
            self._later(LOOKS_EVERY_S, self._look)

    def _leave(self) -> None:
        assert self._evse is not None
        if self._station.charge_point.connectors[1].transaction is not None:
            self._station.tag_presented(ID_TAG, 1)
        if self._evse.vehicle is not None:
            self._evse.plug_out()
        self._later(AWAY_S, self._arrive)
