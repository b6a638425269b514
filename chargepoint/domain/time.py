"""The station's idea of UTC: its clock, corrected by what the central system says."""

from __future__ import annotations

from collections.abc import Callable

from hal.api import Clock, Timer

STEP_S = 1.0
"""A correction up to this many seconds is within the noise of a round trip and is not applied."""


class Moment:
    """An action at a moment in UTC, armed again whenever the station's time is corrected."""

    __slots__ = ("_action", "_time", "_timer", "at")

    def __init__(self, time: StationTime, at: float, action: Callable[[], None]) -> None:
        self.at = at
        self._time = time
        self._action = action
        self._timer: Timer | None = None
        self.arm()

    def arm(self) -> None:
        """Set the timer for the present offset."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._time.clock.call_at(self.at - self._time.offset_s, self._fire)

    def cancel(self) -> None:
        """Forget the action."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._time.forget(self)

    def _fire(self) -> None:
        self._timer = None
        self._time.forget(self)
        self._action()


class StationTime:
    """UTC and timers of one station.

    `follow` says whether the central system's time moves the station's (OCPP 1.6 §4.6); a sped-up or stepped
    clock only takes note of it.
    """

    __slots__ = ("_moments", "clock", "follow", "offset_s")

    def __init__(self, clock: Clock, follow: bool = True) -> None:
        self.clock = clock
        self.follow = follow
        self.offset_s = 0.0
        self._moments: list[Moment] | None = None

    def utc(self) -> float:
        """Seconds since the epoch as this station knows them."""
        return self.clock.now() + self.offset_s

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Call `action` when `seconds` have passed, whatever happens to UTC meanwhile."""
        return self.clock.call_at(self.clock.now() + seconds, action)

    def at_utc(self, at: float, action: Callable[[], None]) -> Moment:
        """Call `action` when the station's UTC reaches `at`, also after corrections."""
        moment = Moment(self, at, action)
        if self._moments is None:
            self._moments = []
        self._moments.append(moment)
        return moment

    def forget(self, moment: Moment) -> None:
        """A moment came or was cancelled."""
        if self._moments is not None and moment in self._moments:
            self._moments.remove(moment)

    def correct(self, utc: float) -> bool:
        """The central system says it is `utc` now; True if that moved the station's time."""
        if not self.follow or abs(utc - self.utc()) <= STEP_S:
            return False
        self.shift(utc - self.utc())
        return True

    def shift(self, by_s: float) -> None:
        """Set the station's clock forward, or back for a negative number."""
        self.offset_s += by_s
        for moment in tuple(self._moments or ()):
            moment.arm()
