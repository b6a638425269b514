"""What controller and meter betray together: over-current, contactors, limits that are not kept."""

from __future__ import annotations

import pytest

from hal.api import PilotState
from hal.device import ControllerStatus
from hal.supervision import (
    NOT_CLOSING,
    OFFERS_LESS,
    OFFERS_MORE,
    OVER_CURRENT,
    VENTILATION,
    WELDED,
    Supervision,
)


def status(
    pilot: PilotState = PilotState.C, offered_a: float = 10.0, closed: bool | None = True
) -> ControllerStatus:
    return ControllerStatus(0.0, pilot, offered_a, closed)


def measure(watch: Supervision, current_a: float, offered_a: float | None, seconds: int) -> None:
    for now in range(seconds + 1):
        watch.measured(current_a, offered_a, float(now))


@pytest.mark.parametrize(
    ("current_a", "seconds", "fault"),
    [(11.5, 60, False), (11.6, 6, False), (11.6, 7, True)],
    ids=["tolerated", "a vehicle has time to follow", "too much for too long"],
)
def test_over_current_is_more_than_a_tenth_and_half_an_ampere_for_7_s(
    current_a: float, seconds: int, fault: bool
) -> None:
    watch = Supervision()
    measure(watch, current_a, 10.0, seconds)
    assert (OVER_CURRENT in watch.faults) is fault


def test_over_current_lasts_until_the_vehicle_is_gone() -> None:
    watch = Supervision()
    measure(watch, 20.0, 10.0, 7)
    measure(watch, 0.0, 0.0, 7)
    watch.saw(status(PilotState.B), False, 20.0)
    assert watch.faults == (OVER_CURRENT,)
    watch.saw(status(PilotState.A), False, 21.0)
    assert not watch.faults


def test_a_pause_in_between_starts_the_count_anew() -> None:
    watch = Supervision()
    measure(watch, 20.0, 10.0, 6)
    watch.measured(9.0, 10.0, 6.5)
    watch.measured(20.0, 10.0, 7.0)
    assert not watch.faults


@pytest.mark.parametrize(
    ("current_a", "offered_a", "seconds", "welded"),
    [(0.6, 0.0, 10, True), (0.6, 0.0, 9, False), (0.5, 0.0, 60, False), (16.0, None, 60, False)],
    ids=["leaks", "still opening", "the station's own", "nobody knows what is offered"],
)
def test_current_long_after_the_end_of_an_offer_is_a_welded_contactor(
    current_a: float, offered_a: float | None, seconds: int, welded: bool
) -> None:
    watch = Supervision()
    measure(watch, current_a, offered_a, seconds)
    assert (WELDED in watch.faults) is welded


def test_without_feedback_a_welded_contactor_stays_one() -> None:
    watch = Supervision()
    measure(watch, 5.0, 0.0, 10)
    measure(watch, 0.0, 0.0, 100)
    watch.saw(status(PilotState.A, 0.0, False), False, 200.0)
    assert watch.faults == (WELDED,)
    watch.saw(status(PilotState.A, 0.0, False), True, 201.0)
    assert not watch.faults


def test_a_feedback_contact_tells_both_ways() -> None:
    stuck, welded = Supervision(), Supervision()
    for now in (0.0, 5.0):
        stuck.saw(status(closed=False), True, now)
    for now in (0.0, 10.0):
        welded.saw(status(PilotState.B, 0.0, closed=True), True, now)
    assert stuck.faults == (NOT_CLOSING,)
    assert welded.faults == (WELDED,)


def test_a_vehicle_that_needs_ventilation_is_refused_where_there_is_none() -> None:
    without, with_some = Supervision(), Supervision(ventilated=True)
    for watch in (without, with_some):
        watch.saw(status(PilotState.D), False, 0.0)
    assert without.faults == (VENTILATION,)
    assert not with_some.faults


@pytest.mark.parametrize(("more", "fault"), [(True, OFFERS_MORE), (False, OFFERS_LESS)])
def test_the_third_disobedience_is_a_fault_and_a_minute_of_obedience_ends_it(
    more: bool, fault: object
) -> None:
    watch = Supervision()
    for now in (0.0, 1.0):
        watch.disobeyed(now, more=more)
    assert not watch.faults
    watch.disobeyed(2.0, more=more)
    watch.saw(status(), False, 61.0)
    assert watch.faults == (fault,)
    watch.saw(status(), False, 62.0)
    assert not watch.faults
