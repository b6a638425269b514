"""A fleet on the wall clock acts at the moments of a grid, and its ramp stays out of the collector's way."""

from __future__ import annotations

import asyncio
import gc
import socket
from itertools import pairwise

import pytest

from chargepoint.config import StationConfig
from chargepoint.fleet.fleet import FREEZE_EVERY, Fleet, fleet_clock
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.plan.plan import MOMENTS_S, Group, Plan
from chargepoint.fleet.resident import Resident

PER_S = 200.0


@pytest.mark.parametrize("moments_s", [MOMENTS_S, 0.0], ids=["together", "each at its own time"])
def test_a_ramp_starts_its_stations_together_at_each_moment_of_the_grid(moments_s: float) -> None:
    count = FREEZE_EVERY + 30
    started: list[float] = []
    frozen: list[int] = []
    gc.unfreeze()
    before = gc.get_freeze_count()

    async def story() -> None:
        with socket.socket() as nobody:  # has a port and does not listen
            nobody.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{nobody.getsockname()[1]}/"
            clock = fleet_clock(moments_s)
            ledger = Ledger()
            group = Group("g", count, "CP{n:03d}", StationConfig(storage=None), behaviour="idle")
            fleet = Fleet(
                Plan((group,), 7, PER_S),
                clock=clock,
                wire=clock,
                url=lambda member: url,
                statistics=Statistics(ledger),
                ledger=ledger,
            )

            def seen(resident: Resident) -> None:
                started.append(clock.now())
                if len(started) == count - 1:
                    frozen.append(gc.get_freeze_count())

            fleet.on_resident = seen
            run = asyncio.ensure_future(fleet.run(None))
            while len(fleet.residents) < count:
                await asyncio.sleep(MOMENTS_S)
            assert gc.get_freeze_count() == 0, "the ramp is over: stations that leave must be collected"
            fleet.stop()
            await run

    asyncio.run(asyncio.wait_for(story(), 60))
    assert frozen[0] > before
    moments = 1 + sum(later - earlier > 0.001 for earlier, later in pairwise(started))
    if moments_s:
        assert count / moments > PER_S * moments_s / 2, "ten at each moment, not one each 5 ms"
    else:
        assert count / moments < 4
