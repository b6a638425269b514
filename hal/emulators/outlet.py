"""The physical side of emulated hardware: a simulated outlet that controller and meter emulators share."""

from __future__ import annotations

from dataclasses import replace

from hal.api import CONNECTED, NOTHING, Clock, EvseInfo, Limit, MeterReading, PilotState
from hal.simulated.evse import SimulatedEvse

FORCED_OPEN_S = 6.0
"""A vehicle that goes on drawing without a signal is cut off after this (IEC 61851-1)."""

_GREED = 1.5


class Outlet:
    """One outlet with a vehicle at it or not. Plug, adjust and break things at `evse`.

    What `evse` cannot be told to do is a switch here: `cable_max_a` of the plug's resistor (0: none found),
    `failed` (diode or residual current detection), `ventilated` (the vehicle asks for ventilation),
    `stubborn` (it goes on drawing without a signal), `greedy` (it draws half as much again as it may),
    `eager` (it asks before there is an offer), `welded`.
    """

    __slots__ = (
        "_clock",
        "_offered_a",
        "_withdrawn_at",
        "cable_max_a",
        "eager",
        "evse",
        "failed",
        "greedy",
        "stubborn",
        "ventilated",
        "welded",
    )

    def __init__(self, info: EvseInfo, clock: Clock, *, energy_wh: float = 0.0) -> None:
        self.evse = SimulatedEvse(info, clock, energy_wh=energy_wh)
        self._clock = clock
        self._offered_a = 0.0
        self._withdrawn_at: float | None = None
        self.cable_max_a = 32.0
        self.failed = False
        self.ventilated = False
        self.stubborn = False
        self.greedy = False
        self.eager = False
        self.welded = False

    def signal(self, current_a: float) -> None:
        """Let the pilot offer `current_a`, 0: steady; the contactor follows the vehicle."""
        self._offered_a = 0.0 if self.failed or current_a < 6.0 else current_a
        if self._offered_a:
            self._withdrawn_at = None
            self.evse.permit(Limit(self._offered_a))
        elif self.evse.closed and (self.stubborn or self.welded):
            self._withdrawn_at = self._withdrawn_at or self._clock.now()
        else:
            self.cut()

    def cut(self) -> None:
        """Open the contactor whatever the vehicle does; a welded one stays as it is."""
        if not self.welded:
            self._withdrawn_at = None
            self.evse.permit(NOTHING)

    def step(self) -> None:
        """What a controller's own timer does; emulators call it whenever they are asked something."""
        if self._withdrawn_at is not None and self._clock.now() >= self._withdrawn_at + FORCED_OPEN_S:
            self.cut()

    @property
    def pilot(self) -> PilotState:
        """What the controller measures."""
        pilot = self.evse.pilot
        if pilot in CONNECTED and self.failed:
            return PilotState.E
        if pilot is PilotState.B and self.eager:
            pilot = PilotState.C
        return PilotState.D if pilot is PilotState.C and self.ventilated else pilot

    @property
    def offered_a(self) -> float:
        """What the pilot offers."""
        return self._offered_a

    @property
    def plugged(self) -> bool:
        """A plug is in the socket."""
        return self.evse.plugged

    @property
    def closed(self) -> bool:
        """The main contacts are closed."""
        return self.evse.closed

    def reading(self) -> MeterReading:
        """What a meter in this circuit sees now."""
        self.step()
        reading = self.evse.reading()
        if not self.greedy:
            return reading
        return replace(
            reading,
            power_w=reading.power_w * _GREED,
            current_a=tuple(current_a * _GREED for current_a in reading.current_a),
            power_phase_w=tuple(watts * _GREED for watts in reading.power_phase_w),
        )
