"""Emulated energy meters: any model that a register map describes, showing the values of a source."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum

from hal.api import MeterReading
from hal.device import MeterSnapshot
from hal.emulators.modbus import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, ILLEGAL_VALUE, Refusal
from hal.modbus.register_map import PHASES, Point, RegisterMap

__all__ = ["EmulatedMeter", "MeterFault"]

Source = Callable[[], MeterReading | MeterSnapshot]

_LEAP_WH = 5_000_000.0
_POWERS = ("power", *(f"power_l{n}" for n in range(1, PHASES + 1)))


class MeterFault(StrEnum):
    """What can be wrong with a meter; those of the register's value happen once, when injected."""

    NAN = "nan"  # floats are NaN; integers, which have none, are absent
    SENTINEL = "sentinel"  # the energy is not available
    NEGATIVE = "negative"  # power flows backwards
    FROZEN = "frozen"  # the energy stands still
    TENFOLD_FREQUENCY = "tenfold_frequency"
    PHASE_LOST = "phase_lost"  # the last phase is dead
    KILOWATTS = "kilowatts"  # power in kW where the map says W
    RESET = "reset"  # the energy begins at 0 again
    ROLLOVER = "rollover"  # the energy register overflows 5 Wh from now
    LEAP = "leap"  # the energy is 5 MWh more


class EmulatedMeter:
    """A unit for `ModbusEmulator`; `inverted` is one mounted backwards.

    It refuses registers that its map does not know, requests longer than `most_registers`, and all writes.
    """

    def __init__(
        self, registers: RegisterMap, source: Source, unit: int = 1, *, inverted: bool = False
    ) -> None:
        self.registers = registers
        self.unit = unit
        self.source = source
        self.faults: set[MeterFault] = set()
        self.most_registers = registers.max_block
        self.identification = 12345
        if registers.identify and registers.identify.values:
            self.identification = registers.identify.values[0]
        self._inverted = inverted
        self._offset_wh = 0.0
        self._overflows_wh: float | None = None
        self._frozen_wh: float | None = None
        self._gaps = frozenset(
            (block.function, address)
            for block in registers.blocks()
            for address in range(block.address, block.address + block.count)
        )

    def inject(self, fault: MeterFault) -> None:
        """Break it; what does not happen just once lasts until `mend`."""
        energy_wh = self._energy_wh()
        if fault is MeterFault.RESET:
            self._offset_wh -= energy_wh
        elif fault is MeterFault.LEAP:
            self._offset_wh += _LEAP_WH
        elif fault is MeterFault.ROLLOVER:
            self._overflows_wh = energy_wh + 5.0
        else:
            self._frozen_wh = energy_wh if fault is MeterFault.FROZEN else self._frozen_wh
            self.faults.add(fault)

    def mend(self, fault: MeterFault) -> None:
        """End a fault that lasts; a frozen register has counted meanwhile."""
        self.faults.discard(fault)

    def read(self, function: int, address: int, count: int) -> list[int]:
        if function not in (3, 4):
            raise Refusal(ILLEGAL_FUNCTION)
        if count > self.most_registers:
            raise Refusal(ILLEGAL_VALUE)
        image = self._identity()
        if not all((function, place) in image for place in range(address, address + count)):
            image = self._image()
        try:
            return [image[function, place] for place in range(address, address + count)]
        except KeyError:
            raise Refusal(ILLEGAL_ADDRESS) from None

    def write(self, function: int, address: int, values: list[int]) -> None:
        raise Refusal(ILLEGAL_FUNCTION)

    def _identity(self) -> dict[tuple[int, int], int]:
        if self.registers.identify is None:
            return {}
        point = self.registers.identify.point
        return _placed(point, point.registers(self.identification))

    def _image(self) -> dict[tuple[int, int], int]:
        """All registers now; those between points that may be read along are 0."""
        image = dict.fromkeys(self._gaps, 0)
        values = self._values()
        for point in self.registers.points:
            image.update(_placed(point, self._encoded(point, values[point.name])))
        return image

    def _encoded(self, point: Point, value: float) -> list[int]:
        energy = point.name.startswith("energy")
        if MeterFault.NAN in self.faults or (energy and MeterFault.SENTINEL in self.faults):
            return point.registers(None)
        if energy and self.registers.energy_step_wh:  # a meter counts what is complete
            step = self.registers.energy_step_wh
            value = math.floor(value / step + 1e-9) * step
        if MeterFault.KILOWATTS in self.faults and point.name in _POWERS:
            value /= 1000.0
        return point.registers(value)

    def _values(self) -> dict[str, float]:
        """Every point's value in units, faults of the grid and of the register included."""
        reading = self.source()
        lost = MeterFault.PHASE_LOST in self.faults
        sign = -1.0 if self._inverted != (MeterFault.NEGATIVE in self.faults) else 1.0
        phases_w = reading.power_phase_w
        power_w = reading.power_w or 0.0
        if lost and phases_w:
            power_w -= phases_w[-1] or 0.0
        values = {
            "power": sign * power_w,
            "frequency": (reading.frequency_hz or 0.0)
            * (10.0 if MeterFault.TENFOLD_FREQUENCY in self.faults else 1.0),
            "power_factor": 1.0 if reading.power_factor is None else reading.power_factor,
        }
        measured = {"voltage": reading.voltage_v, "current": reading.current_a, "power": phases_w}
        for kind, figures in measured.items():
            for index in range(PHASES):
                value = figures[index] if index < len(figures) else None
                dead = lost and index == len(figures) - 1
                value = 0.0 if dead or value is None else value
                # Most meters tell only how much flows, not where to.
                values[f"{kind}_l{index + 1}"] = sign * value if kind == "power" else abs(value)
        imported, exported = self._energy_wh(), _exported_wh(reading)
        if self._inverted:
            imported, exported = exported, imported
        return values | {"energy_import": imported, "energy_export": exported}

    def _energy_wh(self) -> float:
        """The register that counts what flows into the vehicle."""
        if MeterFault.FROZEN in self.faults and self._frozen_wh is not None:
            return self._frozen_wh
        reading = self.source()
        energy_wh = reading.energy_wh if isinstance(reading, MeterReading) else reading.import_wh or 0.0
        energy_wh += self._offset_wh
        return energy_wh if self._overflows_wh is None else energy_wh % self._overflows_wh


def _placed(point: Point, registers: list[int]) -> dict[tuple[int, int], int]:
    return {(point.function, point.address + index): word for index, word in enumerate(registers)}


def _exported_wh(reading: MeterReading | MeterSnapshot) -> float:
    return 0.0 if isinstance(reading, MeterReading) else reading.export_wh or 0.0
