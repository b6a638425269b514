"""A fleet on the wall clock acts at the moments of a grid, and its ramp stays out of the collector's way."""

from __future__ import annotations

import asyncio
import gc
import selectors
import socket
from math import ceil

import pytest

from chargepoint.config import StationConfig
from chargepoint.fleet.fleet import FREEZE_EVERY, Fleet, fleet_clock
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.plan.plan import MOMENTS_S, Group, Plan
from chargepoint.fleet.resident import Resident

PER_S = 200.0


class IdleTime(selectors.DefaultSelector):
    """An event loop's time passes only where the loop has nothing to do: a slow machine changes nothing."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0.001 if timeout else 0)
        if not ready and timeout:
            self.now += timeout
        return ready


def idle_time_loop() -> asyncio.AbstractEventLoop:
    selector = IdleTime()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    return loop


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

    with asyncio.Runner(loop_factory=idle_time_loop) as runner:
        runner.run(asyncio.wait_for(story(), 60))
    assert frozen[0] > before
    if moments_s:
        assert len(set(started)) <= 2 + ceil(count / PER_S / moments_s)
    else:
        assert len(set(started)) == count
