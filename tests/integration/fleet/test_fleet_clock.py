"""A fleet on the wall clock acts at the moments of a grid, and its ramp stays out of the collector's way."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Callable
from math import ceil

import pytest

from chargepoint.config import StationConfig
from chargepoint.fleet.fleet import FREEZE_EVERY, Fleet, fleet_clock
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.plan.plan import MOMENTS_S, Group, Plan
from tests.jumping_loop import run_jumping

PER_S = 200.0


def ramp_of(count: int, moments_s: float, seen: Callable[[int, float], None]) -> None:
    """A fleet without a central system, until all have been started: `seen` hears how many, and when."""

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
            fleet.on_resident = lambda resident: seen(len(fleet.residents), clock.now())
            run = asyncio.ensure_future(fleet.run(None))
            while len(fleet.residents) < count:
                await asyncio.sleep(MOMENTS_S)
            assert gc.get_freeze_count() == 0, "the ramp is over: stations that leave must be collected"
            fleet.stop()
            await run

    run_jumping(story())


@pytest.mark.parametrize("moments_s", [MOMENTS_S, 0.0], ids=["together", "each at its own time"])
def test_a_ramp_starts_its_stations_together_at_each_moment_of_the_grid(moments_s: float) -> None:
    count = FREEZE_EVERY + 30
    started: list[float] = []
    frozen: list[int] = []
    gc.unfreeze()
    before = gc.get_freeze_count()

    def seen(number: int, at: float) -> None:
        started.append(at)
        if number == count - 1:
            frozen.append(gc.get_freeze_count())

    ramp_of(count, moments_s, seen)
    assert frozen[0] > before
    if moments_s:
        assert len(set(started)) <= 2 + ceil(count / PER_S / moments_s)
    else:
        assert len(set(started)) == count


def test_the_collector_looks_at_no_station_of_a_ramp() -> None:
    """It would find nothing: all of them stay. What came before the ramp may still occupy it at first."""
    looks: list[int] = []
    under_way = False

    def looked(phase: str, info: dict[str, int]) -> None:
        if under_way and phase == "start":
            looks.append(info["generation"])

    def seen(number: int, at: float) -> None:
        nonlocal under_way
        under_way = 100 < number < 400

    gc.callbacks.append(looked)
    try:
        ramp_of(400, MOMENTS_S, seen)
    finally:
        gc.callbacks.remove(looked)
    assert not looks
