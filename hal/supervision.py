"""What the answers of a controller and a meter betray of the hardware behind them: pure timing."""

from __future__ import annotations

from hal.api import Fault, FaultKind, PilotState
from hal.device import ControllerStatus

OVER_CURRENT_S = 7.0
"""A vehicle has 5 s to follow a lower offer (IEC 61851-1); what it draws too much after that is a fault."""

LEAKS_A = 0.5
LEAKS_S = 10.0
"""More current than that, that long after the end of an offer, flows through contacts that did not open."""

CLOSES_S = 5.0
"""A controller with feedback has that long to close for a vehicle that asks."""

STRIKES = 3
"""So often a controller may do something else than it was told before that is a fault."""

FORGIVEN_S = 60.0
"""A controller that did what it was told for so long is trusted again."""

OVER_CURRENT = Fault(FaultKind.OVER_CURRENT, info="vehicle draws more than offered")
WELDED = Fault(FaultKind.WELDED, info="current flows though nothing is offered")
NOT_CLOSING = Fault(FaultKind.NOT_CLOSING, info="contactor does not close")
VENTILATION = Fault(FaultKind.PILOT, info="vehicle asks for ventilation")
OFFERS_MORE = Fault(
    FaultKind.INTERNAL, info="controller offers more than permitted", vendor_code="LimitIgnored"
)
OFFERS_LESS = Fault(
    FaultKind.INTERNAL,
    blocking=False,
    info="controller lowers its limit by itself",
    vendor_code="LimitChanged",
)


class Supervision:
    """Fed with what is known; `faults` is what follows. Moments are seconds on the station's clock.

    Over-current, ventilation and a contactor that does not close last until the vehicle is gone; a welded
    one as long as this object, unless a feedback contact says open again: no current proves nothing.
    """

    __slots__ = ("_faults", "_since", "_strikes", "_struck_at", "_ventilated")

    def __init__(self, *, ventilated: bool = False) -> None:
        self._ventilated = ventilated
        self._faults: set[Fault] = set()
        self._since: dict[str, float] = {}
        self._strikes = 0
        self._struck_at = 0.0

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Everything that is wrong, the gravest first."""
        order = (WELDED, OVER_CURRENT, NOT_CLOSING, OFFERS_MORE, VENTILATION, OFFERS_LESS)
        return tuple(fault for fault in order if fault in self._faults)

    def saw(self, status: ControllerStatus, feedback: bool, now: float) -> None:
        """The controller answered; `feedback`: it sees the contacts themselves."""
        if status.pilot is PilotState.A:
            self._faults -= {OVER_CURRENT, NOT_CLOSING, VENTILATION}
        elif status.pilot is PilotState.D and not self._ventilated:
            self._faults.add(VENTILATION)
        if feedback:
            due = status.pilot is PilotState.C and status.offered_a > 0
            self._after(CLOSES_S, NOT_CLOSING, "stays open", due and status.closed is False, now)
            self._after(LEAKS_S, WELDED, "stays closed", bool(status.closed) and not status.offered_a, now)
            if status.closed is False and "leaks" not in self._since:
                self._faults.discard(WELDED)
        if self._strikes and now - self._struck_at >= FORGIVEN_S:
            self._strikes = 0
            self._faults -= {OFFERS_MORE, OFFERS_LESS}

    def measured(self, current_a: float, offered_a: float | None, now: float) -> None:
        """The most loaded phase draws `current_a`; None: nobody knows what is offered."""
        leaks = offered_a == 0 and current_a > LEAKS_A
        self._after(LEAKS_S, WELDED, "leaks", leaks, now)
        too_much = offered_a is not None and offered_a > 0 and current_a > (offered_a + 0.5) * 1.10
        self._after(OVER_CURRENT_S, OVER_CURRENT, "draws", too_much, now)

    def disobeyed(self, now: float, *, more: bool) -> None:
        """The controller offers something else than it was told; `more`: too much, or it refuses."""
        self._strikes += 1
        self._struck_at = now
        if self._strikes >= STRIKES:
            self._faults.add(OFFERS_MORE if more else OFFERS_LESS)

    def _after(self, seconds: float, fault: Fault, why: str, present: bool, now: float) -> None:
        """`fault` stands once `why` has been present for `seconds`; what takes it away is another matter."""
        if not present:
            self._since.pop(why, None)
        elif now - self._since.setdefault(why, now) >= seconds:
            self._faults.add(fault)
