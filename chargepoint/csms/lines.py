"""Lines of a file descriptor as they come, whatever it is: pipe, file or terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Callable
from threading import Thread

_CHUNK_BYTES = 1 << 16


async def lines(fd: int) -> AsyncIterator[bytes]:
    """Yield each line without its line end, a last one without a line end too; ends at the end of input."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue()

    def put(line: bytes | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(queue.put_nowait, line)

    # A thread, because epoll takes no regular files; os.read, because a thread that waits in sys.stdin holds
    # its lock and makes the interpreter fail at exit.
    Thread(target=_read, args=(fd, put), daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line


def _read(fd: int, put: Callable[[bytes | None], None]) -> None:
    rest = b""
    with contextlib.suppress(OSError):  # not readable, as under nohup: the same as its end
        while chunk := os.read(fd, _CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                put(line)
    if rest:
        put(rest)
    put(None)


def ends_by_itself(fd: int) -> bool:
    """True if its end is somebody's decision: a pipe's or file's, not a terminal's or /dev/null's."""
    try:
        return not stat.S_ISCHR(os.fstat(fd).st_mode)
    except OSError:
        return False
