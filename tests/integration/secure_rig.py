"""A station on real time and real sockets, and a central system whose security profile a test may change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chargepoint.config import StationConfig
from chargepoint.csms import CentralSystem, Event, ServerTls
from chargepoint.domain.ports import Store
from chargepoint.ocpp16.security.events import KIND as SECURITY_EVENT
from chargepoint.station import Station
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from hal.clock import WallClock
from tests.integration.station_process import CP, IMPATIENT
from tests.integration.tls_material import Authority

PATIENCE_S = 60.0
HEX, OTHER_HEX = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
LITERAL = "a literal text key"


async def until(true: Callable[[], Any]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.01)


class Office:
    """One address at which a central system of this or that profile listens; `passwords` are all it knows."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.server = self.authority.issue("localhost")
        self.client = self.authority.issue(CP)
        self.passwords: dict[str, str | bytes] = {}
        self.frames: list[Any] = []  # from the station
        self.port = 0
        self.profile = 0
        self.central: CentralSystem | None = None

    def tls(self, profile: int, **more: Any) -> ServerTls | None:
        """What a profile needs on this side."""
        if profile < 2:
            return None
        ca = Path(self.authority.ca) if profile == 3 else None
        return ServerTls(Path(self.server.cert), Path(self.server.key), ca, **more)

    async def speak(self, profile: int, tls: ServerTls | None = None) -> CentralSystem:
        """Another central system in place of the last one, at the same port."""
        await self.close()
        central = self.central = CentralSystem(
            host="localhost",
            port=self.port,
            seed=1,
            passwords=self.passwords if profile in (1, 2) else None,
            tls=tls or self.tls(profile),
        )
        central.listen(self._heard)
        await central.start()
        self.port = int(central.url.rpartition(":")[2])
        self.profile = profile
        return central

    async def close(self) -> None:
        """Listen no more."""
        if self.central is not None:
            await self.central.stop()

    def _heard(self, event: Event) -> None:
        if event.name == "frame" and event.fields["dir"] == "rx":
            self.frames.append(event.fields["frame"])

    @property
    def url(self) -> str:
        """Without TLS: the station's profile sees to the scheme."""
        return f"ws://localhost:{self.port}"

    async def call(self, action: str, **payload: Any) -> dict[str, Any]:
        """A CALL to the station, which must be connected."""
        assert self.central is not None
        return await self.central.call(CP, action, payload)

    async def change(self, key: str, value: str) -> str:
        """ChangeConfiguration; its status."""
        return str((await self.call("ChangeConfiguration", key=key, value=value))["status"])

    async def value(self, key: str) -> Any:
        """What GetConfiguration says of a key."""
        answer = await self.call("GetConfiguration", key=[key])
        return answer["configurationKey"][0].get("value")

    def heard(self, action: str) -> int:
        """How many CALLs of that action came."""
        return sum(frame[0] == 2 and frame[2] == action for frame in self.frames)


class Live:
    """A station in this process."""

    def __init__(self, office: Office, store: Store, **csms: Any) -> None:
        url = csms.pop("url", office.url)
        secure = csms.get("security_profile", 0) >= 2
        client = office.client
        tls = {"ca": Path(office.authority.ca), "cert": Path(client.cert), "key": Path(client.key)}
        config = {
            "csms": {
                "url": url.replace("ws:", "wss:") if secure else url,
                "tls": tls,
                "reconnect": {**IMPATIENT, "profile_fallback_s": 0.2},
                **csms,
            },
            "compatibility": {"security_events": "all"},
        }
        self.type = StationType(StationConfig.model_validate(config))
        self.store = store
        self.events: list[tuple[str, dict[str, Any]]] = []
        clock = WallClock()
        self.station = Station(self.type, CP, self.type.config.csms.url or "", store, clock, clock, 1)
        self.station.watch(lambda name, fields: self.events.append((name, fields)))

    @property
    def accepted(self) -> bool:
        """In and registered."""
        return self.station.link.online and self.station.charge_point.accepted

    @property
    def proven(self) -> bool:
        """In, and nothing is on trial."""
        security = self.station.charge_point.connection
        return self.accepted and not security.on_trial and not security.due

    def waiting(self) -> list[str]:
        """The security events that wait for delivery."""
        return [document["type"] for _, document in self.store.items(SECURITY_EVENT)]


@asynccontextmanager
async def live(office: Office, store: Store | None = None, **csms: Any) -> AsyncIterator[Live]:
    """A started station, closed at the end."""
    rig = Live(office, MemoryStore() if store is None else store, **csms)
    rig.station.start()
    try:
        yield rig
    finally:
        rig.station.close()
        await rig.station.link.closed()
