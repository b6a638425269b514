"""Moves the plug's lock through a controller: one order for each wish, a fault where it does not follow."""

from __future__ import annotations

from hal.api import Clock, Fault, FaultKind
from hal.device import Capability, DeviceRefused, EvseController
from hal.patience import answer

LOCK_MOVES_S = 5.0


class PolledLock:
    """The lock of one connector; `fault` says that it is where it was not wanted."""

    __slots__ = ("_asked_at", "_clock", "_controller", "_wanted", "fault")

    def __init__(self, controller: EvseController, clock: Clock) -> None:
        self._controller = controller
        self._clock = clock
        self._wanted: bool | None = None
        self._asked_at: float | None = None
        self.fault: Fault | None = None

    def wish(self, wanted: bool) -> bool:
        """Locked or not; False if that is the wish already."""
        if wanted is self._wanted:
            return False
        self._wanted, self._asked_at = wanted, None
        return True

    async def move(self, locked: bool, closed: bool) -> bool:
        """Bring the lock, which is `locked` now, closer to the wish; True if it was told to move.

        It stays shut while the contactor is `closed`. Raises `DeviceError` if the controller is silent.
        """
        wanted = self._wanted
        if wanted is None or Capability.LOCK not in self._controller.info.capabilities:
            return False
        now = self._clock.now()
        if locked is wanted and self._asked_at is not None:
            self._wanted = self.fault = None
            return False
        if self._asked_at is not None:
            if now - self._asked_at >= LOCK_MOVES_S:
                self._failed(wanted)
            return False
        if not wanted and closed:
            self._wanted = None
            return False
        self._asked_at = now
        try:
            await answer(self._controller.set_lock(wanted))
        except DeviceRefused:
            self._failed(wanted)
            return False
        return True

    def _failed(self, wanted: bool) -> None:
        self._wanted = None
        self.fault = Fault(FaultKind.LOCK, info=f"plug does not {'lock' if wanted else 'unlock'}")
