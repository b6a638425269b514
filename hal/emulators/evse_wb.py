"""An emulated EVSE-WB / SimpleEVSE controller: its registers over an outlet, with faults on demand."""

from __future__ import annotations

from hal.api import PilotState
from hal.emulators.modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, Refusal
from hal.emulators.outlet import Outlet

_VEHICLE = {PilotState.A: 1, PilotState.B: 2, PilotState.C: 3, PilotState.D: 4}
_FAILURE = 5
_STEADY, _PWM, _OFF = 1, 2, 3
_HUNDREDTHS = 1 << 7
_AUTO_CLEAR_RCD = 1 << 5
_NAMED = range(1000, 1007)
_EEPROM = range(2000, 2018)


class EvseWbEmulator:
    """One board. `deaf`: it confirms a new current and keeps the old one; `turn`, `reboot`: as by hand.

    `runs_on`: a current of 0 leaves its signal on, only register 1004 turns it off. `eeprom_writes` are the
    registers from 2000 on that were written, in order. `config` is register 2005.
    """

    def __init__(
        self,
        outlet: Outlet,
        unit: int = 1,
        *,
        firmware: int = 18,
        hundredths: bool = False,
        config: int = _AUTO_CLEAR_RCD,
        boot_current_a: int = 16,
        board_max_a: int = 32,
    ) -> None:
        self._outlet = outlet
        self.unit = unit
        self.deaf = False
        self.runs_on = False
        self.eeprom_writes: list[int] = []
        self._firmware = firmware
        self._eeprom = dict.fromkeys(_EEPROM, 0)
        self._eeprom |= {2000: boot_current_a, 2001: unit, 2002: 6, 2007: board_max_a, 2009: firmware}
        self._eeprom[2005] = config | (_HUNDREDTHS if hundredths else 0)
        self._configured = 0
        self._control = 0
        self.reboot()

    @property
    def amps(self) -> int:
        """Register 1000 as it is."""
        return self._configured

    @property
    def offered_a(self) -> float:
        """Register 1000 in amperes."""
        return self._configured / self._scale

    def turn(self, current_a: float) -> None:
        """Somebody changes the current at the board."""
        self._configured = round(current_a * self._scale)
        self._follow()

    def reboot(self) -> None:
        """Lose everything that is not in EEPROM."""
        self._configured = self._eeprom[2000] * self._scale
        self._control = 0
        self._outlet.cut()
        self._follow()

    def read(self, function: int, address: int, count: int) -> list[int]:
        if function != 3:
            raise Refusal(ILLEGAL_FUNCTION)
        self._outlet.step()
        return [self._register(address + index) for index in range(count)]

    def write(self, function: int, address: int, values: list[int]) -> None:
        if function not in (6, 16):
            raise Refusal(ILLEGAL_FUNCTION)
        for index, value in enumerate(values, address):
            self._write(index, value)
        self._follow()

    def _write(self, address: int, value: int) -> None:
        if address == 1000:
            self._configured = self._configured if self.deaf else value
        elif address == 1004:
            self._control = value
        elif address in self._eeprom:
            self.eeprom_writes.append(address)
            self._eeprom[address] = value
        else:
            raise Refusal(ILLEGAL_ADDRESS)

    @property
    def _scale(self) -> int:
        return 100 if self._firmware >= 17 and self._eeprom[2005] & _HUNDREDTHS else 1

    def _follow(self) -> None:
        """Signal what is configured, within what the plug's cable carries."""
        off = bool(self._control & 1)
        if self.runs_on and not self._configured and not off:
            return
        self._outlet.signal(0.0 if off else min(self.offered_a, self._outlet.cable_max_a or self.offered_a))

    def _register(self, address: int) -> int:
        if address in self._eeprom:
            return self._eeprom[address]
        if address not in _NAMED:
            raise Refusal(ILLEGAL_ADDRESS)
        outlet = self._outlet
        running = outlet.offered_a > 0
        return {
            1000: self._configured,
            1001: round(outlet.offered_a * self._scale),
            1002: _VEHICLE.get(outlet.pilot, _FAILURE),
            1003: round(outlet.cable_max_a),
            1004: self._control,
            1005: self._firmware,
            1006: _OFF if outlet.failed or self._control & 1 else _PWM if running else _STEADY,
        }[address]
