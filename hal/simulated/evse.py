"""A simulated connector with its meter, lock and vehicle, behind the same promises as a real one.

Nothing ticks: energy and charge are functions of time, evaluated when read. There is at most one timer, for
the next moment at which the vehicle does something by itself: it asks for energy, follows a raised offer or
is full.

Simpler than life: the vehicle lets go in the call that withdraws the offer; an AC current steps where a real
one climbs some amperes a second; a DC output climbs straight in power; the battery keeps the temperature it
arrived with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hal.api import (
    AC_MINIMUM_A,
    NOTHING,
    Clock,
    DeviceError,
    EvseInfo,
    EvseListener,
    Fault,
    FaultKind,
    Limit,
    MeterReading,
    PilotState,
    Timer,
    Unsupported,
)
from hal.simulated.course import Course
from hal.simulated.meter import AMBIENT_C, Flow, ac_flow, body_c, dc_flow
from hal.simulated.plugged import PluggedVehicle
from hal.simulated.vehicle import Vehicle

if TYPE_CHECKING:
    from hal.simulated.trouble.whole import Trouble

LOCK_FAULT = Fault(FaultKind.LOCK, info="lock actuator does not move")
"""What a broken lock reports when it should move."""

_HOLDING_VOLTAGE = 0.6  # of nominal: below it the contactor drops out and the controller stops


class AlreadyPlugged(DeviceError):
    """A vehicle is plugged in at this connector already."""


class NotPlugged(DeviceError):
    """No vehicle is plugged in at this connector."""


class SimulatedEvse:
    """An AC or DC connector and what a person can do at it.

    Its controls (`plug_in`, `adjust`, `set_supply` ...) take effect and are reported within the call. A
    blocking fault or a missing supply keeps the contactor open, as a real interlock does.
    """

    __slots__ = (
        "_body_c",
        "_cable",
        "_car",
        "_clock",
        "_closed",
        "_energy_wh",
        "_faults",
        "_info",
        "_lock_broken",
        "_locked",
        "_offer",
        "_shown_wh",
        "_shut",
        "_since",
        "_supply_v",
        "_timer",
        "_trouble",
        "listener",
        "observer",
    )

    def __init__(self, info: EvseInfo, clock: Clock, *, energy_wh: float = 0.0) -> None:
        self.listener: EvseListener | None = None
        self.observer: Callable[[], None] | None = None  # hears of each new `course`
        self._info = info
        self._clock = clock
        self._car: PluggedVehicle | None = None
        self._timer: Timer | None = None
        self._offer = NOTHING
        self._cable = False  # a plug is at the station
        self._closed = False
        self._locked = False
        self._lock_broken = False
        self._shut = False
        self._faults: tuple[Fault, ...] = ()
        self._supply_v = info.nominal_voltage_v
        self._since = clock.now()  # the moment of the three figures below
        self._energy_wh = energy_wh
        self._shown_wh = energy_wh  # the highest register anyone has read
        self._body_c = AMBIENT_C
        self._trouble: Trouble | None = None  # what is broken, while something is

    @property
    def info(self) -> EvseInfo:
        return self._info

    @property
    def pilot(self) -> PilotState:
        if self._shut or self._supply_v < _HOLDING_VOLTAGE * self._info.nominal_voltage_v:  # not powered
            return PilotState.E
        trouble = self._trouble
        if trouble is not None and trouble.controller.down:
            return PilotState.E
        if self._car is None:
            return PilotState.A
        if trouble is not None:
            return trouble.vehicle.pilot(self._car.asks)
        return PilotState.C if self._car.asks else PilotState.B

    @property
    def plugged(self) -> bool:
        return self._cable

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def locked(self) -> bool:
        return self._locked

    @property
    def faults(self) -> tuple[Fault, ...]:
        return self._faults

    def permit(self, limit: Limit) -> None:
        offer = self._possible(limit)
        if self._trouble is not None and not self._trouble.controller.hears(limit, offer, self._offer):
            return
        if offer != self._offer:
            with self._changing():
                self._offer = offer

    def lock(self, wanted: bool) -> None:
        if self._info.tethered or not self._info.lockable:
            return
        if wanted == self._locked and (wanted or not self._lock_broken):
            return
        if not self._cable if wanted else self._closed:
            return
        with self._changing():
            if self._lock_broken:
                self._add_fault(LOCK_FAULT)
            else:
                self._locked = wanted
                self._cable = wanted or self._car is not None

    def reading(self) -> MeterReading:
        """The present instant; two readings of one instant are equal unless something was done in between."""
        reading = self._measure()
        if self._trouble is None:
            return reading
        return self._trouble.meter.shown(reading)

    def _measure(self) -> MeterReading:
        car, info = self._car, self._info
        now = self._clock.now()
        elapsed_s = now - self._since
        gained_wh, power_w, soc_percent = 0.0, 0.0, None
        if car is not None:
            soc_percent = car.soc_percent
            if car.charge is not None:
                gained_wh, power_w, soc_percent = car.charge.after(elapsed_s)
        self._shown_wh = energy_wh = max(self._shown_wh, self._energy_wh + gained_wh)
        flow = self._flow(power_w, soc_percent)
        current_a, voltage_v, power_phase_w, power_factor, frequency_hz = flow
        return MeterReading(
            now,
            energy_wh,
            power_w,
            current_a,
            voltage_v,
            power_phase_w,
            power_factor,
            frequency_hz,
            body_c(self._body_c, elapsed_s, gained_wh, info),
            soc_percent,
        )

    def close(self) -> None:
        self.listener = None
        with self._changing():
            self._shut = True

    @property
    def vehicle(self) -> Vehicle | None:
        """The vehicle at the cable, with what was changed about it; None without one."""
        return None if self._car is None else self._car.vehicle

    @property
    def soc_percent(self) -> float | None:
        """The vehicle's state of charge now; None without one."""
        return self._measure().soc_percent

    @property
    def now(self) -> float:
        """The moment on its clock."""
        return self._clock.now()

    @property
    def register_wh(self) -> float:
        """The meter's register, whatever the meter tells of it."""
        return self._measure().energy_wh

    @property
    def offered(self) -> Limit:
        """What was permitted, within what this connector can offer."""
        return self._offer

    @property
    def course(self) -> Course:
        """What is drawn from now on, until something changes."""
        car, info = self._car, self._info
        return Course(
            self._since,
            info,
            self._supply_v,
            self._offer,
            car,
            None if car is None else car.charge,
            info.phases if car is None else car.phases(info),
            1.0 if car is None else car.vehicle.power_factor,
        )

    def plug_in(self, vehicle: Vehicle, soc_percent: float | None = None) -> None:
        """A vehicle is plugged in, also into a cable that stayed locked in the socket.

        Raises `AlreadyPlugged`, and `Unsupported` for a vehicle without a DC inlet at a DC outlet.
        """
        if self._car is not None:
            raise AlreadyPlugged(f"a vehicle is plugged in already: {self._car.vehicle.name}")
        if self._info.current == "dc" and not vehicle.dc_max_power_w:
            raise Unsupported(f"vehicle {vehicle.name} has no inlet for direct current")
        soc = vehicle.soc_percent if soc_percent is None else _percent(soc_percent)
        with self._changing():
            self._car = PluggedVehicle(vehicle, soc)
            self._cable = True

    def plug_out(self) -> None:
        """The plug is pulled at the vehicle; a locked cable stays in the socket. Raises `NotPlugged`."""
        self._plugged_vehicle()
        with self._changing():
            self._car = None
            self._cable = self._locked
            if self._trouble is not None:
                self._forget(*self._trouble.vehicle.LEAVES_WITH_IT)

    def adjust(
        self,
        *,
        draws: bool | None = None,
        max_current_a: float | None = None,
        phases: int | None = None,
        max_power_w: float | None = None,
        soc_percent: float | None = None,
        battery_wh: float | None = None,
    ) -> None:
        """Change what the plugged vehicle does; None leaves a property as it is.

        `draws` False: it suspends. `max_current_a` (per phase, or at the DC outlet) and `max_power_w` take
        the place of its on-board charger's; the battery limits all the same. Raises `NotPlugged`, and
        `ValueError` for impossible values.
        """
        car = self._plugged_vehicle()
        if max_current_a is not None and not 0 <= max_current_a <= 1000:
            raise ValueError(f"max_current_a: {max_current_a:g} is not between 0 and 1000")
        if max_power_w is not None and not 0 <= max_power_w <= 4e6:
            raise ValueError(f"max_power_w: {max_power_w:g} is not between 0 and 4000000")
        soc = None if soc_percent is None else _percent(soc_percent)
        changed = car.changed_vehicle(phases=phases, battery_wh=battery_wh)
        with self._changing():
            car.vehicle = changed
            car.draws = car.draws if draws is None else draws
            car.max_current_a = car.max_current_a if max_current_a is None else max_current_a
            car.max_power_w = car.max_power_w if max_power_w is None else max_power_w
            car.soc_percent = car.soc_percent if soc is None else soc

    def set_register(self, energy_wh: float) -> None:
        """Set the meter's register; a lower value than before is a meter that lost its memory."""
        with self._changing():
            self._energy_wh = self._shown_wh = energy_wh

    def set_supply(self, voltage_v: float) -> None:
        """Set the supply of all phases; below 60 % of nominal nothing works: no pilot, contactor open."""
        if not 0 <= voltage_v <= 1000:
            raise ValueError(f"voltage_v: {voltage_v:g} is not between 0 and 1000")
        with self._changing():
            self._supply_v = voltage_v

    def break_lock(self, broken: bool) -> None:
        """Broken, the lock stays where it is and reports `LOCK_FAULT` at each command, until repaired."""
        with self._changing():
            self._lock_broken = broken
            if not broken:
                self._faults = tuple(fault for fault in self._faults if fault != LOCK_FAULT)

    @contextmanager
    def troubled(self) -> Iterator[Trouble]:
        """Break or mend something: change what it yields; a `Troublemaker` has the words for it."""
        with self._changing():
            if self._trouble is None:
                from hal.simulated.trouble.whole import Trouble  # most stations never need it

                self._trouble = Trouble(self._offer)
            yield self._trouble
            self._forget(*self._trouble.cured)
            self._trouble.cured = ()

    def _forget(self, *about: Fault) -> None:
        self._faults = tuple(fault for fault in self._faults if fault not in about)

    def inject(self, fault: Fault) -> None:
        """Something breaks; the same fault again changes nothing."""
        with self._changing():
            self._add_fault(fault)

    def clear(self, kind: FaultKind | None = None) -> None:
        """All faults of that kind, or all faults, are gone."""
        with self._changing():
            self._faults = tuple(f for f in self._faults if kind is not None and f.kind is not kind)

    @property
    def _powered(self) -> bool:
        return not self._shut and self._supply_v >= _HOLDING_VOLTAGE * self._info.nominal_voltage_v

    def _possible(self, limit: Limit) -> Limit:
        """What this connector can offer of a permit: for AC the current alone, for DC the power too."""
        current_a = min(limit.current_a, self._info.max_current_a)
        if self._trouble is not None and self._trouble.cable_a is not None:
            current_a = min(current_a, self._trouble.cable_a)
        if self._info.current == "ac":
            return Limit(current_a) if current_a >= AC_MINIMUM_A and not limit.zero else NOTHING
        powers = [power_w for power_w in (limit.power_w, self._info.max_power_w) if power_w is not None]
        return NOTHING if limit.zero else Limit(current_a, min(powers, default=None))

    def _plugged_vehicle(self) -> PluggedVehicle:
        if self._car is None:
            raise NotPlugged("no vehicle is plugged in")
        return self._car

    def _add_fault(self, fault: Fault) -> None:
        if fault not in self._faults:
            self._faults = (*self._faults, fault)

    def _flow(self, power_w: float, soc_percent: float | None) -> Flow:
        car, info = self._car, self._info
        if info.current == "dc":
            if car is None or soc_percent is None or not (self._closed or power_w):
                return dc_flow(0.0, 0.0)
            return dc_flow(power_w, car.vehicle.pack_voltage_v(soc_percent))
        if car is None:
            return ac_flow(0.0, info.phases, info.phases, self._supply_v, 1.0)
        return ac_flow(power_w, car.phases(info), info.phases, self._supply_v, car.vehicle.power_factor)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Account for the time up to now, let facts change, draw the consequences and report them."""
        before = self._visible()
        self._account()
        try:
            yield
        finally:  # a change that was refused changes nothing, but something may be due at this moment
            self._carry_on()
            if self.observer is not None:
                self.observer()
            if self.listener is not None and self._visible() != before:
                self.listener.evse_changed()

    def _visible(self) -> tuple[object, ...]:
        return self.pilot, self._cable, self._closed, self._locked, self._faults

    def _account(self) -> None:
        """Make the state of now the one that the following charge starts from."""
        now = self._clock.now()
        elapsed_s = now - self._since
        gained_wh = self._car.settle(elapsed_s) if self._car is not None else 0.0
        self._energy_wh = max(self._shown_wh, self._energy_wh + gained_wh)
        self._body_c = body_c(self._body_c, elapsed_s, gained_wh, self._info)
        self._since = now

    def _carry_on(self) -> None:
        """Let the vehicle react and the contactor follow; set the timer for the vehicle's next own act."""
        car = self._car
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._closed = False
        due = None
        trouble = self._trouble
        if trouble is not None and (own := trouble.controller.offers(self._since)) is not None:
            self._offer = self._possible(own)
        if car is not None:
            down = trouble is not None and trouble.controller.down
            blocked = down or not self._powered or any(fault.blocking for fault in self._faults)
            offer = NOTHING if blocked else self._offer
            if trouble is not None and trouble.vehicle.roused and not car.asks:
                car.reacts_at = self._since
            if trouble is not None and not blocked:
                offer = trouble.vehicle.felt(offer, car.asks, self._since)
            car.react(offer, self._info, self._since)
            car.begin_charge(self._info, self._supply_v)
            self._closed = car.asks
            due = car.acts_at(self._since)
        if trouble is not None:
            trouble.vehicle.roused = False
            due = self._follow_trouble(trouble, due)
        if due is not None:
            self._timer = self._clock.call_at(due, self._on_timer)

    def _follow_trouble(self, trouble: Trouble, due: float | None) -> float | None:
        """Let what is broken have its way; returns when something happens next by itself."""
        car, now, told_closed = self._car, self._since, self._closed
        signal = car is not None and (car.asks or car.reacts_at is not None)
        if (refused := trouble.vehicle.refused(signal, told_closed)) is not None:
            self._add_fault(refused)
            told_closed = False
        flows = trouble.contactor.contacts(told_closed, now)
        self._closed = trouble.contactor.mirrored(flows)
        for fault in trouble.faults(told_closed, 0.0 if car is None else car.power_w, now):
            self._add_fault(fault)
        if car is not None and car.asks and not flows:
            car.charge, car.power_w = None, 0.0
        if signal and any(fault.blocking for fault in self._faults):
            return now  # once more, with the offer withdrawn
        return min((at for at in (due, trouble.acts_at(now)) if at is not None), default=None)

    def _on_timer(self) -> None:
        with self._changing():
            pass


def _percent(soc_percent: float) -> float:
    if not 0 <= soc_percent <= 100:
        raise ValueError(f"soc_percent: {soc_percent:g} is not between 0 and 100")
    return soc_percent
