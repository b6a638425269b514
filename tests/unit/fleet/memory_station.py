"""A whole station on a stepped clock whose link leads to a central system in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from chargepoint.actions import Actions
from chargepoint.config import StationConfig
from chargepoint.observer import StationObserver
from chargepoint.ocpp16 import schema
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from hal.clock import SteppedClock
from hal.simulated.vehicle import vehicle_from
from tests.unit.ocpp16.bench import START, MemoryCsms

URL = "ws://127.0.0.1/ocpp/"


class MemoryLink:
    """Stands in for the station's `WebSocketLink`: up a moment after it was started."""

    def __init__(self, station: Station, clock: SteppedClock, carry: Callable[[bytes], None]) -> None:
        self._station = station
        self._clock = clock
        self.carry = carry
        self.settings = station.link.settings
        self.online = False
        self.lets_through = True

    def start(self) -> None:
        """Connect."""
        self._clock.call_at(self._clock.now(), self._up)

    def _up(self) -> None:
        if not self.online and self.lets_through:
            self.online = True
            self._station.link_up()

    def pause(self, code: int = 1000) -> None:
        """Disconnect."""
        if self.online:
            self.online = False
            self._station.link_down("closed")

    close = pause

    def send(self, data: bytes | str) -> None:
        """One text frame; a link that is down forgets it."""
        if self.online:
            self.carry(data if isinstance(data, bytes) else data.encode())

    def survived(self) -> None:
        """Nothing to remember."""

    def drop(self, code: int = 1000) -> None:
        """Never asked for here."""
        raise AssertionError("nobody closes the link here")

    def set_ping_interval(self, seconds: int) -> None:
        """There are no pings."""

    def use(self, settings: Any) -> None:
        """The settings stay."""


class Rig:
    """One station; `csms.frames` is what really passed over its link, `told` what its watchers were told."""

    def __init__(
        self,
        config: StationConfig | None = None,
        seed: int = 1,
        observer: StationObserver | None = None,
        **quirks: Any,
    ) -> None:
        config = config or StationConfig.model_validate(
            {
                "quirks": quirks,
                "ocpp": {
                    "DisableSecurityEventNotifications": "true",
                    "StopTxnSampledData": "Energy.Active.Import.Register",
                },
            }
        )
        self.clock = SteppedClock(START)
        self.station = assemble(
            StationType(config, observer=observer),
            MemoryStore(),
            self.clock,
            self.clock,
            url=URL,
            identity="CP1",
            seed=seed,
        )
        self.csms = MemoryCsms(self.clock)
        self.csms.deliver = self._deliver
        link: Any = MemoryLink(self.station, self.clock, self.csms.send)
        self.link: MemoryLink = link
        self.station.link = link
        self.told: list[tuple[str, bytes]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.station.watch(self._watch)
        vehicle = config.vehicle
        self.actions = Actions(
            self.station, vehicle_from({"kind": vehicle} if isinstance(vehicle, str) else vehicle)
        )

    def _deliver(self, data: bytes) -> None:
        if self.link.online:
            self.station.frame_received(data)

    def _watch(self, event: str, fields: dict[str, Any]) -> None:
        if event == "ocpp":
            self.told.append((fields["dir"], fields["data"]))
        else:
            self.events.append((event, fields))

    def start(self) -> Rig:
        """Boot and let everything due at once happen."""
        self.station.start()
        self.clock.advance(1)
        return self

    def do(self, verb: str, **fields: Any) -> None:
        """What a person does."""
        self.actions.perform({"cmd": verb, **fields})
        self.clock.advance(1)

    def session(self, seconds: float = 300, connector: int = 1) -> None:
        """A vehicle comes, charges and leaves."""
        self.do("plug_in", connector=connector)
        self.do("swipe", id_tag="TAG", connector=connector)
        self.clock.advance(seconds)
        self.do("plug_out", connector=connector)
        self.clock.advance(30)

    def reconnect(self) -> None:
        """The link is lost and comes back."""
        self.link.pause()
        self.link.start()
        self.clock.advance(1)

    def call(self, action: str, payload: dict[str, Any]) -> list[Any] | None:
        """Ask the station; its answer, if there is one already."""
        self.csms.say([2, "theirs", action, payload])
        self.clock.advance(0)
        return self.answer()

    def answer(self) -> list[Any] | None:
        """The station's newest answer to `call`."""
        found = [frame for way, frame in self.csms.frames if way == "tx" and frame[0] != 2]
        return found[-1] if found else None

    def sent(self, action: str) -> list[dict[str, Any]]:
        """The payloads of all CALLs of that action that reached the central system."""
        return [frame[3] for frame in self.calls() if frame[2] == action]

    def calls(self) -> list[list[Any]]:
        """All CALLs that reached the central system."""
        return [frame for way, frame in self.csms.frames if way == "tx" and frame[0] == 2]

    def invalid(self) -> list[str]:
        """What is wrong with the requests sent so far."""
        return [problem for f in self.calls() if (problem := schema.check_request(f[2], f[3]))]

    def watched(self) -> list[Any]:
        """What the watchers were told went out."""
        return [orjson.loads(data) for way, data in self.told if way == "tx"]

    def really_sent(self) -> list[Any]:
        """What really went out."""
        return [json.loads(json.dumps(frame)) for way, frame in self.csms.frames if way == "tx"]

    def end(self) -> None:
        """The station ends; nothing of it is left on the clock, and nothing is said any more."""
        self.station.close()
        said = len(self.csms.frames)
        assert not self.clock.held
        self.clock.advance(10 * 86_400)
        assert len(self.csms.frames) == said
