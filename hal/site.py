"""The meter at the building's grid connection: polled over a bus, fed from outside, or simulated.

Lines are those of the grid connection, L1 first; + is into the building, - is export.
"""

from __future__ import annotations

import asyncio
import logging
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from hal.api import Clock, DeviceError, Evse, MeterUnavailable, Timer
from hal.device import DeviceClosed, DeviceRefused, EnergyMeter, MeterSnapshot

log = logging.getLogger(__name__)

DAY_S = 86_400
PHASES = 3

HIGHEST_A = 10_000.0
"""No grid connection shows more; whatever does is no current."""

_TIME_OF_DAY = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class SiteReading:
    """What the meter showed at `time`, in amperes per line; below 0 while that line exports."""

    time: float
    current_a: tuple[float, ...]


class SiteMeter(Protocol):
    """A meter at the grid connection; `on_reading` is called after each new reading."""

    on_reading: Callable[[], None]

    @property
    def reading(self) -> SiteReading | None:
        """The newest reading, however old; None before the first."""

    @property
    def problem(self) -> str:
        """Why there is none that is newer; empty if nothing is known to be wrong."""

    def start(self) -> None:
        """Begin to read."""

    def close(self) -> None:
        """Let go of the hardware; idempotent, never raises."""


@dataclass(frozen=True, slots=True)
class SiteSpec:
    """Everything needed to open the meter of a site.

    `lines`: for each connector, from 1, the line of the grid connection behind each of its own, where known.
    """

    meter: Mapping[str, Any]
    phases: int
    poll_s: float
    evses: Sequence[Evse] = ()
    lines: Mapping[int, tuple[int, ...]] | None = None


def nothing() -> None:
    """Nobody listens."""


class PolledSiteMeter:
    """Asks an energy meter each `poll_s`; while an answer is awaited nothing more is asked."""

    def __init__(self, meter: EnergyMeter, clock: Clock, phases: int, poll_s: float) -> None:
        self.on_reading: Callable[[], None] = nothing
        self._meter = meter
        self._clock = clock
        self._phases = phases
        self._poll_s = poll_s
        self._reading: SiteReading | None = None
        self._problem = ""
        self._opened = False
        self._closed = False
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def reading(self) -> SiteReading | None:
        return self._reading

    @property
    def problem(self) -> str:
        return self._problem

    def start(self) -> None:
        if self._timer is None and not self._closed:
            self._poll()

    def _poll(self) -> None:
        self._timer = self._clock.call_at(self._clock.now() + self._poll_s, self._poll)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        try:
            if not self._opened:
                await self._meter.open()
                self._opened = True
            self._reading = site_reading(await self._meter.read(), self._phases)
            self._problem = ""
        except DeviceError as error:
            self._opened = self._opened and not isinstance(error, DeviceClosed)
            self._problem = str(error) or type(error).__name__
        except Exception as error:  # a driver that breaks its promise must not end the polling
            log.exception("the site meter's driver failed")
            self._problem = f"{type(error).__name__}: {error}"
        finally:
            if not self._closed:
                self._task = None
        if not self._problem and not self._closed:
            self.on_reading()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        with suppress(RuntimeError):  # the loop has ended, and its tasks with it
            loop, asking = asyncio.get_running_loop(), self._task
            self._task = loop.create_task(self._let_go(asking))
            if asking is not None:
                asking.cancel()

    async def _let_go(self, asking: asyncio.Task[None] | None) -> None:
        if asking is not None:
            await asyncio.wait([asking])
        await self._meter.close()

    async def closed(self) -> None:
        """Wait until `close` has let go of the meter."""
        if self._closed and self._task is not None:
            await self._task


def site_reading(snapshot: MeterSnapshot, phases: int) -> SiteReading:
    """The currents of a meter's answer, with the sign of the power on their line.

    Most meters show currents without a sign. Raises `DeviceRefused` where a line is not measured.
    """
    currents: list[float] = []
    for line in range(phases):
        current_a = snapshot.current_a[line] if line < len(snapshot.current_a) else None
        if current_a is None or not abs(current_a) <= HIGHEST_A:
            raise DeviceRefused(f"the site meter shows no current on L{line + 1}")
        power_w = snapshot.power_phase_w[line] if line < len(snapshot.power_phase_w) else None
        if phases == 1 and power_w is None:
            power_w = snapshot.power_w
        currents.append(-abs(current_a) if power_w is not None and power_w < 0 else current_a)
    return SiteReading(snapshot.read_at, tuple(currents))


class FedSiteMeter:
    """Shows what it is told (`feed`) by whoever knows the site's currents."""

    def __init__(self, clock: Clock, phases: int) -> None:
        self.on_reading: Callable[[], None] = nothing
        self.reading: SiteReading | None = None
        self.problem = ""
        self._clock = clock
        self._phases = phases
        self._closed = False

    def feed(self, current_a: Sequence[float] | float) -> None:
        """The site draws this now, line by line or the same on each. Raises `ValueError`."""
        self.reading = SiteReading(self._clock.now(), currents(current_a, self._phases))
        if not self._closed:
            self.on_reading()

    def start(self) -> None: ...

    def close(self) -> None:
        self._closed = True


class SimulatedSiteMeter:
    """A house that draws `base_load_a`, and the connectors of the station behind the same meter."""

    def __init__(self, spec: SiteSpec, clock: Clock, base_load_a: Any = 0.0) -> None:
        self.on_reading: Callable[[], None] = nothing
        self.silent = False
        self._spec = spec
        self._clock = clock
        self._reading: SiteReading | None = None
        self._hours = _hours(base_load_a, spec.phases)
        self._timer: Timer | None = None
        self._closed = False

    @property
    def reading(self) -> SiteReading | None:
        return self._reading

    @property
    def problem(self) -> str:
        return "told to be silent" if self.silent else ""

    @property
    def house_a(self) -> tuple[float, ...]:
        """What the house draws now."""
        starts = [start for start, _ in self._hours]
        return self._hours[bisect_right(starts, self._clock.now() % DAY_S) - 1][1]

    def set_house(self, current_a: Sequence[float] | float) -> None:
        """The house draws this from now on, whatever the time of day. Raises `ValueError`."""
        self._hours = ((0.0, currents(current_a, self._spec.phases)),)

    def start(self) -> None:
        if self._timer is None and not self._closed:
            self._poll()

    def _poll(self) -> None:
        self._timer = self._clock.call_at(self._clock.now() + self._spec.poll_s, self._poll)
        if not self.silent:
            self._reading = SiteReading(self._clock.now(), self._shown())
            self.on_reading()

    def _shown(self) -> tuple[float, ...]:
        shown = list(self.house_a)
        for number, evse in enumerate(self._spec.evses, 1):
            lines = (self._spec.lines or {}).get(number, range(self._spec.phases))
            for line, current_a in zip(lines, _drawn(evse), strict=False):
                shown[line] += current_a
        return tuple(shown)

    def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()


def _drawn(evse: Evse) -> tuple[float, ...]:
    """What a connector draws from the grid, line by line."""
    try:
        reading = evse.reading()
    except MeterUnavailable:
        return ()
    if evse.info.current == "ac":
        return reading.current_a
    return (reading.power_w / (evse.info.nominal_voltage_v * PHASES),) * PHASES


def currents(given: Any, phases: int) -> tuple[float, ...]:
    """One number for each line; a single number stands for all. Raises `ValueError`."""
    values = list(given) if isinstance(given, list | tuple) else [given] * phases
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= HIGHEST_A:
            raise ValueError(f"{value!r} is no current in amperes")
    if len(values) != phases:
        raise ValueError(f"{len(values)} currents for {phases} {'line' if phases == 1 else 'lines'}")
    return tuple(map(float, values))


def _hours(given: Any, phases: int) -> tuple[tuple[float, tuple[float, ...]], ...]:
    """When which load begins, in seconds of the day (UTC), the first one at 0."""
    if not isinstance(given, Mapping):
        return ((0.0, currents(given, phases)),)
    hours: list[tuple[float, tuple[float, ...]]] = []
    for moment, load in given.items():
        if (match := _TIME_OF_DAY.fullmatch(str(moment))) is None:
            raise ValueError(f"{moment!r} is no time of day; write it as 18:00")
        hours.append((int(match[1]) * 3600.0 + int(match[2]) * 60.0, currents(load, phases)))
    if not hours:
        raise ValueError("has no time of day; write a current")
    hours.sort()
    # What goes on at midnight began the evening before.
    return tuple(hours) if hours[0][0] == 0.0 else ((0.0, hours[-1][1]), *hours)
