"""The site limit: how much of a building's grid connection its connectors may use at this moment.

What the meter at the grid connection shows, less what the connectors draw themselves, is the house; what the
house leaves of the limit is theirs. Less applies as soon as the readings of a short while agree on it, more
only when it was there all the time for longer, and by steps: a kettle moves the limit once, not twice a
minute. Everything is in amperes per line of the grid connection, lines counted from 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from chargepoint.domain.limits import PHASES, Maximum, round_down
from hal.api import Fault, FaultKind

if TYPE_CHECKING:
    from chargepoint.domain.connector import Connector

RAISED_BY_A = 10.0
"""No line gets more than this back at a time."""

WORTHWHILE_A = 1.0
"""What is not at least so much more is not given back at all: vehicles need not follow every ripple."""

LONGEST_DOUBT_S = 2.0
"""The readings of so long must agree that there is less: two meters never tell of the same instant."""

UNEVEN_A = 1.0
"""Currents of one vehicle that differ by more are not those of a load on all lines."""

OWN_READING_LASTS_S = 5.0
"""What a connector's own meter said earlier than this before the site's reading tells nothing about now."""


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """The grid connection as its installer describes it; `docs/load-management.md` explains each value.

    `lines`: for each connector the line of the grid connection behind each of its own, where that is known.
    """

    limit_a: float
    phases: int = PHASES
    reserve_a: float = 0.0
    poll_s: float = 1.0
    reaction_s: float = 5.0
    raise_after_s: float = 10.0
    safe_a: float = 6.0
    meter_lost_s: float = 15.0
    rules: tuple[tuple[int, float], ...] = ()  # (busy connectors, amperes for all of them), ascending
    lines: Mapping[int, tuple[int, ...]] | None = None

    @property
    def usable_a(self) -> float:
        """What house and vehicles may draw together."""
        return self.limit_a - self.reserve_a

    @property
    def doubt_s(self) -> float:
        """How long readings must agree before less applies: what the polls leave of `reaction_s`."""
        return min(LONGEST_DOUBT_S, max(0.0, self.reaction_s - 3 * self.poll_s))

    def rule(self, busy: int) -> tuple[int, float] | None:
        """The rule for so many busy connectors: the one for the most of them that are busy."""
        return next((rule for rule in reversed(self.rules) if rule[0] <= busy), None)

    def configured(self, busy: int) -> Maximum:
        """What all connectors may draw at most, whatever the house leaves."""
        rule = self.rule(busy)
        value = self.usable_a if rule is None else min(self.usable_a, rule[1])
        return Maximum(value, "A", self.phases, "site limit")

    def expected(self, connector_id: int, count: int, charging: Collection[int]) -> Maximum:
        """The same while `connector_id` is busy beside those in `charging`; 0: all `count` connectors are."""
        return self.configured(sum(connector_id in (0, n) or n in charging for n in range(1, count + 1)))


@dataclass(frozen=True, slots=True)
class Draw:
    """What one connector draws from each line: somewhere between these two.

    `astray`: it draws from some line, nobody knows which; its current then counts on each.
    """

    least_a: tuple[float, ...]
    most_a: tuple[float, ...]
    astray: bool = False


class _Line:
    """What the connectors may draw from one line."""

    __slots__ = ("_least_a", "_recent", "_since", "left_a")

    def __init__(self, left_a: float, at: float) -> None:
        self.left_a = left_a
        self._recent: tuple[tuple[float, float], ...] = ()  # readings young enough to contradict the newest
        self._since = at  # there was nothing to give back
        self._least_a = inf  # that was left after that

    def read(self, at: float, least_a: float, most_a: float, settings: SiteSettings) -> None:
        """The house leaves between `least_a` and `most_a`."""
        doubted = at - settings.doubt_s
        self._recent = (*(reading for reading in self._recent if reading[0] > doubted), (at, most_a))
        agreed_a = max(left_a for _, left_a in self._recent)
        self._least_a = min(self._least_a, least_a)
        if agreed_a < self.left_a:
            self.left_a = agreed_a
        elif least_a >= self.left_a + WORTHWHILE_A:
            if at - self._since < settings.raise_after_s:
                return
            self.left_a = min(self._least_a, self.left_a + RAISED_BY_A)
        self._since, self._least_a = at, inf


class SiteLimit:
    """What the connectors of one station may draw now, from the readings of the site's meter.

    Tell it every reading (`read`), and that one may be missing at `lost_at` (`look`). `since` is when it
    began to wait for the first one.
    """

    __slots__ = ("_apart", "_lines", "current_a", "house_a", "lost", "read_at", "settings", "since")

    def __init__(self, settings: SiteSettings, since: float) -> None:
        self.settings = settings
        self.since = since
        self.read_at: float | None = None
        self.lost = False
        self.current_a: tuple[float, ...] = ()
        self.house_a: tuple[float, ...] = ()
        self._lines: tuple[_Line, ...] = ()
        every = set(range(settings.phases))
        self._apart = any(set(lines) != every for lines in (settings.lines or {}).values())

    def read(self, at: float, current_a: Sequence[float], draws: Sequence[Draw]) -> bool:
        """The meter showed `current_a`, below 0 while the site exports; True if the maxima are others now."""
        settings = self.settings
        assert len(current_a) == settings.phases
        if self.read_at is not None and at <= self.read_at:
            return False
        before = None if self.safe else self._left_a
        least = [sum(draw.least_a[line] for draw in draws) for line in range(settings.phases)]
        most = [sum(draw.most_a[line] for draw in draws) for line in range(settings.phases)]
        # Where nobody knows who loads the line that carries too much, each has to give way by all of it.
        guilty = sum(max(draw.most_a) > 0 for draw in draws) if any(draw.astray for draw in draws) else 1
        floors = [self._left(shown, own, guilty) for shown, own in zip(current_a, least, strict=True)]
        ceilings = [self._left(shown, own, guilty) for shown, own in zip(current_a, most, strict=True)]
        if self.read_at is None:
            self._lines = tuple(_Line(left_a, at) for left_a in floors)
        elif self.lost:
            self._lines = tuple(_Line(min(settings.safe_a, left_a), at) for left_a in floors)
        self.read_at, self.lost = at, False
        self.current_a = tuple(current_a)
        self.house_a = tuple(shown - own for shown, own in zip(current_a, most, strict=True))
        for line, floor, ceiling in zip(self._lines, floors, ceilings, strict=True):
            line.read(at, floor, ceiling, settings)
        return before != self._left_a

    def look(self, now: float) -> bool:
        """True if by now the meter has been silent for too long, and was not before."""
        if self.lost or now < self.lost_at:
            return False
        self.lost = True
        return True

    @property
    def lost_at(self) -> float:
        """When the meter will have been silent for too long, unless it is heard before."""
        return (self.since if self.read_at is None else self.read_at) + self.settings.meter_lost_s

    @property
    def safe(self) -> bool:
        """Nothing is known of the house: the connectors share the safe value."""
        return self.lost or self.read_at is None

    @property
    def left_a(self) -> float:
        """What all connectors may draw together on the line that leaves least."""
        return self.settings.safe_a if self.safe else min(self._left_a)

    @property
    def fault(self) -> Fault | None:
        """What the station reports while the meter is lost: a warning, since charging goes on."""
        return Fault(FaultKind.METER, False, "site meter silent", "SiteMeter") if self.lost else None

    def maxima(self, busy: int) -> list[Maximum]:
        """What to divide among `busy` connectors."""
        settings = self.settings
        maxima = self._safe() if self.safe else self._measured()
        if (rule := settings.rule(busy)) is not None:
            maxima.append(
                Maximum(rule[1], "A", settings.phases, f"site rule for {rule[0]} busy ({rule[1]:g} A)")
            )
        return maxima

    def _safe(self) -> list[Maximum]:
        why = "site meter silent" if self.lost else "site meter not read yet"
        safe_a = self.settings.safe_a
        return [Maximum(safe_a, "A", self.settings.phases, f"{why} ({safe_a:g} A for all)")]

    def _measured(self) -> list[Maximum]:
        """One maximum for each line, or one for all where every connector loads them all."""
        phases, usable = self.settings.phases, f"{self.settings.usable_a:g} A left"
        if not self._apart:
            left_a = min(self._left_a)
            return [Maximum(left_a, "A", phases, f"site limit ({left_a:g} A of {usable})")]
        return [
            Maximum(left_a, "A", phases, f"site limit ({left_a:g} A of {usable} on L{line + 1})", line=line)
            for line, left_a in enumerate(self._left_a)
        ]

    @property
    def _left_a(self) -> list[float]:
        return [line.left_a for line in self._lines]

    def _left(self, shown_a: float, own_a: float, guilty: int) -> float:
        """What is left for all connectors where the meter shows `shown_a` and they draw `own_a` of it.

        Never more than the limit: what the house gives back is no part of what was configured.
        """
        usable_a = self.settings.usable_a
        free_a = usable_a - shown_a
        return round_down(max(0.0, min(usable_a, own_a + (free_a if free_a > 0 else free_a * guilty))))


def draw(connector: Connector, settings: SiteSettings, at: float) -> Draw:
    """What a connector drew when the site's meter was read; without a reading, anything up to its permit."""
    info, reading = connector.evse.info, connector.reading()
    lines = (settings.lines or {}).get(connector.id)
    if reading is None or reading.time < at - OWN_READING_LASTS_S:
        permit = connector.applied
        if info.current == "dc":
            most_a = (permit.power_w or info.max_power_w or 0.0) / (info.nominal_voltage_v * PHASES)
            most_a = 0.0 if permit.zero else most_a
        else:
            most_a = permit.current_a
        most = _on_lines((most_a,) * info.phases, lines, settings.phases)
        return Draw((0.0,) * settings.phases, most, lines is None and info.phases < settings.phases)
    if info.current == "dc":
        drawn = (reading.power_w / (info.nominal_voltage_v * PHASES),) * PHASES
    elif reading.current_a:
        drawn = reading.current_a
    else:
        drawn = (reading.power_w / (info.nominal_voltage_v * info.phases),) * info.phases
    on_lines = _on_lines(drawn, lines, settings.phases)
    uneven = len(drawn) < settings.phases or max(drawn) - min(drawn) > UNEVEN_A
    return Draw(on_lines, on_lines, lines is None and uneven)


def _on_lines(drawn: Sequence[float], lines: tuple[int, ...] | None, phases: int) -> tuple[float, ...]:
    """Currents at a connector's own lines as those of the grid connection see them.

    Where its wiring is not known its highest counts on each line, as its share does.
    """
    if lines is None:
        return (max(drawn, default=0.0),) * phases
    seen = [0.0] * phases
    for line, current_a in zip(lines, drawn, strict=False):
        seen[line] += current_a
    return tuple(seen)
