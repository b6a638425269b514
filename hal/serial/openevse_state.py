"""What an OpenEVSE says of its state: pilot, contactor, and what is wrong."""

from __future__ import annotations

from hal.api import Fault, FaultKind, PilotState
from hal.device import DeviceRefused
from hal.serial.rapi import Answer

_PILOTS = {1: PilotState.A, 2: PilotState.B, 3: PilotState.C, 4: PilotState.D}
SLEEPING, DISABLED = 0xFE, 0xFF
_CLOSED, _CONNECTED, _HARD_FAULT = 0x0040, 0x0100, 0x0002
_FAULTS = {
    0x05: Fault(FaultKind.PILOT, info="vehicle's diode is missing", vendor_code="05"),
    0x06: Fault(FaultKind.GROUND, info="residual current detection tripped", vendor_code="06"),
    0x07: Fault(FaultKind.GROUND, info="no protective earth", vendor_code="07"),
    0x08: Fault(FaultKind.WELDED, info="contactor is stuck", vendor_code="08"),
    0x09: Fault(FaultKind.GROUND, info="residual current detection failed its test", vendor_code="09"),
    0x0A: Fault(FaultKind.OVER_TEMPERATURE, info="controller is too hot", vendor_code="0A"),
    0x0B: Fault(FaultKind.OVER_CURRENT, info="vehicle draws more than offered", vendor_code="0B"),
    0x0E: Fault(FaultKind.NOT_CLOSING, info="contactor does not close", vendor_code="0E"),
}


class State:
    """The answer to $GS."""

    __slots__ = ("code", "flags", "signalled")

    def __init__(self, answer: Answer) -> None:
        if not answer.accepted:
            raise DeviceRefused("OpenEVSE does not tell its state")
        self.code = answer.number(0, 16)
        self.signalled = answer.number(2, 16)
        self.flags = answer.number(3, 16)

    @property
    def enabled(self) -> bool:
        """It runs: nothing is wrong, and nobody paused or disabled it."""
        return self.code in _PILOTS or self.code == 0

    @property
    def closed(self) -> bool:
        """The contactor is closed."""
        return bool(self.flags & _CLOSED)

    @property
    def connected(self) -> bool:
        """A vehicle is connected."""
        return bool(self.flags & _CONNECTED)

    @property
    def pilot(self) -> PilotState:
        """The state, or the one it signals while something is wrong."""
        if self.code == DISABLED:
            return PilotState.F
        known = _PILOTS.get(self.code) or _PILOTS.get(self.signalled)
        return known or (PilotState.B if self.connected else PilotState.A)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with it; only ever one."""
        if self.enabled or self.code in (SLEEPING, DISABLED):
            return ()
        why = "reports a hard fault" if self.flags & _HARD_FAULT else "is in a state nobody knows"
        unknown = Fault(
            FaultKind.INTERNAL, info=f"controller {why} ({self.code:02X})", vendor_code=f"{self.code:02X}"
        )
        return (_FAULTS.get(self.code, unknown),)
