"""Measures whether a site stayed under its limit, and who got how much: exactly, not by sampling.

Between two changes (of the building's load, of an offer, of what a vehicle does) every draw is a smooth
function that is known in advance. What is over the limit is found by its zeros and integrated between them,
so that no length of a tick has a part in the figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from typing import Any

from hal.api import Limit
from hal.simulated.course import Course
from hal.simulated.evse import SimulatedEvse
from scenarios.site import NOMINAL_V, Load, SiteEntry

__all__ = ["NUMBERS", "CarEnergy", "Measured", "Oracle", "Span", "jain"]

_NOTHING = 1e-6
"""Amperes, or watts, that are no excess: currents are worked back from powers."""

_INSIDE_S = 1e-6
"""So far from an end of a stretch it is looked at: at the end itself the next one may have begun."""

_SMOOTH_S = 300.0
"""A draw that is not level is looked at in pieces so long: within one it crosses the limit once at most."""

_GAUSS = ((-sqrt(0.6), 5 / 18), (0.0, 8 / 18), (sqrt(0.6), 5 / 18))


@dataclass(frozen=True, slots=True)
class CarEnergy:
    """One stay of one vehicle. `asked_wh`: what it would have taken in that time if nobody had limited it."""

    cp: str
    connector: int
    vehicle: str
    plugged_at: float
    left_at: float | None
    asked_wh: float
    delivered_wh: float


@dataclass(slots=True)
class Span:
    """A stretch in which everything is straight enough to draw; at its beginning and at its end.

    In the unit of the limit; in amperes of the phase that carries most.
    """

    began_at: float
    ended_at: float
    limit: float
    load: float
    draws: Mapping[str, tuple[float, float]]  # by station

    @property
    def total(self) -> tuple[float, float]:
        """Building and stations together."""
        begins, ends = zip(*self.draws.values(), strict=True) if self.draws else ((), ())
        return self.load + sum(begins), self.load + sum(ends)


@dataclass(slots=True)
class Measured:
    """What an oracle found; plain values, for the verdict and the report."""

    unit: str  # A (on each phase) or W
    limits: tuple[float, float]  # the lowest and the highest that there was
    numbers: dict[str, float] = field(default_factory=dict)
    cars: list[CarEnergy] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    over: list[tuple[float, float]] = field(default_factory=list)

    @property
    def limit(self) -> str:
        """For people: `40 A`, or of one that followed the day `its limit of 20 to 40 A`."""
        least, most = self.limits
        return f"{most:g} {self.unit}" if least == most else f"its limit of {least:g} to {most:g} {self.unit}"

    def series(self) -> dict[str, list[tuple[float, float]]]:
        """Lines to draw, each of (station time, value): `limit`, `load`, `total` and one for each station."""
        lines: dict[str, list[tuple[float, float]]] = {"limit": [], "load": [], "total": []}
        for span in self.spans:
            ends = {"limit": (span.limit,) * 2, "load": (span.load,) * 2, "total": span.total, **span.draws}
            for name, (begins, ended) in ends.items():
                line = lines.setdefault(name, [])
                if not line or line[-1] != (span.began_at, begins):
                    line.append((span.began_at, begins))
                elif len(line) > 1 and line[-2][1] == begins == ended:
                    line.pop()  # it goes on level
                line.append((span.ended_at, ended))
        return lines


@dataclass(slots=True)
class _Outlet:
    """A connector behind the site's limit."""

    cp: str
    connector: int
    lines: tuple[int, ...]
    course: Course
    soc_percent: float = 0.0  # with which the vehicle came
    plugged_at: float = 0.0
    delivered_wh: float = 0.0  # before the present course

    def stay(self, at: float, left_at: float | None) -> CarEnergy | None:
        """The vehicle that is here now, at `at`."""
        car = self.course.car
        if car is None:
            return None
        asked_wh = self.course.unlimited_wh(self.soc_percent, at - self.plugged_at)
        delivered_wh = self.delivered_wh + self.course.gained_wh(at)
        return CarEnergy(
            self.cp, self.connector, car.vehicle.name, self.plugged_at, left_at, asked_wh, delivered_wh
        )


class Oracle:
    """Follows one site from `began_at` on; tell it of every new course of a connector, ask it at any time."""

    def __init__(self, site: SiteEntry, limit: Load, load_w: Load, began_at: float) -> None:
        """`limit` is in the site's unit."""
        self._site = site
        self._in_amperes = site.limit_a is not None
        self._limits = limit
        self._limit = self._least = self._most = limit.value(began_at)
        self._load_w = load_w
        self._outlets: list[_Outlet] = []
        self._at = began_at
        self._load = load_w.value(began_at)
        self._stays: list[CarEnergy] = []
        self._over_s = self._over_wh = self._max_over_w = self._max_over_a = 0.0
        self._waiting: list[float] = []  # changes that need a reaction
        self._reactions: list[float] = []
        self._unanswered = 0
        self._spans: list[Span] = []
        self._over: list[tuple[float, float]] = []

    def add(self, cp: str, connector: int, evse: SimulatedEvse) -> None:
        """A connector is behind this limit; its changes are heard from now on."""
        lines = self._site.lines(cp, connector, evse.info.phases)
        outlet = _Outlet(cp, connector, lines, evse.course)
        self._outlets.append(outlet)
        evse.observer = lambda: self._changed(outlet, evse.course)

    def next_change(self, at: float) -> float | None:
        """When the building's load, or the limit, changes after that."""
        changes = (self._load_w.next_change(at), self._limits.next_change(at))
        return min((change for change in changes if change is not None), default=None)

    def numbers(self, now: float) -> dict[str, Any]:
        """The figures up to now, and the state of the site, by the names that a scenario knows them by."""
        self._advance(now)
        cars = self._cars(now)
        asked_wh = sum(car.asked_wh for car in cars)
        waiting = [now - since for since in self._waiting]
        found: dict[str, Any] = {
            "over_seconds": round(self._over_s, 6),
            "over_wh": round(self._over_wh, 6),
            "max_over_w": round(self._max_over_w, 6),
            "max_over_a": round(self._max_over_a, 6) if self._in_amperes else None,
            "reaction_s": round(max((*self._reactions, *waiting), default=0.0), 6),
            "unanswered": self._unanswered + len(waiting),
            "asked_wh": round(asked_wh, 6),
            "delivered_wh": round(sum(car.delivered_wh for car in cars), 6),
            "fairness": round(jain([car.delivered_wh / car.asked_wh for car in cars if car.asked_wh > 0]), 6),
        }
        phases_v = self._site.phases * NOMINAL_V
        load, draw = self._building(), sum(self._drawn(now))
        if self._in_amperes:
            draw = max(self._drawn(now))
        for name, value in (("limit", self._limit), ("load", load), ("draw", draw)):
            found[f"{name}_a"] = round(value if self._in_amperes else value / phases_v, 6)
            found[f"{name}_w"] = round(value * phases_v if self._in_amperes else value, 6)
        for unit in "aw":
            found[f"free_{unit}"] = round(max(found[f"limit_{unit}"] - found[f"load_{unit}"], 0.0), 6)
        return found

    def measured(self, now: float) -> Measured:
        """Everything, for the verdict and the report."""
        numbers = self.numbers(now)
        lasting = {name: numbers[name] for name in NUMBERS if numbers[name] is not None}
        unit = "A" if self._in_amperes else "W"
        limits = self._least, self._most
        return Measured(unit, limits, lasting, self._cars(now), list(self._spans), list(self._over))

    # --- what happens ---------------------------------------------------------------------------------

    def _changed(self, outlet: _Outlet, course: Course) -> None:
        self._advance(course.since)
        before, at = outlet.course, self._at
        if course.car is not before.car:
            if (stay := outlet.stay(at, at)) is not None:
                self._stays.append(stay)
            outlet.plugged_at, outlet.delivered_wh = at, 0.0
            outlet.soc_percent = 0.0 if course.car is None else course.car.soc_percent
        else:
            outlet.delivered_wh += before.gained_wh(at)
        outlet.course = course
        if course.car is not None and course.car is before.car and _lower(course.offered, before.offered):
            self._reactions += [at - since for since in self._waiting]
            self._waiting.clear()
        self._give_up(at)

    def _give_up(self, at: float) -> None:
        """What waits for a reaction needs none if the site is under its limit without one."""
        if self._waiting and not self._over_at(at + _INSIDE_S):
            self._reactions += [at - since for since in self._waiting]
            self._unanswered += len(self._waiting)
            self._waiting.clear()

    def _advance(self, now: float) -> None:
        while self._at < now:
            change = self.next_change(self._at)
            until = now if change is None else min(change, now)
            bends = {bend for outlet in self._outlets for bend in outlet.course.bends()}
            cuts = [self._at, *sorted(bend for bend in bends if self._at < bend < until), until]
            for begins, ends in pairwise(cuts):
                self._stretch(begins, ends)
            self._at = until
            if until == change:
                self._take_change(until)

    def _take_change(self, at: float) -> None:
        room = self._room()
        self._load, self._limit = self._load_w.value(at), self._limits.value(at)
        self._least, self._most = min(self._least, self._limit), max(self._most, self._limit)
        if self._room() < room and self._over_at(at + _INSIDE_S):
            self._waiting.append(at)
        else:
            self._give_up(at)

    # --- excess ---------------------------------------------------------------------------------------

    def _stretch(self, begins: float, ends: float) -> None:
        """Everything is smooth between the two."""
        first, last = _within(begins, ends)
        level = all(outlet.course.power_w(first) == outlet.course.power_w(last) for outlet in self._outlets)
        pieces = 1 if level else int((ends - begins) // _SMOOTH_S) + 1
        times = [begins + (ends - begins) * n / pieces for n in range(pieces)] + [ends]
        for start, end in pairwise(times):
            self._note(start, end)
            for inner_start, inner_end in pairwise([start, *sorted(self._zeros(start, end)), end]):
                self._add(inner_start, inner_end)

    def _zeros(self, start: float, end: float) -> Iterator[float]:
        """Where a phase, or the sum, crosses the limit."""
        begins, ends = _within(start, end)
        every = zip(self._excess(begins), self._excess(ends), strict=True)
        for channel, (one, other) in enumerate(every):
            if (one > _NOTHING) != (other > _NOTHING):
                low, high = begins, ends
                while high - low > _INSIDE_S:
                    middle = (low + high) / 2
                    if (self._excess(middle)[channel] > _NOTHING) == (one > _NOTHING):
                        low = middle
                    else:
                        high = middle
                yield high

    def _add(self, start: float, end: float) -> None:
        """Between two zeros: what is over is so all the time."""
        length_s = end - start
        if not self._over_at(start + length_s / 2):
            self._give_up(start)
            return
        for at in _within(start, end):
            excess = self._excess(at)
            self._max_over_w = max(self._max_over_w, self._watts(excess))
            if self._in_amperes:
                self._max_over_a = max(self._max_over_a, *excess)
        mean_w = sum(
            weight * self._watts(self._excess(start + length_s * (1 + node) / 2)) for node, weight in _GAUSS
        )
        self._over_s += length_s
        self._over_wh += mean_w * length_s / 3600.0
        if self._over and self._over[-1][1] == start:
            self._over[-1] = self._over[-1][0], end
        else:
            self._over.append((start, end))

    def _over_at(self, at: float) -> bool:
        return max(self._excess(at)) > _NOTHING

    def _excess(self, at: float) -> list[float]:
        """Amperes of each phase, or watts of all, beyond the limit; below 0 where there is room."""
        room = self._room()
        return [drawn - room for drawn in self._drawn(at)]

    def _room(self) -> float:
        """What the building leaves of the limit, in its unit; below 0 if it is over it by itself."""
        return self._limit - self._building()

    def _watts(self, excess: list[float]) -> float:
        factor = NOMINAL_V if self._in_amperes else 1.0
        return sum(max(one, 0.0) for one in excess) * factor

    def _building(self) -> float:
        """In the unit of the limit."""
        return self._load / (self._site.phases * NOMINAL_V) if self._in_amperes else self._load

    def _drawn(self, at: float) -> list[float]:
        """Of all vehicles, on each phase or together."""
        if not self._in_amperes:
            return [sum(outlet.course.power_w(at) for outlet in self._outlets)]
        drawn = [0.0] * self._site.phases
        for outlet in self._outlets:
            for line, current_a in zip(outlet.lines, outlet.course.current_a(at), strict=False):
                drawn[line] += current_a
        return drawn

    # --- for people -----------------------------------------------------------------------------------

    def _note(self, start: float, end: float) -> None:
        """A stretch of the plot; one that only goes on level is no new one."""
        ends = _within(start, end)
        channel = 0
        if self._in_amperes:
            fullest = max(ends, key=lambda at: max(self._drawn(at)))
            drawn = self._drawn(fullest)
            channel = drawn.index(max(drawn))
        draws = {outlet.cp: (0.0, 0.0) for outlet in self._outlets}
        for outlet in self._outlets:
            first, last = (self._of(outlet, at, channel) for at in ends)
            draws[outlet.cp] = draws[outlet.cp][0] + first, draws[outlet.cp][1] + last
        newest = self._spans[-1] if self._spans else None
        level = all(first == last for first, last in draws.values())
        span = Span(start, end, self._limit, self._building(), draws)
        same = newest is not None and (newest.limit, newest.load, newest.draws) == (
            span.limit,
            span.load,
            draws,
        )
        if newest is not None and level and same:
            newest.ended_at = end
        else:
            self._spans.append(span)

    def _of(self, outlet: _Outlet, at: float, channel: int) -> float:
        if not self._in_amperes:
            return outlet.course.power_w(at)
        currents = zip(outlet.lines, outlet.course.current_a(at), strict=False)
        return sum(current_a for line, current_a in currents if line == channel)

    def _cars(self, now: float) -> list[CarEnergy]:
        here = (outlet.stay(now, None) for outlet in self._outlets)
        return [*self._stays, *(stay for stay in here if stay is not None)]


NUMBERS = (
    "over_seconds", "over_wh", "max_over_w", "max_over_a", "reaction_s", "unanswered", "asked_wh",
    "delivered_wh", "fairness",
)  # fmt: skip
"""The figures of a run, in the order in which they are told."""


def jain(shares: list[float]) -> float:
    """Jain's index: 1 if all have the same share, 1/n if one of n has everything; 1 if nobody asked."""
    squares = sum(share**2 for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _lower(offer: Limit, before: Limit) -> bool:
    """The pilot (or a DC outlet's power) announces less."""
    if offer.power_w is not None and before.power_w is not None and offer.power_w < before.power_w:
        return True
    return offer.current_a < before.current_a


def _within(start: float, end: float) -> tuple[float, float]:
    """Both ends of a stretch, as seen from within it."""
    middle = (start + end) / 2
    return min(start + _INSIDE_S, middle), max(end - _INSIDE_S, middle)
