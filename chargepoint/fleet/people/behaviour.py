"""Behaviours by name: what drivers do at the stations of a fleet, and what goes wrong there.

The same seed gives the same day: who comes when, with which car and card, how long each stays and what breaks
are draws of seed, station and number. What the central system answers changes what follows, not who comes.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from chargepoint.domain import chance
from chargepoint.fleet.people.arrival import WEEK_S, LocalTime
from chargepoint.fleet.people.behaviour_file import behaviour_names, load_config, load_sites
from chargepoint.fleet.people.chances import Weighted
from chargepoint.fleet.people.drivers import Drivers, Place
from chargepoint.fleet.people.scene import Scene, Site
from chargepoint.fleet.plan.plan import Group, Member

__all__ = ["Behaviour", "Place", "behaviour_names", "sessions_per_day"]


class Behaviour:
    """One behaviour for all stations that have it; what each one keeps hangs on its `drivers`.

    `tally` counts what drivers did and what broke: came, were_here, queued, went_away, gave_up_queueing,
    plugged_in, wrong_cards, started, gave_up, suspends, left, fault, reboot, offline, power_cut,
    emergency_stop.
    """

    __slots__ = ("_begun_at", "_by_current", "_real_time", "_scenes", "_sites", "begins_at", "description",
                 "name", "seed", "tally", "title")  # fmt: skip

    def __init__(
        self,
        name: str,
        title: str,
        description: str,
        sites: tuple[tuple[Site, float], ...],
        begins_at: float | None,
        seed: int,
    ) -> None:
        self.name = name
        self.title = title
        self.description = description
        self.begins_at = begins_at  # seconds since Monday, midnight, local; None: whatever time it is
        self.seed = seed
        self.tally: Counter[str] = Counter()
        self._sites = sites
        self._by_current = {current: _fitting(sites, current) for current in ("ac", "dc")}
        self._scenes: dict[tuple[int, int], tuple[Group, Scene]] = {}
        self._begun_at: float | None = None
        self._real_time = False

    @classmethod
    def load(cls, name_or_path: str | Path, *, seed: int = 0, folder: Path = Path()) -> Behaviour:
        """A shipped behaviour by name, or one's own file, relative to `folder`. Raises `ConfigError`."""
        top = load_config(name_or_path, folder)
        sites = tuple((Site(config), weight) for config, weight in load_sites(name_or_path, folder))
        return cls(str(name_or_path), top.title, top.description, sites, top.begins_at, seed)

    def begin(self, at: float, *, real_time: bool = False) -> None:
        """The run begins at that moment of the station clock; without it, when the first station starts.

        The local time is then what the behaviour `begins_at`, in the time zone of each group; with
        `real_time` it is the clock's.
        """
        self._begun_at, self._real_time = at, real_time

    def settle_in(self, place: Place) -> None:
        """From now on drivers come to this station, which has just started."""
        if self._begun_at is None:
            self.begin(place.station.clock.now())
        assert self._begun_at is not None
        if isinstance(place.drivers, Drivers):
            place.drivers.stop()
        place.drivers = drivers = Drivers(place, self._scene(place))
        drivers.start(self._begun_at)

    def leave(self, place: Place) -> None:
        """Nobody comes or moves any more; who is plugged in stays so."""
        if isinstance(place.drivers, Drivers):
            place.drivers.stop()
            place.drivers = None

    @property
    def sites(self) -> tuple[tuple[Site, float], ...]:
        """The kinds of site with their parts of 1."""
        return Weighted(self._sites).shares

    def _scene(self, place: Place) -> Scene:
        """Shared by all stations of the same group that are the same kind of site."""
        member = place.member
        dc = all(evse.info.current == "dc" for evse in place.station.evses)
        site = self._site(member, "dc" if dc else "ac")
        key = id(member.group), id(site)
        if key not in self._scenes:
            scene = Scene(site, member.group, self._local(member.group.time_zone), self.seed, self.tally)
            self._scenes[key] = member.group, scene  # the group is kept, or another could get its id
        return self._scenes[key][1]

    def _site(self, member: Member, current: str) -> Site:
        fitting = self._by_current[current]
        if isinstance(fitting, Site):
            return fitting
        return fitting.at(chance.draw(self.seed, member.identity, "site", 0))

    def _local(self, zone: str) -> LocalTime:
        local = LocalTime(zone)
        if self.begins_at is not None and not self._real_time:
            assert self._begun_at is not None
            # The nearer way round, so that the run is at most half a week from the calendar.
            ahead_s = (self.begins_at - local.position_s(self._begun_at)) % WEEK_S
            local.shift_s = ahead_s if ahead_s <= WEEK_S / 2 else ahead_s - WEEK_S
        return local


def _fitting(sites: tuple[tuple[Site, float], ...], current: str) -> Site | Weighted[Site]:
    """The kinds of site for stations of this current, all if there is none; alone if there is no choice."""
    fitting = [(site, weight) for site, weight in sites if site.config.current in (current, "any")] or sites
    return fitting[0][0] if len(fitting) == 1 else Weighted(fitting)


def sessions_per_day(behaviour: Behaviour, connectors: int) -> float:
    """Transactions a station with so many connectors makes on an average day, expected.

    Of the drivers who come, those are lost who find all connectors taken (Erlang's loss formula, as if all
    hours were alike); those who wait or give up are not reckoned with.
    """
    return sum(share * _sessions_per_day(site, connectors) for site, share in behaviour.sites)


def _sessions_per_day(site: Site, connectors: int) -> float:
    per_day = site.week.total / 7 * connectors
    load = per_day * site.stay.mean / 86_400.0
    lost = load**connectors / math.factorial(connectors)
    lost /= sum(load**n / math.factorial(n) for n in range(connectors + 1))
    return per_day * (1.0 - lost)
