"""What a plugged vehicle decides: whether it asks for energy, which offer it follows, how it charges."""

from __future__ import annotations

import math
from dataclasses import replace

from hal.api import NOTHING, EvseInfo, Limit
from hal.simulated.charging import Charge
from hal.simulated.curve import Curve, lowest, scaled
from hal.simulated.meter import phase_power_w
from hal.simulated.vehicle import Vehicle, acceptance_w

_REARMS_PERCENT = 3.0  # a full vehicle asks again when its charge has fallen this far below the target
_CABLE_CHECK_AND_PRECHARGE_S = 7.0  # DC: insulation test, then the outlet is brought to the pack's voltage
_DC_RAMP_A_S = 15.0

TICK_S = 1e-4
"""Moments closer than this are one: a float of today's epoch seconds resolves little less."""


class PluggedVehicle:
    """A vehicle at the cable. `react` brings its decisions in line with an offer; until then nothing changes.

    It asks for energy (pilot C) some seconds after a valid offer. Raised offers are followed late, reduced
    ones at once. When full it stops asking (pilot B) until its charge has fallen a few percent.
    """

    __slots__ = (
        "_follows",
        "_full",
        "asks",
        "charge",
        "draws",
        "max_current_a",
        "max_power_w",
        "power_w",
        "reacts_at",
        "soc_percent",
        "vehicle",
    )

    def __init__(self, vehicle: Vehicle, soc_percent: float) -> None:
        self.vehicle = vehicle
        self.soc_percent = soc_percent
        self.draws = True  # False: it suspends
        self.max_current_a: float | None = None  # in place of the vehicle's own
        self.max_power_w: float | None = None  # in place of the vehicle's own
        self.asks = False  # pilot C
        self.power_w = 0.0  # when `charge` was made
        self.charge: Charge | None = None
        self.reacts_at: float | None = None  # when it will ask, or follow a raised offer
        self._follows = NOTHING
        self._full = False

    def react(self, offer: Limit, info: EvseInfo, now: float) -> None:
        """Take notice of what the station offers: for AC the current alone, for DC the power too."""
        if not self._wants(offer, info):
            self.asks = False
            self.reacts_at = None
        elif not self.asks:
            before_s = _CABLE_CHECK_AND_PRECHARGE_S if info.current == "dc" else 0.0
            if self._due(now, self.vehicle.wake_s + before_s):
                self.asks = True
                self._follows = offer
        else:
            self._follows = _lower(self._follows, offer)
            if self._follows == offer:
                self.reacts_at = None
            elif self._due(now, self.vehicle.react_s):
                self._follows = offer

    def begin_charge(self, info: EvseInfo, supply_v: float) -> None:
        """Charge as decided from this state of charge on, or not at all."""
        if not self.asks:
            self.charge = None
            self.power_w = 0.0
        elif info.current == "dc":
            self.charge = self._dc_charge(info)
        else:
            self.charge = self._ac_charge(info, supply_v)

    def settle(self, seconds: float) -> float:
        """Make the state `seconds` into the charge the present one; returns the energy since then, Wh."""
        if self.charge is None:
            return 0.0
        moment = self.charge.after(seconds)
        nearly_there = self.charge.lasts_s - seconds < TICK_S
        self.soc_percent = self.vehicle.target_percent if nearly_there else moment.soc_percent
        self.power_w = moment.power_w
        return moment.energy_wh

    def phases(self, info: EvseInfo) -> int:
        """How many phases it uses here."""
        return min(info.phases, self.vehicle.ac_phases)

    def acts_at(self, now: float) -> float | None:
        """When it next asks, follows or is full by itself; None if never. `charge` begins `now`."""
        full_at = now + self.charge.lasts_s if self.charge is not None else math.inf
        due = min(full_at, math.inf if self.reacts_at is None else self.reacts_at)
        return due if due < math.inf else None

    def changed_vehicle(self, *, phases: int | None, battery_wh: float | None) -> Vehicle:
        """The vehicle with these properties in place of its own. Raises `ValueError` for impossible ones."""
        return replace(
            self.vehicle,
            ac_phases=self.vehicle.ac_phases if phases is None else phases,
            battery_wh=self.vehicle.battery_wh if battery_wh is None else battery_wh,
        )

    def _wants(self, offer: Limit, info: EvseInfo) -> bool:
        target = self.vehicle.target_percent
        self._full = self.soc_percent >= target - (_REARMS_PERCENT if self._full else 0.0)
        too_little = info.current == "ac" and offer.current_a < self.vehicle.minimum_current_a
        return self.draws and not self._full and not offer.zero and not too_little

    def _due(self, now: float, wait_s: float) -> bool:
        """True once `wait_s` have passed since this was first asked; until then `reacts_at` says when."""
        if self.reacts_at is None:
            self.reacts_at = now + wait_s
        if now < self.reacts_at - TICK_S:
            return False
        self.reacts_at = None
        return True

    def _ac_charge(self, info: EvseInfo, supply_v: float) -> Charge:
        car, phases = self.vehicle, self.phases(info)
        own_a = car.ac_current_a(phases) if self.max_current_a is None else self.max_current_a
        own_w = car.ac_max_power_w if self.max_power_w is None else self.max_power_w
        offered_w = phases * phase_power_w(
            min(self._follows.current_a, own_a), supply_v, phases, car.power_factor
        )
        battery_w = scaled(acceptance_w(car), 1.0 / car.efficiency, car.idle_w)
        return Charge(
            lowest(battery_w, _level(min(offered_w, own_w))),
            soc_percent=self.soc_percent,
            target_percent=car.target_percent,
            battery_wh=car.battery_wh,
            efficiency=car.efficiency,
            idle_w=car.idle_w,
        )

    def _dc_charge(self, info: EvseInfo) -> Charge:
        car, offer = self.vehicle, self._follows
        if self.max_current_a is not None:
            offer = _lower(offer, Limit(self.max_current_a, self.max_power_w))
        elif self.max_power_w is not None:
            offer = _lower(offer, Limit(offer.current_a, self.max_power_w))
        by_current = tuple((soc, offer.current_a * car.pack_voltage_v(soc)) for soc in (0.0, 100.0))
        power_w = lowest(acceptance_w(car), by_current)
        if offer.power_w is not None:
            power_w = lowest(power_w, _level(offer.power_w))
        return Charge(
            power_w,
            soc_percent=self.soc_percent,
            target_percent=car.target_percent,
            battery_wh=car.battery_wh,
            efficiency=car.dc_efficiency,
            ramp_from_w=self.power_w,
            ramp_w_s=_DC_RAMP_A_S * car.pack_voltage_v(self.soc_percent),
        )


def _level(power_w: float) -> Curve:
    return ((0.0, power_w),)


def _lower(first: Limit, second: Limit) -> Limit:
    """The lower of both, figure by figure; a power that is not given does not limit."""
    powers = [limit.power_w for limit in (first, second) if limit.power_w is not None]
    return Limit(min(first.current_a, second.current_a), min(powers, default=None))
