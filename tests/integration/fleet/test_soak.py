"""A fleet in chaos leaks nothing and loses nothing: some time on a stepped clock, and `make soak-fleet`.

What the short run is good for is shown by planted mistakes, which it must find.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chargepoint.domain.transaction import Transaction
from chargepoint.fleet.fleet import Fleet
from chargepoint.fleet.measures.entry import Entry
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.ocpp16.times import format_time
from hal.api import Evse
from tests.bench.loops import LOOPS, run
from tests.integration.fleet.accounts import Booked, accounts
from tests.integration.fleet.soak import START, Look, Soak

HOUR_S = 3600.0


def short(folder: Path, plant: Callable[[Fleet], None] = lambda fleet: None) -> list[str]:
    """What is wrong with 20 stations in ninety minutes."""
    soak = Soak(
        folder,
        20,
        stepped=True,
        warm_up_s=HOUR_S / 2,
        lasts_s=HOUR_S,
        look_every_s=HOUR_S / 12,
        rude_every_s=0.1,
        offences="drop,refuse",  # what takes real time would make the clock go on without an answer
        polite_s=600.0,
        plant=plant,
    )
    return asyncio.run(soak.run()).problems(memory=False)


def test_ninety_minutes_of_chaos_leave_nothing_behind(tmp_path: Path) -> None:
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


def made(**changes: Any) -> Entry:
    """A transaction of which all was acknowledged, but for `changes`."""
    told: dict[str, Any] = {
        "transaction_id": 7,
        "stopped_at": START + 60,
        "meter_stop_wh": 25,
        "delivered": True,
    }
    return Entry("CP1", 1, "k", "TAG", START, 10, **told | changes)


def booked(number: int = 7, **changes: Any) -> Booked:
    """The same at the central system."""
    told: dict[str, Any] = {
        "started": format_time(START),
        "meter_start_wh": 10,
        "meter_stop_wh": 25,
        "told_wh": (25,),
    }
    return Booked("CP1", number, **told | changes)


NO_END = {"delivered": False, "given_up": "StopTransaction was given up: Timeout"}
NO_START = {"transaction_id": None, "given_up": "StartTransaction was given up: Timeout"}
START_ALONE = booked(8, meter_stop_wh=None, told_wh=())
END_ALONE = booked(-1, started=None, meter_start_wh=None)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        pytest.param([made()], [booked()], id="the same"),
        pytest.param([made(**NO_END)], [booked(meter_stop_wh=None)], id="its end was refused each time"),
        pytest.param([made(**NO_END)], [booked()], id="the answers to its end were lost"),
        pytest.param([made(**NO_START)], [END_ALONE], id="its start was refused each time"),
        pytest.param([made(**NO_START)], [END_ALONE, START_ALONE], id="the answers to its start were lost"),
    ],
)
def test_what_was_given_up_is_accounted_for(ours: list[Entry], theirs: list[Booked]) -> None:
    assert accounts(ours, theirs) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        pytest.param([], [booked()], "unknown to the fleet", id="it was forgotten here"),
        pytest.param([made()], [], "unknown to the central system", id="it was forgotten there"),
        pytest.param([made()], [booked(meter_start_wh=11)], "from 10 Wh, there 11", id="another start"),
        pytest.param([made()], [booked(told_wh=(25, 26))], "there (25, 26)", id="two ends"),
        pytest.param([made()], [booked(meter_stop_wh=None)], "not billed there", id="not billed"),
        pytest.param([made(delivered=False)], [booked()], "missing (started)", id="no cause"),
        pytest.param(
            [made(delivered=False, ended_first=True)], [booked()], "the run ended first", id="too short a run"
        ),
        pytest.param([made(**NO_END)], [booked(told_wh=())], "ends at 25 Wh", id="its end was never sent"),
        pytest.param([made(**NO_START)], [], "ends without a number", id="nor its end without a start"),
        pytest.param(
            [made(**NO_START)],
            [END_ALONE, booked(8, started=format_time(START + 1), told_wh=())],
            "unknown to the fleet",
            id="the start of another",
        ),
        pytest.param([made(**NO_START)], [END_ALONE, booked(8)], "with ends (25,)", id="its end came twice"),
        pytest.param([made()], [booked(), booked()], "two transactions of one number", id="twice there"),
        pytest.param([made(other_ids=[8])], [booked(), START_ALONE], "doubled", id="doubled"),
    ],
)
def test_what_does_not_agree_is_found(ours: list[Entry], theirs: list[Booked], found: str) -> None:
    assert found in "\n".join(accounts(ours, theirs))


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
    made = {"made": len(findings.ours), "given_up": findings.given_up, "booked": len(findings.theirs)}
    print(json.dumps({"stations": stations, "minutes": minutes, **made, **findings.figures()}))
    assert findings.problems(memory=True) == []


def show(look: Look) -> None:
    """A line for whoever waits."""
    print(
        f"{look.sessions} sessions, {look.rss / 2**20:.1f} MiB, {look.objects} objects, "
        f"{look.timers} timers, {look.descriptors} descriptors, {look.tasks} tasks",
        flush=True,
    )
