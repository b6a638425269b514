"""A controller that does not do what it is told, or does what nobody told it."""

from __future__ import annotations

from hal.api import NOTHING, Fault, FaultKind, Limit
from hal.simulated.plugged import TICK_S

SILENT = Fault(FaultKind.COMMUNICATION, info="no answer from the controller")

CONTROLLER_LOST_S = 10.0
"""A controller that is silent for so long is a fault."""

_BETWEEN_CHANGES_S = 5.0  # of a pilot's signal, whoever turned it
_READ_BACK_S = 1.0  # a controller that started anew, or whose watchdog struck, is soon told again
_REBOOT_S = 3.0


class TroubledController:
    """What it knows of what is permitted, and what it offers by itself."""

    __slots__ = (
        "_corrected_at",
        "_down_until",
        "_offers",
        "_permitted",
        "_silent_since",
        "_wakes_with",
        "deaf",
    )

    def __init__(self, permitted: Limit) -> None:
        self.deaf = False  # it takes no other current than the one it has
        self._silent_since: float | None = None  # it hears and says nothing
        self._permitted = permitted  # what it was told last, heard or not
        self._offers: Limit | None = None  # what it offers from now on
        self._down_until: float | None = None  # it starts anew
        self._wakes_with = NOTHING  # and then offers that
        self._corrected_at: float | None = None  # when it is found that it offers its own

    @property
    def down(self) -> bool:
        """It starts anew: there is no signal."""
        return self._down_until is not None

    def hears(self, permit: Limit, possible: Limit, offered: Limit) -> bool:
        """Whether it takes note of a permit; otherwise it knows it later, or never."""
        self._permitted = permit
        if self._silent_since is not None or self.down:
            return False
        if self._corrected_at is not None and not possible.zero:  # it is told when it is read back next
            return False
        if self.deaf and not (possible.zero or offered.zero):
            return False
        self._corrected_at = None
        return True

    def obey(self) -> None:
        """Offer what is permitted, if it knows."""
        if not self.deaf and self._silent_since is None and not self.down:
            self._offers, self._corrected_at = self._permitted, None

    def silence(self, silent: bool, now: float) -> None:
        """It says and hears nothing, or does again."""
        self._silent_since = now if silent else None
        self.obey()

    def turn(self, current_a: float, now: float) -> None:
        """Its current is turned at the device, and turned back once that is found."""
        self._offers, self._corrected_at = Limit(current_a), now + _BETWEEN_CHANGES_S

    def starve(self, now: float) -> None:
        """It stops because nobody spoke to it, until it is spoken to."""
        self._offers, self._corrected_at = NOTHING, now + _READ_BACK_S

    def restart(self, current_a: float, now: float) -> None:
        """It starts anew, and will offer `current_a` until it is told better."""
        self._down_until, self._wakes_with = now + _REBOOT_S, Limit(current_a)

    def offers(self, now: float) -> Limit | None:
        """What it offers anew from `now` on, possible or not; None: as before."""
        soon = now + TICK_S
        if self._down_until is not None and soon >= self._down_until:
            self._down_until = None
            self._offers, self._corrected_at = self._wakes_with, now + _READ_BACK_S
        elif self._corrected_at is not None and soon >= self._corrected_at:
            self._corrected_at = None
            self.obey()
        offers, self._offers = self._offers, None
        return offers

    def faults(self, now: float) -> list[Fault]:
        """What the station has noticed by now."""
        lost = self._silent_since is not None and now >= self._silent_since + CONTROLLER_LOST_S - TICK_S
        return [SILENT] if lost else []

    def dues(self) -> list[float | None]:
        """When something follows by itself, past or to come."""
        lost_at = None if self._silent_since is None else self._silent_since + CONTROLLER_LOST_S
        return [self._down_until, self._corrected_at, lost_at]
