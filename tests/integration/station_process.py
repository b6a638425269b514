"""`chargepoint run --control stdio` as a process of its own, driven as a script in any language would."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from chargepoint.csms.central_system import CentralSystem
from tests.integration.piped import Line, Piped

START = "2026-01-01T00:00:00Z"
CP = "CP001"

IMPATIENT = {"min_s": 0.05, "jitter_s": 0, "max_s": 0.1}
"""Back-off for tests on a clock that does not jump."""


class StationProcess(Piped):
    """The station as a program."""

    async def do(self, cmd: str, **fields: Any) -> Line:
        """A command that must succeed; its reply."""
        reply = await self.ask({"cmd": cmd} | fields)
        assert reply["ok"], (cmd, fields, reply)
        return reply

    async def refused(self, cmd: str, **fields: Any) -> str:
        """A command that must fail; its error code."""
        reply = await self.ask({"cmd": cmd} | fields)
        assert not reply["ok"], (cmd, fields, reply)
        assert reply["message"]
        return str(reply["error"])

    async def advance(self, seconds: float) -> float:
        """Let station time pass and every CALL be answered; the real seconds lost."""
        return float((await self.do("advance", seconds=seconds))["held_s"])

    async def charge(self) -> None:
        """Plug in, show the card TAG, and wait until energy flows."""
        await self.advance(1)
        await self.do("plug_in", connector=1)
        await self.do("swipe", id_tag="TAG", connector=1)
        await self.advance(10)
        assert (await self.connector())["status"] == "Charging"

    async def connector(self, n: int = 1) -> Line:
        """What `status` says of a connector."""
        connector: Line = (await self.do("status"))["connectors"][n - 1]
        return connector

    async def sent(self, action: str, **fields: Any) -> Line:
        """The payload of the next CALL of that action with these fields."""

        def wanted(line: Line) -> bool:
            if line["event"] != "ocpp" or line["dir"] != "tx" or line["frame"][0] != 2:
                return False
            payload: Line = line["frame"][3]
            return bool(line["frame"][2] == action and payload | fields == payload)

        payload: Line = (await self.until(wanted))["frame"][3]
        return payload

    def calls(self, *actions: str) -> list[tuple[str, Line]]:
        """Action and payload of all CALLs sent so far, of some actions or of all."""
        frames = [
            event["frame"] for event in self.events if event["event"] == "ocpp" and event["dir"] == "tx"
        ]
        return [
            (frame[2], frame[3]) for frame in frames if frame[0] == 2 and (not actions or frame[2] in actions)
        ]

    async def shut_down(self) -> None:
        """The orderly end, which must succeed."""
        await self.do("shutdown")
        assert await self.ended() == 0, self.errors


def configuration(folder: Path, **sections: Any) -> Path:
    """A configuration file; JSON is YAML."""
    path = folder / "station.json"
    path.write_text(json.dumps(sections))
    return path


@asynccontextmanager
async def station(
    *options: str | Path,
    csms: str | None = None,
    storage: Path,
    clock: str = "stepped",
    start: str | None = START,
    fresh: bool = False,
    **environment: str,
) -> AsyncIterator[StationProcess]:
    """The command with a script at its other end; it has said `ready` when this returns.

    `fresh`: in an interpreter that has to read the code, as a user's.
    """
    arguments: list[str | Path] = [
        "run",
        "--control",
        "stdio",
        "--storage",
        storage,
        "--clock",
        clock,
        *options,
    ]
    if csms is not None:
        arguments += ["--csms", csms]
    if clock != "wall" and start is not None:
        arguments += ["--start", start]
    program = (
        StationProcess.started(["-m", "chargepoint", *arguments], **environment)
        if fresh
        else StationProcess.born(arguments, **environment)
    )
    async with program as running:
        await running.event("ready")
        yield running


@asynccontextmanager
async def at_central_system(
    folder: Path, *options: str | Path, clock: str = "stepped", start: str | None = START, **sections: Any
) -> AsyncIterator[tuple[CentralSystem, StationProcess]]:
    """A central system in this process and a station at it, with these sections of configuration."""
    async with CentralSystem(seed=1) as central:
        arguments = ("--config", configuration(folder, **sections), "--linger", "0", *options)
        async with station(
            *arguments, csms=central.url, storage=folder / "storage", clock=clock, start=start
        ) as running:
            yield central, running
