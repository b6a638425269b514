"""A station and the embedded central system on a real socket and a stepped clock, and disturbances."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from chargepoint.actions import Actions
from chargepoint.config import StationConfig
from chargepoint.csms import CentralSystem, Event
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from chargepoint.tamper import Tamper
from hal.clock import SteppedClock, WallClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from scenarios.faults import Disturbance, Setting, Struck

CP = "CP001"
START = 1_767_225_600.0  # 2026-01-01T00:00:00Z

FREE = {"free_charging_id_tag": "FREE"}

PERSISTENT = {
    "TransactionMessageAttempts": "50",
    "TransactionMessageRetryInterval": "2",
    "MeterValueSampleInterval": "60",
    "DisableSecurityEventNotifications": "true",
}


class Probe(Tamper):
    """Between the station and its faulty line: what it says, and what reaches it."""

    __slots__ = ("got", "said")

    def __init__(self) -> None:
        self.said: list[tuple[float, bytes]] = []
        self.got: list[tuple[float, bytes]] = []

    def outgoing(self, data: bytes) -> None:
        """From the station."""
        self.said.append((self.edge.host.clock.now(), data))
        super().outgoing(data)

    def incoming(self, data: bytes) -> None:
        """For the station."""
        self.got.append((self.edge.host.clock.now(), data))
        super().incoming(data)


class Rig:
    """Both ends, and what was seen."""

    def __init__(self, seed: int, ocpp: Mapping[str, str], **config: Any) -> None:
        self.clock = SteppedClock(START)
        self.csms = CentralSystem(seed=1, clock=self.clock, interval_s=86_400)
        self.csms.listen(self._heard)
        self.seed = seed
        self.config = StationConfig.model_validate({"identity": CP, "ocpp": {**PERSISTENT, **ocpp}, **config})
        self.rx: list[tuple[float, Any]] = []  # frames at the central system, with station time
        self.complaints: list[str] = []  # of the central system
        self.disconnected: list[str] = []  # what it says of links that ended
        self.events: list[tuple[float, str, dict[str, Any]]] = []  # of the station, frames apart
        self.sent: list[tuple[float, bytes]] = []  # what passed over the wire, beyond the faults
        self.came: list[tuple[float, bytes]] = []
        self.probe = Probe()
        self.struck: list[Struck] = []
        self.station: Station
        self.setting: Setting
        self.actions: Actions

    def _heard(self, event: Event) -> None:
        if event.name == "frame" and event.fields["dir"] == "rx":
            self.rx.append((event.at - START, event.fields["frame"]))
        elif event.name == "disconnected":
            self.disconnected.append(event.fields["reason"])
        elif event.name == "error":
            self.complaints.append(event.fields["message"])

    def _told(self, event: str, fields: dict[str, Any]) -> None:
        if event == "ocpp":
            frames = self.sent if fields["dir"] == "tx" else self.came
            frames.append((self.clock.now(), fields["data"]))
        else:
            self.events.append((self.clock.now(), event, fields))

    @property
    def evse(self) -> SimulatedEvse:
        """The first connector."""
        evse = self.station.evses[0]
        assert isinstance(evse, SimulatedEvse)
        return evse

    def calls(self, action: str) -> list[dict[str, Any]]:
        """The payloads of that action that reached the central system."""
        return [
            frame[3]
            for _, frame in self.rx
            if isinstance(frame, list) and frame[0] == 2 and frame[2] == action
        ]

    def dated_calls(self, action: str) -> list[tuple[float, Any]]:
        """The same with the station time at which they came."""
        return [
            (at + START, frame) for at, frame in self.rx if isinstance(frame, list) and frame[2:3] == [action]
        ]

    async def do(self, verb: str, **arguments: Any) -> Any:
        """One verb, and all that follows at once."""
        reply = self.actions.perform({"cmd": verb, **arguments})
        result = await reply if isinstance(reply, Awaitable) else reply
        await self.wait(0)
        return result

    async def wait(self, seconds: float) -> float:
        """Let station time pass; returns the real seconds lost."""
        return await self.clock.run_until(self.clock.now() + seconds)

    async def disturb(self, **keys: Any) -> None:
        """One step `disturb`."""
        await self.setting.apply(disturbance(**keys))

    def status(self) -> Any:
        """Of the first connector."""
        reply = self.actions.perform({"cmd": "status"})
        assert isinstance(reply, dict)
        return reply | reply["connectors"][0]

    @property
    def losses(self) -> list[str]:
        """Why the link went down, each time."""
        connections = [fields for _, name, fields in self.events if name == "connection"]
        return [fields["reason"] for fields in connections if not fields["online"]]

    def forget_frames(self) -> None:
        """Look only at what comes from now on."""
        for frames in (self.sent, self.came, self.probe.said, self.probe.got):
            frames.clear()

    async def begin_session(self) -> None:
        """A vehicle charges, or will when the network lets it."""
        await self.do("plug_in", connector=1)
        await self.do("swipe", id_tag="TAG", connector=1)
        await self.wait(60)

    async def end_session(self) -> None:
        """The card again, and the vehicle leaves."""
        await self.do("swipe", id_tag="TAG", connector=1)
        await self.wait(5)
        await self.do("plug_out", connector=1)
        await self.wait(5)

    async def charge_freely(self, sessions: int) -> None:
        """Whole sessions without a card, which no message can prevent."""
        for _ in range(sessions):
            await self.do("plug_in", connector=1)
            await self.wait(200)
            await self.do("plug_out", connector=1)
            await self.wait(30)

    async def nothing_is_lost(self) -> None:
        """With no faults any more, every transaction is delivered, once and whole."""
        await self.setting.close()
        await self.wait(1800)
        assert self.status()["online"]
        assert self.status()["queued"] == 0
        assert self.transactions, "there was no transaction"
        assert all(transaction.stop is not None for transaction in self.transactions)

    @property
    def transactions(self) -> list[Any]:
        """As the central system knows them."""
        return self.csms.transactions(CP)


def disturbance(**keys: Any) -> Disturbance:
    """As the file has it, `for_` being `for`."""
    return Disturbance.model_validate({key.rstrip("_"): value for key, value in keys.items()})


@asynccontextmanager
async def live(seed: int = 1, *, ocpp: Mapping[str, str] | None = None, **config: Any) -> AsyncIterator[Rig]:
    """A station that is accepted, and nothing disturbed yet."""
    rig = Rig(seed, ocpp or {}, **config)
    async with rig.csms:
        rig.station = assemble(
            StationType(rig.config), MemoryStore(), rig.clock, WallClock(), url=rig.csms.url, seed=1
        )
        rig.station.watch(rig._told)
        rig.station.tamper(rig.probe)
        rig.actions = Actions(rig.station, load_vehicle("compact"))
        rig.setting = Setting({CP: rig.station}, rig.csms, seed=seed, on_struck=rig.struck.append)
        rig.station.start()
        await rig.wait(5)
        assert rig.station.accepted
        try:
            yield rig
        finally:
            await rig.setting.close()
            rig.station.close()
            await rig.station.link.closed()
