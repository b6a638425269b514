"""A program that speaks JSON Lines over its pipes, as a test sees it: what it wrote, and what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from tests.integration.nursery import LINE_LIMIT, ROOT, Born

PATIENCE_S = 60.0
"""Real seconds after which a test that waits gives up: a busy machine stands still for half of that."""

Line = dict[str, Any]


class Silent(AssertionError):
    """The program ended, or said nothing for too long, before it said what was waited for."""


class Piped:
    """One running program. Replies are the lines without `event`; `lines` is everything, in order."""

    def __init__(self, process: asyncio.subprocess.Process | Born) -> None:
        self.process = process
        self.lines: list[Line] = []
        self.errors = ""  # what it wrote to standard error so far
        self._event_from = 0  # events before this line were looked at
        self._reply_from = 0
        self._more = asyncio.Event()
        self._reading = asyncio.gather(self._read_lines(), self._read_errors())
        self._reading.add_done_callback(lambda reading: self._more.set())

    @property
    def events(self) -> list[Line]:
        """All events so far."""
        return [line for line in self.lines if "event" in line]

    def say(self, command: Line | str) -> None:
        """Write a command, or any text, and do not wait for its reply."""
        assert self.process.stdin is not None
        text = command if isinstance(command, str) else json.dumps(command)
        self.process.stdin.write(text.encode() + b"\n")

    def end_of_input(self) -> None:
        """There will be no more commands."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def stop_reading(self) -> None:
        """Nobody reads its standard output any more."""
        if isinstance(self.process, Born):
            self.process.stop_reading()
        else:
            stdout = _transport(self.process).get_pipe_transport(1)
            assert stdout is not None
            stdout.close()

    async def ask(self, command: Line | str) -> Line:
        """Write a command and return its reply."""
        self.say(command)
        return await self.reply()

    async def reply(self) -> Line:
        """The next reply that was not looked at."""
        self._reply_from, line = await self._next(self._reply_from, lambda line: "event" not in line)
        return line

    async def event(self, name: str, **fields: Any) -> Line:
        """The next event of that name with these fields; events before it count as looked at."""
        return await self.until(lambda line: line.get("event") == name and line | fields == line)

    async def until(self, wanted: Callable[[Line], bool]) -> Line:
        """The next event that is wanted; events before it count as looked at."""
        self._event_from, line = await self._next(
            self._event_from, lambda line: "event" in line and wanted(line)
        )
        return line

    async def until_said(self, enough: Callable[[list[Line]], bool]) -> None:
        """Wait until `lines` are enough, or until its end."""
        while not enough(self.lines) and not self._reading.done():
            self._more.clear()
            await self._more.wait()

    async def _next(self, start: int, wanted: Callable[[Line], bool]) -> tuple[int, Line]:
        """The first line from `start` on that is wanted, and where to go on behind it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    for n in range(start, len(self.lines)):
                        if wanted(self.lines[n]):
                            return n + 1, self.lines[n]
                    start = len(self.lines)
                    if self._reading.done():
                        break
                    self._more.clear()
                    await self._more.wait()
        said = "\n".join(json.dumps(line)[:200] for line in self.lines[-15:])
        ended = self.process.returncode
        raise Silent(f"it ended with {ended}" if self._reading.done() else "nothing came", said, self.errors)

    async def _read_lines(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            if line.endswith(b"\n"):  # else it was cut short by the end of the program
                self.lines.append(json.loads(line))
                self._more.set()

    async def _read_errors(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.errors += line.decode()

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        async with asyncio.timeout(PATIENCE_S):
            await self._reading
            return await self.process.wait()

    def close(self) -> None:
        """Let go of its pipes, when it has ended."""
        (self.process if isinstance(self.process, Born) else _transport(self.process)).close()

    async def kill(self) -> None:
        """SIGKILL, as a power cut does it, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.ended()

    @asynccontextmanager
    async def _to_the_end(self) -> AsyncIterator[Self]:
        try:
            yield self
        finally:
            await self.kill()
            self.close()

    @classmethod
    @asynccontextmanager
    async def started(cls, arguments: Sequence[str | Path], **environment: str) -> AsyncIterator[Self]:
        """`python ARGUMENTS` in a process of its own, killed at the end if it still runs."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"} | environment,
            limit=LINE_LIMIT,
        )
        async with cls(process)._to_the_end() as program:
            yield program

    @classmethod
    @asynccontextmanager
    async def born(cls, arguments: Sequence[str | Path], **environment: str) -> AsyncIterator[Self]:
        """`chargepoint ARGUMENTS` in a process that need not read the code, killed at the end if it runs."""
        process = await Born.of(arguments, environment)
        async with cls(process)._to_the_end() as program:
            yield program


def _transport(process: asyncio.subprocess.Process) -> asyncio.SubprocessTransport:
    transport = process._transport  # type: ignore[attr-defined]  # there is no public way
    assert isinstance(transport, asyncio.SubprocessTransport)
    return transport


def play(story: Callable[[], Awaitable[None]], within_s: float = 170.0) -> None:
    """Run a story of processes and sockets."""

    async def run() -> None:
        await asyncio.wait_for(story(), within_s)

    asyncio.run(run())
