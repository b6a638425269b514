"""A bare board, its contactor and its meter around a simulated vehicle, with everything that breaks on one.

The physical model is a `SimulatedEvse`: plug in and out there, and let its vehicle do what it should. The
pilot is computed from resistors: 1 kOhm in the station; 2.74 kOhm, 882 Ohm and 246 Ohm in the vehicle, behind
its diode.
"""

from __future__ import annotations

from collections.abc import Callable

from hal.api import NOTHING, Clock, Limit, PilotState, Unsupported
from hal.device import DeviceTimeout, MeterSnapshot, PilotSample
from hal.pilot import offered_a
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import Vehicle

_VEHICLE_OHM = {PilotState.B: 2740.0, PilotState.C: 882.0, PilotState.D: 246.0}
_STATION_OHM = 1000.0
_SUPPLY_V = 12.0
_DIODE_V = 0.7


class EmulatedContactor:
    """Coil, main contacts and mirror contact (`hal.device.FastRelay`), and the trip contact of an RCD."""

    def __init__(self, clock: Clock, *, delay_s: float = 0.03) -> None:
        self.delay_s = delay_s
        self.bounces_s = 0.0  # the mirror contact chatters that long after a move
        self.welded = False  # closed contacts stay closed
        self.stuck = False  # open contacts stay open
        self.has_feedback = True
        self.feedback_wire_broken = False  # which reads "main contacts closed"
        self.rcd_tripped = False
        self.silent = False  # does not answer
        self.moved: Callable[[], None] | None = None
        self.coil = False
        self.closed = False
        self.closings = 0
        self._clock = clock
        self._chatter = False
        self._moved_at = -1e9

    async def open(self) -> None:
        self._answer()
        self.drop()

    async def close(self) -> None:
        self.drop()

    async def switch(self, on: bool) -> None:
        self._answer()
        self.pull(on)

    def drop(self) -> None:
        self.pull(False)

    async def feedback(self) -> bool | None:
        self._answer()
        if not self.has_feedback:
            return None
        if self.feedback_wire_broken:
            return True
        if self._clock.now() - self._moved_at < self.bounces_s:
            self._chatter = not self._chatter
            return self._chatter
        return self.closed

    async def tripped(self) -> bool:
        return self.rcd_tripped

    def trip(self, tripped: bool = True) -> None:
        """The residual current device opens the coil's circuit by itself."""
        self.rcd_tripped = tripped
        self._move()

    def pull(self, on: bool) -> None:
        """Energise the coil, or let it go."""
        if on is not self.coil:
            self.coil = on
            self._clock.call_at(self._clock.now() + self.delay_s, self._move)

    def _move(self) -> None:
        pulled = self.coil and not self.rcd_tripped
        closed = (pulled and not self.stuck) or (self.closed and self.welded)
        if closed is not self.closed:
            self.closed = closed
            self.closings += closed
            self._moved_at = self._clock.now()
            if self.moved is not None:
                self.moved()

    def _answer(self) -> None:
        if self.silent:
            raise DeviceTimeout("no answer")


class EmulatedBoard:
    """The pilot of a board (`hal.device.SamplingBoard`), with a `meter` behind it."""

    def __init__(self, outlet: SimulatedEvse, contactor: EmulatedContactor, clock: Clock) -> None:
        self.on_sample: Callable[[PilotSample], None] | None = None
        self.outlet = outlet
        self.contactor = contactor
        self.diode_missing = False
        self.shorted = False  # the pilot touches earth
        self.wants_ventilation = False  # the vehicle asks by state D instead of C
        self.sleeps = False  # the vehicle stays in B until a pulse of state F wakes it
        self.ignores_stop = False  # the vehicle keeps asking when the signal goes
        self.has_negative = True  # the board can drive state F
        self.silent = False  # does not answer
        self.duty_percent: float | None = None
        self.refusing = False
        self.meter = EmulatedBoardMeter(self)
        self._clock = clock
        outlet.listener = self
        contactor.moved = self.follow_contactor

    async def open(self) -> None:
        await self.steady()

    async def close(self) -> None:
        self.silent = False
        await self.steady()

    async def steady(self) -> None:
        self._drive(None)

    async def signal(self, duty_percent: float) -> None:
        if not 5 <= duty_percent <= 96:
            raise ValueError(f"duty_percent: {duty_percent:g} is not between 5 and 96")
        self._drive(duty_percent)

    async def refuse(self) -> None:
        if not self.has_negative:
            raise Unsupported("this board has no negative supply")
        self._drive(None, refusing=True)
        self.sleeps = False

    async def sample(self) -> PilotSample:
        if self.silent:
            raise DeviceTimeout("no answer")
        return self.measure()

    def plug_in(self, vehicle: Vehicle) -> None:
        """A vehicle arrives."""
        self.outlet.plug_in(vehicle)
        self.follow_contactor()

    def evse_changed(self) -> None:
        """The vehicle opened or closed its switch, or is gone (`hal.api.EvseListener`)."""
        if self.on_sample is not None and not self.silent:
            self.on_sample(self.measure())

    def measure(self) -> PilotSample:
        """What a scope would show at the pilot."""
        if self.refusing:
            return PilotSample(-_SUPPLY_V, -_SUPPLY_V)
        if self.shorted:
            return PilotSample(0.0, 0.0)
        ohm = _VEHICLE_OHM.get(self._state())
        if ohm is None:
            return PilotSample(_SUPPLY_V, _SUPPLY_V if self.duty_percent is None else -_SUPPLY_V)
        drop_v = 0.0 if self.diode_missing else _DIODE_V
        high_v = (_SUPPLY_V - drop_v) * ohm / (ohm + _STATION_OHM) + drop_v
        if self.duty_percent is None:
            return PilotSample(high_v, high_v)
        return PilotSample(high_v, -high_v if self.diode_missing else -_SUPPLY_V)

    def _state(self) -> PilotState:
        """What the vehicle's resistors make of the pilot."""
        state = self.outlet.pilot
        asks = state is PilotState.C or (self.ignores_stop and self.contactor.closed)
        if not asks or self.outlet.vehicle is None:
            return state
        return PilotState.D if self.wants_ventilation else PilotState.C

    def _drive(self, duty_percent: float | None, *, refusing: bool = False) -> None:
        if self.silent:
            raise DeviceTimeout("no answer")
        self.duty_percent, self.refusing = duty_percent, refusing
        offer_a = 0.0 if self.sleeps else offered_a(duty_percent)
        self.outlet.permit(Limit(offer_a) if offer_a else NOTHING)

    def follow_contactor(self) -> None:
        """Energy flows through closed contacts only, whatever the vehicle asks for."""
        vehicle = self.outlet.vehicle
        if vehicle is not None:
            phases = min(self.outlet.info.phases, vehicle.ac_phases)
            self.outlet.adjust(max_current_a=vehicle.ac_current_a(phases) if self.contactor.closed else 0.0)


class EmulatedBoardMeter:
    """The meter beside the board (`hal.device.EnergyMeter`)."""

    def __init__(self, board: EmulatedBoard) -> None:
        self._board = board
        self.draws_a: float | None = None  # what it shows in place of the truth while the contactor is closed
        self.leaks_a = 0.0  # flows whatever the contactor says
        self.silent = False

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def read(self) -> MeterSnapshot:
        if self.silent:
            raise DeviceTimeout("no answer")
        reading = self._board.outlet.reading()
        current_a = reading.current_a
        if self.draws_a is not None and self._board.contactor.closed:
            current_a = (self.draws_a,) * len(current_a)
        elif self.leaks_a:
            current_a = (self.leaks_a,) * len(current_a)
        return MeterSnapshot(
            read_at=reading.time,
            import_wh=reading.energy_wh,
            power_w=reading.power_w,
            voltage_v=reading.voltage_v,
            current_a=current_a,
            power_phase_w=reading.power_phase_w,
            frequency_hz=reading.frequency_hz,
            power_factor=reading.power_factor,
        )
