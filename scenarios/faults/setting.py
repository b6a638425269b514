"""Where disturbances strike: the stations of one scenario, and what holds there just now."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from chargepoint.csms.central_system import CentralSystem
from chargepoint.domain import chance
from chargepoint.station import Station
from hal.api import Clock, Timer
from scenarios.faults.clock import Drift, Jump, Skew
from scenarios.faults.fault import BadDisturbance, Fault, Unsuitable
from scenarios.faults.frames import MessageFault
from scenarios.faults.hardware import part_of
from scenarios.faults.line import FaultyLine
from scenarios.faults.link import Cut, HalfOpen, PingLoss, Slow
from scenarios.faults.model import Disturbance
from scenarios.faults.tls import BadTls

__all__ = ["Applied", "BadDisturbance", "Setting", "Struck", "Unsuitable"]

ALL = "all"

GRACE_S = 0.02
FOREIGN_GRACE_S = 0.25


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault did something: for the report."""

    at: float  # station time
    station: str
    name: str
    what: str


class Setting:
    """The stations of one scenario, by identity, and the embedded central system, if it is ours.

    `on_struck` hears of everything that faults do. The same seed gives the same faults.
    """

    def __init__(
        self,
        stations: Mapping[str, Station],
        csms: CentralSystem | None,
        *,
        seed: int,
        on_struck: Callable[[Struck], None] | None = None,
    ) -> None:
        self.stations = stations
        self.csms = csms
        self.seed = seed
        self.on_struck = on_struck
        self._lines: dict[str, FaultyLine] = {}
        self._counts: dict[str, int] = {}
        self._applied: list[Applied] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def apply(self, disturbance: Disturbance, at: str | None = None) -> list[Applied]:
        """Let it strike the station `at`, or all of them; what comes back ends it.

        Faults of TLS concern all stations in any case. Raises `Unsuitable`, `BadDisturbance`.
        """
        if at is not None and at not in self.stations:
            raise BadDisturbance(f"there is no station {at}")
        if disturbance.calm is not None:
            await self.calm(disturbance.calm, at)
            return []
        names = [at] if at is not None else list(self.stations)
        if disturbance.tls is not None:
            names = names[:1]
            if any(other.disturbance.tls is not None for other in self._applied):
                raise BadDisturbance("there is a fault of TLS already; calm it first")
        applied = [Applied(disturbance, self, name) for name in names]
        for one in applied:
            self._applied.append(one)
            await one.begin()
        return applied

    async def calm(self, name: str, at: str | None = None) -> None:
        """End the disturbances of that name; "all": every one. Raises `BadDisturbance` if there is none."""
        found = [
            one
            for one in self._applied
            if name in (ALL, one.disturbance.called) and at in (None, one.station.identity)
        ]
        if not found and name != ALL and not self._counts.get(f"begun {name}"):
            raise BadDisturbance(f"there was no disturbance {name} to calm")
        for one in reversed(found):
            await one.withdraw()

    async def close(self) -> None:
        """End everything."""
        await self.calm(ALL)
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def line(self, station: Station) -> FaultyLine:
        """The seam at a station's link, made when it is first needed."""
        line = self._lines.get(station.identity)
        if line is None:
            line = FaultyLine(self.csms, GRACE_S if self.csms is not None else FOREIGN_GRACE_S)
            self._lines[station.identity] = line
            station.tamper(line)
        return line

    def count(self, what: str) -> int:
        """1, 2, 3 ..."""
        n = self._counts[what] = self._counts.get(what, 0) + 1
        return n

    def over(self, applied: Applied) -> None:
        """It has ended by itself or was withdrawn."""
        if applied in self._applied:
            self._applied.remove(applied)

    def spawn(self, clock: Clock, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` in a task; the clock is held until it is done."""
        clock.hold()
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            clock.release()
            if not task.cancelled() and (error := task.exception()) is not None:
                what = {"message": "a disturbance failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(what)

        task.add_done_callback(done)


class Applied:
    """A disturbance at one station, from `begin` until it is withdrawn or its time is over.

    To the fault itself it is the `Place` where it strikes.
    """

    def __init__(self, disturbance: Disturbance, setting: Setting, identity: str) -> None:
        self.disturbance = disturbance
        self.station = setting.stations[identity]
        self._setting = setting
        self._timer: Timer | None = None
        self._present = False
        self._fault = _fault(disturbance, self)

    # --- scenarios.faults.fault.Place ---------------------------------------------------------------

    @property
    def stations(self) -> Mapping[str, Station]:
        """All of the scenario."""
        return self._setting.stations

    @property
    def csms(self) -> CentralSystem | None:
        """The embedded central system, if it is ours."""
        return self._setting.csms

    @property
    def clock(self) -> Clock:
        """The station's clock."""
        return self.station.clock

    @property
    def line(self) -> FaultyLine:
        """The seam at its link."""
        return self._setting.line(self.station)

    @property
    def seed(self) -> int:
        """Of the scenario."""
        return self._setting.seed

    def chance(self, purpose: str) -> float:
        """The next draw about `purpose`, in [0, 1)."""
        n = self.count(purpose)
        return chance.draw(self.seed, self.station.identity, f"fault {purpose}", n)

    def count(self, purpose: str) -> int:
        """1, 2, 3 ..."""
        return self._setting.count(f"{self.station.identity} {purpose}")

    def struck(self, what: str) -> None:
        """For the record: something was done just now."""
        if self._setting.on_struck is not None:
            struck = Struck(self.station.utc(), self.station.identity, self.disturbance.called, what)
            self._setting.on_struck(struck)

    # --- its life -----------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Strike at once, or for the first time at a random moment."""
        self._setting.count(f"begun {self.disturbance.called}")
        if self.disturbance.about_every is not None:
            self._wait()
            return
        try:
            await self._strike()
        except BadDisturbance:
            self._setting.over(self)
            raise

    async def withdraw(self) -> None:
        """End it; harmless if it has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._setting.over(self)
        await self._heal()

    async def _strike(self) -> None:
        self._present = True
        try:
            await self._fault.strike()
        except BadDisturbance:
            self._present = False
            raise
        lasts_s = 0.0 if self.disturbance.momentary else self.disturbance.for_
        if lasts_s is not None and self._present:
            self._after(lasts_s, self._pass)

    async def _pass(self) -> None:
        """Its time is over; it may come again."""
        await self._heal()
        if self.disturbance.about_every is None:
            self._setting.over(self)
        else:
            self._wait()

    async def _heal(self) -> None:
        if self._present:
            self._present = False
            await self._fault.heal()

    def _wait(self) -> None:
        """Times between accidents that know nothing of each other are exponential."""
        draw = self.chance(f"{self.disturbance.called} when")
        self._after(-math.log1p(-draw) * (self.disturbance.about_every or 0.0), self._strike_by_chance)

    async def _strike_by_chance(self) -> None:
        """What cannot be just now, beside another fault, is left out this time."""
        try:
            await self._strike()
        except BadDisturbance as error:
            self.struck(f"left out: {error}")
            self._wait()

    def _after(self, seconds: float, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        clock = self.clock
        self._timer = clock.call_at(clock.now() + seconds, lambda: self._setting.spawn(clock, action()))


def _fault(disturbance: Disturbance, place: Applied) -> Fault:
    """The fault that is meant. Raises `Unsuitable`, `BadDisturbance`."""
    if disturbance.frame is not None:
        return MessageFault(disturbance, place)
    if disturbance.tls is not None:
        return BadTls(disturbance, place)
    if disturbance.hardware is not None:
        return part_of(disturbance, place)
    match disturbance.kind:
        case "half_open":
            return HalfOpen(place)
        case "ping_loss":
            return PingLoss(place)
        case "slow":
            return Slow(disturbance, place)
        case "skew":
            return Skew(disturbance, place)
        case "drift":
            return Drift(disturbance, place)
        case "jump":
            return Jump(disturbance, place)
    return Cut(disturbance, place)
