"""File servers on loopback, good and bad ones, and a station's side of a transfer to test them with."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from chargepoint.domain.outside import Transfer, TransferFailed
from chargepoint.transfer import Bounds, RealTransfers, trusting
from hal.clock import SteppedClock
from tests.integration.link_rig import PATIENCE_S
from tests.integration.tls_material import Authority, Issued

Loop = Callable[[], asyncio.AbstractEventLoop]
Arrivals: TypeAlias = "asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]"


def play(story: Coroutine[Any, Any, None], new_loop: Loop = asyncio.new_event_loop) -> None:
    """Run a test's story on a loop of this kind; an exception that reached the loop's handler fails it."""

    async def supervised() -> None:
        unseen: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
        async with asyncio.timeout(4 * PATIENCE_S):
            await story
        assert unseen == []

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(supervised())


class Side:
    """The station's side: real transfers on a clock that must be held exactly while one is under way."""

    def __init__(
        self,
        folder: Path | None,
        *,
        roots: tuple[str, ...] = (),
        proxy: str | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self.clock = SteppedClock()
        self.transfers = RealTransfers(
            self.clock, folder, lambda: trusting(roots), proxy, bounds or Bounds(keep_free_bytes=0)
        )
        self.failures: list[TransferFailed] = []

    async def download(self, url: str, name: str = "fw.bin") -> bytes:
        """The file; raises `TransferFailed`."""
        path = await self.outcome(lambda done, failed: self.transfers.download(url, name, done, failed))
        assert Path(path).stat().st_mode & 0o777 == 0o600
        return Path(path).read_bytes()

    async def upload(self, url: str, content: bytes) -> None:
        """Raises `TransferFailed`."""
        await self.outcome(lambda done, failed: self.transfers.upload(url, content, lambda: done(""), failed))

    async def outcome(
        self, begin: Callable[[Callable[[str], None], Callable[[TransferFailed], None]], Transfer]
    ) -> str:
        """How one transfer ended."""
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        begin(ended.set_result, ended.set_exception)
        assert not ended.done(), "never from inside the call"
        assert self.clock.held
        try:
            return await asyncio.wait_for(ended, PATIENCE_S)
        finally:
            assert not self.clock.held

    async def refusal(self, transfer: Awaitable[Any]) -> TransferFailed:
        """Why a transfer that must fail did."""
        try:
            await transfer
        except TransferFailed as error:
            return error
        raise AssertionError("it went through")


@asynccontextmanager
async def http_server(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], context: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A server whose every request goes to `handler`; gives its URL without a slash at the end."""
    application = web.Application(client_max_size=2**30)
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def serving(issued: Issued) -> ssl.SSLContext:
    """The server's side of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    return context


def trusted(folder: Path) -> tuple[ssl.SSLContext, tuple[str, ...]]:
    """A server's context for localhost and the root that makes it trusted."""
    authority = Authority(folder)
    return serving(authority.issue("localhost", ("localhost",))), (Path(authority.ca).read_text(),)


class FtpServer:
    """Files in memory behind FTP (RFC 959, 3659, 4217), with what makes real servers difficult.

    `users` maps names to passwords (None: everybody); `files` maps paths to contents; `directories` that are
    there. The switches: `cut_at` breaks off a download after so many bytes, once; `stall_at` stops sending
    there; `rest` and `mdtm` say whether REST and MDTM are known.
    """

    def __init__(self, context: ssl.SSLContext | None = None, implicit: bool = False) -> None:
        self.context = context
        self.implicit = implicit
        self.users: dict[str, str] | None = None
        self.files: dict[str, bytes] = {}
        self.changed = "20260101000000"
        self.directories = {""}
        self.cut_at: int | None = None
        self.stall_at: int | None = None
        self.rest = self.mdtm = True
        self.commands: list[str] = []
        self.stalled = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sinks: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Serve; gives the URL without a slash at the end."""
        server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, ssl=self.context if self.implicit else None
        )
        try:
            scheme = "ftp" if self.context is None else "ftps"
            yield f"{scheme}://localhost:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for sink in self._sinks:
                with suppress(AttributeError):  # asyncio's own, once it is gone by itself
                    sink.transport.abort()
                with suppress(OSError):
                    await sink.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)

    def _arrived(self, queue: Arrivals, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sinks.add(writer)
        queue.put_nowait((reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user, offset, protected = "", 0, False
        allowed = self.users is None
        data: Arrivals = asyncio.Queue()
        passive: asyncio.Server | None = None

        async def say(line: str) -> None:
            writer.write(f"{line}\r\n".encode())
            await writer.drain()

        try:
            await say("220 r\u00e9ady")
            while line := await reader.readline():
                command, _, argument = line.decode().strip().partition(" ")
                command = command.upper()
                self.commands.append(command)
                start, offset = offset, 0
                if command == "USER":
                    user = argument
                    await say("331 password")
                elif command == "PASS":
                    allowed = self.users is None or self.users.get(user) == argument
                    await say("230 welcome" if allowed else f"530 not {user} with {argument}")
                elif command == "AUTH" and self.context is not None:
                    await say("234 go")
                    await writer.start_tls(self.context)
                elif command == "PBSZ":
                    await say("200 ok")
                elif command == "PROT":
                    protected = True
                    await say("200 ok")
                elif not allowed:
                    await say("530 log in")
                elif command == "TYPE":
                    await say("200 ok")
                elif command == "SIZE" and argument in self.files:
                    await say(f"213 {len(self.files[argument])}")
                elif command == "MDTM" and self.mdtm and argument in self.files:
                    await say(f"213 {self.changed}")
                elif command == "REST" and self.rest:
                    offset = int(argument)
                    await say("350 go on")
                elif command == "PASV":
                    if passive is not None:
                        passive.close()
                    data = asyncio.Queue()
                    passive = await asyncio.start_server(
                        partial(self._arrived, data), "127.0.0.1", 0, ssl=self.context if protected else None
                    )
                    port = passive.sockets[0].getsockname()[1]
                    await say(f"227 here (10,0,0,1,{port // 256},{port % 256})")
                elif command == "RETR" and argument in self.files:
                    await say("150 coming")
                    if not await self._send(self.files[argument][start:], start, (await data.get())[1]):
                        break
                    await say("226 done")
                elif command == "STOR" and argument.rpartition("/")[0] in self.directories:
                    await say("150 come")
                    source, sink = await data.get()
                    self.files[argument] = await source.read()
                    sink.close()
                    await say("226 done")
                elif (
                    command == "MKD"
                    and argument[0] != "/"
                    and argument.rpartition("/")[0] in self.directories
                ):
                    self.directories.add(argument)
                    await say(f'257 "{argument}"')
                elif command == "QUIT":
                    await say("221 bye")
                    break
                else:
                    await say("550 no" if command in ("SIZE", "MDTM", "RETR", "STOR", "MKD") else "502 what")
        except ConnectionError:
            pass
        finally:
            if passive is not None:
                passive.close()
            writer.transport.abort()

    async def _send(self, content: bytes, start: int, sink: asyncio.StreamWriter) -> bool:
        """Send, or break off as asked; False: the conversation is over too."""
        most = self.cut_at if self.cut_at is not None else self.stall_at
        if most is not None:
            most = max(0, most - start)
        with suppress(ConnectionError):
            content = content[:most]
            for at in range(0, len(content), 65536):
                sink.write(content[at : at + 65536])
                await sink.drain()
            if self.cut_at is not None:
                self.cut_at = None
                sink.close()
                return False
            if self.stall_at is not None:
                self.stalled.set()
                await asyncio.Event().wait()
            sink.close()
            return True
        return False
