"""Programs that start in milliseconds: one process has read all the code, and forks a program when asked.

Run as a module it is that process; `Nursery` asks it. A program so born is a process of its own in every
respect, to be signalled, killed and waited for, and runs the same command as `chargepoint`: only reading the
code, which takes half a second of processor time, is done once for all. That the command starts in a fresh
interpreter is proven where the pages of the documentation are typed into a shell, and the wheel is installed.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn, cast

ROOT = Path(__file__).parents[2]
ORDER_BYTES = 1 << 16
LINE_LIMIT = 1 << 24
CODE_BYTES = 4
MOST_DESCRIPTORS = 1024
"""What is open in a nursery is below that: three for each program that runs, and its own."""

READ_AHEAD = (
    "chargepoint.cli.main",
    "chargepoint.cli.run",
    "chargepoint.cli.csms",
    "chargepoint.cli.config",
    "chargepoint.cli.emulate",
    "chargepoint.cli.hardware",
    "chargepoint.cli.inspect",
    "chargepoint.cli.sessions",
    "chargepoint.control.http",
    "concurrent.futures.thread",
    "encodings.idna",
    "hal.registry",
    "hal.simulated.evse",
    "tests.integration.campaign.altered_station",
)


class Nursery:
    """The driver's end: asks for programs. It ends with whoever started it, and its programs with it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "tests.integration.nursery", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            )

    def fork(
        self,
        arguments: Sequence[str | Path],
        environment: Mapping[str, str],
        descriptors: Sequence[int],
        cwd: Path | None = None,
    ) -> tuple[int, socket.socket]:
        """`chargepoint ARGUMENTS` with these standard descriptors: its pid, and where its end is told."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = {
            "arguments": [*map(str, arguments)],
            "environment": dict(environment),
            "cwd": str(cwd or Path.cwd()),
        }
        with theirs:
            socket.send_fds(self._socket, [json.dumps(order).encode()], [*descriptors, theirs.fileno()])
        pid = ours.recv(CODE_BYTES)
        assert pid, "the nursery is gone"  # of its own mistake, which it told on standard error
        return int.from_bytes(pid, sys.byteorder), ours

    def close(self) -> None:
        """End it, and all that is left of its programs."""
        self._socket.close()
        self._process.wait()


_nursery: Nursery | None = None


def nursery() -> Nursery:
    """The one of this test process."""
    global _nursery
    if _nursery is None:
        _nursery = Nursery()
        atexit.register(_nursery.close)
    return _nursery


class Born:
    """A forked program, as far as tests need an `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, told: socket.socket) -> None:
        self.pid = pid
        self.stdin: asyncio.WriteTransport
        self.stdout = asyncio.StreamReader(limit=LINE_LIMIT)
        self.stderr = asyncio.StreamReader(limit=LINE_LIMIT)
        told.setblocking(False)
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[int] = self._loop.create_future()
        self._pipes: list[asyncio.BaseTransport] = []
        self._loop.add_reader(told, self._ended)

    @classmethod
    async def of(cls, arguments: Sequence[str | Path], environment: Mapping[str, str]) -> Born:
        """Let it be forked and take the driver's ends of its pipes."""
        (stdin, ours_in), (ours_out, stdout), (ours_err, stderr) = (os.pipe() for _ in range(3))
        theirs = (stdin, stdout, stderr)
        try:
            born = cls(*nursery().fork(arguments, environment, theirs))
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        born.stdin, _ = await born._loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(ours_in, "wb", 0))
        born._pipes.append(born.stdin)
        for reader, descriptor in ((born.stdout, ours_out), (born.stderr, ours_err)):
            protocol = asyncio.StreamReaderProtocol(reader)
            pipe = os.fdopen(descriptor, "rb", 0)
            transport, _ = await born._loop.connect_read_pipe(partial(_itself, protocol), pipe)
            born._pipes.append(transport)
        return born

    def _ended(self) -> None:
        self._loop.remove_reader(self._told)
        code = self._told.recv(CODE_BYTES)
        self._told.close()
        if code:
            self._ending.set_result(int.from_bytes(code, sys.byteorder, signed=True))
        else:
            self._ending.set_exception(RuntimeError("the nursery is gone"))

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None as long as it runs."""
        return self._ending.result() if self._ending.done() else None

    async def wait(self) -> int:
        """Wait for its end; the exit code."""
        return await asyncio.shield(self._ending)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if not self._ending.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def stop_reading(self) -> None:
        """Close our end of its standard output."""
        self._pipes[1].close()

    def close(self) -> None:
        """Close our ends of its pipes."""
        for pipe in self._pipes:
            pipe.close()


def _itself(protocol: asyncio.StreamReaderProtocol) -> asyncio.StreamReaderProtocol:
    return protocol


class Forked:
    """A forked program, as far as tests need a `subprocess.Popen` with text in its pipes."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, errors: IO[str]
    ) -> None:
        (stdin, ours_in), (ours_out, stdout) = os.pipe(), os.pipe()
        try:
            self.pid, self._told = nursery().fork(
                arguments, environment, (stdin, stdout, errors.fileno()), cwd
            )
        finally:
            os.close(stdin)
            os.close(stdout)
        self.stdin: IO[str] = os.fdopen(ours_in, "w")
        self.stdout: IO[str] = os.fdopen(ours_out)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None as long as it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; the exit code."""
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("chargepoint", timeout or 0)
            code = self._told.recv(CODE_BYTES)
            assert code, "the nursery is gone"
            self._told.close()
            self.returncode = int.from_bytes(code, sys.byteorder, signed=True)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, text: str = "", timeout: float | None = None) -> tuple[str, None]:
        """Write the last of its input, read the rest of its output, and wait for its end."""
        rest = ""
        if not self.stdin.closed:
            with contextlib.suppress(BrokenPipeError), self.stdin:
                self.stdin.write(text)
        if not self.stdout.closed:
            with self.stdout:
                rest = self.stdout.read()
        self.wait(timeout)
        return rest, None


# --- the process that forks -------------------------------------------------------------------------------


def _serve(line: socket.socket) -> None:
    """Fork a program for each order and tell each end, until nobody is at the other end of the line."""
    children: dict[int, tuple[int, socket.socket]] = {}  # pidfd -> pid, and who hears of its end
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not line:
                    _bury(selector, cast(int, key.fileobj), children)
                    continue
                text, descriptors, _, _ = socket.recv_fds(line, ORDER_BYTES, 4)
                if not text:
                    for pid, _ in children.values():
                        os.kill(pid, signal.SIGKILL)
                    return
                pid = os.fork()
                if pid == 0:
                    _live(json.loads(text), descriptors[:3])
                for descriptor in descriptors[:3]:
                    os.close(descriptor)
                hears = socket.socket(fileno=descriptors[3])
                hears.send(pid.to_bytes(CODE_BYTES, sys.byteorder))
                child = os.pidfd_open(pid)
                children[child] = pid, hears
                selector.register(child, selectors.EVENT_READ)


def _bury(
    selector: selectors.BaseSelector, child: int, children: dict[int, tuple[int, socket.socket]]
) -> None:
    selector.unregister(child)
    os.close(child)
    pid, hears = children.pop(child)
    _, status = os.waitpid(pid, 0)
    with hears, contextlib.suppress(BrokenPipeError):
        hears.send(os.waitstatus_to_exitcode(status).to_bytes(CODE_BYTES, sys.byteorder, signed=True))


def _live(order: dict[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """Be that program from now on."""
    code = 70
    try:
        for n, descriptor in enumerate(descriptors):
            os.dup2(descriptor, n)
        os.closerange(3, MOST_DESCRIPTORS)
        # The nursery's own may be files, and a pipe cannot be spoken to as one.
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  # they stay open as long as the process
        sys.stdout, sys.stderr = (open(n, "w", closefd=False) for n in (1, 2))  # noqa: SIM115  # as above
        os.environ.update(order["environment"])
        os.chdir(order["cwd"])
        sys.argv = ["chargepoint", *order["arguments"]]
        altered_station = importlib.import_module("tests.integration.campaign.altered_station")
        code = altered_station.run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _learn() -> None:
    """Read all code that programs need, so that they need not."""
    for module in READ_AHEAD:
        importlib.import_module(module)
    with contextlib.suppress(ImportError):  # there is none without an extra
        importlib.import_module("uvloop")
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    _learn()
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        _serve(asked)
