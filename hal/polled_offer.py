"""What a controller is told to offer: less at once, more only after a rest, and read back each time."""

from __future__ import annotations

import logging
from math import inf

from hal.api import Clock
from hal.device import DeviceRefused, EvseController
from hal.patience import answer
from hal.supervision import Supervision

log = logging.getLogger(__name__)

RAISE_EVERY_S = 5.0
"""Offers rise no sooner than that after they changed last: a vehicle has as long to follow (IEC 61851-1)."""

_SAME_A = 0.05


class PolledOffer:
    """The offer of one connector; what the controller makes of it is told to `supervision`."""

    __slots__ = ("_changed_at", "_clock", "_controller", "_refusal", "_supervision", "asked_a", "set_a")

    def __init__(self, controller: EvseController, supervision: Supervision, clock: Clock) -> None:
        self._controller = controller
        self._supervision = supervision
        self._clock = clock
        self._changed_at = -inf
        self._refusal = ""  # told already, until the controller obeys again
        self.asked_a: float | None = None  # what the controller was told; None: told nothing, or in vain
        self.set_a: float | None = None  # what it confirmed then

    def opened(self) -> None:
        """The controller was opened, which leaves it at 0 A."""
        self.asked_a, self.set_a = 0.0, 0.0

    def forget(self) -> None:
        """Nobody knows any more what it offers: the next `lower` tells it anew."""
        self.asked_a = None

    def rest(self) -> None:
        """Whatever happened meanwhile, nothing rises at once."""
        self._changed_at = self._clock.now()

    async def lower(self, wish_a: float) -> None:
        """Offer less if less may be offered, or if nobody knows what is."""
        if self.asked_a is None:
            await self._tell(min(wish_a, self.set_a or 0.0))
        elif wish_a < self.asked_a:
            await self._tell(wish_a)

    async def higher(self, wish_a: float) -> None:
        """Offer more if more may be offered and the vehicle has had its time."""
        rested_s = self._clock.now() - self._changed_at
        if self.asked_a is not None and wish_a > self.asked_a and rested_s >= RAISE_EVERY_S:
            await self._tell(wish_a)

    async def _tell(self, current_a: float) -> None:
        """Tell the controller; it may round down, but not up."""
        self.asked_a = None
        try:
            set_a = await answer(self._controller.set_limit(current_a))
        except DeviceRefused as error:
            if str(error) != self._refusal:  # it is asked again in each round, perhaps for days
                self._refusal = str(error)
                log.warning("controller: %s", error)
            self._supervision.disobeyed(self._clock.now(), more=True)
            return
        self._refusal = ""
        if set_a > current_a + _SAME_A:
            self._supervision.disobeyed(self._clock.now(), more=True)
            return
        if set_a != self.set_a:
            self._changed_at = self._clock.now()
        self.asked_a, self.set_a = current_a, set_a

    def compare(self, offered_a: float, now: float) -> None:
        """What the controller offers with what it confirmed: a restart or a person may have changed it."""
        if self.asked_a is None or self.set_a is None or abs(offered_a - self.set_a) <= _SAME_A:
            return
        more = offered_a > self.set_a
        self._supervision.disobeyed(now, more=more)
        if more:
            self.asked_a = None
        else:
            self.asked_a, self.set_a, self._changed_at = offered_a, offered_a, now
