"""What a simulated connector draws from now on, as functions of the moment: nothing is sampled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hal.api import EvseInfo, Limit
from hal.simulated.charging import Charge
from hal.simulated.meter import ac_flow
from hal.simulated.plugged import PluggedVehicle
from hal.simulated.vehicle import Vehicle

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
        car = self.car
        begins_s, charge = _alone(self.info, car.vehicle, car.max_current_a, car.max_power_w, soc_percent)
        return 0.0 if charge is None or stay_s <= begins_s else charge.after(stay_s - begins_s).energy_wh


@lru_cache(maxsize=256)
def _alone(
    info: EvseInfo,
    vehicle: Vehicle,
    max_current_a: float | None,
    max_power_w: float | None,
    soc_percent: float,
) -> tuple[float, Charge | None]:
    """How a vehicle charges whom nobody limits, and how long after it was plugged in that begins."""
    car = PluggedVehicle(vehicle, soc_percent)
    car.max_current_a, car.max_power_w = max_current_a, max_power_w
    everything = Limit(info.max_current_a, info.max_power_w)
    car.react(everything, info, 0.0)
    begins_s = car.reacts_at or 0.0
    car.react(everything, info, begins_s)
    car.begin_charge(info, info.nominal_voltage_v)
    return begins_s, car.charge
