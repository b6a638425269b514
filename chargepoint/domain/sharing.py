"""How connectors share what a maximum on their sum leaves them: a pure function of all of them at once.

Everything is counted as the grid connection sees it, in amperes per phase line. A connector of which nobody
knows better is taken to load every line: that leaves some capacity unused, but overloads no line. A DC outlet
draws its output power evenly from three lines; its losses are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chargepoint.domain.limits import PHASES, Maximum, round_down
from hal.api import AC_MINIMUM_A, NOTHING, Limit

_ROUNDING = 1e-6
"""A sum that exceeds its maximum by less did so in floating point only (A or W)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What one charging connector would draw if it were alone.

    `since`: who came first (seconds) is the last to be suspended. `minimum_a`: what it would not like to fall
    below, per line. `phases`: on how many lines it may draw, which is the installed number unless the
    hardware can switch. A DC `limit` counts by its watts. `lines`: the lines of the grid connection it loads,
    counted from 0; None: perhaps all of them.
    """

    connector_id: int
    limit: Limit
    since: float
    because: str
    minimum_a: float = 0.0
    phases: int = 3
    voltage_v: float = 230.0
    dc: bool = False
    lines: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """What one connector gets, and what a person should be told about why."""

    limit: Limit
    because: str


@dataclass(frozen=True, slots=True)
class _Claim:
    """A wish in amperes per line: at least `floor`, at most `ceiling`."""

    wish: Wish
    floor: float
    ceiling: float

    def at(self, level: float) -> float:
        """What it takes when everybody may take `level`."""
        return min(max(level, self.floor), self.ceiling)


def allocate(wishes: Sequence[Wish], maxima: Sequence[Maximum]) -> dict[int, Share]:
    """Divide every one of `maxima` among `wishes`: the same for all, by connector id.

    Nobody gets more than its own limit; what it leaves goes to the others, and what a full line denies to its
    connectors goes to those on other lines. An AC vehicle cannot be told less
    than 6 A, so when that does not fit for all, those who came last get nothing (OCPP 1.6 §3.13.1). A minimum
    above that is given in order of arrival as far as it fits. AC shares are whole tenths of an ampere.
    """
    finite = [maximum for maximum in maxima if maximum.value < math.inf]
    shares: dict[int, Share] = {}
    admitted: list[_Claim] = []
    taken = [0.0] * len(finite)  # by the floors of those admitted
    for claim in sorted((_claim(wish) for wish in wishes), key=lambda claim: claim.wish.since):
        sums = [used + claim.floor * _weight(claim.wish, m) for used, m in zip(taken, finite, strict=True)]
        if claim.ceiling < claim.floor or claim.ceiling <= 0:
            shares[claim.wish.connector_id] = Share(NOTHING, _too_little(claim.wish))
        elif short := next((m for used, m in zip(sums, finite, strict=True) if _breaks(used, m)), None):
            shares[claim.wish.connector_id] = Share(NOTHING, f"{short.because}: nothing left")
        else:
            admitted.append(claim)
            taken = sums
    _raise_to_minimum(admitted, finite)
    rising, settled = admitted, list[_Claim]()
    while rising:
        level, binding = _level(rising, settled, finite)
        bound = [claim for claim in rising if binding is None or _weight(claim.wish, binding)]
        sharers = len(admitted) if binding is None else _sharers(admitted, binding)
        for claim in bound:
            shares[claim.wish.connector_id] = _share(claim, level, binding, sharers)
        rising = [claim for claim in rising if claim not in bound]
        settled += [replace(claim, floor=claim.at(level), ceiling=claim.at(level)) for claim in bound]
    return shares


def _claim(wish: Wish) -> _Claim:
    floor = 0.0 if wish.dc else AC_MINIMUM_A
    ceiling = _line_a(wish)
    return _Claim(wish, floor, ceiling if wish.dc else round_down(ceiling))


def _line_a(wish: Wish) -> float:
    """The wish as amperes per line."""
    limit = wish.limit
    if limit.zero:
        return 0.0
    if not wish.dc or limit.power_w is None:
        return limit.current_a
    return limit.power_w / (wish.voltage_v * PHASES)


def _too_little(wish: Wish) -> str:
    return wish.because if wish.limit.zero else f"{wish.because}: below {AC_MINIMUM_A:g} A"


def _weight(wish: Wish, maximum: Maximum) -> float:
    """What one ampere per line of this connector takes from a maximum, in the maximum's unit."""
    if maximum.line is not None and wish.lines is not None and maximum.line not in wish.lines:
        return 0.0
    if maximum.unit == "A":
        return 1.0
    return wish.voltage_v * max(PHASES if wish.dc else wish.phases, maximum.phases)


def _taken(claims: Sequence[_Claim], maximum: Maximum, level: float) -> float:
    return sum(claim.at(level) * _weight(claim.wish, maximum) for claim in claims)


def _breaks(used: float, maximum: Maximum) -> bool:
    return used > maximum.value + _ROUNDING


def _raise_to_minimum(claims: list[_Claim], maxima: Sequence[Maximum]) -> None:
    """Lift floors to the minimum each claim would like, those who came first first, as far as all fits."""
    for index, claim in enumerate(claims):
        floor = min(claim.wish.minimum_a, claim.ceiling)
        if floor > claim.floor:
            claims[index] = replace(claim, floor=floor)
            if any(_breaks(_taken(claims, maximum, 0.0), maximum) for maximum in maxima):
                claims[index] = claim


def _sharers(claims: Sequence[_Claim], maximum: Maximum) -> int:
    return sum(_weight(claim.wish, maximum) > 0 for claim in claims)


def _level(
    rising: Sequence[_Claim], settled: Sequence[_Claim], maxima: Sequence[Maximum]
) -> tuple[float, Maximum | None]:
    """The highest level all that rise may take without breaking a maximum, and the maximum that sets it."""
    claims = [*rising, *settled]
    level, binding = math.inf, None
    for maximum in maxima:
        if _sharers(rising, maximum) and (highest := _highest_level(claims, maximum)) < level:
            level, binding = highest, maximum
    return level, binding


def _highest_level(claims: Sequence[_Claim], maximum: Maximum) -> float:
    """Where the claims together take exactly `maximum`; infinite where they never do.

    What they take grows in straight lines between their floors and ceilings, and never beyond the last.
    """
    if not _breaks(_taken(claims, maximum, math.inf), maximum):
        return math.inf
    corners = sorted({claim.floor for claim in claims} | {claim.ceiling for claim in claims})
    below = max(corner for corner in corners if not _breaks(_taken(claims, maximum, corner), maximum))
    slope = sum(_weight(claim.wish, maximum) for claim in claims if claim.floor <= below < claim.ceiling)
    return below + max(0.0, maximum.value - _taken(claims, maximum, below)) / slope


def _share(claim: _Claim, level: float, binding: Maximum | None, sharers: int) -> Share:
    wish, current_a = claim.wish, claim.at(level)
    if binding is None or current_a >= claim.ceiling:
        return Share(wish.limit if wish.dc else Limit(claim.ceiling, wish.limit.power_w), wish.because)
    because = f"{binding.because} shared by {sharers}" if sharers > 1 else binding.because
    if not wish.dc:
        return Share(Limit(round_down(current_a)), because)
    power_w = round_down(current_a * wish.voltage_v * PHASES)
    return Share(Limit(wish.limit.current_a, power_w) if power_w > 0 else NOTHING, because)
