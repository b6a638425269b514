"""Distributions by inversion: one draw in [0, 1) gives one value, so a value depends on its draw alone."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from statistics import NormalDist
from typing import Generic, TypeVar

Item = TypeVar("Item")

_STANDARD = NormalDist()
_PIECES = 200


class Normal:
    """A normal distribution cut off at `least` and `most`, what lies beyond being spread over the rest."""

    __slots__ = ("_below", "_deviation", "_inside", "_least", "_mean", "_most")

    def __init__(self, mean: float, deviation: float, least: float, most: float) -> None:
        self._mean, self._deviation = mean, deviation
        self._least, self._most = least, most
        self._below = self._cdf(least)
        self._inside = self._cdf(most) - self._below

    def at(self, u: float) -> float:
        """The value below which the fraction `u` of all values lies."""
        fraction = self._below + u * self._inside
        if not 0.0 < fraction < 1.0 or not self._deviation:
            return min(max(self._mean, self._least), self._most)
        value = self._mean + self._deviation * _STANDARD.inv_cdf(fraction)
        return min(max(value, self._least), self._most)

    @property
    def mean(self) -> float:
        """The mean of what is drawn."""
        return sum(self.at((i + 0.5) / _PIECES) for i in range(_PIECES)) / _PIECES

    def _cdf(self, value: float) -> float:
        if not self._deviation:
            return float(value >= self._mean)
        return _STANDARD.cdf((value - self._mean) / self._deviation)


class Lognormal:
    """A time in seconds: half of all are shorter than `median_s`, two thirds within a factor of `spread`."""

    __slots__ = ("_log",)

    def __init__(self, median_s: float, spread: float, least_s: float, most_s: float) -> None:
        self._log = Normal(*map(math.log, (median_s, spread, max(least_s, 1e-3), most_s)))

    def at(self, u: float) -> float:
        """The time below which the fraction `u` of all times lies, in seconds."""
        return math.exp(self._log.at(u))

    @property
    def mean(self) -> float:
        """The mean of what is drawn, in seconds."""
        return sum(self.at((i + 0.5) / _PIECES) for i in range(_PIECES)) / _PIECES


class Weighted(Generic[Item]):
    """Things with weights; those of weight 0 are never drawn."""

    __slots__ = ("_items", "_sums")

    def __init__(self, weights: Iterable[tuple[Item, float]]) -> None:
        pairs = [(item, weight) for item, weight in weights if weight > 0]
        self._items = tuple(item for item, _ in pairs)
        self._sums = tuple(accumulate(weight for _, weight in pairs))

    def __bool__(self) -> bool:
        return bool(self._items)

    def at(self, u: float) -> Item:
        """The thing at the fraction `u` of all weights."""
        return self._items[min(bisect_right(self._sums, u * self._sums[-1]), len(self._items) - 1)]

    @property
    def shares(self) -> tuple[tuple[Item, float], ...]:
        """Each thing with its part of 1."""
        befores = (0.0, *self._sums)
        parts = [
            (after - before) / self._sums[-1] for before, after in zip(befores, self._sums, strict=False)
        ]
        return tuple(zip(self._items, parts, strict=True))
