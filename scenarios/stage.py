"""Where a story is played: its stations, its central system and its one clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from chargepoint.actions import Actions
from chargepoint.config import StationConfig
from chargepoint.csms.central_system import CentralSystem
from chargepoint.errors import ConfigError
from chargepoint.recording import Perform, Recording
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore, SqliteStore
from chargepoint.trace import Trace
from hal.api import Clock, Timer
from hal.clock import ScaledClock, SteppedClock, WallClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import vehicle_from
from scenarios.history import History, Sample
from scenarios.oracle import Oracle
from scenarios.site import SiteEntry

__all__ = ["Stage", "StageError", "Staged"]

Found = TypeVar("Found")

ACCEPTED_WITHIN_S = 60.0
DISTURBED_WITHIN_S = 600.0
"""Where messages are lost from the beginning on a BootNotification may have to be sent again."""

REAL_PATIENCE_S = 2.0
"""On a scaled clock nothing is given up sooner than this, in real time."""

LINGER_S = 0.02
"""How long a stepped clock waits after each frame for a central system that is not ours."""

MOST_TICKS = 300
"""After so many samples they are taken half as often, and so on: a month needs hardly more than a day."""

A_MOMENT_S = 0.001
"""What ends together with the story's time is in time."""

VEHICLE_FOLLOWS_S = (1.0, 5.0)
"""After a new limit a report looks at what is drawn."""

_A_CENTURY_S = 36_525 * 86_400.0
_LOOKS = 600
_LEAST_S, _MOST_S = 1.0, 60.0


class StageError(Exception):
    """The story cannot be played; the text says why."""


@dataclass(slots=True, eq=False)
class _Waiter:
    check: Callable[[], Any]
    done: asyncio.Future[Any]


@dataclass(slots=True)
class Staged:
    """One station of the story."""

    station: Station
    actions: Actions
    perform: Perform  # what somebody does there
    history: History
    trace: Trace | None = None
    refusal: str = ""  # why the newest attempt to connect failed
    lost_at: float | None = None  # when the newest link was lost
    started: bool = False

    def status(self, connector: int) -> dict[str, Any]:
        """What a person would see there now; connector 0 is the station."""
        reply = self.actions.perform({"cmd": "status"})
        assert isinstance(reply, dict)
        shown = {name: value for name, value in reply.items() if name != "connectors"}
        for entry in reply["connectors"]:
            if entry["connector"] == connector:
                entry["energy_wh"] = entry.pop("meter_wh")
                entry["session_wh"] = self._session_wh(connector, entry["energy_wh"])
                shown |= entry
        return shown

    def charging(self) -> list[int]:
        """The connectors with a transaction."""
        connectors = self.station.charge_point.connectors
        return [n for n in range(1, len(self.station.evses) + 1) if connectors[n].transaction is not None]

    def _session_wh(self, connector: int, energy_wh: float | None) -> float | None:
        session = self.history.sessions.get(connector)
        if session is None:
            return None
        ended = energy_wh if session.ended_wh is None else session.ended_wh
        return None if ended is None else max(ended - session.began_wh, 0.0)


@dataclass(slots=True)
class Stage:
    """Everything of one run. Whoever tells the story holds the clock, and lets go of it in order to wait."""

    clock: Clock
    wire: Clock
    seed: int
    csms: CentralSystem | None = None
    url: str = ""
    stations: dict[str, Staged] = field(default_factory=dict)
    folder: Path = Path()
    site: Oracle | None = None
    samples_each_s: float | None = None
    _waiters: list[_Waiter] = field(default_factory=list)
    _poked: bool = False
    _sampler: Timer | None = None
    _failure: BaseException | None = None

    @staticmethod
    def make_clock(text: str, start: float | None, linger_s: float) -> Clock:
        """`wall`, `stepped` or a speed such as `x60`; call it inside the running loop."""
        if text == "stepped":
            return SteppedClock(WallClock().now() if start is None else start, linger_s)
        if text.startswith("x"):
            return ScaledClock(float(text[1:]), start)
        return WallClock()

    @property
    def scaled(self) -> bool:
        """The clock is faster than real time."""
        return isinstance(self.clock, ScaledClock)

    def add(self, config: StationConfig, traced: Callable[[], Trace] | None = None) -> Staged:
        """Assemble a station; it is not started. `traced` opens its trace. Raises `ConfigError`."""
        identity = config.identity
        store = MemoryStore() if config.storage is None else SqliteStore.open(config.storage, identity)
        try:
            station = assemble(
                StationType(config, keeps_log=True),
                store,
                self.clock,
                self.wire,
                url=self.url,
                seed=self.seed,
            )
        except ValueError as error:  # only the drivers know their settings
            raise ConfigError([str(error)]) from error
        vehicle = config.vehicle
        default = vehicle_from({"kind": vehicle} if isinstance(vehicle, str) else vehicle)
        actions = Actions(station, default)
        perform: Perform = actions.perform
        trace = None if traced is None else traced()
        if trace is not None:
            perform = Recording(station, trace).performing(perform)
        staged = Staged(station, actions, perform, History(identity), trace)

        def watch(event: str, fields: dict[str, Any]) -> None:
            staged.history.add(station.utc(), self.clock.now(), event, fields)
            if event == "connection" and not fields["online"]:
                staged.refusal = str(fields.get("reason", ""))
                if station.refusal is None:
                    staged.lost_at = self.clock.now()
            if event in ("limit", "transaction", "status"):
                self._sample(staged, fields["connector"])
            if event == "limit" and self._sampler is not None:
                for later_s in VEHICLE_FOLLOWS_S:
                    self.clock.call_at(self.clock.now() + later_s, partial(self._follow, staged, fields))
            self.poke()

        station.watch(watch)
        self.stations[identity] = staged
        return staged

    def staged(self, identity: str | None) -> Staged:
        """A station by its identity, or the first one. Raises `StageError`."""
        if identity is None:
            return next(iter(self.stations.values()))
        if identity not in self.stations:
            raise StageError(f"there is no station {identity}; there are {', '.join(self.stations)}")
        return self.stations[identity]

    def unanswered(self, cp: str, message_id: str) -> None:
        """The embedded central system will never answer that CALL: nobody waits for it in real time."""
        if cp in self.stations:
            self.stations[cp].station.unanswered(message_id)

    def _sample(self, staged: Staged, connector: int) -> None:
        """Note what the meter shows, for the report; a reading costs no station time."""
        evses = staged.station.evses
        if not 1 <= connector <= len(evses):
            return
        evse = evses[connector - 1]
        reading = staged.station.charge_point.connectors[connector].reading()
        staged.history.samples.append(
            Sample(
                self.clock.now(),
                connector,
                None if reading is None else reading.energy_wh,
                None if reading is None else reading.power_w,
                None if reading is None else reading.soc_percent,
                evse.offered.current_a if hasattr(evse, "offered") else 0.0,
                max(reading.current_a, default=None) if reading is not None else None,
            )
        )

    def _follow(self, staged: Staged, fields: dict[str, Any]) -> None:
        if self._sampler is not None:
            self._sample(staged, fields["connector"])

    def _sample_again(self, every_s: float, tick: int) -> None:
        """Sample all that charges, from now on from time to time."""

        def look() -> None:
            for staged in self.stations.values():
                for connector in staged.charging():
                    self._sample(staged, connector)
            self._sample_again(*((every_s, tick + 1) if tick < MOST_TICKS else (2 * every_s, 1)))

        self._sampler = self.clock.call_at(self.clock.now() + every_s, look)

    def measure(self, site: SiteEntry, limit: Any) -> None:
        """From now on the stations' site is measured; `limit` where it is always the same, in its unit.

        Raises `StageError`.
        """
        if limit is not None and (not isinstance(limit, int | float) or limit <= 0):
            raise StageError(f"site: the limit must be a number above 0 (is {limit})")
        now = self.clock.now()
        over_time = site.limit_over_time(self.folder, now, limit)
        self.site = Oracle(site, over_time, site.load_w(self.folder, now), now)
        for identity in site.stations or self.stations:
            for n, evse in enumerate(self.staged(identity).station.evses, 1):
                if not isinstance(evse, SimulatedEvse):
                    raise StageError(
                        f"site: connector {n} of {identity} is not simulated; its draw is unknown"
                    )
                self.site.add(identity, n, evse)
        self._wait_for_load()

    def _wait_for_load(self) -> None:
        """Have everybody look when the building's load, or the limit, changes."""
        change = None if self.site is None else self.site.next_change(self.clock.now())
        if change is not None:
            self.clock.call_at(change, self._load_changed)

    def _load_changed(self) -> None:
        self.poke()
        self._wait_for_load()

    # --- time ---------------------------------------------------------------------------------------

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """From here on time passes, except while somebody tells the story."""
        self.clock.hold()
        if self.samples_each_s is not None:
            self._sample_again(self.samples_each_s, 1)
        driver = asyncio.ensure_future(self._drive()) if isinstance(self.clock, SteppedClock) else None
        try:
            yield
        finally:
            if driver is not None:
                driver.cancel()
                await asyncio.gather(driver, return_exceptions=True)
            if self._sampler is not None:
                self._sampler.cancel()
                self._sampler = None
            self.clock.release()

    async def _drive(self) -> None:
        """Let a stepped clock run whenever nobody holds it."""
        assert isinstance(self.clock, SteppedClock)
        try:
            while True:
                await self.clock.run_until(self.clock.now() + _A_CENTURY_S)
        except Exception as error:
            self._failure = error
            for waiter in tuple(self._waiters):
                self._resolve(waiter, None)

    async def until(
        self,
        check: Callable[[], Found | None],
        within_s: float,
        *,
        polled: bool = False,
        patient: bool = False,
    ) -> Found | None:
        """What `check` finds within that much station time; None if it is over.

        It is looked at again after everything that happens at a station, and if `polled` from time to time.
        If `patient`, a scaled clock does not cut it shorter than a real answer may take.
        """
        found = check()
        if found is not None:
            return found
        waiter = _Waiter(check, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        ends = self.clock.now() + within_s
        patience_s = min(within_s, REAL_PATIENCE_S) if patient and self.scaled else 0.0
        real_ends = self.wire.now() + patience_s
        over = self.clock.call_at(ends, lambda: self._over(waiter, real_ends))
        if polled and within_s:
            self._look_again(waiter, ends, min(max(within_s / _LOOKS, _LEAST_S), _MOST_S))
        self.clock.release()
        try:
            result: Found | None = await waiter.done
        except asyncio.CancelledError:
            if not waiter.done.done() or waiter.done.cancelled():
                self.clock.hold()
            raise
        finally:
            over.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        if self._failure is not None:
            raise StageError(f"a timer failed: {self._failure!r}") from self._failure
        return result

    async def ends_within(self, telling: asyncio.Future[Any], within_s: float) -> bool:
        """Let the story be told to its end, or cut it off when so much station time is over: then False.

        A scaled clock cuts nothing off sooner than a real answer may take.
        """
        late = False
        real_ends = self.wire.now() + (min(within_s, REAL_PATIENCE_S) if self.scaled else 0.0)

        def over() -> None:
            nonlocal late
            if telling.done():
                return
            if (rest_s := real_ends - self.wire.now()) > 0:
                self.wire.call_at(self.wire.now() + rest_s, over)
                return
            late = True
            self.clock.hold()  # nothing more happens until the telling has ended
            telling.cancel()

        timer = self.clock.call_at(self.clock.now() + within_s + A_MOMENT_S, over)
        try:
            await asyncio.wait({telling})
        finally:
            timer.cancel()
            if not telling.done():
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
            if late:
                self.clock.release()
        return not (late and telling.cancelled())

    async def sleep(self, seconds: float) -> None:
        """Let so much station time pass."""
        await self.until(lambda: None, seconds)

    async def settle(self) -> None:
        """Let everything happen that takes no station time; only a stepped clock can tell when it has."""
        if isinstance(self.clock, SteppedClock):
            for _ in range(2):  # what the answers to the first round cause is the second
                await self.sleep(0.0)

    def _over(self, waiter: _Waiter, real_ends: float) -> None:
        if self.wire.now() < real_ends and waiter.check() is None:
            self.wire.call_at(real_ends, lambda: self._resolve(waiter, waiter.check()))
        else:
            self._resolve(waiter, waiter.check())

    def _look_again(self, waiter: _Waiter, ends: float, every_s: float) -> None:
        def look() -> None:
            if waiter.done.done():
                return
            found = waiter.check()
            if found is not None:
                self._resolve(waiter, found)
            else:
                self._look_again(waiter, ends, every_s)

        when = self.clock.now() + every_s
        if when < ends:
            self.clock.call_at(when, look)

    def poke(self) -> None:
        """Something happened: look at all that is waited for, when this turn is over."""
        if self._waiters and not self._poked:
            self._poked = True
            self.clock.hold()
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        self._poked = False
        try:
            for waiter in tuple(self._waiters):
                found = waiter.check()
                if found is not None:
                    self._resolve(waiter, found)
        finally:
            self.clock.release()

    def _resolve(self, waiter: _Waiter, found: Any) -> None:
        if waiter.done.done():
            return
        self.clock.hold()  # who waited goes on with the story
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        waiter.done.set_result(found)

    # --- life ---------------------------------------------------------------------------------------

    async def power_up(self, staged: Staged, until: str, within_s: float = ACCEPTED_WITHIN_S) -> None:
        """Start a station and wait until it is `connected` or `accepted`. Raises `StageError`."""
        staged.started = True
        staged.station.start()
        if until == "powered":
            return

        def there() -> bool | None:
            station = staged.station
            return (station.accepted if until == "accepted" else station.online) or None

        if await self.until(there, within_s) is None:
            identity, registration = staged.station.identity, staged.station.charge_point.boot.registration
            if staged.station.online:
                raise StageError(f"{identity} was not accepted within {within_s:g} s: {registration.value}")
            raise StageError(f"{identity} cannot connect to {self.url}: {staged.refusal or 'no answer'}")

    async def close(self, orderly: bool) -> None:
        """End all stations and the embedded central system; `orderly`: running transactions end first."""
        for staged in self.stations.values():
            if orderly and staged.started and staged.station.online:
                ended = asyncio.Event()
                staged.station.shutdown(ended.set)
                await ended.wait()
            else:
                staged.station.close()
        for staged in self.stations.values():
            await staged.station.link.closed()
            if staged.trace is not None:
                staged.trace.close()
        if self.csms is not None:
            await self.csms.stop()
