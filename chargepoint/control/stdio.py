"""The control protocol over two descriptors: JSON Lines in, replies and events out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Callable
from typing import Any

from chargepoint.control import BadCommand, Perform, Performer, read_command, refusal, reply_line
from chargepoint.trace import json_line

MAX_LINE = 16 * 1024 * 1024
_CHUNK = 65536
_BACKLOG_WARNING = 64 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"

_log = logging.getLogger(__name__)


class StdioControl:
    """Takes commands one after the other and answers each, while events go out between the replies.

    Works on pipes, sockets, terminals, regular files and /dev/null. A reader that is slow costs memory, never
    a line and never time on the loop; one that is gone ends `run`. Make it inside the running loop.
    """

    def __init__(self, perform: Perform, stdin: int = 0, stdout: int = 1) -> None:
        self._performer = Performer(perform)
        self._input = _Input(stdin)
        self._output = _Output(stdout, self._interrupt)
        self._stopped = False

    def emit(self, event: dict[str, Any]) -> None:
        """Write one event; also before and after `run`."""
        self._output.write(json_line(event))

    def stop(self) -> None:
        """End `run` as `shutdown` does; a command that is still under way is broken off, and told so."""
        self._stopped = True
        self._interrupt()

    def _interrupt(self) -> None:
        self._input.wake()
        self._performer.break_off()

    async def run(self) -> str:
        """Serve until the end, and say why it came: `eof`, `shutdown` or `broken_pipe`."""
        while True:
            line = await self._input.line(self._ended)
            if ended := self._ended():
                return ended
            if line is None:
                return "eof"
            if line.strip():
                await self._serve(line)

    async def close(self, timeout_s: float = 5.0) -> None:
        """End `run`, give what is still unwritten up to `timeout_s`, then let go of the descriptors."""
        self.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._output.drained(), timeout_s)
        self._output.close()
        self._input.close()

    def _ended(self) -> str | None:
        if self._output.broken:
            return "broken_pipe"
        return "shutdown" if self._stopped else None

    async def _serve(self, line: bytes) -> None:
        try:
            if len(line) > MAX_LINE:
                raise BadCommand(f"a command has at most {MAX_LINE} bytes")
            command = read_command(line)
        except BadCommand as error:
            self._output.write(reply_line(refusal(error)))
            return
        reply = await self._performer.answer(command)
        self._output.write(reply_line(reply))
        if command.get("cmd") == "shutdown" and reply["ok"]:
            self._stopped = True


class _Input:
    """Lines from a descriptor, read only when one is asked for: the writer waits while we are busy."""

    def __init__(self, descriptor: int) -> None:
        self._channel = _Channel(descriptor, os.O_RDONLY)
        self._buffer = bytearray()
        self._scanned = 0
        self._first = True
        self._at_end = False
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let a waiting `line` look again whether it is wanted."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def line(self, unwanted: Callable[[], object]) -> bytes | None:
        """The next line without its end; None at the end of input or as soon as it is `unwanted`.

        Of a line beyond the limit only the beginning comes, one byte over the limit.
        """
        while not unwanted():
            if (line := self._take()) is not None:
                return line
            if self._at_end:
                return None
            await self._fill()
        return None

    def close(self) -> None:
        self._channel.close()

    def _take(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0 and self._at_end and self._buffer:
            end = len(self._buffer)
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned > MAX_LINE:
                del self._buffer[MAX_LINE + 1 :]
                self._scanned = MAX_LINE + 1
            return None
        line = bytes(self._buffer[: min(end, MAX_LINE + 1)])
        del self._buffer[: end + 1]
        self._scanned = 0
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        return line

    async def _fill(self) -> None:
        if self._channel.pollable:
            self._waiter = asyncio.get_running_loop().create_future()
            self._channel.on_readable(self.wake)
            try:
                await self._waiter
            finally:
                self._channel.on_readable(None)
                self._waiter = None
        else:
            await asyncio.sleep(0)
        try:
            chunk = self._channel.read()
        except BlockingIOError:
            return
        except OSError:  # the terminal or the peer is gone
            chunk = b""
        self._at_end = not chunk
        self._buffer += chunk


class _Output:
    """Lines to a descriptor, gathered while its reader is slow."""

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self._channel = _Channel(descriptor, os.O_WRONLY)
        self._on_broken = on_broken
        self._buffer = bytearray()
        self._flushing = False
        self._warned = False
        self._empty = asyncio.Event()
        self._empty.set()
        self.broken = False

    def write(self, line: bytes) -> None:
        if self.broken:
            return
        self._buffer += line
        self._empty.clear()
        if len(self._buffer) > _BACKLOG_WARNING and not self._warned:
            self._warned = True
            _log.warning("nobody reads the events: %d MiB are waiting", len(self._buffer) >> 20)
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    async def drained(self) -> None:
        await self._empty.wait()

    def close(self) -> None:
        self.broken = True
        self._channel.close()

    def _flush(self) -> None:
        if self.broken:
            return
        try:
            while self._buffer:
                del self._buffer[: self._channel.write(self._buffer[:_CHUNK])]
        except BlockingIOError:
            self._channel.on_writable(self._flush)
            return
        except OSError as error:  # the reader is gone, or the file cannot grow
            _log.warning("the control output cannot be written any more: %s", error.strerror)
            self._buffer.clear()
            self.broken = True
            self._on_broken()
        self._channel.on_writable(None)
        self._flushing = False
        self._empty.set()


class _Channel:
    """A descriptor of our own for what another one is open on, non-blocking where that has a meaning.

    Of our own, because being non-blocking belongs to what was opened: stderr may share it with stdout, and
    the shell with both.
    """

    def __init__(self, descriptor: int, flags: int) -> None:
        self._loop = asyncio.get_running_loop()
        mode = os.fstat(descriptor).st_mode
        self.pollable = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
        self._shared: int | None = None
        if not self.pollable:
            self._own = os.dup(descriptor)
            return
        try:
            self._own = os.open(f"/dev/fd/{descriptor}", flags | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:  # a socket, or a terminal of another user
            self._own = os.dup(descriptor)
            if os.get_blocking(descriptor):
                self._shared = descriptor
                os.set_blocking(self._own, False)

    def read(self) -> bytes:
        return os.read(self._own, _CHUNK)

    def write(self, data: bytes | bytearray) -> int:
        return os.write(self._own, data)

    def on_readable(self, callback: Callable[[], None] | None) -> None:
        """Call back whenever there is something to read; None to stop."""
        if callback is not None:
            self._loop.add_reader(self._own, callback)
        elif self._own >= 0:
            self._loop.remove_reader(self._own)

    def on_writable(self, callback: Callable[[], None] | None) -> None:
        """Call back whenever there is room to write; None to stop."""
        if callback is not None:
            self._loop.add_writer(self._own, callback)
        elif self._own >= 0:
            self._loop.remove_writer(self._own)

    def close(self) -> None:
        if self._own < 0:
            return
        self.on_readable(None)
        self.on_writable(None)
        os.close(self._own)
        self._own = -1
        if self._shared is not None:
            os.set_blocking(self._shared, True)
