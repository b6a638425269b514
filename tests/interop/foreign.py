"""A central system on a foreign library, as a process that speaks JSON Lines.

It is started with a port to listen at on loopback and, to leave the security extension out, the word `plain`.
It writes the events `ready` (`url`, `library`, `version`), `connected` (`cp`, and `subprotocol` where the
library tells it), `disconnected` (`cp`), `request` (`action`, `payload`: what the library decoded, written
anew from its own types) and `invalid` (`message`: the library found fault with something). It reads `{"cp",
"call", "payload"}`, sends that CALL and replies in order with `{"ok": true, "result"}` or `{"ok": false,
"error", "message"}`. Every station is accepted, transactions are numbered from 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.integration.nursery import LINE_LIMIT
from tests.integration.piped import Line, Piped
from tests.interop.libraries import Library


class ForeignSystem(Piped):
    """The foreign central system as a program."""

    url: str

    async def call(self, action: str, **payload: Any) -> Line:
        """Send a CALL that the station must answer with a CALLRESULT; the payload of that."""
        reply = await self.ask({"cp": "CP001", "call": action, "payload": payload})
        assert reply["ok"], (action, payload, reply)
        result: Line = reply["result"]
        return result

    async def answered(self, action: str, status: str, **payload: Any) -> None:
        """Send a CALL that the station must answer with exactly that status."""
        assert await self.call(action, **payload) == {"status": status}

    async def got(self, action: str, **fields: Any) -> Line:
        """The payload of the next request of that action with these fields."""

        def wanted(line: Line) -> bool:
            if line["event"] != "request" or line["action"] != action:
                return False
            payload: Line = line["payload"]
            return payload | fields == payload

        payload: Line = (await self.until(wanted))["payload"]
        return payload

    def requests(self, *actions: str) -> list[tuple[str, Line]]:
        """Action and payload of all requests so far, of some actions or of all."""
        seen = [(event["action"], event["payload"]) for event in self.events if event["event"] == "request"]
        return [(action, payload) for action, payload in seen if not actions or action in actions]


@asynccontextmanager
async def foreign_system(library: Library, port: int, *words: str) -> AsyncIterator[ForeignSystem]:
    """Start it and wait until it listens; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *library.run,
        str(port),
        *words,
        cwd=library.folder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )
    system = ForeignSystem(process)
    try:
        system.url = (await system.event("ready"))["url"]
        yield system
    finally:
        await system.kill()
        system.close()
