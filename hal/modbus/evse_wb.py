"""EVSE-WB, EVSE DIN and SimpleEVSE: boards that run pilot and contactor, told their current over Modbus RTU.

Registers from 2000 on are EEPROM. Only the current after boot is ever written there, once, and only if asked
for: these boards have no watchdog, so what is in register 1000 stays when nobody speaks to them any more.
"""

from __future__ import annotations

import math

from hal.api import AC_MINIMUM_A, CONNECTED, Clock, Fault, FaultKind, PilotState
from hal.controller import Controller, check_offer
from hal.device import Capability, ControllerInfo, ControllerStatus, DeviceRefused
from hal.modbus.bus import Bus

GAP_S = 0.1
"""The board needs this silence between two frames."""

_CURRENT, _CONTROL = 1000, 1004
_STATUS_COUNT = 7
_BOOT_CURRENT = 2000
_SETTINGS_COUNT = 8
_TURN_OFF = 1  # of register 1004
_RCD_FEEDBACK, _HUNDREDTHS = 1 << 4, 1 << 7  # of register 2005
_HUNDREDTHS_FIRMWARE = 17
_SWITCHED_OFF = {  # bits of register 2005
    13: "switches the board off after each charge",
    14: "keeps it off",
}

_PILOT = {1: PilotState.A, 2: PilotState.B, 3: PilotState.C, 4: PilotState.D, 5: PilotState.E}
_FAILURE = 5
_SIGNALLING = 2  # register 1006: the square wave is on
_MOST_A = 80.0
_SIGNAL_ENDS_S = 6.0  # how long a signal may outlast a current of 0 before the board is turned off


class EvseWb(Controller):
    """One board. `boot_current_a`: the current it shall have after boot, None to leave that alone.

    `safe_current_a` is what `close` leaves behind. A unit that answers with what no such board says is
    refused before anything is written to it.
    """

    def __init__(
        self,
        bus: Bus,
        unit: int,
        clock: Clock,
        *,
        boot_current_a: int | None = None,
        safe_current_a: float = 0.0,
    ) -> None:
        super().__init__(clock, safe_current_a)
        self._bus = bus
        self._unit = unit
        self._boot_current_a = boot_current_a
        self._scale = 1
        self._failure = Fault(FaultKind.PILOT, info="controller reports failure: diode missing in vehicle?")
        self._warnings: tuple[Fault, ...] = ()
        self._signal_without_current_since: float | None = None
        self._turned_off = False

    def __str__(self) -> str:
        return f"EVSE-WB, unit {self._unit}"

    async def open(self) -> None:
        try:
            status = await self._registers()
        except DeviceRefused as error:
            raise DeviceRefused(f"{error}; is it an EVSE-WB, and is this its unit?") from error
        await self._bus.write(self._unit, _CURRENT, [0])
        settings = await self._settings()
        firmware, config = status[5], settings[5]
        if firmware >= _HUNDREDTHS_FIRMWARE and config & _HUNDREDTHS:
            self._scale = 100
        if config & _RCD_FEEDBACK:
            self._failure = Fault(FaultKind.GROUND, info="controller reports failure: RCD or diode")
        self._warnings = tuple(
            Fault(FaultKind.INTERNAL, blocking=False, info=f"bit {bit} of its register 2005 {what}; clear it")
            for bit, what in _SWITCHED_OFF.items()
            if config & 1 << bit
        )
        # An old board may not know these registers: then there is nothing to compare and nothing to write.
        if any(settings) and self._boot_current_a is not None and settings[0] != self._boot_current_a:
            await self._bus.write(self._unit, _BOOT_CURRENT, [self._boot_current_a])
        board_a = float(settings[7])
        self._info = ControllerInfo(
            vendor="evracing.cz",
            model="EVSE-WB",
            capabilities=Capability.CABLE_RATING
            | (Capability.MILLI_LIMIT if self._scale > 1 else Capability.NONE),
            min_current_a=AC_MINIMUM_A,
            max_current_a=board_a if AC_MINIMUM_A <= board_a <= _MOST_A else _MOST_A,
            phases=3,
            firmware_version=str(firmware),
        )

    async def _let_go(self) -> None:
        await self._bus.release()

    async def status(self) -> ControllerStatus:
        current, _, vehicle, cable, _, _, evse = await self._registers()
        pilot = _PILOT[vehicle]
        await self._see_to_the_signal(current, evse)
        return ControllerStatus(
            read_at=self._clock.now(),
            pilot=pilot,
            offered_a=current / self._scale,
            closed=pilot in (PilotState.C, PilotState.D) and current > 0,
            cable_max_a=float(cable) if pilot in CONNECTED else None,
            faults=((self._failure,) if vehicle == _FAILURE else ()) + self._warnings,
        )

    async def set_limit(self, current_a: float) -> float:
        check_offer(current_a)
        if current_a and self._turned_off:
            await self._bus.write(self._unit, _CONTROL, [0], verify=False)
            self._turned_off = False
        value = math.floor(current_a * self._scale + 1e-6)
        await self._bus.write(self._unit, _CURRENT, [value])
        return value / self._scale

    async def set_available(self, available: bool) -> None:
        if not available:
            await self.set_limit(0.0)

    async def _registers(self) -> list[int]:
        """Registers 1000 to 1006, if they can be this board's."""
        found = await self._bus.read(self._unit, 3, _CURRENT, _STATUS_COUNT)
        current, vehicle, evse = found[0], found[2], found[6]
        if vehicle not in _PILOT or not 0 <= evse <= 3 or current > _MOST_A * 100:
            raise DeviceRefused(
                f"unit {self._unit} does not answer as an EVSE-WB (registers 1000 to 1006: "
                f"{', '.join(map(str, found))})"
            )
        return found

    async def _settings(self) -> list[int]:
        """Registers 2000 to 2007; zeros from firmware that does not tell them."""
        try:
            return await self._bus.read(self._unit, 3, _BOOT_CURRENT, _SETTINGS_COUNT)
        except DeviceRefused:
            return [0] * _SETTINGS_COUNT

    async def _see_to_the_signal(self, current: int, evse: int) -> None:
        """Turn the board off where a current of 0 did not end its signal."""
        if current or evse != _SIGNALLING:
            self._signal_without_current_since = None
            return
        now = self._clock.now()
        since = self._signal_without_current_since = self._signal_without_current_since or now
        if now - since >= _SIGNAL_ENDS_S:
            await self._bus.write(self._unit, _CONTROL, [_TURN_OFF], verify=False)
            self._turned_off = True
