"""Server-Sent Events to one client, who may be slow: it loses events then, and nobody else notices."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aiohttp import web

KEEP_ALIVE_S = 15.0
MAX_WAITING_BYTES = 4 * 2**20
_AT_ONCE_BYTES = 64 * 2**10
_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would gather events before it passes them on
}


class EventStream:
    """The events one client wants: those of the station `cp`, or of all.

    What does not fit into `MAX_WAITING_BYTES` is left out; in its place the client reads what `missed` makes
    of its number.
    """

    def __init__(self, cp: str | None, missed: Callable[[int], bytes]) -> None:
        self.cp = cp
        self._missed = missed
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._left_out = 0
        self._closed = False
        self._news = asyncio.Event()

    def wants(self, cp: str | None) -> bool:
        """Whether this client is to hear of that station; None: of all of them at once."""
        return self.cp is None or cp is None or self.cp == cp

    def put(self, line: bytes) -> None:
        """One event, as JSON with a line end."""
        full = self._waiting and self._waiting_bytes + len(line) > MAX_WAITING_BYTES
        if self._left_out or full:
            self._left_out += 1
            return
        self._waiting.append(line)
        self._waiting_bytes += len(line)
        self._news.set()

    def close(self) -> None:
        """Nothing more will come: `serve` ends when the client has read what is there."""
        self._closed = True
        self._news.set()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Write until `close`; raises what writing to a client that is gone raises."""
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        while True:
            while chunk := self._take():
                await response.write(chunk)
            if self._closed:
                break
            self._news.clear()
            try:
                async with asyncio.timeout(KEEP_ALIVE_S):
                    await self._news.wait()
            except TimeoutError:
                await response.write(b": still here\n\n")
        await response.write_eof()
        return response

    def _take(self) -> bytes:
        """What comes next, at most about `_AT_ONCE_BYTES` unless a single event is larger."""
        chunk = bytearray()
        while self._waiting and len(chunk) < _AT_ONCE_BYTES:
            line = self._waiting.popleft()
            self._waiting_bytes -= len(line)
            chunk += b"data: %b\n" % line
        if not chunk and self._left_out:
            chunk += b"data: %b\n" % self._missed(self._left_out)
            self._left_out = 0
        return bytes(chunk)
