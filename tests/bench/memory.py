"""A process full of idle stations that tells what each of them holds in memory.

Run as `python -m tests.bench.memory COUNT STATE MEANS LOOP`; prints one JSON object. STATE: assembled (no
link), registered (accepted, over a link without a socket), or the URL they are to connect to. MEANS: rss, or
tracemalloc, which slows everything down and adds to the process itself.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
import tracemalloc
from typing import Any

from hal.clock import WallClock
from tests.bench.loops import run
from tests.bench.stations import Park, sizes

FIRST = 100
"""So many come before the first look, with all that the first ones bring for those to come."""

AT_A_TIME = 100


def resident_bytes() -> int:
    """What the kernel counts for this process now."""
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


async def fill(park: Park, count: int, state: str) -> None:
    """Bring up `count` more stations and wait until they are idle."""
    if state in ("assembled", "registered"):
        park.assemble(count, registered=state == "registered")
        return
    for _ in range(0, count, AT_A_TIME):
        park.connect(AT_A_TIME)
        while not all(s.charge_point.accepted and s.charge_point.outbox.idle for s in park.stations):
            await asyncio.sleep(0.01)


async def main(count: int, state: str, means: str) -> None:
    """Fill the process, looking before and after."""
    connects = state.startswith("ws")
    if connects:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    park = Park(WallClock(), state) if connects else Park()
    await fill(park, FIRST, state)
    gc.collect()
    if means == "tracemalloc":
        tracemalloc.start()
    look = resident_bytes if means == "rss" else lambda: tracemalloc.get_traced_memory()[0]
    before, began = look(), time.process_time()
    await fill(park, count, state)
    cpu_us = (time.process_time() - began) / count * 1e6
    gc.collect()
    found: dict[str, Any] = {"bytes": (look() - before) / count, "cpu_us": cpu_us}
    if not connects:  # the loop's transports would have to be told apart, too
        shared = (park.type, park.clock, *gc.get_referents(park.clock))
        found["by_kind"] = sizes(park.stations[FIRST], park.stations[FIRST + 1], shared).most_common(12)
    print(json.dumps(found), flush=True)
    os._exit(0)  # taking thousands of stations apart, object by object, would measure nothing


if __name__ == "__main__":
    run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]), sys.argv[4])
