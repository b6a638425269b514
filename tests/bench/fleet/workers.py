"""How much more two worker processes do than one, at a central system in a process of its own.

Run as `python -m tests.bench.fleet.workers [STATIONS] [SECONDS]` on an otherwise idle machine. Each station
sends a heartbeat a second. Printed are, for one worker and for two, answered messages per second and the
processor time of the workers for each; where the central system and the parent need a part of the same cores,
the second figure tells what two workers do with two cores to themselves.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from chargepoint.fleet.cluster import ClusterFleet
from chargepoint.fleet.planning import plan_of_flags

STATIONS, SECONDS, SETTLES_S = 8000, 20.0, 8.0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _workers(pid: int) -> list[int]:
    children = [
        child
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    found = {int(child) for child in children}
    return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


async def measure(url: str, stations: int, workers: int, seconds: float) -> tuple[float, float]:
    """Messages per second, and workers' CPU seconds for each."""
    plan = plan_of_flags(url=url, count=stations, behaviour="idle", ramp="2000/s", seed=1)
    fleet = ClusterFleet(plan, workers=workers)
    fleet.on_notice = print
    running = asyncio.ensure_future(fleet.run(None))
    while fleet.snapshot().booted < stations and not running.done():
        await asyncio.sleep(0.2)
    await asyncio.sleep(SETTLES_S)
    pids = _workers(os.getpid())
    began, sent, cpu = time.monotonic(), _answered(fleet), sum(map(_cpu_s, pids))
    await asyncio.sleep(seconds)
    over, answered, used = time.monotonic() - began, _answered(fleet) - sent, sum(map(_cpu_s, pids)) - cpu
    print(f"{workers} workers: {used / over:.2f} cores in workers")
    fleet.stop()
    await running
    return answered / over, used / answered


def _answered(fleet: ClusterFleet) -> int:
    return sum(figures.answered for figures in fleet.snapshot().actions.values())


def main(stations: int = STATIONS, seconds: float = SECONDS) -> None:
    """Measure one worker and two, and tell."""
    command = [sys.executable, "-m", "tests.bench.sink", "--heartbeat", "1"]
    found = []
    for workers in (1, 2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sink:
            assert sink.stdout is not None
            url = f"ws://127.0.0.1:{sink.stdout.readline().strip()}"
            try:
                found.append(asyncio.run(measure(url, stations, workers, seconds)))
            finally:
                sink.kill()
    (one, one_cpu), (two, two_cpu) = found
    print(f"1 worker:  {one:8.0f} messages/s, {one_cpu * 1e6:6.1f} us of a worker's CPU each")
    print(f"2 workers: {two:8.0f} messages/s, {two_cpu * 1e6:6.1f} us of a worker's CPU each")
    print(f"two to one: {two / one:.2f} as measured, {2 * one_cpu / two_cpu:.2f} with two cores of their own")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
