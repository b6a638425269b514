"""A serial line without hardware: pseudo terminals where every byte written to one appears on all others."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import tempfile
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

EMULATED = -1
"""The source of what an emulator says (pseudo terminals are 0, 1, ...)."""

Hear = Callable[[int, bytes], None]
Say = Callable[[bytes], None]


class PtyBus:
    """An RS-485 line of `n` pseudo terminals, made and closed inside a running asyncio loop.

    `names` are the ports to open; they stay when a port is unplugged and plugged in again, like those in
    /dev/serial/by-id. With `baud`, bytes take as long as on a wire of 10 bits per byte. `filter` sees all
    that is said, with its source, and returns what is heard of it (b"" for nothing). Emulators take part
    without a pseudo terminal, through `attach`. Pseudo terminals know no parity: open them with "N".
    """

    def __init__(self, n: int = 2, baud: int | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._folder = Path(tempfile.mkdtemp(prefix="modbus-line-"))
        self._ends: list[tuple[int, int] | None] = [None] * n  # ours and, held open, theirs
        self._listeners: list[Hear] = []
        self._baud = baud
        self._free_at = 0.0
        self._closed = False
        self.filter: Callable[[int, bytes], bytes] | None = None
        self.names = [str(self._folder / f"port{index}") for index in range(n)]
        for index in range(n):
            self.replug(index)

    def attach(self, hear: Hear) -> Say:
        """Take part in the line: `hear` is told the source and the bytes of all that others say; returns how
        to say something."""
        self._listeners.append(hear)

        def say(data: bytes) -> None:
            self._say(EMULATED, hear, data)

        return say

    def detach(self, hear: Hear) -> None:
        """Take part no longer; nothing happens to one that does not."""
        if hear in self._listeners:
            self._listeners.remove(hear)

    def echo(self, index: int, data: bytes) -> None:
        """Let port `index` alone hear `data`, as an adapter that hears itself does."""
        self._write(index, data)

    def unplug(self, index: int) -> None:
        """Pull the adapter: whoever has the port open loses it, and its name is gone."""
        end = self._ends[index]
        if end is None:
            return
        self._ends[index] = None
        Path(self.names[index]).unlink(missing_ok=True)
        self._loop.remove_reader(end[0])
        for descriptor in end:
            os.close(descriptor)

    def replug(self, index: int) -> None:
        """Plug it in again: a new pseudo terminal under the same name."""
        if self._ends[index] is not None:
            return
        ours, theirs = pty.openpty()
        tty.setraw(theirs)  # no echo, no translation of line ends, no signals
        os.set_blocking(ours, False)
        Path(self.names[index]).symlink_to(os.ttyname(theirs))
        self._ends[index] = (ours, theirs)
        self._loop.add_reader(ours, self._heard, index, ours)

    def close(self) -> None:
        """Close every port and take their names away; idempotent."""
        self._closed = True
        for index in range(len(self._ends)):
            self.unplug(index)
        self._listeners.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> PtyBus:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _heard(self, index: int, descriptor: int) -> None:
        try:
            data = os.read(descriptor, 4096)
        except OSError:  # whoever had the port open closed it
            return
        self._say(index, None, data)

    def _say(self, source: int, hear: Hear | None, data: bytes) -> None:
        if self.filter is not None:
            data = self.filter(source, data)
        if not data or self._closed:
            return
        if self._baud is None:
            self._deliver(source, hear, data)
            return
        self._free_at = max(self._loop.time(), self._free_at) + len(data) * 10 / self._baud
        self._loop.call_at(self._free_at, self._deliver, source, hear, data)

    def _deliver(self, source: int, hear: Hear | None, data: bytes) -> None:
        for index in range(len(self._ends)):
            if index != source:
                self._write(index, data)
        for listener in tuple(self._listeners):
            if listener is not hear:
                listener(source, data)

    def _write(self, index: int, data: bytes) -> None:
        end = self._ends[index]
        if end is None:
            return
        try:
            os.write(end[0], data)
        except OSError:  # nobody reads it and it is full
            return
