"""Curves of straight pieces: reading, scaling and the lower of two."""

from __future__ import annotations

from itertools import pairwise

Curve = tuple[tuple[float, float], ...]
"""(x, y) with ascending x; before the first point and after the last the value stays."""


def at(curve: Curve, x: float) -> float:
    """The curve's value at `x`."""
    if x <= curve[0][0]:
        return curve[0][1]
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return curve[-1][1]


def scaled(curve: Curve, factor: float, offset: float = 0.0) -> Curve:
    """The curve with every value times `factor`, plus `offset`."""
    return tuple((x, y * factor + offset) for x, y in curve)


def lowest(first: Curve, second: Curve) -> Curve:
    """At every x the lower of both, from the smallest x of either to the largest."""
    points: list[tuple[float, float]] = []
    before_x = before = 0.0
    for x in sorted({x for x, _ in (*first, *second)}):
        difference = at(first, x) - at(second, x)
        if before * difference < 0:
            crossing = before_x + (x - before_x) * before / (before - difference)
            if before_x < crossing < x:
                points.append((crossing, at(first, crossing)))
        points.append((x, min(at(first, x), at(second, x))))
        before_x, before = x, difference
    return _without_flat_points(points)


def between(curve: Curve, start: float, end: float) -> Curve:
    """The part of the curve from `start` to `end`, both included as points."""
    inside = (point for point in curve if start < point[0] < end)
    return ((start, at(curve, start)), *inside, (end, at(curve, end)))


def _without_flat_points(points: list[tuple[float, float]]) -> Curve:
    """The same curve without points in the middle of a level stretch."""
    kept: list[tuple[float, float]] = []
    for point in points:
        if len(kept) > 1 and kept[-2][1] == kept[-1][1] == point[1]:
            kept.pop()
        kept.append(point)
    return tuple(kept)
