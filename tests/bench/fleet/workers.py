"""What one or several Dask workers need of the processor, each with as many stations.

Run as `python -m tests.bench.fleet.workers URL STATIONS WORKERS SECONDS`, with so many stations on each of
the workers; the central system at URL asks for a heartbeat each second. Prints, as JSON, the workers'
processor time for each message that is due, and how many were answered of those.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path

from chargepoint.fleet.cluster.cluster import ClusterFleet
from chargepoint.fleet.plan.plan import MOMENTS_S
from chargepoint.fleet.plan.planning import plan_of_flags

SETTLES_S = 8.0
RAMP = 1000
BEAT_S = 1.0 + MOMENTS_S
"""A heartbeat is due a second after the last one, and sent at the next moment."""


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _workers() -> list[int]:
    children = [
        child
        for task in Path("/proc/self/task").iterdir()
        for child in (task / "children").read_text(encoding="utf-8").split()
    ]
    found = {int(child) for child in children}
    return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


async def measure(url: str, stations: int, workers: int, seconds: float) -> dict[str, float]:
    """Of a fleet that is booted and has come to rest.

    Shards report once a second, so that what they answered is not known to the moment; what was due is.
    """
    count = stations * workers
    fleet = ClusterFleet(
        plan_of_flags(url=url, count=count, behaviour="idle", ramp=RAMP, seed=1), workers=workers
    )
    running = asyncio.ensure_future(fleet.run(None))
    while fleet.snapshot().booted < count and not running.done():
        await asyncio.sleep(0.2)
    await asyncio.sleep(SETTLES_S)
    pids = _workers()
    assert len(pids) == workers, pids
    began, answered, cpu_s = time.monotonic(), _answered(fleet), sum(map(_cpu_s, pids))
    await asyncio.sleep(seconds)
    due = (time.monotonic() - began) * count / BEAT_S
    used, answered = sum(map(_cpu_s, pids)) - cpu_s, _answered(fleet) - answered
    fleet.stop()
    await running
    return {"cpu_us": used / due * 1e6, "answered": answered / due, "cores": used / due * count}


def _answered(fleet: ClusterFleet) -> int:
    return sum(figures.answered for figures in fleet.snapshot().actions.values())


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    url, stations, workers, seconds = sys.argv[1:]
    print(json.dumps(asyncio.run(measure(url, int(stations), int(workers), float(seconds)))))
