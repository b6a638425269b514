"""The control pilot's voltages and duty cycles (IEC 61851-1, annex A)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.api import PilotState
from hal.device import PilotSample
from hal.pilot import PilotFilter, duty_percent, has_diode, offered_a, state_of


@pytest.mark.parametrize(
    ("current_a", "percent"),
    [
        (0.0, None),
        (5.89, None),
        (5.9, 10.0),
        (6.0, 10.0),
        (10.0, 16.67),
        (13.0, 21.67),
        (16.0, 26.67),
        (20.0, 33.33),
        (32.0, 53.33),
        (51.0, 85.0),
        (52.4, 85.0),
        (52.5, 85.0),
        (63.0, 89.2),
        (80.0, 96.0),
    ],
)
def test_amperes_become_a_duty_cycle(current_a: float, percent: float | None) -> None:
    duty = duty_percent(current_a)
    assert duty is None if percent is None else duty == pytest.approx(percent, abs=0.005)


def test_more_than_80_a_cannot_be_said() -> None:
    with pytest.raises(ValueError, match="80 A"):
        duty_percent(80.1)


@pytest.mark.parametrize(
    ("percent", "current_a"),
    [
        (None, 0),
        (2.9, 0),
        (5, 0),
        (7.9, 0),
        (8, 6),
        (10, 6),
        (50, 30),
        (85, 51),
        (90, 65),
        (96.5, 80),
        (97.1, 0),
    ],
)
def test_a_vehicle_reads_a_duty_cycle(percent: float | None, current_a: float) -> None:
    assert offered_a(percent) == pytest.approx(current_a)


@given(st.floats(6.0, 80.0))
def test_a_vehicle_reads_no_more_than_was_offered(current_a: float) -> None:
    assert offered_a(duty_percent(current_a)) <= max(current_a, 6.0) + 1e-9


@pytest.mark.parametrize(
    ("high_v", "state"),
    [
        (12.0, "A"),
        (10.9, "A"),
        (10.5, None),
        (10.0, "B"),
        (7.5, None),
        (6.9, "C"),
        (5.0, "C"),
        (3.0, "D"),
        (1.5, None),
        (0.4, "E"),
        (-3.0, None),
        (-12.0, "F"),
        (14.0, None),
    ],
)
def test_voltages_are_states_or_nothing(high_v: float, state: str | None) -> None:
    assert state_of(PilotSample(high_v, -12.0)) == (None if state is None else PilotState(state))


def test_the_diode_shows_on_the_low_side() -> None:
    assert has_diode(PilotSample(6.0, -11.5))
    assert not has_diode(PilotSample(6.0, -6.0))
    assert not has_diode(PilotSample(6.0, 6.0))


@pytest.mark.parametrize(
    ("state", "settles_s"),
    [
        (PilotState.A, 0.03),
        (PilotState.B, 0.25),
        (PilotState.C, 0.5),
        (PilotState.D, 0.5),
        (PilotState.F, 0.25),
    ],
)
def test_states_settle_slowly_but_a_fast(state: PilotState, settles_s: float) -> None:
    pilot = PilotFilter()
    ticks = 0
    while pilot.state is not state:
        pilot.measured(state, ticks * 0.01)
        ticks += 1
        assert ticks < 100
    assert (ticks - 1) * 0.01 == pytest.approx(settles_s, abs=0.011)


def test_one_measurement_between_two_states_begins_the_waiting_anew() -> None:
    pilot = PilotFilter()
    for tick in range(49):
        pilot.measured(PilotState.C, tick * 0.01)
    pilot.measured(None, 0.49)
    pilot.measured(PilotState.C, 0.50)
    assert not pilot.settled
    pilot.measured(PilotState.C, 1.0)
    assert pilot.settled
