"""The orderly end of a station: waits until everything is said, or for long enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hal.api import Clock, Timer

if TYPE_CHECKING:
    from chargepoint.ocpp16.charge_point import ChargePoint


class GoingDown:
    """A station that ends in good order: waits until everything is said, or for long enough."""

    __slots__ = ("_charge_point", "_clock", "_then", "_timer")

    def __init__(self, charge_point: ChargePoint, then: Callable[[], None], clock: Clock) -> None:
        self._charge_point = charge_point
        self._clock = clock
        self._then: Callable[[], None] | None = then
        self._timer: Timer | None = None

    def wait(self, within_s: float) -> None:
        """Wait at most that long."""
        self._timer = self._clock.call_at(self._clock.now() + within_s, self._finish)

    def look(self) -> None:
        """Is everything said?"""
        charge_point = self._charge_point
        if any(c.transaction is not None for c in charge_point.connectors.all):
            return
        outbox = charge_point.outbox
        if not charge_point.session.online or not charge_point.accepted or outbox.idle:
            self.cancel()
            self._finish()

    def _finish(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()

    def cancel(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
