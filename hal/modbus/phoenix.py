"""Phoenix Contact EV Charge Control Basic (EV-CC-AC1-M): pilot, contactor and lock on Modbus RTU.

Addresses and bits are those of its user manual 106377_en_04, table 9-2, which counts the error bits from 1.
"""

from __future__ import annotations

import math

from hal.api import AC_MINIMUM_A, Clock, Fault, FaultKind, PilotState, Unsupported
from hal.controller import Controller, check_offer
from hal.device import (
    Capability,
    ControllerInfo,
    ControllerStatus,
    DeviceRefused,
    DeviceTimeout,
)
from hal.modbus.bus import Bus

_ENABLE, _AVAILABLE, _LOCK = 20000, 20001, 20002  # coils
_CONFIG = 4000
_ENABLED_BY_COIL, _ALWAYS_AVAILABLE, _AVAILABLE_BY_COIL, _LOCKED_BY_COIL = 3, 0, 2, 3
_MAX_CURRENT = 22000
_STATUS, _STATUS_COUNT = 24000, 2
_ERRORS = 24025
_MOST_A = 63.0
_CABLE_SHORT = 0xFFFF

_FAULTS = {
    2: Fault(FaultKind.PILOT, info="13 A cable refused", vendor_code="2"),
    3: Fault(FaultKind.PILOT, info="proximity contact out of range", vendor_code="3"),
    4: Fault(FaultKind.PILOT, info="control pilot out of range", vendor_code="4"),
    6: Fault(FaultKind.LOCK, info="plug does not lock", vendor_code="6"),
    7: Fault(FaultKind.LOCK, info="plug does not unlock", vendor_code="7"),
    8: Fault(FaultKind.LOCK, info="lock's feedback lost", vendor_code="8"),
    11: Fault(FaultKind.PILOT, info="vehicle asks for ventilation", vendor_code="11"),
    13: Fault(FaultKind.PILOT, info="diode missing in vehicle", vendor_code="13"),
    15: Fault(FaultKind.GROUND, info="residual current detected", vendor_code="15"),
    16: Fault(FaultKind.GROUND, info="residual current detection fails its test", vendor_code="16"),
}
_CONTACTOR = 12  # closed when told open or the other way round: what it was told decides
_SHORTED = Fault(FaultKind.PILOT, info="proximity contact shorted")


class Phoenix(Controller):
    """One controller. `lock`: the plug is to be locked by this program; `safe_current_a`: left by `close`."""

    def __init__(
        self, bus: Bus, unit: int, clock: Clock, *, lock: bool = False, safe_current_a: float = 0.0
    ) -> None:
        super().__init__(clock, safe_current_a)
        self._bus = bus
        self._unit = unit
        self._lock = lock
        self._status_function = 4

    def __str__(self) -> str:
        return f"EV Charge Control Basic, unit {self._unit}"

    async def open(self) -> None:
        try:
            enable, available, locking = await self._bus.read(self._unit, 3, _CONFIG, 3)
        except DeviceRefused as error:
            raise DeviceRefused(f"{error}; is it an {self}, and is this its unit?") from error
        self._check(enable, available, locking)
        await self._bus.write_coil(self._unit, _ENABLE, False)
        capabilities = Capability.CABLE_RATING | Capability.RCD
        if available == _AVAILABLE_BY_COIL:
            await self._bus.write_coil(self._unit, _AVAILABLE, True)
            capabilities |= Capability.STATE_F
        if self._lock:
            capabilities |= Capability.LOCK
        self._status_function = await self._find_status()
        self._info = ControllerInfo(
            vendor="Phoenix Contact",
            model="EV Charge Control Basic",
            capabilities=capabilities,
            min_current_a=AC_MINIMUM_A,
            max_current_a=_MOST_A,
            phases=3,
        )

    async def _let_go(self) -> None:
        await self._bus.release()

    async def status(self) -> ControllerStatus:
        state, cable = await self._bus.read(self._unit, self._status_function, _STATUS, _STATUS_COUNT)
        enabled, _, lock = await self._bus.read_bits(self._unit, 1, _ENABLE, 3)
        (max_a,) = await self._bus.read(self._unit, 3, _MAX_CURRENT, 1)
        (errors,) = await self._bus.read(self._unit, self._status_function, _ERRORS, 1)
        pilot, signals = _state(state)
        return ControllerStatus(
            read_at=self._clock.now(),
            pilot=pilot,
            offered_a=float(max_a) if enabled else 0.0,
            closed=pilot in (PilotState.C, PilotState.D) and signals and not errors & 1 << _CONTACTOR - 1,
            locked=lock and cable != 0 if self._lock else None,
            cable_max_a=None if cable == _CABLE_SHORT else float(cable),
            faults=_faults(errors, cable, enabled),
        )

    async def set_limit(self, current_a: float) -> float:
        check_offer(current_a)
        if not current_a:
            await self._bus.write_coil(self._unit, _ENABLE, False)
            return 0.0
        whole_a = min(math.floor(current_a), int(_MOST_A))
        await self._bus.write(self._unit, _MAX_CURRENT, [whole_a])
        await self._bus.write_coil(self._unit, _ENABLE, True)
        return float(whole_a)

    async def set_available(self, available: bool) -> None:
        if Capability.STATE_F in self.info.capabilities:
            await self._bus.write_coil(self._unit, _AVAILABLE, available)
        elif not available:
            await self.set_limit(0.0)

    async def set_lock(self, wanted: bool) -> None:
        """The coil is the command; what the actuator made of it is in the error bits."""
        if not self._lock:
            raise Unsupported(f"{self}: the lock is not this program's")
        await self._bus.write_coil(self._unit, _LOCK, wanted)

    async def test_rcd(self) -> bool:
        raise Unsupported(f"{self}: it tests its residual current detection by itself")

    def _check(self, enable: int, available: int, locking: int) -> None:
        """Refuse a configuration in which something else than this program lets energy flow."""
        if enable != _ENABLED_BY_COIL:
            raise DeviceRefused(
                f"{self}: register 4000 is {enable}: not Modbus alone enables charging; write 3 to it"
            )
        if available not in (_ALWAYS_AVAILABLE, _AVAILABLE_BY_COIL):
            raise DeviceRefused(
                f"{self}: register 4001 is {available}, so input XR makes it unavailable; "
                "set DIP switch 2 to on and write 2 to it"
            )
        if self._lock and locking != _LOCKED_BY_COIL:
            raise DeviceRefused(
                f"{self}: register 4002 is {locking}, so the lock does not follow Modbus; "
                "set DIP switch 3 to on and write 3 to it, or set lock: false for this connector"
            )

    async def _find_status(self) -> int:
        """The function that reads the status registers; firmwares differ from the manual in that."""
        for function in (4, 3):
            try:
                (state,) = await self._bus.read(self._unit, function, _STATUS, 1)
            except DeviceRefused:
                continue
            _state(state)
            return function
        raise DeviceRefused(f"{self}: register {_STATUS} cannot be read; is this its unit?")


def _state(register: int) -> tuple[PilotState, bool]:
    """The pilot, and whether it signals an offer ("C2"): two characters, in either order."""
    pair = {chr(register >> 8), chr(register & 0xFF)}
    letter = next((PilotState(char) for char in pair if char in PilotState.__members__), None)
    if letter is None:
        raise DeviceTimeout(f"register {_STATUS} reads {register}, which is no pilot state")
    return letter, "2" in pair


def _faults(errors: int, cable: int, enabled: bool) -> tuple[Fault, ...]:
    found = [fault for bit, fault in _FAULTS.items() if errors & 1 << bit - 1]
    if errors & 1 << _CONTACTOR - 1:
        kind = FaultKind.NOT_CLOSING if enabled else FaultKind.WELDED
        found.append(Fault(kind, info="contactor does not follow", vendor_code=str(_CONTACTOR)))
    if cable == _CABLE_SHORT:
        found.append(_SHORTED)
    return tuple(found)
