"""What all stations of one group and one kind of site share: rates, distributions, vehicles, cards."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

from chargepoint.domain import chance
from chargepoint.fleet.people.arrival import DAY_S, LocalTime
from chargepoint.fleet.people.behaviour_file import BehaviourConfig
from chargepoint.fleet.people.chances import Weighted
from chargepoint.fleet.plan.plan import Group, Member
from hal.simulated.vehicle import Vehicle, load_vehicle, vehicle_names

MONTH_S = 30 * DAY_S
HEAVY_WH = 200_000.0
"""A vehicle with such a battery is a bus or a lorry: of its own accord it comes to DC outlets alone."""

POOL = 8
"""So many drivers share a station whose group names no cards."""

_TARGET_STEP = 5.0  # percent; vehicles are shared values, so there should not be too many of them


class Site:
    """One kind of site, its distributions worked out."""

    __slots__ = (
        "arrive_with", "card_after", "charge_to", "codes", "config", "forget_for", "lasts", "look_back_s",
        "patience", "queue_for", "stay", "suspend_for", "troubles", "troubles_s", "week",
    )  # fmt: skip

    def __init__(self, config: BehaviourConfig) -> None:
        drivers, troubles = config.drivers, config.troubles
        self.config = config
        self.week = config.arrivals.week(config.busier)
        self.arrive_with = drivers.arrive_with.chances()
        self.charge_to = drivers.charge_to.chances()
        self.stay = drivers.stay.chances()
        self.card_after = drivers.card_after.chances()
        self.patience = drivers.patience.chances()
        self.suspend_for = drivers.suspend_for.chances()
        self.forget_for = drivers.forget_for.chances()
        self.queue_for = drivers.queue_for.chances()
        lasting = {
            "fault": troubles.faults,
            "offline": troubles.offline,
            "power_cut": troubles.power_cuts,
            "emergency_stop": troubles.emergency_stops,
        }
        self.lasts = {kind: incident.lasts.chances() for kind, incident in lasting.items()}
        rates = {kind: incident.per_month for kind, incident in lasting.items()}
        rates["reboot"] = troubles.reboots_per_month
        self.troubles = Weighted(rates.items())
        self.troubles_s = sum(rates.values()) / MONTH_S
        self.codes = Weighted(troubles.faults.codes.items())
        self.look_back_s = 0.0 if config.arrivals.first_within is not None else self.stay.at(0.99)


class Scene:
    """A site in one group's time zone with that group's vehicles and cards; `tally` counts what happened."""

    __slots__ = ("_cars", "_dc_cars", "_group", "local", "seed", "site", "tally")

    def __init__(self, site: Site, group: Group, local: LocalTime, seed: int, tally: Counter[str]) -> None:
        self.site = site
        self.local = local
        self.seed = seed
        self.tally = tally
        self._group = group
        kinds = site.config.drivers.vehicles
        every = [(load_vehicle(kind), weight) for kind, weight in kinds.items()] or _all_cars()
        come = (Weighted(group.vehicles) or Weighted(every)).shares
        light = ((car, share) for car, share in come if car.battery_wh < HEAVY_WH)
        self._cars = Weighted(group.vehicles) or Weighted(light) or Weighted(_all_cars())
        # What cannot charge at a DC outlet does not come to one.
        dc_cars = Weighted((car, share) for car, share in come if car.dc_max_power_w)
        self._dc_cars = dc_cars or Weighted((car, share) for car, share in _all_cars() if car.dc_max_power_w)

    def draw(self, member: Member, purpose: str, n: int) -> float:
        """A number in [0, 1) that depends on seed, station, purpose and number alone."""
        return chance.draw(self.seed, member.identity, purpose, n)

    def vehicle(self, member: Member, dc: bool, n: int) -> Vehicle:
        """What driver `n` comes with, and as full as this driver wants it."""
        car = (self._dc_cars if dc else self._cars).at(self.draw(member, "vehicle", n))
        target = self.site.charge_to.at(self.draw(member, "charge to", n))
        stepped = max(round(target / _TARGET_STEP) * _TARGET_STEP, _TARGET_STEP)
        return _aiming(car, min(stepped, car.target_percent))

    def id_tag(self, member: Member, n: int) -> str:
        """The card of driver `n`."""
        u = self.draw(member, "card", n)
        if self._group.id_tags:
            return self._group.id_tags[int(u * len(self._group.id_tags))]
        return f"TAG{member.number * POOL + int(u * POOL) + 1}"


@lru_cache(maxsize=1024)
def _aiming(car: Vehicle, target: float) -> Vehicle:
    return replace(car, target_percent=target)


@lru_cache(maxsize=1)
def _all_cars() -> tuple[tuple[Vehicle, float], ...]:
    every = (load_vehicle(name) for name in vehicle_names())
    return tuple((vehicle, 1.0) for vehicle in every if vehicle.battery_wh < HEAVY_WH)
