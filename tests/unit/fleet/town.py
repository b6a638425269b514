"""Stations with drivers on one stepped clock, each with a central system in memory at the end of its link."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from chargepoint.actions import Actions
from chargepoint.config import StationConfig
from chargepoint.fleet.people.behaviour import Behaviour
from chargepoint.fleet.plan.plan import Group, Member, Plan
from chargepoint.link import LinkSettings, WebSocketLink
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from tests.unit.ocpp16.bench import START, MemoryCsms

DAY_S = 86_400.0
DC = {"current": "dc", "cable": "tethered", "max_current_a": 200, "max_power_w": 100000}


class MemoryLink:
    """A link that is up as soon as it may be; `urls` is where it was told to connect to."""

    def __init__(
        self, station: Station, csms: MemoryCsms, clock: SteppedClock, settings: LinkSettings
    ) -> None:
        self.station, self.csms, self.clock, self.settings = station, csms, clock, settings
        self.online = self.started = self.offline = False
        self.urls = [settings.url]

    def start(self) -> None:
        self.started = True
        self._connect()

    def _connect(self) -> None:
        if self.started and not self.offline and not self.online:
            self.clock.call_at(self.clock.now(), self._opened)

    def _opened(self) -> None:
        if self.started and not self.offline and not self.online:
            self.online = True
            self.csms.deliver = self.station.frame_received
            self.station.link_up()

    def _down(self, reason: str) -> None:
        self.csms.deliver = lambda data: None
        if self.online:
            self.online = False
            self.station.link_down(reason)

    def send(self, data: bytes | str) -> None:
        if self.online:
            self.csms.send(data)

    def cut(self, offline: bool) -> None:
        self.offline = offline
        self._down("cut") if offline else self._connect()

    def reconnect(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.urls.append(settings.url)
        self._down("closed by the station to connect anew")
        self._connect()

    def use(self, settings: LinkSettings) -> None:
        self.settings = settings
        self.urls.append(settings.url)

    def pause(self, code: int = 1000) -> None:
        self.started = False
        self._down("paused")

    def close(self, code: int = 1001) -> None:
        self.pause()

    def drop(self, code: int = 1000) -> None:
        self._down("dropped")

    def survived(self) -> None: ...

    def set_ping_interval(self, seconds: int) -> None: ...


class Inhabitant:
    """A station of the town and what hangs on it (chargepoint.fleet.people.drivers.Place)."""

    def __init__(self, member: Member, station: Station, csms: MemoryCsms) -> None:
        self.member, self.station, self.csms = member, station, csms
        self.actions = Actions(station, load_vehicle("compact"))
        self.drivers: Any = None

    @property
    def link(self) -> MemoryLink:
        return cast(MemoryLink, self.station.link)

    def sent(self, action: str) -> list[dict[str, Any]]:
        """The payloads of every CALL of that kind."""
        return [f[3] for way, f in self.csms.frames if way == "tx" and f[0] == 2 and f[2] == action]


class Town:
    """A group of stations whose drivers follow one behaviour; `tune` prepares each central system."""

    def __init__(
        self,
        behaviour: str = "steady",
        count: int = 3,
        *,
        seed: int = 1,
        connectors: int = 1,
        dc: bool = False,
        station: dict[str, Any] | None = None,
        tune: Callable[[MemoryCsms], None] = lambda csms: None,
        start: float = START,
        settle: bool = True,
        **group: Any,
    ) -> None:
        self.clock = SteppedClock(start)
        self.behaviour = Behaviour.load(behaviour, seed=seed)
        outlet = DC if dc else {"current": "ac"}
        values = {"connectors": [outlet] * connectors, "ocpp": {"MeterValueSampleInterval": "900"}}
        config = StationConfig.model_validate(values | (station or {}))
        self.group = Group("town", count, "CP{n:03d}", config, behaviour=behaviour, **group)
        type = StationType(config)
        self.places: dict[str, Inhabitant] = {}
        for member in Plan((self.group,), seed).members():
            csms = MemoryCsms(self.clock)
            tune(csms)
            made = assemble(
                type,
                MemoryStore(),
                self.clock,
                self.clock,
                url="ws://csms.example/ocpp",
                identity=member.identity,
                seed=seed,
            )
            link = MemoryLink(made, csms, self.clock, made.link.settings)
            made.link = cast(WebSocketLink, link)
            self.places[member.identity] = Inhabitant(member, made, csms)
            made.start()
        if settle:
            for place in self.places.values():
                self.behaviour.settle_in(place)

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @property
    def tally(self) -> Counter[str]:
        return self.behaviour.tally

    def sent(self, action: str) -> list[dict[str, Any]]:
        return [payload for place in self.places.values() for payload in place.sent(action)]

    def frames(self) -> dict[str, list[tuple[float, str]]]:
        """When each station sent what."""
        return {identity: place.csms.calls for identity, place in self.places.items()}

    def evse(self, identity: str, connector: int = 1) -> SimulatedEvse:
        evse = self.places[identity].station.evses[connector - 1]
        assert isinstance(evse, SimulatedEvse)
        return evse

    def close(self) -> None:
        for place in self.places.values():
            self.behaviour.leave(place)
            place.station.close()
