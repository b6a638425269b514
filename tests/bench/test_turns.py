"""What one turn costs, with one connector and with a hundred, alone and under a shared maximum."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.bench.figures import Figures
from tests.unit.ocpp16.bench import Bench

ROUNDS = 5
MANY = 100
MOST_TIMES = 60
"""A settle of one among a hundred connectors may cost so many times one that is alone: not their square."""

MAXIMUM: dict[str, Any] = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "ChargePointMaxProfile",
    "chargingProfileKind": "Absolute",
}


def charging(connectors: int, limit_a: float | None = None) -> Bench:
    """All connectors charge; `limit_a`: the maximum of the station."""
    bench = Bench(connectors)
    bench.connect()
    for number in range(1, connectors + 1):
        bench.charge(f"TAG{number}", number)
    if limit_a is not None:
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit_a}]}
        profile = MAXIMUM | {"chargingSchedule": schedule}
        answer = bench.call("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": profile})
        assert answer == {"status": "Accepted"}
        bench.advance(30)
    assert all(evse.closed for evse in bench.evses)
    return bench


def idle_turn(bench: Bench) -> None:
    """Something happened that changes no connector."""
    with bench.cp.turn:
        pass


def settle_one(bench: Bench) -> None:
    """Something happened at one connector."""
    with bench.cp.turn as turn:
        turn.settle(turn.connectors[0])


def settle_all(bench: Bench) -> None:
    """Something happened that concerns all of them."""
    with bench.cp.turn as turn:
        turn.settle_all()


def microseconds(action: Callable[[Bench], None], bench: Bench, times: int) -> list[float]:
    """CPU time of one of them, in several rounds."""
    found = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for _ in range(times):
            action(bench)
        found.append((time.process_time() - before) / times * 1e6)
    return found


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared maximum"])
def test_a_settle_among_a_hundred_connectors(shared: bool, figures: Figures) -> None:
    note = ", shared maximum" if shared else ""
    alone = charging(1, 16.0 if shared else None)
    many = charging(MANY, 16.0 * MANY if shared else None)
    one = figures.add(f"1 connector charging{note}", "settle", "us", *microseconds(settle_one, alone, 2_000))
    subject = f"{MANY} connectors charging{note}"
    among = figures.add(subject, "settle of one", "us", *microseconds(settle_one, many, 100))
    figures.add(subject, "settle of all", "us", *microseconds(settle_all, many, 50))
    assert among < MOST_TIMES * one


def test_a_turn_that_changes_nothing_looks_at_no_connector(figures: Figures) -> None:
    one, hundred = (
        figures.add(
            f"{count} connectors charging", "idle turn", "us", *microseconds(idle_turn, bench, 20_000)
        )
        for count, bench in ((1, charging(1)), (MANY, charging(MANY)))
    )
    assert hundred < 2 * one
