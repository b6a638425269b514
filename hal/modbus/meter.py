"""Energy meters on Modbus: any model that a register map describes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hal.api import Clock, Fault, FaultKind
from hal.device import DeviceClosed, DeviceRefused, DeviceTimeout, MeterSnapshot
from hal.modbus.place import Place, take_place
from hal.modbus.register_hygiene import EnergyRegister, KnownEnergy
from hal.modbus.register_map import PHASES, Block, Point, RegisterMap, load_map, map_names, read_map

__all__ = ["OWN_MAP", "ModbusMeter", "meter_names", "open_meter"]

OWN_MAP = "modbus"
"""The driver whose register map is a file of the user's."""

FROZEN = Fault(FaultKind.METER, blocking=False, info="energy register stands still while power flows")

_TENFOLD_HZ = 100.0  # some Eastron meters tell ten times the frequency
_WRONG_UNIT = 3.0  # times what voltage and current allow
_LOADED_VA = 1000.0  # from here on a power of next to nothing cannot be
_LEAST_FACTOR = 0.01
_LEAST_W = 100.0  # below it the three are too small, and not of one instant, to be compared


class Line(Protocol):
    """What a meter needs of `hal.modbus.bus.Bus`."""

    async def read(self, unit: int, function: int, address: int, count: int) -> list[int]:
        """Holding (3) or input registers (4)."""

    async def release(self) -> None:
        """Let go of the line."""


def meter_names() -> tuple[str, ...]:
    """The drivers of meters: the shipped register maps, and `modbus` for one's own."""
    return tuple(sorted((*map_names(), OWN_MAP)))


def open_meter(
    settings: Mapping[str, Any],
    clock: Clock,
    bus: Callable[[Place], Line] | None = None,
    *,
    known: KnownEnergy | None = None,
    part: str = "meter",
) -> ModbusMeter:
    """The meter that `settings` describe, not yet opened; its energy goes on from `known`.

    Beside `driver` and the place (`take_place`): `map`, the file of the driver `modbus`, and `invert` for a
    meter mounted backwards. Raises `ValueError` with "meter: key: problem".
    """
    own = dict(settings)
    driver = own.pop("driver", None)
    if driver not in meter_names():
        raise ValueError(f"{part}: driver: no meter {driver!r} here; there are {', '.join(meter_names())}")
    registers = _own_map(part, own) if driver == OWN_MAP else load_map(driver)
    invert = own.pop("invert", False)
    if not isinstance(invert, bool):
        raise ValueError(f"{part}: invert: {invert!r}; true (mounted backwards) or false is wanted")
    if "port" in own:
        own = {**registers.serial, **own}
    place, unit = take_place(part, own)
    for key in own:
        raise ValueError(f"{part}: {key}: unknown; driver {driver!r} has no such setting")
    return ModbusMeter(registers, place, unit, clock, bus, invert=invert, known=known)


def _own_map(part: str, settings: dict[str, Any]) -> RegisterMap:
    path = settings.pop("map", None)
    if not isinstance(path, str) or not path:
        raise ValueError(f"{part}: map: missing; driver {OWN_MAP!r} needs the file of a register map")
    try:
        return read_map(path)
    except ValueError as error:
        raise ValueError(f"{part}: map: {error}") from error


class ModbusMeter:
    """A meter whose registers a map describes.

    `read` raises `DeviceRefused` for a reading that cannot be: a value beyond its limits, a power that does
    not belong to voltage and current, an energy register that is absent or has leapt (until it is confirmed).
    """

    def __init__(
        self,
        registers: RegisterMap,
        place: Place,
        unit: int,
        clock: Clock,
        bus: Callable[[Place], Line] | None = None,
        *,
        invert: bool = False,
        known: KnownEnergy | None = None,
    ) -> None:
        self.registers = registers
        self.place = place
        self.unit = unit
        self.identification: int | None = None
        """The serial number or model code, where the map names one and the meter tells it."""
        self._clock = clock
        self._bus_at = bus
        self._line: Line | None = None
        self._invert = invert
        self._blocks = registers.blocks()
        imported, exported = "energy_import", "energy_export"
        if invert:
            imported, exported = exported, imported
        self._import = self._register(imported, known)
        self._export = self._register(exported, None)
        self._energy_points = (imported, exported)

    @property
    def known(self) -> KnownEnergy | None:
        """The import register and its offset, to be kept and handed to `open_meter` after a restart."""
        return self._import.known if self._import else None

    async def open(self) -> None:
        if self._line is None:
            self._line = self._take_line()
        try:
            asked_at = self._clock.now()
            try:
                values = await self._values_in_smaller_blocks()
            except DeviceRefused as error:
                title = self.registers.title
                raise DeviceRefused(f"{error}; is it a meter {title}, and is this its unit?") from error
            await self._identify()
            self._check(values)
            self._count(values, asked_at)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await line.release()

    async def read(self) -> MeterSnapshot:
        asked_at = self._clock.now()  # the values are younger, never older
        values = await self._values()
        self._check(values)
        return self._snapshot(values, asked_at)

    def _take_line(self) -> Line:
        if self._bus_at is None:
            from hal.modbus.bus import bus_at

            self._bus_at = bus_at
        try:
            return self._bus_at(self.place)
        except ValueError as error:  # somebody else has the port at another speed
            raise DeviceRefused(f"{self._here}: {error}") from error

    def _register(self, name: str, known: KnownEnergy | None) -> EnergyRegister | None:
        if self.registers.point(name) is None:
            return None
        power = self.registers.point("power") or self.registers.point("power_l1")
        most_w = power.high if power and math.isfinite(power.high) else 120_000.0
        # `open` reads the first, `read` the second.
        return EnergyRegister(most_w, step_wh=self.registers.energy_step_wh, known=known, first=2)

    async def _identify(self) -> None:
        """A meter that tells who it is must be of the map's model; one that does not tell may be."""
        identify = self.registers.identify
        if identify is None:
            return
        point = identify.point
        try:
            number = point.value(await self._ask(point.function, point.address, point.end - point.address))
        except (DeviceRefused, DeviceTimeout):
            return
        self.identification = None if number is None else int(number)
        if identify.values and self.identification not in identify.values:
            known = ", ".join(str(value) for value in identify.values)
            raise DeviceRefused(
                f"{self._here}: identifies itself as {self.identification}, not as {known}; "
                f"is it a {self.registers.title}?"
            )

    async def _values_in_smaller_blocks(self) -> dict[str, float | None]:
        """All values; a meter that refuses the map's blocks is asked in small ones from now on."""
        self._blocks = self.registers.blocks()
        try:
            return await self._values()
        except DeviceRefused:
            small = self.registers.blocks(self.registers.small_block)
            if len(small) == len(self._blocks):
                raise
        self._blocks = small
        return await self._values()

    async def _values(self) -> dict[str, float | None]:
        values: dict[str, float | None] = {}
        for block in self._blocks:
            try:
                registers = await self._ask(block.function, block.address, block.count)
            except DeviceRefused:
                if not block.optional:
                    raise
                values.update(dict.fromkeys(point.name for point in block.points))
            else:
                values.update(_decoded(block, registers))
        if (hz := values.get("frequency")) is not None:
            values["frequency"] = hz / 10.0 if hz > _TENFOLD_HZ else hz or None  # 0: not measured yet
        return values

    async def _ask(self, function: int, address: int, count: int) -> list[int]:
        if self._line is None:
            raise DeviceClosed(f"{self._here}: closed")
        return await self._line.read(self.unit, function, address, count)

    def _check(self, values: Mapping[str, float | None]) -> None:
        for point in self.registers.points:
            value = values[point.name]
            if value is not None and not point.low <= value <= point.high:
                raise DeviceRefused(
                    f"{self._here}: {point.name} {value:g} is not between {point.low:g} and {point.high:g}"
                )
        self._check_unit_of_power(values)

    def _check_unit_of_power(self, values: Mapping[str, float | None]) -> None:
        """A power in kW where W is expected, or the other way round, shows against voltage times current."""
        power_w = _total_w(values)
        pairs = zip(_phases(values, "voltage"), _phases(values, "current"), strict=False)
        apparent = [abs(v * a) for v, a in pairs if v is not None and a is not None]
        if power_w is None or not apparent:
            return
        apparent_va, power_w = sum(apparent), abs(power_w)
        # In a building one phase may export what the others import: their sum says nothing about the unit.
        each = [abs(watts) for watts in _phases(values, "power") if watts is not None]
        flowing_w = sum(each) if len(each) == len(apparent) else power_w if len(apparent) == 1 else None
        too_much = power_w > _LEAST_W and power_w > _WRONG_UNIT * apparent_va
        too_little = (
            apparent_va > _LOADED_VA and flowing_w is not None and flowing_w < _LEAST_FACTOR * apparent_va
        )
        if too_much or too_little:
            raise DeviceRefused(
                f"{self._here}: {power_w:.0f} W do not belong to {apparent_va:.0f} VA; "
                "a wrong scale in the register map (kW for W)?"
            )

    def _snapshot(self, values: Mapping[str, float | None], now: float) -> MeterSnapshot:
        power_w = self._turned(_total_w(values))
        phases_w = tuple(self._turned(watts) for watts in _phases(values, "power"))
        import_wh, export_wh = self._count(values, now)
        if self._import and import_wh is None:
            said = values[self._energy_points[0]]
            if said is None:
                raise DeviceRefused(f"{self._here}: it tells no energy: not a number, or not available")
            raise DeviceRefused(f"{self._here}: energy {said!r} Wh does not follow from earlier readings")
        return MeterSnapshot(
            read_at=now,
            import_wh=import_wh,
            offset_wh=self._import.offset_wh if self._import else 0.0,
            export_wh=export_wh,
            power_w=power_w,
            voltage_v=_phases(values, "voltage"),
            current_a=_signed(_phases(values, "current"), phases_w, power_w),
            power_phase_w=phases_w,
            frequency_hz=values.get("frequency"),
            power_factor=values.get("power_factor"),
            faults=(FROZEN,) if self._import and self._import.frozen else (),
        )

    def _count(self, values: Mapping[str, float | None], now: float) -> tuple[float | None, float | None]:
        """Feed the registers; what they show for import and export, None while in doubt."""
        power_w = self._turned(_total_w(values))
        imported, exported = (values.get(name) for name in self._energy_points)
        return (
            self._import.feed(imported, power_w, now) if self._import else None,
            self._export.feed(exported, None if power_w is None else -power_w, now) if self._export else None,
        )

    def _turned(self, power_w: float | None) -> float | None:
        """The power into the vehicle."""
        return -power_w if self._invert and power_w else power_w

    @property
    def _here(self) -> str:
        return f"{self.registers.name} at {self.place}, unit {self.unit}"


def _decoded(block: Block, registers: list[int]) -> dict[str, float | None]:
    def of(point: Point) -> float | None:
        start = point.address - block.address
        return point.value(registers[start : point.end - block.address])

    return {point.name: of(point) for point in block.points}


def _phases(values: Mapping[str, float | None], kind: str) -> tuple[float | None, ...]:
    """L1 to L3 as far as the meter has them."""
    found = [values.get(f"{kind}_l{n}") for n in range(1, PHASES + 1)]
    while found and found[-1] is None:
        found.pop()
    return tuple(found)


def _total_w(values: Mapping[str, float | None]) -> float | None:
    """The meter's own total, or the sum of its phases."""
    if "power" in values:
        return values["power"]
    phases = _phases(values, "power")
    known = [watts for watts in phases if watts is not None]
    return sum(known) if known and len(known) == len(phases) else None


def _signed(
    currents: tuple[float | None, ...], phases_w: tuple[float | None, ...], power_w: float | None
) -> tuple[float | None, ...]:
    """Currents in the direction of their power: most meters tell only how much flows."""
    powers = (*phases_w, *(power_w,) * (len(currents) - len(phases_w)))
    return tuple(
        None if amperes is None else math.copysign(amperes, watts or 0.0)
        for amperes, watts in zip(currents, powers, strict=False)
    )
