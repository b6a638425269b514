"""What stands in front of the central system in the security cases: TLS, and who is let in."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a station said when it connected; header names in lower case."""

    path: str
    headers: dict[str, str]
    tls: str | None  # the version of TLS, None without it
    client: dict[str, str]  # the subject of the station's certificate, and its `serialNumber`
    admitted: bool


class Door:
    """A port that hands on to the central system whoever may come in, and notes every handshake.

    `password` None: nobody needs one. `drop_subprotocol`: the central system does not see what is offered.
    """

    def __init__(self, inside: Callable[[], str]) -> None:
        self.handshakes: list[Handshake] = []
        self.knocks = 0  # attempts with TLS where none is spoken
        self.password: bytes | None = None
        self.drop_subprotocol = False
        self._inside = inside
        self._tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'ws' if self._tls is None else 'wss'}://localhost:{self._port}"

    @asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
        """Open, with TLS or without."""
        await self.speak(tls)
        try:
            yield
        finally:
            await self.shut()

    async def speak(self, tls: ssl.SSLContext | None) -> None:
        """From now on with this kind of TLS, at the same port; who is inside stays there."""
        if self._server is not None:
            self._server.close()
        self._tls = tls
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, ssl=tls)
        self._port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Nobody comes in any more, and who is inside goes."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                first = await reader.readexactly(1)
                if first != b"G":
                    self.knocks += 1
                    return
                head = first + await reader.readuntil(b"\r\n\r\n")
                if not self._admit(head, writer):
                    writer.write(_UNAUTHORIZED)
                    await writer.drain()
                    return
                target = urlsplit(self._inside())
                answers, inner = await asyncio.open_connection(target.hostname, target.port)
                inner.write(_without_subprotocol(head) if self.drop_subprotocol else head)
                await _both_ways((reader, inner), (answers, writer))
        finally:
            for one in (writer, inner):
                if one is not None:
                    one.transport.abort()

    def _admit(self, head: bytes, writer: asyncio.StreamWriter) -> bool:
        request, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        session: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        path = request.split()[1]
        admitted = self.password is None or headers.get("authorization") == basic(path[1:], self.password)
        certificate: Any = session.getpeercert() if session is not None else None
        client = {key: value for part in (certificate or {}).get("subject", ()) for key, value in part}
        if certificate:
            client["serialNumber"] = str(certificate["serialNumber"])
        version = session.version() if session is not None else None
        self.handshakes.append(Handshake(path, headers, version, client, admitted))
        return admitted


def basic(identity: str, password: bytes) -> str:
    """The Authorization header of RFC 7617."""
    return "Basic " + base64.b64encode(identity.encode() + b":" + password).decode()


def _without_subprotocol(head: bytes) -> bytes:
    lines = head.split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.lower().startswith(b"sec-websocket-protocol:"))


async def _both_ways(*ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
    """Carry bytes until one side ends; what the other still had to say is lost, as with a real cut."""

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    tasks = [asyncio.ensure_future(carry(*way)) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
