"""`chargepoint csms` as a process of its own, driven over its pipes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.integration.piped import Line, Piped


class CsmsProcess(Piped):
    """The embedded central system as a program; `url` is where it listens."""

    url: str

    async def call(self, cp: str, action: str, payload: Line | None = None) -> Line:
        """Send a CALL to a station; the payload of its answer."""
        reply = await self.ask({"cp": cp, "call": action, "payload": payload or {}})
        assert reply["ok"], reply
        result: Line = reply["result"]
        return result

    async def do(self, **command: Any) -> Line:
        """A command that must succeed."""
        reply = await self.ask(command)
        assert reply["ok"], (command, reply)
        return reply

    async def received(self, action: str, **fields: Any) -> Line:
        """The payload of the next CALL of that action with these fields."""

        def wanted(line: Line) -> bool:
            frame = line.get("frame")
            return (
                line["event"] == "frame"
                and line["dir"] == "rx"
                and isinstance(frame, list)
                and frame[2:3] == [action]
                and frame[3] | fields == frame[3]
            )

        payload: Line = (await self.until(wanted))["frame"][3]
        return payload

    def calls(self, action: str | None = None) -> list[Line]:
        """The payloads of all CALLs so far, of one action or of all."""
        frames = [
            event["frame"] for event in self.events if event["event"] == "frame" and event["dir"] == "rx"
        ]
        return [
            frame[3]
            for frame in frames
            if isinstance(frame, list) and frame[0] == 2 and action in (None, frame[2])
        ]


@asynccontextmanager
async def central_system(*options: str, port: int = 0) -> AsyncIterator[CsmsProcess]:
    """`chargepoint csms` on a free port, or on one it had before."""
    arguments = ["csms", "--json", "--port", str(port), *options]
    async with CsmsProcess.born(arguments) as central:
        central.url = (await central.event("ready"))["url"]
        yield central
