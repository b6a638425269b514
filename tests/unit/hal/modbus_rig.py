"""A bus and the emulated units at its other end, for the tests of both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from hal.emulators.modbus import Faults, ModbusEmulator, Refusal
from hal.emulators.pty_bus import PtyBus
from hal.modbus.bus import Bus, Place, SerialLine, TcpGateway

PLACES = ("serial", "tcp")


def register(unit: int, function: int, address: int) -> int:
    """What a `Table` answers: it says where it was read, so that a mix-up shows."""
    return (unit * 7919 + function * 10007 + address * 31) & 0xFFFF


class Table:
    """A unit whose registers say where they are, until they are written."""

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.obedient = True
        self.written: dict[tuple[bool, int], int] = {}
        self.asked: list[tuple[int, int]] = []

    def read(self, function: int, address: int, count: int) -> list[int]:
        self.asked.append((function, address))
        if address >= 60000:
            raise Refusal(2)
        bits = function in (1, 2)
        return [
            self.written.get((bits, at), register(self.unit, function, at) & (1 if bits else 0xFFFF))
            for at in range(address, address + count)
        ]

    def write(self, function: int, address: int, values: list[int]) -> None:
        self.asked.append((function, address))
        if self.obedient:
            bits = function in (5, 15)
            self.written.update({(bits, address + index): value for index, value in enumerate(values)})


@dataclass
class Rig:
    """Both ends and what is between them."""

    bus: Bus
    place: Place
    emulator: ModbusEmulator
    line: PtyBus
    tables: dict[int, Table]

    @property
    def faults(self) -> Faults:
        return self.emulator.faults


@asynccontextmanager
async def rig(
    place: str = "serial",
    *,
    units: tuple[int, ...] = (1, 2),
    faults: Faults | None = None,
    timeout_s: float = 0.15,
    quiet_s: float = 0.05,
    gap_s: float = 0.0,
    probe_s: tuple[float, ...] = (60.0,),
    bus: type[Bus] = Bus,
) -> AsyncIterator[Rig]:
    """A bus at emulated units; afterwards nothing of it is left: no task, no descriptor."""
    before = open_descriptors()
    tables = {unit: Table(unit) for unit in units}
    emulator = ModbusEmulator(tables.values(), faults=faults)
    with PtyBus(2) as line:
        await emulator.serve_serial(line)
        host, port = await emulator.serve_tcp()
        at: Place = TcpGateway(host, port, timeout_s=timeout_s, quiet_s=quiet_s, gap_s=gap_s)
        if place == "serial":
            at = SerialLine(line.names[0], baudrate=115200, timeout_s=timeout_s, quiet_s=quiet_s, gap_s=gap_s)
        made = bus(at, probe_s=probe_s)
        try:
            yield Rig(made, at, emulator, line, tables)
        finally:
            await made.release()
            await emulator.close()
    while len(asyncio.all_tasks()) > 1:  # a connection's task ends in the next turns of the loop
        await asyncio.sleep(0)
    assert open_descriptors() == before


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
