"""When a vehicle that sleeps beside an offer is to be woken (IEC 61851-1, annex A): pure timing."""

from __future__ import annotations

from hal.api import PilotState

WAKE_AFTER_S = 30.0
"""A vehicle that sleeps in B beside an offer for that long is woken, once an offer."""


class Waking:
    """Fed with what is known, in each round; moments are seconds on the station's clock."""

    __slots__ = ("_asleep_since", "_woken")

    def __init__(self) -> None:
        self._asleep_since: float | None = None
        self._woken = False

    def due(self, pilot: PilotState, offered: bool, now: float) -> bool:
        """Whether to wake the vehicle now; it then counts as woken."""
        if pilot is not PilotState.B or not offered:
            self._woken = pilot in (PilotState.C, PilotState.D)
            self._asleep_since = None
        elif self._asleep_since is None:
            self._asleep_since = now
        elif not self._woken and now - self._asleep_since >= WAKE_AFTER_S:
            self._woken = True
            return True
        return False
