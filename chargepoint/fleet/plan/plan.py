"""Who the members of a fleet are: plain values that can be sent to another process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from chargepoint.config import StationConfig
from chargepoint.domain.chance import draw
from chargepoint.fleet.plan.passwords import password
from hal.simulated.vehicle import Vehicle

UrlPolicy = Literal["round_robin", "by_station", "in_order"]
"""Which of several URLs a station connects to: in turn, by a draw of its identity, or the first that
works."""

MOMENTS_S = 0.05
"""One wake-up for all that is due within such a span, here and over there."""


@dataclass(frozen=True, slots=True)
class Group:
    """Stations made alike."""

    name: str
    count: int
    identities: str
    """A pattern with one `{n}`, `{n:05d}` ...: the number within the group, from `first_number`."""
    config: StationConfig
    """What every station of the group has, template and quirks merged in, under the first one's identity;
    URL, identity and password are the member's own."""
    behaviour: str = "steady"
    vehicles: tuple[tuple[Vehicle, float], ...] = ()
    """What comes to charge, with weights; empty: what the behaviour's site type sees."""
    id_tags: tuple[str, ...] = ()
    """The cards of its drivers, a draw each; empty: `TAG{n}` of a pool of the station's own."""
    time_zone: str = "UTC"
    urls: tuple[str, ...] = ()
    """Empty: the embedded central system's."""
    url_policy: UrlPolicy = "round_robin"
    passwords: str | None = field(default=None, repr=False)
    """A pattern with `{identity}` or `{n}`, or one password for all; None: that of `config`."""
    keys: Mapping[str, str] | None = field(default=None, repr=False)
    """Passwords by identity, in place of a pattern."""
    first_number: int = 1
    template: str | None = None
    """What its file calls the type of station, for tables and reports."""


@dataclass(frozen=True, slots=True)
class Member:
    """One station of the fleet."""

    identity: str
    number: int
    """Counted over the whole fleet from 0."""
    group: Group
    place: int
    """Its number within the group, from the group's `first_number`."""

    @property
    def password(self) -> str | None:
        """Its own, as a person writes it; None: that of the group's configuration."""
        if self.group.keys is not None:
            return self.group.keys.get(self.identity)
        pattern = self.group.passwords
        return None if pattern is None else password(pattern, self.identity, self.place)

    def url(self, seed: int, failures: int = 0) -> str | None:
        """Where it connects to after that many failed attempts; None: the embedded central system."""
        urls = self.group.urls
        if not urls:
            return None
        match self.group.url_policy:
            case "in_order":
                return urls[failures % len(urls)]
            case "by_station":
                return urls[int(draw(seed, self.identity, "central system", 0) * len(urls))]
            case "round_robin":
                return urls[(self.place - self.group.first_number) % len(urls)]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole fleet. Two plans with the same values give the same fleet with the same day."""

    groups: tuple[Group, ...]
    seed: int
    ramp_per_s: float = 50.0
    """Stations started per second of station time."""
    events: tuple[tuple[float, str], ...] = ()
    """Live events to come: seconds after the start of the run, and what, as `events.parse` reads it."""
    starts_at: float | None = None
    """When a clock that can be chosen begins; None: now."""
    one_numbering: bool = False
    """The central system numbers the transactions of all stations in one sequence."""
    moments_s: float = MOMENTS_S
    """In real time, what is due within such a span happens together at its end; 0: each when it is due."""

    @property
    def count(self) -> int:
        """Stations in the whole fleet."""
        return sum(group.count for group in self.groups)

    @property
    def stored(self) -> bool:
        """Each station has a database."""
        return any(group.config.storage is not None for group in self.groups)

    def members(self, shard: int = 0, shards: int = 1) -> Iterator[Member]:
        """The members of one shard of `shards`, in the order in which they are started."""
        number = 0
        for group in self.groups:
            first = number + (shard - number) % shards
            for index in range(first - number, group.count, shards):
                place = group.first_number + index
                yield Member(group.identities.format(n=place), number + index, group, place)
            number += group.count
