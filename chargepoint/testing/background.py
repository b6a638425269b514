"""An event loop in a thread of its own, for tests that are ordinary functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """A running loop, from now until `close`.

    It runs beside the test rather than inside each call, so that links are served while the test waits for
    something else, such as the answer of a central system's own interface; and so that it does not matter
    whether the test has a loop of its own.
    """

    def __init__(self) -> None:
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(started),), name="chargepoint", daemon=True
        )
        self._thread.start()
        self._loop = started.result()

    async def _serve(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        self._end = asyncio.Event()
        started.set_result(asyncio.get_running_loop())
        await self._end.wait()

    @property
    def inside(self) -> bool:
        """This is the loop's own thread."""
        return threading.current_thread() is self._thread

    def do(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises on the loop."""

        async def once() -> T:
            return work()

        return work() if self.inside else self.run(once())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns or raises; an interruption of the test cancels it."""
        __tracebackhide__ = True
        if self.inside:
            work.close()
            raise RuntimeError("a condition may only look; act and wait outside of it")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the loop with all that is left on it; idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()
