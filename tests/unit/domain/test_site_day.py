"""The site limit under random houses and slow vehicles, judged second by second by what really flows.

The judge knows the house and the vehicles, and nothing of how the limit is worked out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chargepoint.domain import site as site_module
from chargepoint.domain.site import Draw, SiteLimit, SiteSettings
from hal.api import EvseInfo
from tests.unit.domain.building import Building, LateEvse

VEHICLE_S = 5.0  # IEC 61851-1: so long a vehicle may take to follow
RAISE_S = 10
LOST_S = 15
ROUNDING_A = 0.2

AC = EvseInfo()
AC_1P = EvseInfo(phases=1)


@dataclass(frozen=True)
class Day:
    """What happens: seconds between steps, and at each step one thing."""

    settings: SiteSettings
    infos: tuple[EvseInfo, ...]
    truth: Mapping[int, tuple[int, ...]]
    phases: tuple[int, ...]  # of the vehicles
    lags_s: tuple[float, ...]
    asked_s: tuple[float, ...]  # how often each connector's own meter is asked; 0: it is always right
    steps: tuple[tuple[int, str, Any], ...]


currents = st.floats(-20, 35, allow_nan=False).map(lambda a: round(a, 1))


@st.composite
def days(draw: Any) -> Day:
    limit_a = draw(st.sampled_from([16.0, 25.0, 40.0, 63.0]))
    single = draw(st.lists(st.booleans(), min_size=1, max_size=3))
    infos = tuple(AC_1P if one else AC for one in single)
    truth = {n: (draw(st.integers(0, 2)),) for n, one in enumerate(single, 1) if one}
    told = {n: lines for n, lines in truth.items() if draw(st.booleans())}
    step = st.one_of(
        st.tuples(st.just("house"), st.tuples(currents, currents, currents)),
        st.tuples(st.just("plug"), st.integers(0, len(infos) - 1)),
        st.tuples(st.just("silent"), st.booleans()),
    )
    return Day(
        settings=SiteSettings(
            limit_a=limit_a,
            lines=told or None,
            rules=draw(st.sampled_from([(), ((2, 20.0),), ((1, 32.0), (3, 12.0))])),
        ),
        infos=infos,
        truth=truth,
        phases=tuple(draw(st.sampled_from([1, 3])) for _ in infos),
        lags_s=tuple(draw(st.sampled_from([0.0, 2.0, 4.5])) for _ in infos),
        asked_s=tuple(draw(st.sampled_from([0.0, 0.7, 1.0])) for _ in infos),
        steps=tuple(
            (draw(st.integers(1, 40)), *draw(step)) for _ in range(draw(st.integers(1, 12)))
        ),
    )  # fmt: skip


class Judge:
    """One look each second at what flows and what was offered."""

    def __init__(self, day: Day) -> None:
        self.day = day
        unknown = {"AllowOfflineTxForUnknownId": "true"}
        self.building = Building(day.settings, *day.infos, truth=day.truth, connected=False, ocpp=unknown)
        self.building.cp.connectors.accepted_once = True  # and offline all day
        for number in range(1, len(day.infos) + 1):
            self.building.evses[number - 1].plug_in(_vehicle(day.phases[number - 1]))
            evse = self.building.slow[number - 1]
            assert isinstance(evse, LateEvse)
            evse.lag_s = day.lags_s[number - 1]
            if day.asked_s[number - 1]:
                evse.ask_every(day.asked_s[number - 1], first_s=0.4)
            self.building.swipe(f"TAG{number}", number)
        self.houses: list[tuple[float, ...]] = []
        self.silence_s = 0
        self.silences: list[int] = []  # how long the meter had been silent, each second
        self.offered: list[float] = []
        self.excess_s = [0, 0, 0]

    def run(self) -> None:
        self.watch(20)
        for wait_s, kind, value in self.day.steps:
            if kind == "house":
                self.building.house(*value)
            elif kind == "silent":
                self.building.meter.silent = value
            else:
                evse = self.building.slow[value]
                if evse.plugged:
                    self.building.swipe(f"TAG{value + 1}", value + 1)
                else:
                    evse.plug_in(_vehicle(self.day.phases[value]))
                    self.building.swipe(f"TAG{value + 1}", value + 1)
            self.watch(wait_s)

    def run_and_rest(self) -> None:
        self.run()
        self.comes_to_rest()

    def watch(self, seconds: int) -> None:
        for _ in range(seconds):
            self.building.advance(1)
            self.silence_s = self.silence_s + 1 if self.building.meter.silent else 0
            self.silences.append(self.silence_s)
            self.houses.append(self.building.house_a)
            self.offered.append(sum(self.building.offers()))
            self.nothing_is_exceeded()
            self.silence_is_safe()
            self.nothing_is_raised_in_haste()
            self.rules_are_kept()

    def nothing_is_exceeded(self) -> None:
        """No excess, unless a house load younger than the reaction times explains it, or the meter is silent.

        Where the station does not know which line a vehicle loads, it may have to find out: in as much time.
        """
        reaction_s = int(self.day.settings.reaction_s + VEHICLE_S)
        lately = self.houses[-reaction_s - 1 :]
        if len(lately) <= reaction_s or max(self.silences[-reaction_s - 1 :]):
            return
        for line, drawn_a in enumerate(self.building.drawn()):
            mildest_a = min(house[line] for house in lately)
            excess_a = drawn_a + mildest_a - self.day.settings.limit_a
            exceeded = drawn_a > ROUNDING_A and excess_a > ROUNDING_A
            self.excess_s[line] = self.excess_s[line] + 1 if exceeded else 0
            allowed_s = 0 if self.wiring_known else reaction_s
            assert self.excess_s[line] <= allowed_s, f"L{line + 1} carries {excess_a:.1f} A too much"

    @property
    def wiring_known(self) -> bool:
        """The station knows, or it does not matter, which lines each vehicle loads."""
        told = self.day.settings.lines or {}
        return all(
            number in told or (info is AC and phases == 3)
            for number, (info, phases) in enumerate(zip(self.day.infos, self.day.phases, strict=True), 1)
        )

    def silence_is_safe(self) -> None:
        if self.silence_s > LOST_S + 1:
            assert self.offered[-1] <= self.day.settings.safe_a, "too much offered in silence"

    def nothing_is_raised_in_haste(self) -> None:
        """What was offered more had been there all the time that more must be there."""
        if len(self.offered) < RAISE_S + 5 or self.offered[-1] <= self.offered[-2] or self.day.settings.lines:
            return
        if 1 in self.day.phases or AC_1P in self.day.infos:  # they need not be on the fullest line
            return
        if max(self.silences[-RAISE_S - 5 :]):
            return
        before = self.houses[-RAISE_S:-5]  # what came later may not have been noticed yet
        highest_a = max(max(house) for house in before)
        left_a = max(0.0, self.day.settings.limit_a - highest_a)
        assert self.offered[-1] <= left_a + ROUNDING_A, "raised in haste"

    def rules_are_kept(self) -> None:
        running = sum(c.transaction is not None for c in self.building.cp.connectors.all)
        for busy, limit_a in self.day.settings.rules:
            if running >= busy:
                assert self.offered[-1] <= limit_a + ROUNDING_A

    def comes_to_rest(self) -> None:
        """With a quiet house everything that is left is offered in the end, and nothing moves any more."""
        self.building.meter.silent = False
        self.building.house(4.0)
        self.watch(150)
        resting = self.building.offers()
        for _ in range(40):
            self.watch(1)
            assert self.building.offers() == resting, "does not come to rest"
        busy = [c for c in self.building.cp.connectors.all if c.transaction is not None and c.connected]
        configured = self.day.settings.configured(len(busy)).value
        least_a = min(configured, self.day.settings.limit_a - 4.0, 32.0 * len(busy))
        if busy and least_a >= 7.5:
            assert sum(resting) >= least_a - 1.5 - 0.1 * len(busy), f"{resting} of {least_a} A"


def _vehicle(phases: int) -> Any:
    from hal.simulated.vehicle import load_vehicle

    return replace(load_vehicle("compact"), ac_phases=phases, ac_max_power_w=22_000.0, soc_percent=20.0)


@pytest.mark.search
@settings(
    max_examples=400 if os.environ.get("CAMPAIGN") == "1" else 20,
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(days())
def test_the_limit_holds_whatever_the_house_does(day: Day) -> None:
    judge = Judge(day)
    judge.run_and_rest()


# --- the judge finds what is wrong ------------------------------------------------------------------

A_DAY = Day(
    SiteSettings(limit_a=40.0), (AC, AC), {}, (3, 3), (4.5, 4.5), (0.0, 1.0),
    (
        (40, "house", (5.0, 8.0, 2.0)),
        (30, "house", (24.0, 8.0, 2.0)),
        (8, "house", (5.0, 8.0, 2.0)),
        (8, "house", (26.0, 8.0, 2.0)),
        (4, "house", (5.0, 8.0, 2.0)),
        (30, "silent", True),
    ),
)  # fmt: skip
Read = Callable[[SiteLimit, float, Sequence[float], Sequence[Draw]], bool]


def _ignore_own_draw(read: Read) -> Read:
    def sabotaged(self: SiteLimit, at: float, current_a: Sequence[float], draws: Sequence[Draw]) -> bool:
        return read(self, at, current_a, [])

    return sabotaged


def _subtract_own_draw_twice(read: Read) -> Read:
    def sabotaged(self: SiteLimit, at: float, current_a: Sequence[float], draws: Sequence[Draw]) -> bool:
        return read(self, at, current_a, [*draws, *draws])

    return sabotaged


def _ignore_the_house(read: Read) -> Read:
    def sabotaged(self: SiteLimit, at: float, current_a: Sequence[float], draws: Sequence[Draw]) -> bool:
        return read(self, at, [0.0] * len(current_a), draws)

    return sabotaged


def _average_the_lines(read: Read) -> Read:
    def sabotaged(self: SiteLimit, at: float, current_a: Sequence[float], draws: Sequence[Draw]) -> bool:
        return read(self, at, [sum(current_a) / len(current_a)] * len(current_a), draws)

    return sabotaged


def _react_late(read: Read) -> Read:
    late: list[tuple[Sequence[float], Sequence[Draw]]] = []

    def sabotaged(self: SiteLimit, at: float, current_a: Sequence[float], draws: Sequence[Draw]) -> bool:
        late.append((current_a, draws))
        return read(self, at, *late[max(0, len(late) - 9)])

    return sabotaged


@pytest.mark.parametrize(
    ("sabotage", "found"),
    [
        (_ignore_own_draw, "rest|of .* A"),
        (_subtract_own_draw_twice, "too much|haste"),
        (_ignore_the_house, "too much|haste"),
        (_average_the_lines, "too much|haste"),
        (_react_late, "too much|haste"),
    ],
)
def test_a_wrong_reckoning_is_found(
    sabotage: Callable[[Read], Read], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SiteLimit, "read", sabotage(SiteLimit.read))
    judge = Judge(A_DAY)
    with pytest.raises(AssertionError, match=found):
        judge.run_and_rest()


def test_raising_at_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_module, "RAISED_BY_A", 1000.0)
    day = replace(A_DAY, settings=replace(A_DAY.settings, raise_after_s=0.0))
    with pytest.raises(AssertionError, match="haste"):
        Judge(day).run()


def test_ignoring_a_lost_meter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SiteLimit, "safe", property(lambda self: self.read_at is None))
    with pytest.raises(AssertionError, match="in silence"):
        Judge(replace(A_DAY, steps=((40, "house", (5.0, 5.0, 5.0)), (30, "silent", True)))).run()


def test_without_sabotage_that_day_is_fine() -> None:
    judge = Judge(A_DAY)
    judge.run_and_rest()
