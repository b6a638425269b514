"""A fleet in chaos leaks nothing and loses nothing: a few hours on a stepped clock, and `make soak-fleet`.

What the short run is good for is shown by planted mistakes, which it must find.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from chargepoint.domain.transaction import Transaction
from chargepoint.fleet.fleet import Fleet
from chargepoint.fleet.statistics import Statistics
from hal.api import Evse
from tests.bench.loops import LOOPS, run
from tests.integration.fleet.soak import Look, Soak

HOUR_S = 3600.0


def short(folder: Path, plant: Callable[[Fleet], None] = lambda fleet: None) -> list[str]:
    """What is wrong with 20 stations in three hours."""
    soak = Soak(
        folder,
        20,
        stepped=True,
        warm_up_s=HOUR_S,
        lasts_s=2 * HOUR_S,
        look_every_s=HOUR_S / 10,
        rude_every_s=0.1,
        offences="drop,refuse",  # what takes real time would make the clock go on without an answer
        polite_s=600.0,
        plant=plant,
    )
    return asyncio.run(soak.run()).problems(memory=False)


def test_three_hours_of_chaos_leave_nothing_behind(tmp_path: Path) -> None:
    assert short(tmp_path) == []


class Meddling(Statistics):
    """Leaks a timer and an object with each transaction, and makes the ledger forget one of them."""

    __slots__ = ("fleet", "forgot", "kept")

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet.ledger)
        self.fleet = fleet
        self.kept: list[tuple[str, Transaction]] = []
        self.forgot = False

    def transaction_changed(
        self, station: str, transaction: Transaction, phase: str, evse: Evse | None
    ) -> None:
        super().transaction_changed(station, transaction, phase, evse)
        if phase == "started":
            clock = self.fleet.clock
            clock.call_at(clock.now() + 30 * 24 * HOUR_S, self.kept.clear)
            self.kept.append((station, transaction))
        elif phase == "delivered" and not self.forgot:
            self.forgot = self.ledger._entries.pop((station, transaction.key), None) is not None


def meddle(fleet: Fleet) -> None:
    """Instead of the fleet's own statistics."""
    fleet.statistics = Meddling(fleet)


@pytest.mark.search
def test_what_leaks_and_what_is_lost_is_found(tmp_path: Path) -> None:
    problems = "\n".join(short(tmp_path, meddle))
    for found in ("timers grew", "objects grew", "unknown to the fleet", "timers left after the end"):
        assert found in problems


@pytest.mark.soak
@pytest.mark.skipif("FLEET_SOAK" not in os.environ, reason="make soak-fleet")
def test_a_fleet_in_chaos_for_long(tmp_path: Path) -> None:
    """`SOAK_STATIONS` stations for `SOAK_MINUTES`, of which the first third is the warm-up."""
    stations = int(os.environ.get("SOAK_STATIONS", "2000"))
    minutes = float(os.environ.get("SOAK_MINUTES", "30"))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soak = Soak(tmp_path, stations, warm_up_s=minutes * 20, lasts_s=minutes * 40, look_every_s=10.0)
    soak.on_look = show
    findings = run(soak.run(), LOOPS[-1])
    print(json.dumps({"stations": stations, "minutes": minutes, **findings.figures()}))
    assert findings.problems(memory=True) == []


def show(look: Look) -> None:
    """A line for whoever waits."""
    print(
        f"{look.sessions} sessions, {look.rss / 2**20:.1f} MiB, {look.objects} objects, "
        f"{look.timers} timers, {look.descriptors} descriptors, {look.tasks} tasks",
        flush=True,
    )
