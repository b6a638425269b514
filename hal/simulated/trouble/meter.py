"""A meter that tells nothing, or something wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from hal.api import Fault, FaultKind, MeterReading, MeterUnavailable
from hal.simulated.plugged import TICK_S

MeterTrouble = Literal["silent", "nan", "frozen", "backwards", "kilowatts", "phase_lost", "frequency"]

NO_METER = Fault(FaultKind.METER, info="no answer from the meter")
FROZEN = Fault(FaultKind.METER, blocking=False, info="energy register stands still while power flows")

METER_LOST_S = 60.0
"""A meter that is silent, or stands still under load, for so long is a fault."""

FROZEN_ABOVE_W = 500.0


class TroubledMeter:
    """How it is broken, and what the register was when it broke."""

    __slots__ = ("_broken_wh", "_how", "_since")

    def __init__(self) -> None:
        self._how: MeterTrouble | None = None
        self._since = 0.0
        self._broken_wh = 0.0

    def breaks(self, how: MeterTrouble | None, energy_wh: float, now: float) -> None:
        """It breaks in that way alone, or (None) is repaired."""
        self._how, self._broken_wh, self._since = how, energy_wh, now

    def shown(self, reading: MeterReading) -> MeterReading:
        """What it tells of the truth; raises `MeterUnavailable` if it tells nothing."""
        if self._how == "silent":
            raise MeterUnavailable("no reading of the meter: no answer")
        if self._how == "nan":
            raise MeterUnavailable("no reading of the meter: it shows something that is no number")
        if self._how == "frozen":
            return replace(reading, energy_wh=self._broken_wh)
        if self._how == "backwards":  # current transformers the wrong way round: it counts as export
            return replace(
                reading,
                energy_wh=self._broken_wh,
                power_w=-reading.power_w,
                power_phase_w=tuple(-watts for watts in reading.power_phase_w),
            )
        if self._how == "kilowatts":
            return replace(
                reading,
                power_w=reading.power_w / 1000,
                power_phase_w=tuple(watts / 1000 for watts in reading.power_phase_w),
            )
        if self._how == "frequency" and reading.frequency_hz is not None:
            return replace(reading, frequency_hz=reading.frequency_hz * 10)
        return self._without_l1(reading) if self._how == "phase_lost" else reading

    def _without_l1(self, reading: MeterReading) -> MeterReading:
        """Its wire to L1 is off: what flows there is neither seen nor counted."""
        seen = 1 - reading.power_phase_w[0] / reading.power_w if reading.power_w else 1.0
        counted_wh = self._broken_wh + (reading.energy_wh - self._broken_wh) * seen
        return replace(
            reading,
            energy_wh=counted_wh,
            power_w=reading.power_w * seen,
            current_a=(0.0, *reading.current_a[1:]),
            voltage_v=(0.0, *reading.voltage_v[1:]),
            power_phase_w=(0.0, *reading.power_phase_w[1:]),
        )

    def faults(self, power_w: float, now: float) -> list[Fault]:
        """What the station has noticed by now."""
        if self._how is None or now < self._since + METER_LOST_S - TICK_S:
            return []
        if self._how in ("silent", "nan"):
            return [NO_METER]
        return [FROZEN] if self._how == "frozen" and power_w > FROZEN_ABOVE_W else []

    def dues(self) -> list[float | None]:
        """When something follows by itself, past or to come."""
        return [None if self._how is None else self._since + METER_LOST_S]
