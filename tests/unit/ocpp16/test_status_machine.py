"""Whatever happens in whatever order, statuses, energy and records stay right (OCPP 1.6 §4.8 to §4.10).

Each planted error shows that the search finds errors of its kind within the ordinary run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from chargepoint.domain import deadlines, lock, reservations
from chargepoint.domain.connector import Connector
from chargepoint.domain.reservations import Entitled
from chargepoint.domain.turn import Turn
from chargepoint.ocpp16 import status
from chargepoint.ocpp16.core import status_notification
from chargepoint.ocpp16.core.transactions import Transactions
from chargepoint.ocpp16.status import Status
from chargepoint.rpc.session import Session
from tests.unit.ocpp16.machine import StationMachine

pytestmark = pytest.mark.search

CAMPAIGN = os.environ.get("CAMPAIGN") == "1"
STEPS = 50


@pytest.mark.timeout(3600 if CAMPAIGN else 60)
def test_nothing_that_happens_breaks_a_rule() -> None:
    examples = settings().max_examples if CAMPAIGN else 60
    run_state_machine_as_test(
        StationMachine, settings=settings(max_examples=examples, stateful_step_count=STEPS)
    )


# --- planted errors ----------------------------------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def every_status_at_once(patch: pytest.MonkeyPatch) -> None:
    """Statuses are told as they come, legal steps or not."""
    patch.setattr(status_notification, "path", lambda last, now: () if last == now else (now,))


def stops_twice(patch: pytest.MonkeyPatch) -> None:
    """Each stop is recorded twice."""
    stopped = Transactions.stopped

    def twice(self: Transactions, *args: Any) -> None:
        stopped(self, *args)
        stopped(self, *args)

    patch.setattr(Transactions, "stopped", twice)


def energy_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    """The hardware is told everything in the first half of a turn."""
    patch.setattr(Connector, "withdraw", Connector.energise)


def faults_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """Energy flows in spite of a fault."""
    patch.setattr(Connector, "blocked", property(lambda connector: False))


def plugs_are_let_go(patch: pytest.MonkeyPatch) -> None:
    """The lock opens whatever goes on."""
    patch.setattr(lock, "release", lambda connector: connector.evse.lock(False))


def answers_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """The clock stays held after a CALL that failed."""
    fail = Session._fail

    def forget(self: Session, *args: Any, **options: Any) -> None:
        if self.outstanding is not None:
            self._clock.hold()
        fail(self, *args, **options)

    patch.setattr(Session, "_fail", forget)


def suspension_is_the_vehicle_s(patch: pytest.MonkeyPatch) -> None:
    """SuspendedEV is reported where the station withholds the energy."""
    true = status._while_charging
    swap = {Status.SUSPENDED_EVSE: Status.SUSPENDED_EV}
    patch.setattr(status, "_while_charging", lambda connector: swap.get(true(connector), true(connector)))


def nobody_leaves(patch: pytest.MonkeyPatch) -> None:
    """A claim outlives its time."""
    patch.setattr(deadlines, "_give_up", lambda connector: None)


def reservations_are_for_everybody(patch: pytest.MonkeyPatch) -> None:
    """Any identifier may use what is reserved."""
    patch.setattr(reservations, "entitled", lambda reservation, user: Entitled.YES)


def a_rare_mistake(patch: pytest.MonkeyPatch) -> None:
    """Something raises when a vehicle pauses."""
    true = status._while_charging

    def raises(connector: Connector) -> Status:
        if true(connector) is Status.SUSPENDED_EV:
            raise LookupError("planted")
        return true(connector)

    patch.setattr(status, "_while_charging", raises)


def nothing_is_announced_twice(patch: pytest.MonkeyPatch) -> None:
    """Consequences of consequences are left out of a turn."""
    settle = Turn.settle

    def once(self: Turn, connector: Connector) -> None:
        if not self._changed or connector not in self._changed:
            settle(self, connector)

    patch.setattr(Turn, "settle", once)


# Each with a seed that leads to it soon: another one, or a changed station, only takes longer.
PLANTS: dict[Plant, int] = {
    every_status_at_once: 7,
    stops_twice: 1,
    energy_before_the_commit: 1,
    faults_are_ignored: 0,
    plugs_are_let_go: 1,
    answers_are_forgotten: 0,
    suspension_is_the_vehicle_s: 1,
    nobody_leaves: 0,
    reservations_are_for_everybody: 0,
    a_rare_mistake: 2,
    nothing_is_announced_twice: 1,
}


class SeededMachine(StationMachine):
    """The ordinary search keeps its own way through the cases."""


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_error_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    search = settings(
        max_examples=2000,
        stateful_step_count=STEPS,
        phases=[Phase.generate],
        derandomize=False,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with pytest.raises((AssertionError, LookupError)):
        run_state_machine_as_test(seed(PLANTS[plant])(SeededMachine), settings=search)
    StationMachine.forget_all()
