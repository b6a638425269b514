"""A rude network: a TCP proxy that reads WebSocket frames and cuts, tears, keeps, doubles or forgets them.

Frames are numbered over all connections: 1 is the first handshake's request, 2 its response, then every text
frame either way as it comes. Pings, pongs and closes go through uncounted, since they follow real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

TEXT = 1


class Rudeness(StrEnum):
    """What can happen to a frame."""

    CUT_BEFORE = "cut before a frame"
    CUT_INSIDE = "cut inside a frame"
    CUT_AFTER = "cut after a frame"
    RESET_BEFORE = "reset before a frame"
    RESET_AFTER = "reset after a frame"
    HALF_OPEN = "half-open"
    DOUBLE = "answer doubled"
    KEEP = "answers out of order"
    KILL_BEFORE = "power cut before a frame"
    KILL_AFTER = "power cut after a frame"
    RESTART = "central system restarted"


@dataclass(frozen=True, slots=True)
class Seen:
    """One text frame at the station's end of the network; `at` is real time."""

    at: float
    link: int
    up: bool  # sent by the station
    frame: list[Any]


class _Link:
    """One connection, both halves."""

    def __init__(self, number: int, down: asyncio.StreamWriter) -> None:
        self.number = number
        self.down = down
        self.up: asyncio.StreamWriter | None = None
        self.dead = False  # half-open: whatever comes vanishes
        self.kept: tuple[bytes, Any] | None = None  # an answer that waits for the next to overtake it

    def end(self, *, reset: bool) -> None:
        """Part with both sides."""
        for writer in (self.down, self.up):
            if writer is not None:
                _end(writer, reset)


def _end(writer: asyncio.StreamWriter, reset: bool) -> None:
    if reset:
        if not writer.transport.is_closing():
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()
    else:
        writer.close()


class RudeProxy:
    """Stands between a station and the port `port_of()`; `plan` says what happens to which frame."""

    def __init__(self, port_of: Callable[[], int]) -> None:
        self._port_of = port_of
        self.plan: Mapping[int, Rudeness] = {}
        self.delay_s: Callable[[], float] = lambda: 0.0
        self.done: Counter[str] = Counter()
        self.seen: list[Seen] = []
        self.ended: dict[int, float] = {}  # link -> when it was over for the station
        self.names: list[str] = []  # what each numbered frame was
        self.reached: dict[int, Rudeness] = {}  # what happened to which frame
        self.on_kill: Callable[[], None] = lambda: None
        self.on_restart: Callable[[], None] = lambda: None
        self._count = self._calm_since = 0
        self._serving: set[asyncio.Task[Any]] = set()
        self._links: list[_Link] = []
        self._actions: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.sever()
        while self._serving:
            await asyncio.wait(self._serving)

    def calm(self) -> None:
        """From now on this is a good network."""
        self.plan, self.delay_s = {}, lambda: 0.0
        self._calm_since = self._calm_since or self._count

    @property
    def rude_names(self) -> list[str]:
        """What each frame was, until the network became good."""
        return self.names[: self._calm_since]

    def sever(self, *, only_dead: bool = False) -> None:
        """Cut every connection, or only those that are half-open."""
        for link in self._links:
            if link.dead or not only_dead:
                link.end(reset=True)

    # --- a connection -------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        link = _Link(len(self._links) + 1, writer)
        self._links.append(link)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            there, link.up = await asyncio.open_connection("127.0.0.1", self._port_of())
            await self._pass(link, link.up, request, "handshake request", None)
            response = await there.readuntil(b"\r\n\r\n")
            await self._pass(link, link.down, response, "handshake response", None)
            await asyncio.gather(
                self._pump(link, reader, link.up, up=True), self._pump(link, there, link.down, up=False)
            )
        except (OSError, asyncio.IncompleteReadError):
            link.end(reset=False)
        finally:
            self.ended.setdefault(link.number, asyncio.get_running_loop().time())
            for one in (link.down, link.up):
                if one is not None:
                    one.close()
                    with contextlib.suppress(OSError):
                        await one.wait_closed()

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool
    ) -> None:
        try:
            while True:
                head, payload, raw = await _read_frame(reader)
                if head & 15 != TEXT:
                    if not link.dead:
                        writer.write(raw)
                    continue
                frame = json.loads(payload)
                if up:
                    self._note(link, True, frame)
                await self._pass(link, writer, raw, self._name(frame, up), None if up else frame)
        except (OSError, asyncio.IncompleteReadError):
            if up:
                self.ended.setdefault(link.number, asyncio.get_running_loop().time())
            if not link.dead:  # else the other side never hears of it
                writer.close()

    async def _pass(
        self, link: _Link, writer: asyncio.StreamWriter, raw: bytes, name: str, answer: Any
    ) -> None:
        """One numbered frame; `answer` is its content if it goes down to the station."""
        if link.dead:
            return
        self._count += 1
        number = self._count
        self.names.append(name)
        rude = self.plan.get(number)
        if delay_s := self.delay_s():
            self.done["latency"] += 1
            await asyncio.sleep(delay_s)
        if rude in (Rudeness.DOUBLE, Rudeness.KEEP) and answer is None:
            rude = None  # only answers can be had twice or late
        if rude is not None:
            self.done[rude] += 1
            self.reached[number] = rude
        match rude:
            case Rudeness.CUT_BEFORE | Rudeness.RESET_BEFORE:
                link.end(reset=rude is Rudeness.RESET_BEFORE)
                return
            case Rudeness.CUT_INSIDE:
                writer.write(raw[: max(1, len(raw) // 2)])
                with contextlib.suppress(OSError):
                    await writer.drain()
                link.end(reset=False)
                return
            case Rudeness.HALF_OPEN:
                link.dead = True
                return
            case Rudeness.KEEP:
                link.kept = raw, answer
                return
            case Rudeness.KILL_BEFORE:
                self.on_kill()
        self._send(link, writer, raw, answer)
        with contextlib.suppress(OSError):
            await writer.drain()
        match rude:
            case Rudeness.DOUBLE:
                self._send(link, writer, raw, answer)
            case Rudeness.CUT_AFTER | Rudeness.RESET_AFTER:
                link.end(reset=rude is Rudeness.RESET_AFTER)
            case Rudeness.KILL_AFTER:
                self.on_kill()
            case Rudeness.RESTART:
                self.on_restart()

    def _send(self, link: _Link, writer: asyncio.StreamWriter, raw: bytes, answer: Any) -> None:
        writer.write(raw)
        if answer is not None:
            self._note(link, False, answer)
            if link.kept is not None:
                (raw, answer), link.kept = link.kept, None
                self._send(link, writer, raw, answer)

    def _note(self, link: _Link, up: bool, frame: list[Any]) -> None:
        self.seen.append(Seen(asyncio.get_running_loop().time(), link.number, up, frame))

    def _name(self, frame: list[Any], up: bool) -> str:
        if frame[0] == 2:
            self._actions[frame[1]] = frame[2]
            return str(frame[2])
        return f"answer to {self._actions.get(frame[1], '?')}"


async def _read_frame(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    """First byte, unmasked payload and raw bytes of the next frame (RFC 6455 §5.2)."""
    head = await reader.readexactly(2)
    length, more, mask = head[1] & 127, b"", b""
    if length >= 126:
        more = await reader.readexactly(2 if length == 126 else 8)
        length = int.from_bytes(more)
    if head[1] & 128:
        mask = await reader.readexactly(4)
    payload = await reader.readexactly(length)
    raw = head + more + mask + payload
    if mask:
        key = int.from_bytes((mask * (length // 4 + 1))[:length])
        payload = (int.from_bytes(payload) ^ key).to_bytes(length)
    return head[0], payload, raw
