"""Many stations in one process, for measuring what one of them holds."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import Any

from chargepoint.config import StationConfig
from chargepoint.rpc import frames
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from hal.api import Clock
from hal.clock import SteppedClock
from tests.bench.sink import answer

START = 1_767_225_600.0  # 2026-01-01T00:00:00Z
URL = "ws://127.0.0.1/ocpp/"


class Park:
    """Stations made alike, with one simulated connector each."""

    def __init__(self, clock: Clock | None = None, url: str = URL) -> None:
        self.type = StationType(StationConfig())
        self.clock = clock or SteppedClock(START)
        self.url = url
        self.stations: list[Station] = []

    def assemble(self, count: int, *, registered: bool = False) -> None:
        """So many more, idle and powered up; `registered`: their central system has accepted them too."""
        for _ in range(count):
            station = self._station()
            with station.charge_point.turn:
                station.charge_point.start()
            if registered:
                register(station)

    def connect(self, count: int) -> None:
        """So many more that connect to where `url` says."""
        for _ in range(count):
            self._station().start()

    def _station(self) -> Station:
        number = len(self.stations)
        station = assemble(
            self.type,
            MemoryStore(),
            self.clock,
            self.clock,
            url=self.url,
            identity=f"CP{number:06d}",
            seed=1,
        )
        self.stations.append(station)
        return station


def register(station: Station) -> None:
    """The link is up and every CALL of the station gets its answer, until it has nothing more to say."""
    station.link_up()
    while (call := station.charge_point.session.outstanding) is not None:
        station.frame_received(frames.result(call.message_id, answer(call.action)))


def sizes(station: Station, other: Station, shared: Iterable[object] = ()) -> Counter[str]:
    """Bytes by kind of object that `station` has for itself: what `other`, made alike, does not reach too.

    Nothing is looked for behind `shared`, through which all stations may be reached.
    """
    roads_end = {id(thing) for thing in shared}
    common = _reachable(other, roads_end)
    found: Counter[str] = Counter()
    for key, thing in _reachable(station, roads_end).items():
        if key not in common:
            found[type(thing).__name__] += sys.getsizeof(thing)
    return found


def _reachable(start: object, roads_end: set[int]) -> dict[int, Any]:
    """Everything that can be reached from an object, by identity; not through classes and modules."""
    found: dict[int, Any] = {}
    waiting: list[Any] = [start]
    while waiting:
        thing = waiting.pop()
        if id(thing) in found or id(thing) in roads_end or isinstance(thing, type | ModuleType):
            continue
        found[id(thing)] = thing
        if isinstance(thing, FunctionType):
            waiting.extend(thing.__closure__ or ())
        else:
            waiting.extend(gc.get_referents(thing))
    return found
