"""A meter on a bus as a connector needs it: the newest reading, and a fault when there is none any more."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from hal.api import Clock, DeviceError, EvseInfo, Fault, FaultKind, MeterReading, MeterUnavailable
from hal.device import DeviceRefused, EnergyMeter, MeterSnapshot
from hal.pause import Pause

log = logging.getLogger(__name__)

LOST_AFTER_S = 60.0
"""A meter silent for that long is a fault."""

TRUSTED_S = 10.0
"""A reading older than that, or than five polls, is not passed on any more."""

_TRUSTED_POLLS = 5
_ANSWERS_WITHIN_S = 5.0


class PolledMeter:
    """Reads `meter` each `poll_s` from `run` on. `lost`: whether charging ends when the meter is silent.

    `on_reading` is told of each new reading, `on_change` of anything else that is different.
    """

    def __init__(
        self,
        meter: EnergyMeter,
        info: EvseInfo,
        clock: Clock,
        *,
        poll_s: float,
        lost: Literal["stop", "continue"],
    ) -> None:
        self._meter = meter
        self._info = info
        self._clock = clock
        self._poll_s = poll_s
        self._lost_fault = Fault(FaultKind.METER, blocking=lost == "stop", info="no answer from the meter")
        self._newest: MeterReading | None = None
        self._heard_at = clock.now()
        self._problem = "not read yet"
        self._told = False  # to whoever runs the station, once a silence
        self._opened = False
        self._closing = False
        self._pause = Pause(clock)
        self.faults: tuple[Fault, ...] = ()
        self.asked = asyncio.Event()
        """Set once the meter answered, or did not, for the first time."""
        self.on_reading: Callable[[MeterReading], None] | None = None
        self.on_change: Callable[[], None] | None = None

    def reading(self) -> MeterReading:
        """The newest reading; raises `MeterUnavailable` if it is too old."""
        newest = self._newest
        oldest = self._clock.now() - max(TRUSTED_S, _TRUSTED_POLLS * self._poll_s)
        if newest is None or newest.time < oldest:
            raise MeterUnavailable(f"no reading of the meter: {self._problem}")
        return newest

    async def run(self) -> None:
        """Read again and again until `stop`, then let go of the meter."""
        try:
            while not self._closing:
                due = self._clock.now() + self._poll_s
                await self._read()
                self.asked.set()
                await self._pause.until(due)
        finally:
            self.asked.set()
            with suppress(Exception):
                await self._meter.close()

    def read_soon(self) -> None:
        """Read now instead of at the next turn."""
        self._pause.end()

    def stop(self) -> None:
        """Let `run` end after the reading that is under way."""
        self._closing = True
        self._pause.end()

    async def _read(self) -> None:
        try:
            async with asyncio.timeout(_ANSWERS_WITHIN_S):
                if not self._opened:
                    await self._meter.open()
                    self._opened = True
                snapshot = await self._meter.read()
            self._take(_reading(snapshot, self._info), snapshot.faults)
        except (DeviceError, TimeoutError) as error:
            self._missed(error)
        except Exception as error:
            log.exception("the meter's driver failed")
            self._missed(error)

    def _take(self, reading: MeterReading, faults: tuple[Fault, ...]) -> None:
        self._newest, self._heard_at, self._told = reading, self._clock.now(), False
        self._set_faults(faults)
        if self.on_reading is not None:
            self.on_reading(reading)

    def _missed(self, error: Exception) -> None:
        self._problem = str(error) or type(error).__name__
        silent_s = self._clock.now() - self._heard_at
        if not self._told and (self._newest is None or silent_s >= TRUSTED_S):
            self._told = True
            log.warning("meter: %s", self._problem)
        if silent_s >= LOST_AFTER_S:
            self._set_faults((self._lost_fault,))

    def _set_faults(self, faults: tuple[Fault, ...]) -> None:
        if faults != self.faults:
            self.faults = faults
            if self.on_change is not None:
                self.on_change()


def _reading(snapshot: MeterSnapshot, info: EvseInfo) -> MeterReading:
    """What was measured of the installed phases; raises `DeviceRefused` without energy or power."""
    if snapshot.import_wh is None:
        raise DeviceRefused("the meter tells no energy")
    phases_w = _measured(snapshot.power_phase_w, info.phases)
    current_a = _measured(snapshot.current_a, info.phases)
    voltage_v = _measured(snapshot.voltage_v, info.phases)
    power_w = snapshot.power_w
    if power_w is None and phases_w:
        power_w = sum(phases_w)
    if power_w is None and current_a and len(current_a) == len(voltage_v):
        power_w = sum(v * a for v, a in zip(voltage_v, current_a, strict=True))
    if power_w is None:
        raise DeviceRefused("the meter tells no power")
    return MeterReading(
        time=snapshot.read_at,
        energy_wh=snapshot.import_wh,
        power_w=power_w,
        current_a=current_a,
        voltage_v=voltage_v,
        power_phase_w=phases_w,
        power_factor=snapshot.power_factor,
        frequency_hz=snapshot.frequency_hz,
        offset_wh=snapshot.offset_wh,
    )


def _measured(values: tuple[float | None, ...], phases: int) -> tuple[float, ...]:
    """The first `phases` values, nothing if one of them is missing."""
    known = tuple(value for value in values[:phases] if value is not None)
    return known if len(known) == len(values[:phases]) else ()
