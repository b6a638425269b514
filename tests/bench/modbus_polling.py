"""Two meters and two controllers on one Modbus line, the devices in a process of their own.

As a program: `python -m tests.bench.modbus_polling SECONDS` prints what asking them costs, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from statistics import median

from hal.emulators.modbus import ModbusEmulator
from hal.emulators.pty_bus import PtyBus
from hal.modbus.bus import SerialLine, bus_at
from tests.bench.processes import ROOT

REGISTERS = 18  # the first block of a three-phase meter


class Device:
    """A unit whose registers are their addresses."""

    def __init__(self, unit: int) -> None:
        self.unit = unit

    def read(self, function: int, address: int, count: int) -> list[int]:
        return list(range(address, address + count))

    def write(self, function: int, address: int, values: list[int]) -> None: ...


async def devices() -> None:
    """Serve an unpaced line and one of 9600 baud until the standard input ends."""
    emulator = ModbusEmulator(Device(unit) for unit in (1, 2, 11, 12))
    with PtyBus(1) as fast, PtyBus(1, baud=9600) as slow:
        await emulator.serve_serial(fast)
        await emulator.serve_serial(slow)
        print(fast.names[0], slow.names[0], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await emulator.close()


async def round_trip_ms(port: str, count: int) -> float:
    """The median of `count` reads, without the gap between frames."""
    bus = bus_at(SerialLine(port, gap_s=0.0))
    spent = []
    for _ in range(count):
        started = time.perf_counter()
        await bus.read(1, 4, 0, REGISTERS)
        spent.append(time.perf_counter() - started)
    await bus.release()
    return median(spent) * 1e3


async def polled(port: str, seconds: float) -> dict[str, float]:
    """The CPU time of reading the meters each second and the controllers each half second."""
    bus = bus_at(SerialLine(port))
    missed = 0

    async def every(period_s: float, ask: Callable[[], Awaitable[object]]) -> None:
        nonlocal missed
        loop = asyncio.get_running_loop()
        due, end = loop.time(), loop.time() + seconds
        while due < end:
            await ask()
            due += period_s
            missed += loop.time() > due
            await asyncio.sleep(due - loop.time())

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(
        *(every(1.0, partial(bus.read, unit, 4, 0, REGISTERS)) for unit in (1, 2)),
        *(every(0.5, partial(bus.read, unit, 3, 1000, 8)) for unit in (11, 12)),
    )
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    figures = bus.statistics()
    await bus.release()
    return {
        "cpu_percent": 100 * cpu / wall,
        "requests": sum(unit.requests for unit in figures.values()),
        "failures": sum(unit.requests - unit.answered for unit in figures.values()),
        "missed": missed,
        "p95_ms": 1e3 * max(unit.p95_s or 0.0 for unit in figures.values()),
    }


def main(seconds: float) -> None:
    """Measure, with the devices in a child process."""
    command = [sys.executable, "-m", "tests.bench.modbus_polling", "devices"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        fast, slow = child.stdout.readline().split()
        found = {
            "unpaced_ms": asyncio.run(round_trip_ms(fast, 1000)),
            "at_9600_ms": asyncio.run(round_trip_ms(slow, 40)),
            **asyncio.run(polled(slow, seconds)),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1:] == ["devices"]:
        asyncio.run(devices())
    else:
        main(float(sys.argv[1]))
