"""What a simulated connector draws from now on, as functions of the moment: nothing is sampled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hal.api import EvseInfo, Limit
from hal.simulated.charging import Charge
from hal.simulated.meter import ac_flow
from hal.simulated.plugged import PluggedVehicle

_GRID_PHASES = 3  # of a DC outlet


@dataclass(frozen=True, slots=True)
class Course:
    """Holds from `since` until something changes at the connector; moments are those of its clock.

    `car` is whoever is at the cable, to be told from the next one by identity.
    """

    since: float
    info: EvseInfo
    supply_v: float
    offered: Limit
    car: PluggedVehicle | None
    charge: Charge | None
    phases: int
    power_factor: float

    def power_w(self, at: float) -> float:
        """What is drawn; at a DC outlet what it gives."""
        return 0.0 if self.charge is None else self.charge.after(at - self.since).power_w

    def gained_wh(self, at: float) -> float:
        """The energy since `since`."""
        return 0.0 if self.charge is None else self.charge.after(at - self.since).energy_wh

    def current_a(self, at: float) -> tuple[float, ...]:
        """On each of the connector's phases; of a DC outlet on the grid's, its losses left out."""
        power_w = self.power_w(at)
        if self.info.current == "dc":
            return (power_w / (self.info.nominal_voltage_v * _GRID_PHASES),) * _GRID_PHASES
        if not power_w:
            return (0.0,) * self.info.phases
        return ac_flow(power_w, self.phases, self.info.phases, self.supply_v, self.power_factor).current_a

    def bends(self) -> Iterator[float]:
        """The moments at which the draw is not smooth."""
        if self.charge is not None:
            for seconds in self.charge.bends_s():
                yield self.since + seconds

    def unlimited_wh(self, soc_percent: float, stay_s: float) -> float:
        """What this vehicle, having come with that charge, takes here in `stay_s` if nobody limits it."""
        if self.car is None:
            return 0.0
        alone = PluggedVehicle(self.car.vehicle, soc_percent)
        alone.max_current_a, alone.max_power_w = self.car.max_current_a, self.car.max_power_w
        everything = Limit(self.info.max_current_a, self.info.max_power_w)
        alone.react(everything, self.info, 0.0)
        if alone.reacts_at is None:  # it has enough
            return 0.0
        begins_s = alone.reacts_at
        alone.react(everything, self.info, begins_s)
        alone.begin_charge(self.info, self.info.nominal_voltage_v)
        if alone.charge is None or stay_s <= begins_s:
            return 0.0
        return alone.charge.after(stay_s - begins_s).energy_wh
