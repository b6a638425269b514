"""A charge in closed form: energy, power and state of charge as functions of the time since it began.

Between two points of its curve the power is straight in the state of charge, so state of charge and power are
exponential in time, and energy follows from the state of charge. Nothing is stepped: asking twice costs twice
and changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from hal.simulated.curve import Curve, at, between

Point = tuple[float, float]
"""State of charge in percent and power in W."""


class Moment(NamedTuple):
    """One instant of a charge: energy taken from the grid side since it began, power, state of charge."""

    energy_wh: float
    power_w: float
    soc_percent: float


class Charge:
    """Charging along a curve of grid-side power over state of charge, from one state of charge to another.

    Of the power above `idle_w` the part `efficiency` reaches the battery. With `ramp_w_s` the power first
    climbs from `ramp_from_w` at that many watts per second; a ramp is for charges without `idle_w`.
    """

    __slots__ = (
        "_battery_wh",
        "_curve",
        "_efficiency",
        "_here",
        "_idle_w",
        "_ramp_from_w",
        "_ramp_s",
        "_ramp_w_s",
        "_soc",
        "lasts_s",
    )

    def __init__(
        self,
        power_w: Curve,
        *,
        soc_percent: float,
        target_percent: float,
        battery_wh: float,
        efficiency: float,
        idle_w: float = 0.0,
        ramp_from_w: float = 0.0,
        ramp_w_s: float = math.inf,
    ) -> None:
        assert not idle_w or math.isinf(ramp_w_s)
        self._battery_wh = battery_wh
        self._efficiency = efficiency
        self._idle_w = idle_w
        self._ramp_from_w = ramp_from_w
        self._ramp_w_s = ramp_w_s
        self._ramp_s = 0.0
        self._here: tuple[float, float, float, Point, Point] | None = None  # the piece asked for last
        self._soc = min(soc_percent, target_percent)
        start = self._climb(power_w, target_percent) if ramp_w_s < math.inf else self._soc
        self._curve = between(power_w, start, target_percent)
        self.lasts_s = self._ramp_s + sum(self._lasts_s(*piece) for piece in pairwise(self._curve))

    def after(self, seconds: float) -> Moment:
        """The charge `seconds` after it began; after its end no power flows and nothing is added."""
        if seconds < self._ramp_s:
            return Moment(
                self._ramp_wh(seconds), self._ramp_from_w + self._ramp_w_s * seconds, self._ramp_soc(seconds)
            )
        since_ramp_s = seconds - self._ramp_s
        if self._here is None or not self._here[0] <= since_ramp_s < self._here[1]:
            energy_wh = self._find(since_ramp_s)
            if energy_wh is not None:
                return Moment(energy_wh, 0.0, self._curve[-1][0])
        assert self._here is not None
        begins_s, _, energy_wh, start, end = self._here
        return self._within(start, end, since_ramp_s - begins_s, energy_wh)

    def bends_s(self) -> Iterator[float]:
        """When, since it began, its power has a bend: after the ramp, at points of the curve, at the end."""
        bend_s = self._ramp_s
        for piece in pairwise(self._curve):
            yield bend_s
            bend_s += self._lasts_s(*piece)
        if bend_s < math.inf:
            yield bend_s

    def _find(self, since_ramp_s: float) -> float | None:
        """Remember the piece of the curve that holds a moment; beyond the last one, all energy there is."""
        begins_s, energy_wh = 0.0, self._ramp_wh(self._ramp_s)
        for start, end in pairwise(self._curve):
            lasts_s = self._lasts_s(start, end)
            if since_ramp_s < begins_s + lasts_s:
                self._here = begins_s, begins_s + lasts_s, energy_wh, start, end
                return None
            energy_wh += self._grid_wh(end[0] - start[0], lasts_s)
            begins_s += lasts_s
        return energy_wh

    def _within(
        self, start: tuple[float, float], end: tuple[float, float], seconds: float, energy_wh: float
    ) -> Moment:
        """`seconds` into one straight piece that began with `energy_wh` behind it."""
        (soc, power_w), (end_soc, end_w) = start, end
        rate = self._percent_per_s(power_w)
        if rate == 0.0:
            return Moment(energy_wh + power_w * seconds / 3600.0, power_w, soc)
        growth = seconds * (self._percent_per_s(end_w) - rate) / (end_soc - soc)
        gained = rate * seconds * (math.expm1(growth) / growth if growth else 1.0)
        gained = min(gained, end_soc - soc)
        power_w += (end_w - power_w) * gained / (end_soc - soc)
        return Moment(energy_wh + self._grid_wh(gained, seconds), power_w, soc + gained)

    def _lasts_s(self, start: tuple[float, float], end: tuple[float, float]) -> float:
        """How long one straight piece takes."""
        (soc, power_w), (end_soc, end_w) = start, end
        if end_soc <= soc:
            return 0.0
        rate = self._percent_per_s(power_w)
        if rate == 0.0:
            return math.inf
        growth = self._percent_per_s(end_w) / rate - 1.0
        return (end_soc - soc) / rate * (math.log1p(growth) / growth if growth else 1.0)

    def _percent_per_s(self, power_w: float) -> float:
        stored_w = max(0.0, power_w - self._idle_w) * self._efficiency
        return stored_w / self._battery_wh / 36.0

    def _grid_wh(self, gained_percent: float, seconds: float) -> float:
        return gained_percent / 100.0 * self._battery_wh / self._efficiency + self._idle_w * seconds / 3600.0

    def _climb(self, power_w: Curve, target: float) -> float:
        """Fix how long the ramp takes, so that it ends on or under the curve; returns where it ends."""
        top_w = at(power_w, self._soc)
        end = self._soc
        for _ in range(2):  # the curve may fall while the ramp climbs
            self._ramp_s = max(0.0, (top_w - self._ramp_from_w) / self._ramp_w_s)
            end = self._ramp_soc(self._ramp_s)
            top_w = min(top_w, at(power_w, end))
        if end >= target:
            self._ramp_s, end = 0.0, self._soc
        return end

    def _ramp_wh(self, seconds: float) -> float:
        return (self._ramp_from_w + self._ramp_w_s * seconds / 2.0) * seconds / 3600.0 if seconds else 0.0

    def _ramp_soc(self, seconds: float) -> float:
        return self._soc + self._ramp_wh(seconds) * self._efficiency / self._battery_wh * 100.0
