"""Lines of a file descriptor as they come, whatever it is: pipe, file or terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from threading import Semaphore, Thread

MAX_LINE_BYTES = 16 * 1024 * 1024
"""A command has at most that many."""

TOO_LONG = f"a command has at most {MAX_LINE_BYTES} bytes"

_CHUNK_BYTES = 1 << 16
_CHUNKS_AHEAD = 2  # so many are read before anybody asked for their lines


async def lines(fd: int) -> AsyncIterator[bytes]:
    """Yield each line without its line end, a last one without a line end too; ends at the end of input.

    Of a line beyond `MAX_LINE_BYTES` only the beginning comes, one byte over the limit. Whoever writes
    waits while nobody takes what came.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[list[bytes] | None] = asyncio.Queue()
    room = Semaphore(_CHUNKS_AHEAD)

    def put(whole: list[bytes] | None) -> None:
        room.acquire()
        loop.call_soon_threadsafe(queue.put_nowait, whole)

    # A thread, because epoll takes no regular files; os.read, because a thread that waits in sys.stdin holds
    # its lock and makes the interpreter fail at exit.
    Thread(target=_read, args=(fd, put), daemon=True).start()
    while (whole := await queue.get()) is not None:
        for line in whole:
            yield line
        room.release()


def _read(fd: int, put: Callable[[list[bytes] | None], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
        for whole in _whole_lines(fd):
            put(whole)
        put(None)


def _whole_lines(fd: int) -> Iterator[list[bytes]]:
    """The lines that each chunk completes."""
    line = bytearray()
    with contextlib.suppress(OSError):  # not readable, as under nohup: the same as its end
        while chunk := os.read(fd, _CHUNK_BYTES):
            rest, *more = chunk.split(b"\n")
            line += rest[: MAX_LINE_BYTES + 1 - len(line)]
            if more:
                yield [bytes(line), *more[:-1]]
                line = bytearray(more[-1])
    if line:
        yield [bytes(line)]


def ends_by_itself(fd: int) -> bool:
    """True if its end is somebody's decision: a pipe's or file's, not a terminal's or /dev/null's."""
    try:
        return not stat.S_ISCHR(os.fstat(fd).st_mode)
    except OSError:
        return False
