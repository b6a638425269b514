"""What a meter reading says for each configured measurand, and when readings are due.

Names of measurands, phases, units, locations and contexts are those of OCPP 1.6 §7.31-7.49, which later
versions kept. Every value is rounded so that those of one reading still agree: V x A x phases x power factor
gives W.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from hal.api import EvseInfo, Limit, MeterReading

T = TypeVar("T")

DAY_S = 86_400

TRANSACTION_BEGIN = "Transaction.Begin"
TRANSACTION_END = "Transaction.End"
_EDGES = frozenset({TRANSACTION_BEGIN, TRANSACTION_END})

PHASES = frozenset({"L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"})
"""Every phase the field has a word for, measured here or not (OCPP 1.6 §7.35)."""

_TO_ANY = ("L1", "L2", "L3")
_TO_NEUTRAL = ("L1-N", "L2-N", "L3-N")
_INDEX = {name: index for names in (_TO_ANY, _TO_NEUTRAL) for index, name in enumerate(names)}

FRESH_S = 3.0
"""A reading may be that old and still count as taken when a value was due: meters on a bus are polled."""

_FLOAT_NOISE_WH = 1e-6


class Measurand(NamedTuple):
    """One element of a measurand list; without a phase it means everything measured under that name."""

    name: str
    phase: str | None = None

    def __str__(self) -> str:
        return self.name if self.phase is None else f"{self.name}.{self.phase}"


ENERGY = Measurand("Energy.Active.Import.Register")


class Sample(NamedTuple):
    """One measured value as it is reported; None: the protocol's default applies, or there is no unit."""

    measurand: str
    value: str
    unit: str | None = None
    phase: str | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True)
class IntervalEnergy:
    """Where the elapsed interval began: the moment (UTC) and the import register then.

    At the very start of a transaction it begins and ends with the same reading: 0 Wh.
    """

    start_at: float
    start_wh: float


class MeasurandError(ValueError):
    """A measurand list that cannot be used as it is; the message says which element and why."""


@lru_cache(maxsize=512)
def parse_measurands(text: str, supported: frozenset[Measurand] | None = None) -> tuple[Measurand, ...]:
    """The elements of a comma-separated list, blanks around them ignored; "" gives none.

    Raises `MeasurandError` for an element that is empty, appears twice or is not in `supported`
    (None: any name goes). OCPP 1.6 §3.16.4: one bad element makes the whole list bad.
    """
    if not text.strip():
        return ()
    found: list[Measurand] = []
    for element in text.split(","):
        measurand = _measurand(element.strip())
        if measurand in found:
            raise MeasurandError(f"{measurand} is listed twice")
        if supported is not None and measurand not in supported:
            raise MeasurandError(f"{measurand} is not measured here")
        found.append(measurand)
    return tuple(found)


def _measurand(element: str) -> Measurand:
    if not element:
        raise MeasurandError("an element of the list is empty")
    name, _, last = element.rpartition(".")
    return Measurand(name, last) if name and last in PHASES else Measurand(element)


@lru_cache(maxsize=64)
def without_soc(measurands: tuple[Measurand, ...]) -> tuple[Measurand, ...]:
    """What an AC outlet beside DC outlets tells of a list that is theirs too.

    A control pilot says nothing of the battery (IEC 61851-1 annex A). Where all outlets are AC, whoever asks
    for SoC means vehicles that tell it in another way (ISO 15118).
    """
    return tuple(measurand for measurand in measurands if measurand.name != "SoC")


class _Occasion(NamedTuple):
    """Everything a value can be taken from."""

    reading: MeterReading
    offered: Limit
    offered_phases: int
    info: EvseInfo
    interval: IntervalEnergy | None


def _nothing(occasion: _Occasion) -> tuple[float, ...]:
    return ()


_FORMATS = tuple(f"%.{digits}f" for digits in range(4))  # a third of the time of a format with its digits


@dataclass(frozen=True, slots=True)
class _Quantity:
    """How one measurand is read and written."""

    unit: str | None
    digits: int
    overall: Callable[[_Occasion], float | None]
    by_phase: Callable[[_Occasion], tuple[float, ...]] = _nothing
    phases: tuple[str, ...] = ()  # what the values of `by_phase` are called
    location: str | None = None
    signed: bool = False  # False: below 0 there is nothing to report but 0
    for_dc: bool = True

    def text(self, value: float) -> str:
        """A plain decimal with fixed digits and never a negative zero."""
        if value <= 0:
            value = round(value, self.digits) + 0.0 if self.signed else 0.0
        return _FORMATS[self.digits] % value


def whole_wh(energy_wh: float) -> int:
    """A register in whole Wh, rounded down, so that a later reading never gives less (OCPP 1.6 §7.31).

    A meter that counts 1234.567 kWh arrives as 1234566.9999999998 Wh and means 1234567.
    """
    return math.floor(energy_wh + _FLOAT_NOISE_WH)


def _interval_wh(occasion: _Occasion) -> float | None:
    """The difference of whole registers, so that intervals add up to what the register says."""
    if occasion.interval is None:
        return None
    return whole_wh(occasion.reading.energy_wh) - whole_wh(occasion.interval.start_wh)


def _power_by_phase(occasion: _Occasion) -> tuple[float, ...]:
    reading, info = occasion.reading, occasion.info
    if info.current == "dc":
        return ()
    return reading.power_phase_w or ((reading.power_w,) if info.phases == 1 else ())


def _power_offered_w(occasion: _Occasion) -> float | None:
    offered, info = occasion.offered, occasion.info
    if offered.zero:
        return 0.0
    bounds = [bound for bound in (offered.power_w, info.max_power_w) if bound is not None]
    if info.current == "ac":
        bounds.append(offered.current_a * info.nominal_voltage_v * occasion.offered_phases)
    elif not bounds and occasion.reading.voltage_v:
        bounds.append(offered.current_a * occasion.reading.voltage_v[0])
    return min(bounds, default=None)


def _of_dc(occasion: _Occasion, values: tuple[float, ...]) -> float | None:
    return values[0] if occasion.info.current == "dc" and values else None


def _of_ac(occasion: _Occasion, values: tuple[float, ...]) -> tuple[float, ...]:
    return values if occasion.info.current == "ac" else ()


_QUANTITIES = {
    "Energy.Active.Import.Register": _Quantity("Wh", 0, lambda o: whole_wh(o.reading.energy_wh)),
    "Energy.Active.Import.Interval": _Quantity("Wh", 0, _interval_wh),
    "Power.Active.Import": _Quantity("W", 1, lambda o: o.reading.power_w, _power_by_phase, _TO_ANY),
    "Power.Offered": _Quantity("W", 1, _power_offered_w),
    "Power.Factor": _Quantity(None, 3, lambda o: o.reading.power_factor, signed=True, for_dc=False),
    "Current.Import": _Quantity(
        "A",
        2,
        lambda o: _of_dc(o, o.reading.current_a),
        lambda o: _of_ac(o, o.reading.current_a),
        _TO_ANY,
    ),
    "Current.Offered": _Quantity("A", 2, lambda o: 0.0 if o.offered.zero else o.offered.current_a),
    "Voltage": _Quantity(
        "V",
        1,
        lambda o: _of_dc(o, o.reading.voltage_v),
        lambda o: _of_ac(o, o.reading.voltage_v),
        _TO_NEUTRAL,
    ),
    "Frequency": _Quantity(None, 2, lambda o: o.reading.frequency_hz, for_dc=False),
    "Temperature": _Quantity("Celsius", 1, lambda o: o.reading.temperature_c, location="Body", signed=True),
    "SoC": _Quantity("Percent", 0, lambda o: o.reading.soc_percent, location="EV"),
}


@lru_cache(maxsize=64)
def supported(info: EvseInfo) -> frozenset[Measurand]:
    """Every measurand, alone and with each phase, that a connector of this kind can be asked for.

    A voltage may be asked for as `L1` or `L1-N`, which means the same here.
    """
    found = set()
    for name, quantity in _QUANTITIES.items():
        if info.current == "dc" and not quantity.for_dc:
            continue
        found.add(Measurand(name))
        if quantity.phases and info.current == "ac":
            names = (*quantity.phases[: info.phases], *_TO_ANY[: info.phases])
            found.update(Measurand(name, phase) for phase in names)
    return frozenset(found)


def samples(
    measurands: tuple[Measurand, ...],
    reading: MeterReading,
    offered: Limit,
    offered_phases: int,
    info: EvseInfo,
    interval_energy: IntervalEnergy | None = None,
    temperature_unit: str = "Celcius",
) -> tuple[Sample, ...]:
    """What one reading says for each measurand, in the order asked for (OCPP 1.6 §3.16.3).

    A measurand without a phase gives all there is: power the total and, where there are several, each phase;
    alternating current and voltage each phase only, direct current one value without a phase. What is not
    measured, or unknown as a vehicle's state of charge may be, is left out, so the result can be empty: then
    there is nothing to send. `temperature_unit` is written as given; OCPP 1.6 errata 2.1 keeps `Celcius`.
    """
    occasion = _Occasion(reading, offered, offered_phases, info, interval_energy)
    found: list[Sample] = []
    for name, phase, quantity, unit in _steps(measurands, temperature_unit):
        overall = quantity.overall(occasion)
        by_phase = quantity.by_phase(occasion)
        if phase is None and len(by_phase) < 2:  # of one phase there is one value, the total if that is known
            if overall is not None:
                found.append(Sample(name, quantity.text(overall), unit, None, quantity.location))
            elif by_phase:
                found.append(Sample(name, quantity.text(by_phase[0]), unit, quantity.phases[0]))
            continue
        for label, value in _values(quantity.phases, phase, overall, by_phase):
            found.append(Sample(name, quantity.text(value), unit, label, quantity.location))
    return tuple(found)


@lru_cache(maxsize=512)
def _steps(
    measurands: tuple[Measurand, ...], temperature_unit: str
) -> tuple[tuple[str, str | None, _Quantity, str | None], ...]:
    """How each of a list that is known here is read: name, phase, quantity and unit."""
    return tuple(
        (name, phase, quantity, temperature_unit if quantity.unit == "Celsius" else quantity.unit)
        for name, phase in measurands
        if (quantity := _QUANTITIES.get(name)) is not None
    )


def _values(
    phases: tuple[str, ...], phase: str | None, overall: float | None, by_phase: tuple[float, ...]
) -> Sequence[tuple[str | None, float]]:
    """The values asked for, each with the phase it is reported under."""
    if phase is not None:
        index = _INDEX.get(phase, len(by_phase))
        return [(phase, by_phase[index])] if index < len(by_phase) else []
    if overall is None:
        return list(zip(phases, by_phase, strict=False))
    return [(None, overall), *zip(phases, by_phase, strict=False)]


def timed(
    found: Sequence[Sample], at: float, interval_energy: IntervalEnergy | None
) -> list[tuple[float, tuple[Sample, ...]]]:
    """The samples of one occasion grouped by the moment they are stamped with, earliest first.

    What belongs to an interval carries the interval's start, everything else `at` (OCPP 1.6 §9.1.5).
    """
    over = [sample for sample in found if sample.measurand.endswith(".Interval")]
    instant = [sample for sample in found if sample not in over] if over else found
    moments: list[tuple[float, tuple[Sample, ...]]] = []
    if over and interval_energy is not None:
        moments.append((interval_energy.start_at, tuple(over)))
    if instant:
        moments.append((at, tuple(instant)))
    return moments


def moment_of(reading: MeterReading, due: float) -> float:
    """The moment a value carries that was due at `due`: what it holds was measured then (OCPP 1.6 §7.33)."""
    return due if due - reading.time <= FRESH_S else reading.time


def next_aligned(at: float, interval_s: int) -> float:
    """The first moment after `at` on the grid of `interval_s` (above 0) counted from UTC midnight.

    The grid starts again at each midnight, so an interval that does not divide the day ends with a shorter
    one and one longer than a day gives midnights (OCPP 1.6 §9.1.5, §9.1.6).
    """
    assert interval_s > 0, "0 means that nothing is aligned"
    midnight = math.floor(at / DAY_S) * DAY_S
    steps = math.floor((at - midnight) / interval_s) + 1
    return float(midnight + min(steps * interval_s, DAY_S))


def thin(values: Sequence[T], maximum: int, context_of: Callable[[T], str]) -> list[T]:
    """At most `maximum` of the values, by leaving out every second one as often as needed (errata 3.91).

    The first sample goes before the second, so those that stay are spaced evenly from the transaction's
    start. Those of its begin and end always stay, even if they alone are more than `maximum`.
    """
    kept = list(values)
    while len(kept) > maximum:
        dropped = [i for i, value in enumerate(kept) if context_of(value) not in _EDGES][::2]
        if not dropped:
            break
        leaving = set(dropped)
        kept = [value for i, value in enumerate(kept) if i not in leaving]
    return kept
