"""What real hardware costs a station: its whole process on two controllers and two meters at 9600 baud."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

from hal.simulated.vehicle import load_vehicle
from tests.bench.figures import Figures
from tests.integration.piped import play
from tests.integration.whole_station import BAUD, CARDS, Wallbox, cpu_s, until, wallbox

SECONDS = 30.0
MOST_PERCENT = 5.0


def test_a_station_with_two_connectors_takes_a_twentieth_of_a_core(tmp_path: Path, figures: Figures) -> None:
    async def story() -> None:
        async with wallbox(tmp_path, bays=2, baud=BAUD, sample_s=60) as place, place.powered() as cp:
            asked_at = {
                "controller": [bay.board.asked_at for bay in place.bays],
                "meter": [bay.meter.asked_at for bay in place.bays],
            }
            idle = await share(cp.process.pid)
            for card, bay in zip(CARDS, place.bays, strict=False):
                bay.outlet.evse.plug_in(load_vehicle("compact"))
                await cp.do("swipe", connector=bay.board.unit, id_tag=card)
            await until(lambda: all(bay.drawn_a > 10.0 for bay in place.bays))
            for moments in chain(*asked_at.values()):
                moments.clear()
            charging = await share(cp.process.pid)
            what = "station, 2 EVSE-WB and 2 SDM630 on 9600 baud"
            figures.add(f"{what}, idle", "CPU of one core", "%", idle)
            share_percent = figures.add(f"{what}, charging", "CPU of one core", "%", charging)
            for name, devices in asked_at.items():
                gaps = [later - at for moments in devices for at, later in pairwise(moments)]
                figures.add(f"{what}, charging", f"{name} asked every", "s", *gaps)
            latencies = await reactions(place)
            figures.add(f"{what}, charging", "SetChargingProfile until register 1000", "s", *latencies)
            await cp.shut_down()
            assert share_percent < MOST_PERCENT
            assert max(latencies) < 2.0

    play(story, SECONDS * 2 + 120.0)


async def share(pid: int) -> float:
    """Per cent of one core that the process takes from now on."""
    before = cpu_s(pid)
    await asyncio.sleep(SECONDS)
    return 100.0 * (cpu_s(pid) - before) / SECONDS


async def reactions(place: Wallbox) -> list[float]:
    """How long each of ten lower limits takes from the central system to the board."""
    loop = asyncio.get_running_loop()
    took = []
    for limit_a in range(15, 5, -1):
        began = loop.time()
        await place.limit(float(limit_a))
        await until(partial(place.bay.board.offers, limit_a), 5.0)
        took.append(loop.time() - began)
        await asyncio.sleep(0.37)  # so that they meet polls at all stages
    return took
