"""A slow, obvious answer to what chargepoint.domain.limits computes: tick by tick, in fractions.

Written from OCPP 1.6 §3.13 and its errata, not from the code under test: it shares the value types with it
and nothing else. A tick is 1 s or less, and every moment in a question must fall on one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import floor

from chargepoint.domain.limits import Charging, Hardware, Period, Profile, Unit

Step = tuple[str, Fraction, int]
"""A limit in force: unit, value, number of phases."""


def step_of(profile: Profile, t: float, tx_start: float | None) -> Step | None:
    """What one profile says at `t`, None if nothing."""
    if profile.valid_from_at is not None and t < profile.valid_from_at:
        return None
    if profile.valid_to_at is not None and not t < profile.valid_to_at:
        return None
    schedule = profile.schedule
    begins: float | None = tx_start
    if profile.purpose == "ChargePointMaxProfile":
        begins = profile.installed_at
    if profile.kind != "Relative" and schedule.start_at is not None:
        begins = schedule.start_at
    if begins is None or t < begins:
        return None
    elapsed = t - begins
    if profile.kind == "Recurring":
        elapsed = elapsed % (24 * 3600 if profile.recurrency == "Daily" else 7 * 24 * 3600)
    if schedule.duration_s is not None and elapsed >= schedule.duration_s:
        return None
    current = schedule.periods[0]
    for period in schedule.periods:
        if period.start_s <= elapsed:
            current = period
    return schedule.unit, Fraction(str(current.limit)), current.phases or 3


def highest(profiles: Sequence[Profile], t: float, tx_start: float | None) -> Step | None:
    """What the highest stack level says that says anything."""
    for profile in sorted(profiles, key=lambda p: p.stack_level, reverse=True):
        step = step_of(profile, t, tx_start)
        if step is not None:
            return step
    return None


def of_transaction(
    profiles: Sequence[Profile], connector: int, charging: Charging | None, t: float
) -> Step | None:
    """TxProfile, else TxDefaultProfile, else nothing, for this very moment."""
    tx_start = charging.started_at if charging else None
    if charging is not None and charging.transaction_key is not None:
        mine = [p for p in profiles if p.transaction_key == charging.transaction_key]
        step = highest(mine, t, tx_start)
        if step is not None:
            return step
    defaults = [p for p in profiles if p.purpose == "TxDefaultProfile"]
    here = [p for p in defaults if p.connector_id == connector]
    taken = [p.stack_level for p in here]
    everywhere = [p for p in defaults if p.connector_id == 0 and p.stack_level not in taken]
    return highest(here + everywhere, t, tx_start)


def amperes_and_watts(step: Step, hardware: Hardware, of_grid: bool) -> tuple[Fraction, Fraction]:
    """A limit in both units at a connector; `of_grid`: it limits the station's connection, not the output."""
    unit, value, phases = step
    volts = Fraction(hardware.voltage_v)
    if hardware.dc:
        output_volts = most(hardware)[1] / most(hardware)[0]
        if unit == "W":
            return value / output_volts, value
        watts = value * volts * phases if of_grid else value * output_volts
        return watts / output_volts, watts
    if unit == "W":
        return value / (volts * phases), value
    return value, value * volts * min(phases, hardware.phases)


def most(hardware: Hardware) -> tuple[Fraction, Fraction]:
    """The installation's maximum in both units."""
    amperes, volts = Fraction(hardware.current_a), Fraction(hardware.voltage_v)
    watts = amperes * volts * hardware.phases
    if hardware.power_w is not None:
        if hardware.dc:
            watts = Fraction(hardware.power_w)
        elif Fraction(hardware.power_w) < watts:
            watts = Fraction(hardware.power_w)
            amperes = watts / (volts * hardware.phases)
    return amperes, watts


def alone(
    profiles: Sequence[Profile], connector: int, charging: Charging | None, hardware: Hardware, t: float
) -> tuple[Fraction, Fraction, int]:
    """Amperes, watts and phases of one connector without any ChargePointMaxProfile."""
    amperes, watts = most(hardware)
    step = of_transaction(profiles, connector, charging, t)
    if step is None:
        return amperes, watts, hardware.phases
    step_amperes, step_watts = amperes_and_watts(step, hardware, of_grid=False)
    return min(amperes, step_amperes), min(watts, step_watts), min(step[2], hardware.phases)


def limit_at(
    profiles: Sequence[Profile],
    connector: int,
    charging: Mapping[int, Charging],
    hardwares: Mapping[int, Hardware],
    unit: Unit,
    t: float,
) -> tuple[Fraction, int]:
    """The expected limit of a connector, or of the station for connector 0, at one moment."""
    asked = list(hardwares) if connector == 0 else [connector]
    total, phases = Fraction(0), 0
    for n in asked:
        amperes, watts, its_phases = alone(profiles, n, charging.get(n), hardwares[n], t)
        if connector == 0 and hardwares[n].dc:
            amperes = watts / (3 * Fraction(hardwares[n].voltage_v))
        total += amperes if unit == "A" else watts
        phases = max(phases, its_phases)
    maximum = highest([p for p in profiles if p.purpose == "ChargePointMaxProfile"], t, None)
    if maximum is not None:
        at = hardwares[asked[0]]
        if connector == 0:
            at = Hardware(1.0, None, max(h.phases for h in hardwares.values()), at.voltage_v)
        amperes, watts = amperes_and_watts(maximum, at, of_grid=True)
        total = min(total, amperes if unit == "A" else watts)
        phases = min(phases, maximum[2])
    return total, phases


def composite_by_ticks(
    profiles: Sequence[Profile],
    connector: int,
    charging: Mapping[int, Charging],
    hardwares: Mapping[int, Hardware],
    unit: Unit,
    at: float,
    duration_s: int,
    tick_s: Fraction,
) -> list[Period]:
    """A composite schedule by looking at every tick of the window."""
    asked = hardwares if connector == 0 else {connector: hardwares[connector]}
    as_if = {n: charging.get(n, Charging(None, at)) for n in asked}
    by_second: dict[int, tuple[float, int]] = {}
    last: tuple[Fraction, int] | None = None
    for tick in range(int(duration_s / tick_s)):
        t = at + float(tick * tick_s)
        now = limit_at(profiles, connector, as_if, asked if connector else hardwares, unit, t)
        if now == last:
            continue
        second = 0
        if last is not None:
            second = min(floor(Fraction(t) - floor(at) + Fraction(1, 2)), duration_s - 1)
        by_second[second] = (floor(now[0] * 10) / 10, now[1])
        last = now
    merged: list[Period] = []
    for second, (limit, phases) in sorted(by_second.items()):
        if not merged or (merged[-1].limit, merged[-1].phases) != (limit, phases):
            merged.append(Period(second, limit, phases))
    return merged
