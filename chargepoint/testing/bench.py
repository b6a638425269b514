"""What a test stands its stations on: one clock, one central system, and how to wait for something there."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from chargepoint.actions import Actions
from chargepoint.config import StationConfig
from chargepoint.config.problems import explained_flags
from chargepoint.config.source import parse
from chargepoint.csms import CentralSystem
from chargepoint.csms.events import frame_of
from chargepoint.durations import seconds
from chargepoint.errors import ConfigError
from chargepoint.fleet.plan.group import station_config
from chargepoint.fleet.plan.identities import pattern_problem
from chargepoint.fleet.plan.template import load_template
from chargepoint.ocpp16.times import parse_time
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore, SqliteStore
from chargepoint.testing.background import Background
from chargepoint.testing.frames import Record, lines
from hal.api import Clock
from hal.clock import ScaledClock, SteppedClock, WallClock
from hal.simulated.vehicle import vehicle_from

T = TypeVar("T")

START = "2026-01-01T08:00:00Z"
"""When a stepped clock begins at the embedded central system, unless told otherwise: always the same day."""

SEED = 1
A_DAY_S = 86_400
LINGER_S = 0.02
"""How long a stepped clock waits after each frame for a central system that is not ours."""

LOOK_AGAIN_S = 0.02
LAST_FRAMES = 20

_WORKER = re.compile(r"\{worker(?::(0?[0-9]{1,2})d?)?\}")

Duration = float | str
"""Seconds, or text such as `90s`, `5m` or `1h30m`."""


class NotSeen(AssertionError):
    """Something that a test waited for did not happen in time."""


def seconds_of(duration: Duration) -> float:
    """A length of time in seconds. Raises `ValueError` for text that is none, and for negative ones."""
    length = seconds(duration) if isinstance(duration, str) else float(duration)
    if not 0 <= length < float("inf"):
        raise ValueError(f"{duration!r} is no length of time")
    return length


def moment_of(moment: str | float | datetime) -> float:
    """Seconds since the epoch; text is RFC 3339 or a date alone, what names no zone is UTC."""
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if isinstance(moment, str):
        return parse_time(moment if len(moment) > len("2026-03-02") else f"{moment}T00:00:00Z")
    return float(moment)


@dataclass(frozen=True, slots=True)
class Member:
    """A station on the bench, and all that was seen of it."""

    station: Station
    actions: Actions
    record: Record
    events: list[dict[str, Any]]


class Bench:
    """One clock, one central system and the stations of one test.

    With `url` the central system is that one, and it is told the stations' end in good order; else it is the
    embedded one, which goes with them. `clock` is stepped, wall or xN. On a stepped clock nothing happens
    but inside a call, and the same calls give the same frames. `worker` is the number of one of several
    processes that test at the same time, None: there is one.
    """

    def __init__(
        self,
        url: str | None = None,
        clock: str | None = None,
        start: str | float | datetime | None = None,
        *,
        worker: int | None = None,
    ) -> None:
        self.url = url
        self.worker = worker
        self.members: dict[str, Member] = {}
        self.record = Record()  # as the embedded central system sees it
        self.seed = SEED if url is None else int.from_bytes(os.urandom(6), "big")
        self._kind = clock or ("stepped" if url is None else "wall")
        self._start = START if start is None and url is None else start
        self.background = Background()
        try:
            self.background.run(self._open())
        except BaseException:
            self.background.close()
            raise

    async def _open(self) -> None:
        start = None if self._start is None else moment_of(self._start)
        self.clock: Clock = WallClock()
        if self._kind == "stepped":
            self.clock = SteppedClock(time.time() if start is None else start, LINGER_S if self.url else 0.0)
        elif self._kind.startswith("x"):
            self.clock = ScaledClock(float(self._kind[1:]), start)
        self.wire = WallClock()
        self.csms: CentralSystem | None = None
        if self.url is None:
            self.csms = CentralSystem(seed=self.seed, clock=self.clock, interval_s=A_DAY_S, quick=True)
            self.csms.listen(self._heard)
            self.csms.on_withheld(self._unanswered)
            await self.csms.start()

    def _unanswered(self, cp: str, message_id: str) -> None:
        if cp in self.members:
            self.members[cp].station.unanswered(message_id)

    def _heard(self, event: Any) -> None:
        if event.name == "frame":
            self.record.add(event.at, event.cp, event.fields["dir"] == "rx", event.fields["frame"])

    # --- stations -----------------------------------------------------------------------------------

    def add(
        self,
        count: int,
        *,
        template: str | None,
        config: Mapping[str, Any],
        vehicle: str | Mapping[str, Any] | None,
        identity: str | None,
    ) -> list[Member]:
        """Assemble so many stations, not started yet. Raises `ConfigError` with every mistake."""
        __tracebackhide__ = True
        first = len(self.members) + 1
        pattern = self._pattern(identity or config.get("identity"))
        if problem := pattern_problem(pattern, count, first, 48):
            raise ConfigError([f"identity: {problem}"])
        added = [pattern.format(n=n) for n in range(first, first + count)]
        for name in added:
            if name in self.members:
                raise ConfigError([f"identity: {name} is there already; give each station its own"])
        like = StationConfig() if template is None else load_template(template).config
        own = {**config} | ({} if vehicle is None else {"vehicle": vehicle})
        # JSON is YAML: what a test writes is read just as a file would be.
        changes = {"storage": None, **parse(json.dumps(own, default=str), "config").tree}
        try:
            types = [
                StationType(station_config(like, {**changes, "identity": name}, None), keeps_log=True)
                for name in added
            ]
        except ValidationError as error:
            raise ConfigError(explained_flags(StationConfig, error, {})) from None
        if types[0].config.csms.url is not None:
            raise ConfigError(["csms.url: is where all stations of a test connect; say it with --csms-url"])
        return self.background.do(lambda: [self._assemble(type) for type in types])

    def _pattern(self, asked: Any) -> str:
        """Of their identities, still with an {n}. What nobody asked for differs from worker to worker where
        all of them are at one central system."""
        if asked is None:
            together = self.url is not None and self.worker is not None
            asked = "CP{worker}-{n:03d}" if together else "CP{n:03d}"
        return _WORKER.sub(lambda found: format(self.worker or 0, f"{found[1] or ''}d"), str(asked))

    def _assemble(self, type: StationType) -> Member:
        config = type.config
        store = MemoryStore() if config.storage is None else SqliteStore.open(config.storage, config.identity)
        url = self.url or (self.csms.url if self.csms is not None else "")
        try:
            station = assemble(type, store, self.clock, self.wire, url=url, seed=self.seed)
            kind = config.vehicle
            vehicle = vehicle_from({"kind": kind} if isinstance(kind, str) else kind)
        except ValueError as error:  # only the drivers know their settings
            raise ConfigError([str(error)]) from error
        member = Member(station, Actions(station, vehicle), Record(), [])

        def watch(event: str, fields: dict[str, Any]) -> None:
            at = station.utc()
            if event == "ocpp":
                frame = frame_of(bytes(fields["data"]).decode("utf-8", "replace"))
                member.record.add(at, config.identity, fields["dir"] == "tx", frame)
            else:
                member.events.append({"event": event, "at": datetime.fromtimestamp(at, UTC), **fields})

        station.watch(watch)
        self.members[config.identity] = member
        return member

    def start(self, members: Iterable[Member]) -> None:
        """Power them up."""

        def start() -> None:
            for member in members:
                member.station.start()

        self.act(start)

    # --- time ---------------------------------------------------------------------------------------

    def act(self, work: Callable[[], T | Awaitable[T]]) -> T:
        """Do something on the loop, and on a stepped clock all that follows from it at that moment."""

        __tracebackhide__ = True

        async def done() -> T:
            __tracebackhide__ = True
            result = work()
            value: T = await result if isinstance(result, Awaitable) else result
            await self._settle()
            return value

        return self.background.run(done())

    async def _settle(self) -> None:
        if isinstance(self.clock, SteppedClock):
            await self.clock.run_until(self.clock.now())

    def advance(self, length_s: float) -> None:
        """Let so much station time pass."""
        clock = self.clock
        if isinstance(clock, SteppedClock):
            self.background.run(clock.run_until(clock.now() + length_s))
        else:
            self.wait(lambda: False, length_s)

    def wait(self, condition: Callable[[], T], within_s: float) -> T:
        """What `condition` says as soon as it is true, looked at whenever something may have happened; what
        it says in the end if it never was."""
        __tracebackhide__ = True
        return self.background.run(self._until(condition, within_s))

    async def _until(self, condition: Callable[[], T], within_s: float) -> T:
        __tracebackhide__ = True
        clock = self.clock
        deadline = clock.now() + within_s
        await self._settle()
        while not (found := condition()):
            if isinstance(clock, SteppedClock):
                due = clock.next_at()
                if clock.now() >= deadline:
                    break
                await clock.run_until(deadline if due is None else min(due, deadline))
            elif (left_s := deadline - clock.now()) <= 0:
                break
            else:
                await asyncio.sleep(min(left_s, LOOK_AGAIN_S))
        return found

    def jump(self, by_s: float) -> None:
        """Set the clocks inside all stations ahead or back, while time goes on as before."""

        def jump() -> None:
            for member in self.members.values():
                charge_point = member.station.charge_point
                time = charge_point.time
                with charge_point.turn:
                    follows, time.follow = time.follow, True
                    moved = time.correct(time.utc() + by_s)
                    time.follow = follows
                    if moved:
                        charge_point.time_corrected(by_s, False)

        self.act(jump)

    # --- the end ------------------------------------------------------------------------------------

    def close(self) -> None:
        """End all stations, the central system if it is ours, and the loop."""
        try:
            self.background.run(self._close())
        finally:
            self.background.close()

    async def _close(self) -> None:
        stations = [member.station for member in self.members.values()]
        if self.csms is None:
            # Nobody else tells it that these transactions are over.
            await asyncio.gather(*(_end(station) for station in stations if station.online))
        for station in stations:
            station.close()
        await asyncio.gather(*(station.link.closed() for station in stations))
        if self.csms is not None:
            await self.csms.stop()

    def story(self) -> str:
        """The newest frames of each station, for whoever looks into a failure."""
        told = f"central system {self.url or 'embedded'}, clock {self._kind}, seed {self.seed}"
        if isinstance(self.clock, SteppedClock) and self.clock.lost_s:
            told += f", {self.clock.lost_s:.1f} s lost to answers that never came"
        parts = [told]
        for name, member in self.members.items():
            frames = tuple(member.record.frames)
            left_out = len(frames) - LAST_FRAMES
            parts.append(f"{name}:" + (f" ({left_out} earlier ones left out)" if left_out > 0 else ""))
            parts.extend(lines(frames[-LAST_FRAMES:]) if frames else ["  no frame"])
            parts.extend(
                f"{name} complained: {event['message']}"
                for event in member.events
                if event["event"] == "error"
            )
        return "\n".join(parts)


async def _end(station: Station) -> None:
    """Transactions end and are delivered, for up to 5 s."""
    ended = asyncio.Event()
    station.shutdown(ended.set)
    await ended.wait()
