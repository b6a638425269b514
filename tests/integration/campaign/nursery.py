"""Stations that start in milliseconds: one program has read all the code, and forks a station when asked.

Run as a module it is that program; `Nursery` asks it, over a socket. A station so born is a process of its
own in every respect, to be killed and reaped, and runs the same command as `chargepoint`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, cast

from tests.integration.piped import LINE_LIMIT, ROOT
from tests.integration.station_process import StationProcess

BIRTH_BYTES = 1 << 16


class Nursery:
    """The driver's end: asks for stations and hears of their ends."""

    def __init__(self) -> None:
        self._endings: dict[int, asyncio.Future[int]] = {}
        self._births: asyncio.Queue[int] = asyncio.Queue()
        self._asking = asyncio.Lock()

    async def __aenter__(self) -> Self:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._program = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.integration.campaign.nursery",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            )
        asyncio.get_running_loop().add_reader(self._socket, self._heard)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()  # which ends the program, and all that is left of its stations
        await self._program.wait()
        cast(Any, self._program)._transport.close()

    def _heard(self) -> None:
        try:
            text = self._socket.recv(BIRTH_BYTES)
        except ConnectionResetError:
            text = b""
        if not text:  # its own mistake, which it told on standard error
            asyncio.get_running_loop().remove_reader(self._socket)
            self._births.put_nowait(0)
            return
        said = json.loads(text)
        if "born" in said:
            self._endings[said["born"]] = asyncio.get_running_loop().create_future()
            self._births.put_nowait(said["born"])
        else:
            self._endings[said["ended"]].set_result(said["code"])

    @asynccontextmanager
    async def born(
        self, arguments: Sequence[str | Path], **environment: str
    ) -> AsyncIterator[StationProcess]:
        """`chargepoint ARGUMENTS` in a process of its own, killed at the end if it still runs."""
        pipes = [os.pipe() for _ in range(3)]
        theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        order = {"arguments": [*map(str, arguments)], "environment": environment}
        async with self._asking:
            socket.send_fds(self._socket, [json.dumps(order).encode()], theirs)
            pid = await self._births.get()
            assert pid, "the nursery is gone"
        for descriptor in theirs:
            os.close(descriptor)
        process = await _Born.of(pid, self._endings[pid], pipes[0][1], pipes[1][0], pipes[2][0])
        station = StationProcess(cast(asyncio.subprocess.Process, process))
        try:
            yield station
        finally:
            await station.kill()
            process.close()
            del self._endings[pid]


class _Born:
    """What `Piped` needs of an `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, ending: asyncio.Future[int]) -> None:
        self.pid = pid
        self.stdin: asyncio.WriteTransport
        self.stdout = asyncio.StreamReader(limit=LINE_LIMIT)
        self.stderr = asyncio.StreamReader(limit=LINE_LIMIT)
        self._ending = ending
        self._transports: list[asyncio.BaseTransport] = []

    @classmethod
    async def of(cls, pid: int, ending: asyncio.Future[int], stdin: int, stdout: int, stderr: int) -> _Born:
        """Take over the driver's ends of the pipes."""
        born = cls(pid, ending)
        loop = asyncio.get_running_loop()
        born.stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(stdin, "wb", 0))
        born._transports.append(born.stdin)
        for reader, descriptor in ((born.stdout, stdout), (born.stderr, stderr)):
            protocol = asyncio.StreamReaderProtocol(reader)
            pipe = os.fdopen(descriptor, "rb", 0)
            transport, _ = await loop.connect_read_pipe(partial(_itself, protocol), pipe)
            born._transports.append(transport)
        return born

    @property
    def returncode(self) -> int | None:
        return self._ending.result() if self._ending.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._ending)

    def kill(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        for transport in self._transports:
            transport.close()


def _itself(protocol: asyncio.StreamReaderProtocol) -> asyncio.StreamReaderProtocol:
    return protocol


# --- the program ------------------------------------------------------------------------------------------


def _serve(line: socket.socket) -> None:
    """Fork a station for each order and report each end, until nobody is at the other end of the line."""
    children: dict[int, int] = {}  # pidfd -> pid
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not line:
                    _bury(line, selector, cast(int, key.fileobj), children)
                    continue
                text, descriptors, _, _ = socket.recv_fds(line, BIRTH_BYTES, 3)
                if not text:
                    for pid in children.values():
                        os.kill(pid, signal.SIGKILL)
                    return
                pid = os.fork()
                if pid == 0:
                    line.close()
                    _live(json.loads(text), descriptors)
                for descriptor in descriptors:
                    os.close(descriptor)
                child = os.pidfd_open(pid)
                children[child] = pid
                line.send(json.dumps({"born": pid}).encode())
                selector.register(child, selectors.EVENT_READ)


def _bury(
    line: socket.socket, selector: selectors.BaseSelector, child: int, children: dict[int, int]
) -> None:
    selector.unregister(child)
    os.close(child)
    _, status = os.waitpid(pid := children.pop(child), 0)
    with contextlib.suppress(BrokenPipeError):
        line.send(json.dumps({"ended": pid, "code": os.waitstatus_to_exitcode(status)}).encode())


def _live(order: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """Be a station from now on."""
    code = 70
    try:
        for n, descriptor in enumerate(descriptors):
            os.dup2(descriptor, n)
            os.close(descriptor)
        # The nursery's own may be files, and a pipe cannot be spoken to as one.
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115  # they stay open as long as the process
        os.environ.update(order["environment"])
        sys.argv = ["chargepoint", *order["arguments"]]
        altered_station = importlib.import_module("tests.integration.campaign.altered_station")
        code = altered_station.run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _learn() -> None:
    """Read all code a station needs, so that its children need not."""
    for module in ("chargepoint.cli.run", "hal.simulated.evse", "tests.integration.campaign.altered_station"):
        importlib.import_module(module)
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop")
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _learn()
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        _serve(asked)
