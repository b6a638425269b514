"""A link on stepped clocks against real servers on loopback, and servers that behave badly on purpose."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeAlias

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from chargepoint.errors import LinkError
from chargepoint.link import Backoff, LinkSettings, TlsSettings, WebSocketLink
from hal.clock import SteppedClock

PATIENCE_S = 40.0
"""Real seconds after which a test that waits for something gives up."""

_SILENT = logging.Logger("silent", logging.CRITICAL)

Event: TypeAlias = tuple[str, Any]
Handler: TypeAlias = Callable[[ServerConnection], Awaitable[None]]
Rude: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def play(story: Coroutine[Any, Any, None]) -> None:
    """Run a test's story on a loop of its own; an exception that reached the loop's handler fails it."""

    async def supervised() -> None:
        unseen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        async with asyncio.timeout(4 * PATIENCE_S):
            await story
        assert unseen == []

    asyncio.run(supervised())


class Listener:
    """Writes down what a link reports and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()

    def link_up(self) -> None:
        self.events.put_nowait(("up", None))

    def link_down(self, reason: str) -> None:
        self.events.put_nowait(("down", reason))

    def frame_received(self, data: bytes) -> None:
        self.events.put_nowait(("text", data))

    def binary_received(self, data: bytes) -> None:
        self.events.put_nowait(("binary", data))

    def connect_failed(self, error: LinkError, attempts: int) -> None:
        self.events.put_nowait(("failed", (error.kind, str(error), attempts)))

    async def expect(self, kind: str) -> Any:
        """The value of the next event, which must be of this kind."""
        event, value = await asyncio.wait_for(self.events.get(), PATIENCE_S)
        assert event == kind, (event, value)
        return value


class CountingClock(SteppedClock):
    """Counts the touches, of which a stepped clock only keeps the last."""

    touches = 0

    def touch(self) -> None:
        super().touch()
        self.touches += 1


class Rig:
    """A link whose clocks stand still until the test lets them go on.

    `wire` times connections, `clock` is the station's time and carries the back-off: 3, 6, 12 ... s.
    """

    def __init__(self, url: str, **settings: Any) -> None:
        self.wire = SteppedClock(1000.0)
        self.clock = CountingClock(5_000.0)
        self.listener = Listener()
        self.settings = LinkSettings(url, settings.pop("identity", "CP1"), **settings)
        self.link = WebSocketLink(
            self.settings,
            self.listener,
            wire=self.wire,
            clock=self.clock,
            backoff=Backoff(min_s=3, jitter_s=0, max_s=120),
            backoff_clock=self.clock,
            jitter=lambda: 0.0,
            max_size=2**20,
        )

    def retry_in_s(self) -> float | None:
        """Station seconds until the next attempt."""
        due = self.clock.next_at()
        return None if due is None else due - self.clock.now()

    def retry(self) -> None:
        """Let the back-off pass."""
        self.clock.advance(self.retry_in_s() or 0)


@asynccontextmanager
async def started(url: str, **settings: Any) -> AsyncIterator[Rig]:
    """A started link, closed for good at the end, which must leave nothing behind."""
    rig = Rig(url, **settings)
    rig.link.start()
    try:
        yield rig
    finally:
        rig.link.close()
        ending = asyncio.ensure_future(rig.link.closed())
        while not ending.done():
            await asyncio.wait([ending], timeout=0.05)
            rig.wire.advance(5)
    assert not rig.clock.held
    assert rig.clock.next_at() is None
    assert not rig.link.online


class Csms:
    """A WebSocket server that keeps its connections and what it heard on them."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.connections: asyncio.Queue[ServerConnection] = asyncio.Queue()
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Response | None] = lambda _: None
        self.subprotocols: list[Subprotocol] | None = [Subprotocol("ocpp1.6")]
        self.tls = tls
        self.quiet = False
        self.url = ""
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            0,
            subprotocols=self.subprotocols,
            select_subprotocol=None if self.subprotocols else lambda *_: None,
            process_request=self._request,
            compression=None,
            ping_interval=None,
            ssl=self.tls,
            logger=_SILENT if self.quiet else None,
            close_timeout=1,
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"{'wss' if self.tls else 'ws'}://127.0.0.1:{port}/ocpp/CP1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def connection(self) -> ServerConnection:
        """The next station to connect."""
        return await asyncio.wait_for(self.connections.get(), PATIENCE_S)

    def _request(self, _: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return self.answer(request)

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.put_nowait(connection)
        await connection.wait_closed()


@asynccontextmanager
async def rude_server(behave: Rude) -> AsyncIterator[str]:
    """A TCP server that does `behave` with each connection and then closes it; yields its ws:// URL."""

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behave(reader, writer)
            await writer.drain()
        except (ConnectionError, EOFError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/CP1"


def answering(answer: bytes, then_wait: bool = False) -> Rude:
    """Read the request, send `answer`, and close, or wait for the other side to."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if then_wait:
            await reader.read()

    return behave


def trust(ca: str, cert: str | None = None, key: str | None = None, **more: Any) -> TlsSettings:
    """TLS settings that trust the certificates in the file `ca` and show those in the files of our own."""
    own, own_key = (None if path is None else Path(path).read_text() for path in (cert, key))
    return TlsSettings(Path(ca).read_text(), own, own_key, **more)
