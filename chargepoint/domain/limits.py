"""What charging profiles allow at a moment and over a window of time (OCPP 1.6 §3.13): pure functions.

Nothing here walks second by second: each question is answered together with the moment at which the answer
may change, and a composite schedule is a walk from one such moment to the next. All spans are half-open: a
profile valid to 12:00 no longer counts at 12:00.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hal.api import Limit

Unit = Literal["A", "W"]
Purpose = Literal["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]
Kind = Literal["Absolute", "Recurring", "Relative"]
Recurrency = Literal["Daily", "Weekly"]

PHASES = 3
"""Assumed where a period names no number of phases (OCPP 1.6 §7.14, errata 3.69)."""

RECURRENCE_S: Mapping[Recurrency, int] = {"Daily": 86_400, "Weekly": 604_800}
"""Days and weeks as UTC counts them: changes to and from daylight saving time move nothing (errata 3.79)."""

LONGEST_WINDOW_S = 365 * 86_400
"""A composite schedule reaches no further than this."""

# A clock plus its correction can come out some 1e-7 s before the moment a timer was set for. Without this
# allowance the same boundary would be announced again at once, for ever on a clock that jumps.
_REACHED_S = 1e-6


@dataclass(frozen=True, slots=True)
class Period:
    """One step of a schedule, from `start_s` after its origin until the next step.

    `phases` None: not given, which means 3.
    """

    start_s: int
    limit: float
    phases: int | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Limits over time, in A per phase or in W over all phases (OCPP 1.6 §7.13).

    The first period starts at 0; the last one runs to the end of `duration_s`, None for an open end.
    `minimum` is the rate below which charging is inefficient, in `unit`: advice, not a promise.
    """

    unit: Unit
    periods: tuple[Period, ...]
    duration_s: int | None = None
    start_at: float | None = None
    minimum: float | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A charging profile as installed (OCPP 1.6 §7.8); `connector_id` 0 stays 0.

    `transaction_key` is the station's own key of the transaction a TxProfile belongs to.
    """

    id: int
    connector_id: int
    stack_level: int
    purpose: Purpose
    kind: Kind
    schedule: Schedule
    installed_at: float
    recurrency: Recurrency | None = None
    valid_from_at: float | None = None
    valid_to_at: float | None = None
    transaction_key: str | None = None

    def __str__(self) -> str:
        return f"{self.purpose} {self.id} (stack {self.stack_level})"


@dataclass(frozen=True, slots=True)
class Hardware:
    """The most one connector's installation delivers, whatever a profile says.

    AC: `current_a` per phase, `power_w` a further cap over all phases. DC: both are the output's, `phases`
    and `voltage_v` (phase to neutral) the grid's; without `power_w` the output is taken to be like the grid.
    """

    current_a: float
    power_w: float | None = None
    phases: int = 3
    voltage_v: float = 230.0
    dc: bool = False

    @property
    def watts(self) -> float:
        """The most power, over all phases."""
        grid_w = self.current_a * self.voltage_v * self.phases
        if self.power_w is None:
            return grid_w
        return self.power_w if self.dc else min(self.power_w, grid_w)

    @property
    def amperes(self) -> float:
        """The most current: per phase (AC), at the output (DC)."""
        if self.dc or self.power_w is None:
            return self.current_a
        return min(self.current_a, self.power_w / (self.voltage_v * self.phases))

    @property
    def output_v(self) -> float:
        """DC: the nominal output voltage, which turns output amperes into watts."""
        return self.watts / self.current_a


@dataclass(frozen=True, slots=True)
class Charging:
    """A running transaction, as far as limits depend on it."""

    transaction_key: str | None
    started_at: float


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one connector may draw by its TxProfile or TxDefaultProfile and its hardware.

    ChargePointMaxProfiles are not in it: they limit the sum. `because` tells a person what set the limit.
    `until` is the next moment at which any of this may change, None if never. `minimum_a` is what the profile
    in force would not like to fall below, in amperes per line of the grid connection; 0 without such advice.
    """

    limit: Limit
    phases: int
    because: str
    until: float | None
    minimum_a: float = 0.0


@dataclass(frozen=True, slots=True)
class Maximum:
    """A cap on the sum over several connectors: A per phase line of the grid connection, or W.

    `value` is infinite where nothing is in force. With `phases` a cap in W turns into amperes: a connector
    counts as `value` / (V x `phases`) even if it uses fewer of them (errata 3.69); with 1, plain watts count.
    `line` is the one line it is about, counted from 0; None: all of them.
    """

    value: float
    unit: Unit
    phases: int
    because: str
    until: float | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """A limit in force, in the words of the period that set it."""

    unit: Unit
    limit: float
    phases: int


@dataclass(frozen=True, slots=True)
class _InForce:
    """The winner among some profiles at one moment."""

    profile: Profile
    period: Period

    @property
    def rule(self) -> _Rule:
        return _Rule(self.profile.schedule.unit, self.period.limit, self.period.phases or PHASES)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Profiles in order of precedence, and where relative schedules begin."""

    ranked: tuple[Profile, ...]
    charging: Charging | None = None

    def at(self, moment: float) -> tuple[_InForce | None, float]:
        """The first that covers `moment`, and until when that answer holds."""
        until = math.inf
        for profile in self.ranked:
            period, holds_until = _period_at(profile, self.charging, moment)
            until = min(until, holds_until)
            if period is not None:
                return _InForce(profile, period), until
        return None, until


def connector_allowance(
    profiles: Iterable[Profile], connector_id: int, charging: Charging | None, hardware: Hardware, at: float
) -> Allowance:
    """What `connector_id` may draw at `at`, before any maximum is shared (OCPP 1.6 §3.13.3)."""
    winner, until = _candidates(profiles, connector_id, charging).at(at + _REACHED_S)
    limit = Limit(hardware.amperes, hardware.watts if hardware.dc else None)
    if winner is None:
        return Allowance(limit, hardware.phases, "hardware", _or_never(until))
    wanted = _as_limit(winner.rule, hardware)
    limit, by_profile = _smaller(wanted, limit, hardware)
    return Allowance(
        limit=limit,
        phases=min(winner.rule.phases, hardware.phases),
        because=str(winner.profile) if by_profile else "hardware",
        until=_or_never(until),
        minimum_a=_minimum_a(winner, hardware),
    )


def station_maximum(profiles: Iterable[Profile], at: float) -> Maximum:
    """The cap that ChargePointMaxProfiles put on the sum over all connectors at `at` (OCPP 1.6 §3.13.1)."""
    winner, until = _station_candidates(profiles).at(at + _REACHED_S)
    if winner is None:
        return Maximum(math.inf, "A", PHASES, "no maximum", _or_never(until))
    rule = winner.rule
    because = f"{winner.profile.purpose} {winner.profile.id}"
    return Maximum(rule.limit, rule.unit, rule.phases, because, _or_never(until))


def composite(
    profiles: Iterable[Profile],
    connector_id: int,
    charging: Mapping[int, Charging],
    hardwares: Mapping[int, Hardware],
    unit: Unit,
    at: float,
    duration_s: int,
    installation: Maximum | None = None,
) -> list[Period]:
    """The expected limits over [at, at + duration_s) in `unit` (OCPP 1.6 §5.7, §6.25); never empty.

    Periods count from the full second at or before `at`. Connector 0 reports the sum over `hardwares`, any
    other connector its own limit, capped by the whole ChargePointMaxProfile and not by a share of it. A
    connector missing in `charging` is computed as if a transaction started at `at`. `installation` is a
    maximum besides the profiles, at all times.
    """
    assert 0 < duration_s <= LONGEST_WINDOW_S, f"a window of {duration_s} s"
    profiles = tuple(profiles)
    maximum = _station_candidates(profiles)
    connectors = [
        (_candidates(profiles, n, charging.get(n) or Charging(None, at)), hardware)
        for n, hardware in hardwares.items()
        if connector_id in (0, n)
    ]
    fixed = [] if installation is None else [_rule_of(installation)]
    result: list[Period] = []
    origin, moment, end = math.floor(at), at, at + duration_s
    while moment < end:
        cap, until = maximum.at(moment)
        parts: list[tuple[_Rule | None, Hardware]] = []
        for candidates, hardware in connectors:
            winner, holds_until = candidates.at(moment)
            until = min(until, holds_until)
            parts.append((winner.rule if winner else None, hardware))
        caps = [cap.rule, *fixed] if cap else fixed
        limit, phases = _combined(parts, caps, unit, total=connector_id == 0)
        second = math.floor(moment - origin + 0.5) if result else 0
        _append(result, Period(min(second, duration_s - 1), round_down(limit), phases))
        moment = until
    return result


def round_down(value: float) -> float:
    """`value` cut to one decimal, as limits are written on the wire.

    What lies less than 1e-7 below a full tenth counts as that tenth, or floating point would make 0.6 a 0.5.
    """
    return math.floor(value * 10 + 1e-6) / 10


def _candidates(profiles: Iterable[Profile], connector_id: int, charging: Charging | None) -> _Candidates:
    """TxProfiles before TxDefaultProfiles, each by descending stack level.

    A TxDefaultProfile of the connector takes the place of the one for all connectors on its level, even while
    it is not valid itself; other levels stay (OCPP 1.6 §3.13.1).
    """
    transaction_key = charging.transaction_key if charging else None
    own: list[Profile] = []
    defaults: dict[int, Profile] = {}
    for profile in profiles:
        if profile.purpose == "TxProfile":
            if transaction_key is not None and profile.transaction_key == transaction_key:
                own.append(profile)
        elif profile.purpose == "TxDefaultProfile" and (
            profile.connector_id == connector_id
            or (profile.connector_id == 0 and profile.stack_level not in defaults)
        ):
            defaults[profile.stack_level] = profile
    return _Candidates(_by_level(own) + _by_level(defaults.values()), charging)


def _station_candidates(profiles: Iterable[Profile]) -> _Candidates:
    return _Candidates(_by_level(p for p in profiles if p.purpose == "ChargePointMaxProfile"))


def _by_level(profiles: Iterable[Profile]) -> tuple[Profile, ...]:
    return tuple(sorted(profiles, key=lambda profile: -profile.stack_level))


def _period_at(profile: Profile, charging: Charging | None, at: float) -> tuple[Period | None, float]:
    """The period in force at `at`, None if the profile does not cover it, and until when that is so."""
    if profile.valid_to_at is not None and at >= profile.valid_to_at:
        return None, math.inf
    if profile.valid_from_at is not None and at < profile.valid_from_at:
        return None, profile.valid_from_at
    period, until = _scheduled(profile, charging, at)
    return period, until if profile.valid_to_at is None else min(until, profile.valid_to_at)


def _scheduled(profile: Profile, charging: Charging | None, at: float) -> tuple[Period | None, float]:
    """`_period_at` of the schedule alone, without the profile's validity."""
    origin, end, again = _span(profile, charging, at)
    if at < origin:
        return None, origin
    if at >= end:
        return None, again
    periods = profile.schedule.periods
    # Compared as moments, not as elapsed seconds: only so is a boundary computed here reached at itself.
    following = bisect_right(periods, at, lo=1, key=lambda period: origin + period.start_s)
    until = origin + periods[following].start_s if following < len(periods) else math.inf
    return periods[following - 1], min(until, end)


def _span(profile: Profile, charging: Charging | None, at: float) -> tuple[float, float, float]:
    """Origin and end of the occurrence that counts at `at`, and the origin of the next one."""
    schedule = profile.schedule
    duration_s = math.inf if schedule.duration_s is None else schedule.duration_s
    if profile.kind == "Recurring":
        assert profile.recurrency is not None, f"{profile} recurs at no interval"
        assert schedule.start_at is not None, f"{profile} recurs from no start"
        every_s = RECURRENCE_S[profile.recurrency]
        origin, again = _occurrence(schedule.start_at, every_s, at)
        return origin, again if duration_s >= every_s else origin + duration_s, again
    if profile.kind == "Absolute" and schedule.start_at is not None:
        origin = schedule.start_at
    elif profile.purpose == "ChargePointMaxProfile":
        origin = profile.installed_at
    else:
        origin = charging.started_at if charging else math.inf
    return origin, origin + duration_s, math.inf


def _occurrence(start_at: float, every_s: int, at: float) -> tuple[float, float]:
    """The last repetition of `start_at` not after `at` (the first one if `at` is before it), and the next."""
    count = max(0, math.floor((at - start_at) / every_s))
    # The division may round across a full number by one.
    if count and start_at + count * every_s > at:
        count -= 1
    elif start_at + (count + 1) * every_s <= at:
        count += 1
    return start_at + count * every_s, start_at + (count + 1) * every_s


def _or_never(moment: float) -> float | None:
    return None if moment == math.inf else moment


def _as_limit(rule: _Rule, hardware: Hardware) -> Limit:
    """A profile's limit in the terms of the HAL; infinite where the profile does not limit."""
    if rule.unit == "A":
        return Limit(rule.limit)
    current_a = math.inf if hardware.dc else rule.limit / (hardware.voltage_v * rule.phases)
    return Limit(current_a, rule.limit)


def _smaller(wanted: Limit, installed: Limit, hardware: Hardware) -> tuple[Limit, bool]:
    """What both allow, and whether `wanted` is what decides."""
    current_a = min(wanted.current_a, installed.current_a)
    if not hardware.dc:
        return Limit(current_a, wanted.power_w), wanted.current_a <= installed.current_a
    assert installed.power_w is not None
    if wanted.power_w is None:
        return Limit(current_a, installed.power_w), wanted.current_a <= installed.current_a
    return Limit(current_a, min(wanted.power_w, installed.power_w)), wanted.power_w <= installed.power_w


def _minimum_a(winner: _InForce, hardware: Hardware) -> float:
    """The advised minimum of the profile in force, as the grid connection sees it."""
    schedule = winner.profile.schedule
    return _grid_value(_Rule(schedule.unit, schedule.minimum or 0.0, winner.rule.phases), hardware, "A")


def _combined(
    parts: list[tuple[_Rule | None, Hardware]], caps: Sequence[_Rule], unit: Unit, total: bool
) -> tuple[float, int]:
    """Limit and number of phases of one connector, or in `total` of the sum over several."""
    first, hardware = parts[0]
    if total:
        limit = sum(_grid_value(rule, hardware, unit) for rule, hardware in parts)
    else:
        limit = _value(first, hardware, unit)
    # A sum flows on as many phases as its widest connector.
    phases = max(min(rule.phases if rule else PHASES, hardware.phases) for rule, hardware in parts)
    for cap in caps:
        if total:
            grid = replace(hardware, phases=max(hardware.phases for _, hardware in parts), dc=False)
            ceiling = _in_unit(cap, grid, unit)
        else:
            ceiling = _ceiling(cap, hardware, unit)
        limit, phases = min(limit, ceiling), min(phases, cap.phases)
    return limit, phases


def _rule_of(maximum: Maximum) -> _Rule:
    return _Rule(maximum.unit, maximum.value, maximum.phases)


def _value(rule: _Rule | None, hardware: Hardware, unit: Unit) -> float:
    """What a profile and the hardware leave of one connector, at its output."""
    installed = hardware.amperes if unit == "A" else hardware.watts
    return installed if rule is None else min(installed, _in_unit(rule, hardware, unit))


def _grid_value(rule: _Rule | None, hardware: Hardware, unit: Unit) -> float:
    """The same as the grid connection sees it: a DC outlet's watts spread evenly over three lines."""
    if hardware.dc and unit == "A":
        return _value(rule, hardware, "W") / (hardware.voltage_v * PHASES)
    return _value(rule, hardware, unit)


def _ceiling(cap: _Rule, hardware: Hardware, unit: Unit) -> float:
    """A maximum of the grid connection at one connector's output."""
    if hardware.dc and cap.unit == "A":
        cap = _Rule("W", cap.limit * hardware.voltage_v * cap.phases, cap.phases)
    return _in_unit(cap, hardware, unit)


def _in_unit(rule: _Rule, hardware: Hardware, unit: Unit) -> float:
    """A limit at one connector in the unit asked for (errata 3.34, 3.69).

    From W to A with the phases the rule names; from A to W with no more phases than are installed, since the
    current is the same on each of them.
    """
    if rule.unit == unit:
        return rule.limit
    if hardware.dc:
        return rule.limit / hardware.output_v if unit == "A" else rule.limit * hardware.output_v
    if unit == "A":
        return rule.limit / (hardware.voltage_v * rule.phases)
    return rule.limit * hardware.voltage_v * min(rule.phases, hardware.phases)


def _append(result: list[Period], period: Period) -> None:
    """Add a step: of two in the same second the later wins, and equal neighbours become one."""
    if result and result[-1].start_s == period.start_s:
        result.pop()
    if result and (result[-1].limit, result[-1].phases) == (period.limit, period.phases):
        return
    result.append(period)
