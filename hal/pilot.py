"""The control pilot's language: voltages to states, amperes to duty cycles (IEC 61851-1, annex A)."""

from __future__ import annotations

from hal.api import PilotState
from hal.device import PilotSample

TOLERANCE_V = 1.1
"""How far from a state's voltage a measurement may be; in between nothing is decided."""

NEGATIVE_V = -12.0
"""The low side of a running signal, cut off by the vehicle's diode, and the whole of state F."""

_CENTRES_V = {
    PilotState.A: 12.0,
    PilotState.B: 9.0,
    PilotState.C: 6.0,
    PilotState.D: 3.0,
    PilotState.E: 0.0,
    PilotState.F: NEGATIVE_V,
}

_TO_A_S = 0.025
_TO_ASKING_S = 0.5
_TO_OTHERS_S = 0.25

_ASKING = (PilotState.C, PilotState.D)


def state_of(sample: PilotSample) -> PilotState | None:
    """The state whose voltage the high side shows; None between two states."""
    for state, centre_v in _CENTRES_V.items():
        if abs(sample.high_v - centre_v) <= TOLERANCE_V:
            return state
    return None


def has_diode(sample: PilotSample) -> bool:
    """The low side of a running signal is at -12 V: the vehicle's diode is there, and so is the signal."""
    return abs(sample.low_v - NEGATIVE_V) <= TOLERANCE_V


def duty_percent(current_a: float) -> float | None:
    """The duty cycle that offers `current_a` (table A.7); None for no offer. `ValueError` above 80 A.

    The norm has a gap between 51 and 52.5 A: 51 A is offered there.
    """
    if current_a > 80:
        raise ValueError(f"a control pilot offers at most 80 A, not {current_a:g} A")
    if current_a < 5.9:
        return None
    if current_a <= 6.1:
        return 10.0
    if current_a < 52.5:
        return min(current_a, 51.0) / 0.6
    return current_a / 2.5 + 64.0


def offered_a(duty: float | None) -> float:
    """What a vehicle may draw at a duty cycle in percent (table A.8); 0 where it may not charge.

    5 % asks for digital communication, which nothing here speaks: a vehicle draws nothing at it.
    """
    if duty is None or duty < 8 or duty > 97:
        return 0.0
    if duty < 10:
        return 6.0
    if duty <= 85:
        return duty * 0.6
    return min(80.0, (duty - 64.0) * 2.5)


class PilotFilter:
    """Measurements in, a state that does not chatter out: slow into C and D, fast to A.

    `state` is E until something was measured long enough. The contactor does not wait for this filter: it
    opens at the first measurement that is not C.
    """

    __slots__ = ("_candidate", "_since", "asking_since", "settled", "state", "unclear_since")

    def __init__(self) -> None:
        self.state = PilotState.E
        self.settled = False  # `state` was measured
        self.asking_since: float | None = None  # every measurement since then was C, or every one was D
        self.unclear_since: float | None = None  # every measurement since then was between two states
        self._candidate: PilotState | None = None
        self._since = 0.0

    def measured(self, state: PilotState | None, now: float) -> None:
        """One measurement; None, between two states, keeps the state and begins all waiting anew."""
        if state is None:
            self.unclear_since = now if self.unclear_since is None else self.unclear_since
            self._candidate = self.asking_since = None
            return
        self.unclear_since = None
        if state is not self._candidate:
            self._candidate, self._since = state, now
            self.asking_since = None
        if state in _ASKING and self.asking_since is None:
            self.asking_since = now
        if now - self._since >= _settling_s(state):
            self.state, self.settled = state, True


def _settling_s(state: PilotState) -> float:
    if state is PilotState.A:
        return _TO_A_S
    return _TO_ASKING_S if state in _ASKING else _TO_OTHERS_S
