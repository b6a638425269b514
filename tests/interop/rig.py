"""The station and a foreign central system together, and what must be true of every meeting of the two."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.e2e.shell import refusing_port
from tests.integration.piped import Line, Silent, play
from tests.integration.station_process import IMPATIENT, StationProcess, configuration, station
from tests.interop.foreign import ForeignSystem, foreign_system
from tests.interop.libraries import Library

STATION = {"vendor": "Example", "model": "Wallbox", "serial_number": "SN-1", "firmware_version": "1.0.0"}
OCPP = {
    "MeterValueSampleInterval": "60",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import,SoC",
    "StopTxnSampledData": "Energy.Active.Import.Register",
}
NOTHING: frozenset[str] = frozenset()
CONNECTORS = [{"max_current_a": 32}, {"max_current_a": 32}]


@dataclass(slots=True)
class Meeting:
    """A station at a foreign central system."""

    library: Library
    port: int
    cp: StationProcess
    csms: ForeignSystem
    predecessors: list[ForeignSystem] = field(default_factory=list)
    expected: list[str] = field(default_factory=lambda: ["check the disk"])  # what it may complain of

    @asynccontextmanager
    async def successor(self) -> AsyncIterator[None]:
        """Another central system where the first one died; `csms` from now on."""
        async with foreign_system(self.library, self.port) as csms:
            self.predecessors.append(self.csms)
            self.csms = csms
            yield
            await self.verdict()

    async def settled(self) -> None:
        """Every CALL of the station is answered."""
        await self.cp.advance(0)

    async def verdict(self, refused: frozenset[str] = NOTHING) -> None:
        """Neither side found fault with the other, and the foreign one decoded what the station sent."""
        await self.settled()
        systems = [*self.predecessors, self.csms]
        invalid = [event for csms in systems for event in csms.events if event["event"] == "invalid"]
        assert invalid == [] or refused
        complaints = [event["message"] for event in self.cp.events if event["event"] == "error"]
        assert [text for text in complaints if not any(part in text for part in self.expected)] == []
        frames = [event["frame"] for event in self.cp.events if event["event"] == "ocpp"]
        actions = {frame[1]: frame[2] for frame in frames if frame[0] == 2}
        assert {actions[frame[1]] for frame in frames if frame[0] == 4} == refused
        heard = [(action, plain(payload)) for csms in systems for action, payload in csms.requests()]
        said = [(action, plain(payload)) for action, payload in self.cp.calls() if action not in refused]
        assert heard == said

    async def charge(self, connector: int = 1, id_tag: str = "TAG") -> None:
        """Plug in, show a card and wait until energy flows."""
        await self.cp.do("plug_in", connector=connector)
        await self.cp.do("swipe", id_tag=id_tag, connector=connector)
        await self.cp.advance(10)
        await self.csms.got("StatusNotification", connectorId=connector, status="Charging")


@asynccontextmanager
async def meeting(
    library: Library, folder: Path, refused: frozenset[str] = NOTHING, **ocpp: str
) -> AsyncIterator[Meeting]:
    """Start both, wait until the station is accepted, and judge what was said at the end.

    Where something is to be `refused`, the central system is one without the security extension.
    """
    port = refusing_port()
    file = configuration(
        folder, csms={"reconnect": IMPATIENT}, station=STATION, connectors=CONNECTORS, ocpp=OCPP | ocpp
    )
    async with (
        foreign_system(library, port, *(["plain"] if refused else [])) as csms,
        station("--config", file, csms=csms.url, storage=folder / "storage") as cp,
    ):
        here = Meeting(library, port, cp, csms)
        try:
            await cp.event("registration", status="Accepted", interval_s=300)
            await cp.advance(1)
            yield here
            await here.verdict(refused)
            await cp.shut_down()
        except Silent as silent:
            silent.add_note(
                "\n".join(["the station said:", *(json.dumps(line)[:300] for line in cp.lines[-20:])])
            )
            raise


def meet(
    library: Library,
    folder: Path,
    story: Callable[[Meeting], Awaitable[None]],
    refused: frozenset[str] = NOTHING,
    **ocpp: str,
) -> None:
    """Play a story with both sides running; the central system must refuse what is `refused`, no more."""

    async def run() -> None:
        async with meeting(library, folder, refused, **ocpp) as here:
            await story(here)

    play(run)


def plain(value: Any) -> Any:
    """The same value however it is written: moments to the second, numbers by their value."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, str) and len(value) >= 20 and value[10] == "T":
        return int(datetime.fromisoformat(value).timestamp())
    return value


def samples(payload: Line) -> dict[str, str]:
    """Measurand -> value of the first MeterValue; those of single phases left out."""
    return {
        sample.get("measurand", "Energy.Active.Import.Register"): sample["value"]
        for sample in payload["meterValue"][0]["sampledValue"]
        if "phase" not in sample
    }
