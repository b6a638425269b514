"""A station in this process from the command line: clock, store, central system, signals and orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeGuard

from chargepoint.cli.options import ClockChoice
from chargepoint.config import StationConfig
from chargepoint.csms.central_system import CentralSystem
from chargepoint.domain.ports import Store
from chargepoint.errors import ConfigError
from chargepoint.recording import Recording
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore, SqliteStore
from chargepoint.systemd import Notifier, Status, Watchdog
from chargepoint.trace import Trace
from hal.api import Clock, Evse
from hal.clock import ScaledClock, SteppedClock, WallClock
from hal.device import AttendedEvse
from hal.registry import real_driver_names
from hal.simulated.vehicle import Vehicle, vehicle_from

LINGER_S = 0.02
"""How long a stepped clock waits after each frame for a central system that is not ours."""

SAME_SIGNAL_S = 0.1
HARDWARE_WITHIN_S = 5.0
INTERRUPTED = 130  # 128 + SIGINT
NOT_SAFE = 3
"""Exit code of an end at which real hardware could not be reached: a connector may still give current."""


def run_async(work: Coroutine[Any, Any, int]) -> int:
    """Run `work` on uvloop where it is installed, else on asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def make_clock(choice: ClockChoice, start: float | None, linger_s: float) -> Clock:
    """The station's clock; call it inside the running loop."""
    if choice.kind == "stepped":
        return SteppedClock(time.time() if start is None else start, linger_s)
    if choice.kind == "scaled":
        return ScaledClock(choice.factor, start)
    return WallClock()


def open_store(config: StationConfig, identity: str) -> Store:
    """What must survive a power cut, or nothing of it if the configuration says so."""
    if config.storage is None:
        return MemoryStore()
    return SqliteStore.open(config.storage, identity)


def default_vehicle(config: StationConfig) -> Vehicle:
    """What the simulated driver brings."""
    vehicle = config.vehicle
    return vehicle_from({"kind": vehicle} if isinstance(vehicle, str) else vehicle)


def random_seed() -> int:
    """A seed of this process."""
    return int.from_bytes(os.urandom(6), "big")


def catch_signals(on_first: Callable[[], None]) -> None:
    """SIGINT and SIGTERM end in good order; a second one ends at once.

    Within `SAME_SIGNAL_S` it is still the first: timeout(1) signals the process and then its whole group.
    """
    first_at: float | None = None

    def caught() -> None:
        nonlocal first_at
        if first_at is None:
            first_at = time.monotonic()
            on_first()
        elif time.monotonic() - first_at > SAME_SIGNAL_S:
            os._exit(INTERRUPTED)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, caught)


class Running:
    """One station and all it needs, inside a running loop; `end` is set when the process should end."""

    def __init__(
        self,
        config: StationConfig,
        *,
        clock: ClockChoice,
        start: float | None = None,
        seed: int | None = None,
        linger_s: float | None = None,
        trace: Path | None = None,
        csms_interval_s: int = 300,
    ) -> None:
        self.config = config
        self.seed = random_seed() if seed is None else seed
        embedded = config.csms.url is None
        linger_s = (0.0 if embedded else LINGER_S) if linger_s is None else linger_s
        self.clock = make_clock(clock, start, linger_s)
        self.end = asyncio.Event()
        self.reason = ""
        self.csms = (
            CentralSystem(seed=self.seed, clock=self.clock, interval_s=csms_interval_s) if embedded else None
        )
        self._trace_path = trace
        self._trace: Trace | None = None
        self.recording: Recording | None = None
        self._notifier = Notifier.from_environment(os.environ)
        self._watchdog: Watchdog | None = None

    async def open(self) -> Station:
        """Start the embedded central system if there is no other, and assemble the station."""
        self._check_clock()
        if self.csms is not None:
            await self.csms.start()
        url = self.config.csms.url or (self.csms.url if self.csms is not None else "")
        store = open_store(self.config, self.config.identity)
        try:
            self.station = assemble(
                StationType(self.config, keeps_log=True),
                store,
                self.clock,
                WallClock(),
                url=str(url),
                seed=self.seed,
            )
        except ValueError as error:  # only the drivers know their settings
            raise ConfigError([str(error)]) from error
        if self.csms is not None:
            self.csms.on_withheld(lambda cp, message_id: self.station.unanswered(message_id))
        if self._trace_path is not None:
            self._trace = Trace(self._trace_path, self.config.identity)
            self.recording = Recording(self.station, self._trace)
        self.station.leave = lambda: self.stop("hard reset")
        if self._notifier is not None:
            self.station.watch(Status(self._notifier.tell).event)
        await self._hardware(lambda evse: evse.opened())
        return self.station

    def start(self) -> None:
        """Start the station, and say so to whoever manages services."""
        self.station.start()
        if self._notifier is not None:
            self._notifier.tell("READY=1", f"STATUS=connecting to {self.station.link.settings.url}")
            if self._notifier.watchdog_s is not None:
                self._watchdog = Watchdog(self._notifier.tell, self._notifier.watchdog_s, self.station.evses)

    def _check_clock(self) -> None:
        """Vehicles and contactors know one time only."""
        if isinstance(self.clock, WallClock):
            return
        config, real = self.config, {}
        for n, connector in enumerate(config.connectors, 1):
            if connector.evse.driver in real_driver_names():
                real[f"connector {n}"] = connector.evse.driver
            elif connector.meter.driver != "simulated":
                real[f"the meter of connector {n}"] = connector.meter.driver
            if connector.reader is not None and connector.reader.driver != "simulated":
                real[f"the card reader of connector {n}"] = connector.reader.driver
        for reader in config.readers[:1]:
            if reader.driver != "simulated":
                real["the card reader"] = reader.driver
        if config.site is not None and config.site.real:
            real["the site meter"] = config.site.meter.driver
        if real:
            raise ConfigError(
                [f"{what} is real hardware ({driver}): use --clock wall" for what, driver in real.items()]
            )

    async def _hardware(self, wait: Callable[[AttendedEvse], Coroutine[Any, Any, None]]) -> None:
        """Wait for the connectors that have something to do on the loop, but not for dead ones."""
        waits = [asyncio.ensure_future(wait(evse)) for evse in self.station.evses if _is_attended(evse)]
        if waits:
            await asyncio.wait(waits, timeout=HARDWARE_WITHIN_S)
        for pending in waits:
            pending.cancel()

    def live(self) -> list[int]:
        """After `close`: the real connectors that may be closed though nobody wants it."""
        evses = enumerate(self.station.evses, 1)
        return [number for number, evse in evses if _is_attended(evse) and not evse.left_safe]

    def stop(self, reason: str) -> None:
        """The process should end, in good order."""
        self.reason = self.reason or reason
        self.end.set()

    async def close(self) -> None:
        """The orderly end: transactions end and are stored, up to 5 s to deliver, link closed with 1001."""
        if self._notifier is not None:
            self._notifier.tell("STOPPING=1", "STATUS=ending in good order")
        ended = asyncio.Event()
        self.station.shutdown(ended.set)
        await ended.wait()
        await self.station.link.closed()
        await self._hardware(lambda evse: evse.released())
        if self.csms is not None:
            await self.csms.stop()
        if self._watchdog is not None:
            self._watchdog.close()
        if self._notifier is not None:
            self._notifier.close()
        if self._trace is not None:
            self._trace.close()


def _is_attended(evse: Evse) -> TypeGuard[AttendedEvse]:
    return isinstance(evse, AttendedEvse)


def say(text: str) -> None:
    """A line for the person in front of it; standard output may belong to a script."""
    print(text, file=sys.stderr, flush=True)
