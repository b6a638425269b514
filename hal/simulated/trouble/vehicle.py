"""Vehicles that do not behave as IEC 61851-1 asks."""

from __future__ import annotations

from typing import ClassVar, Literal

from hal.api import NOTHING, Fault, FaultKind, Limit, PilotState
from hal.simulated.plugged import TICK_S

VehicleTrouble = Literal["ventilation", "no_diode", "sleeps", "eager"]

VENTILATION = Fault(FaultKind.PILOT, info="the vehicle asks for ventilation", vendor_code="ventilation")
NO_DIODE = Fault(FaultKind.PILOT, info="the vehicle's diode is missing", vendor_code="diode")

FORCED_OPEN_S = 6.0
"""The contactor opens under load if the vehicle goes on for so long without an offer (IEC 61851-1)."""

WOKEN_S = 34.0
"""A vehicle that ignores an offer for 30 s is woken by an interruption of the pilot, which takes 4 s."""


class TroubledVehicle:
    """What is wrong with every vehicle that comes here."""

    LEAVES_WITH_IT: ClassVar = (VENTILATION, NO_DIODE)

    __slots__ = (
        "_felt",
        "_open_by",
        "_wakes_at",
        "excess_a",
        "how",
        "ignores_stop",
        "roused",
        "shunned",
    )

    def __init__(self) -> None:
        self.how: VehicleTrouble | None = None
        self.excess_a = 0.0  # what it draws above any offer, if it can
        self.ignores_stop = False
        self.shunned = False  # it does not ask for energy just now, for a moment
        self.roused = False  # that moment has just passed
        self._felt = NOTHING
        self._open_by: float | None = None
        self._wakes_at: float | None = None

    def pilot(self, asks: bool) -> PilotState:
        """What the pilot shows while it asks, or does not."""
        if asks:
            return PilotState.D if self.how == "ventilation" else PilotState.C
        return PilotState.C if self.how == "eager" else PilotState.B

    def felt(self, offer: Limit, asks: bool, now: float) -> Limit:
        """What it makes of an offer that it can see."""
        if self.shunned or self._asleep(offer, asks, now):
            return NOTHING
        if not offer.zero:
            self._open_by = None
            power_w = offer.power_w
            if power_w is not None:
                power_w *= 1 + self.excess_a / offer.current_a
            self._felt = Limit(offer.current_a + self.excess_a, power_w)
            return self._felt
        if not self.ignores_stop or not asks:
            return NOTHING
        if self._open_by is None:
            self._open_by = now + FORCED_OPEN_S
        return self._felt if now < self._open_by - TICK_S else NOTHING

    def _asleep(self, offer: Limit, asks: bool, now: float) -> bool:
        if self.how != "sleeps" or asks or offer.zero:
            self._wakes_at = None
            return False
        if self._wakes_at is None:
            self._wakes_at = now + WOKEN_S
        return now < self._wakes_at - TICK_S

    def refused(self, signal: bool, asks: bool) -> Fault | None:
        """Why the contactor must not close for it, once it has a signal or asks."""
        if self.how == "no_diode" and signal:
            return NO_DIODE
        return VENTILATION if self.how == "ventilation" and asks else None

    def dues(self) -> list[float | None]:
        """When something follows by itself, past or to come."""
        return [self._open_by, self._wakes_at]
