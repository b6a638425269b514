"""Faults of the station's clock against the central system's: wrong, too fast or slow, set wrong once."""

from __future__ import annotations

from chargepoint.domain.time import StationTime
from hal.api import Timer
from scenarios.faults.fault import Place
from scenarios.faults.model import Disturbance

__all__ = ["Drift", "Jump", "Skew"]

DRIFTS_EACH_S = 60.0
"""So often a drifting clock is set; at 200 ppm that is 12 ms."""


class _Wrong:
    """The station's clock is off by what we say, whatever the central system says, over its restarts."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._time: StationTime | None = None  # of the present life
        self._followed = False
        self._off_s = 0.0

    def _begin(self) -> None:
        """Be wrong from now on, also after a restart, which begins with another StationTime."""
        self._place.line.on_link_up.append(self._keep_wrong)
        self._keep_wrong()

    def _end(self) -> None:
        """Right again at once, as after somebody set it."""
        self._place.line.on_link_up.remove(self._keep_wrong)
        time = self._place.station.charge_point.time
        if time is self._time:
            time.follow = self._followed
            self._move(-self._off_s)
        self._time, self._off_s = None, 0.0

    def _keep_wrong(self) -> None:
        time = self._place.station.charge_point.time
        if time is not self._time:
            self._time, self._followed, time.follow = time, time.follow, False
            if self._off_s:
                set_clock(self._place, self._off_s)

    def _move(self, by_s: float) -> None:
        self._off_s += by_s
        if by_s and self._place.station.charge_point.time is self._time:
            set_clock(self._place, by_s)


class Skew(_Wrong):
    """Wrong by a fixed amount; the central system's time is not taken."""

    def __init__(self, disturbance: Disturbance, place: Place) -> None:
        super().__init__(place)
        self._by_s = disturbance.by or 0.0

    async def strike(self) -> None:
        """Be wrong."""
        self._begin()
        self._move(self._by_s)
        self._place.struck(f"the clock is wrong by {self._by_s:+g} s")

    async def heal(self) -> None:
        """Be right."""
        self._end()


class Drift(_Wrong):
    """Too fast or too slow; the central system's time is not taken."""

    def __init__(self, disturbance: Disturbance, place: Place) -> None:
        super().__init__(place)
        self._ppm = disturbance.ppm or 0.0
        self._timer: Timer | None = None

    async def strike(self) -> None:
        """Begin to drift."""
        self._begin()
        self._wait()
        self._place.struck(f"the clock drifts by {self._ppm:+g} ppm")

    async def heal(self) -> None:
        """Be right."""
        if self._timer is not None:
            self._timer.cancel()
        self._end()

    def _wait(self) -> None:
        clock = self._place.clock
        self._timer = clock.call_at(clock.now() + DRIFTS_EACH_S, self._drift)

    def _drift(self) -> None:
        self._wait()
        self._move(DRIFTS_EACH_S * self._ppm / 1e6)


class Jump:
    """Somebody set the clock wrong, once: the next answer with a `currentTime` puts it right (OCPP 1.6 §4.6).

    Where the station would not follow such answers, as on a stepped clock, it does from now on if the central
    system is the embedded one, which has the same clock.
    """

    def __init__(self, disturbance: Disturbance, place: Place) -> None:
        self._by_s = disturbance.by or 0.0
        self._place = place

    async def strike(self) -> None:
        """Jump."""
        if self._place.csms is not None:
            self._place.station.charge_point.time.follow = True
        set_clock(self._place, self._by_s)
        self._place.struck(f"the clock jumped by {self._by_s:+g} s")

    async def heal(self) -> None:
        """Nothing is left of it that is not the station's own affair."""


def set_clock(place: Place, by_s: float) -> None:
    """Move the station's UTC, and let everything that depends on it ask again."""
    charge_point = place.station.charge_point
    with charge_point.turn:
        charge_point.time.shift(by_s)
        charge_point.meter_values.rearm_aligned()
        charge_point.turn.settle_all()
