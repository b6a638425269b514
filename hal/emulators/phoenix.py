"""An emulated Phoenix Contact EV Charge Control Basic over an outlet, with faults on demand."""

from __future__ import annotations

from hal.api import CONNECTED, PilotState
from hal.emulators.modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, Refusal
from hal.emulators.outlet import Outlet

_ENABLE, _AVAILABLE, _LOCK = 20000, 20001, 20002
_FIRST_VALUES = {_ENABLE: 0, _AVAILABLE: 1, _LOCK: 0}


class PhoenixEmulator:
    """One controller, configured for Modbus. `errors` are further bits of register 24025, counted from 1.

    `deaf`: it confirms a new current or coil and keeps the old one. `status_function`: the one (3 or 4) that
    reads its status registers. `turn`, `reboot`: as by hand.
    """

    def __init__(
        self,
        outlet: Outlet,
        unit: int = 1,
        *,
        enable_by: int = 3,
        available_by: int = 2,
        lock_by: int = 3,
        default_a: int = 16,
        status_function: int = 3,
    ) -> None:
        self._outlet = outlet
        self.unit = unit
        self.deaf = False
        self.errors: set[int] = set()
        self._config = {4000: enable_by, 4001: available_by, 4002: lock_by, 4010: 0}
        self._default_a = default_a
        self._status_function = status_function
        self._coils = dict(_FIRST_VALUES)
        self._max_a = default_a
        self._follow()

    @property
    def offered_a(self) -> float:
        """What it would offer a vehicle."""
        return float(self._max_a) if self._enabled else 0.0

    def turn(self, current_a: float) -> None:
        """Somebody changes the current at the device; 0 switches it off."""
        self._coils[_ENABLE] = int(current_a > 0)
        self._max_a = round(current_a) or self._max_a
        self._follow()

    def reboot(self) -> None:
        """Lose everything that is not retentive."""
        self._coils = dict(_FIRST_VALUES)
        self._max_a = self._default_a
        self._outlet.cut()
        self._follow()

    def read(self, function: int, address: int, count: int) -> list[int]:
        self._outlet.step()
        return [self._value(function, address + index) for index in range(count)]

    def write(self, function: int, address: int, values: list[int]) -> None:
        for index, value in enumerate(values, address):
            if function in (5, 15) and index in self._coils:
                self._coils[index] = self._coils[index] if self.deaf else value
            elif function in (6, 16) and index == 22000:
                if not 6 <= value <= 63:
                    raise Refusal(ILLEGAL_VALUE)
                self._max_a = self._max_a if self.deaf else value
            else:
                raise Refusal(ILLEGAL_ADDRESS)
        self._follow()

    @property
    def _enabled(self) -> bool:
        return bool(self._coils[_ENABLE] or self._config[4000] == 0) and self._available

    @property
    def _available(self) -> bool:
        return bool(self._coils[_AVAILABLE] or self._config[4001] == 0)

    def _follow(self) -> None:
        outlet = self._outlet
        outlet.signal(min(self.offered_a, outlet.cable_max_a or self.offered_a))
        outlet.evse.lock(bool(self._coils[_LOCK]) and self._config[4002] == 3)

    def _value(self, function: int, address: int) -> int:
        if function == 1 and address in self._coils:
            return self._coils[address]
        if function == 3 and address in self._config:
            return self._config[address]
        if function == 3 and address == 22000:
            return self._max_a
        if function == self._status_function and 24000 <= address <= 24025:
            return self._status(address)
        raise Refusal(ILLEGAL_FUNCTION if function not in (1, 3, 4) else ILLEGAL_ADDRESS)

    def _status(self, address: int) -> int:
        outlet = self._outlet
        if address == 24000:
            return int.from_bytes(self._state().encode(), "big")
        if address == 24001:
            return round(outlet.cable_max_a) if outlet.plugged else 0
        if address == 24002:
            return round(outlet.offered_a / 0.6)
        if address == 24003:
            return round(outlet.offered_a)
        if address == 24025:
            return sum(1 << bit - 1 for bit in self._errors())
        return 0

    def _state(self) -> str:
        if not self._available:
            return "F0"
        pilot = self._outlet.pilot
        if pilot in (PilotState.E, PilotState.F):
            return f"{pilot}0"
        return f"{pilot}{2 if self._outlet.offered_a and pilot in CONNECTED else 1}"

    def _errors(self) -> set[int]:
        found = set(self.errors)
        if self._outlet.failed:
            found.add(13)
        if self._outlet.pilot is PilotState.D:
            found.add(11)
        if not self._available:
            found.add(5)
        return found
