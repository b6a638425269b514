"""Real work a station waits for: its clock is held meanwhile, and the outcome comes once, on the loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, Generic, ParamSpec, TypeVar

from chargepoint.domain.outside import TransferFailed
from hal.api import Clock

__all__ = ["RealWork", "in_thread", "off_loop"]

T = TypeVar("T")
E = TypeVar("E", bound=Exception)
_P = ParamSpec("_P")


class RealWork(Generic[T, E]):
    """A coroutine under way, which raises nothing but `error`, for `failed`."""

    __slots__ = ("_clock", "_done", "_error", "_failed", "_since", "task")

    def __init__(
        self,
        clock: Clock,
        work: Coroutine[Any, Any, T],
        done: Callable[[T], None],
        failed: Callable[[E], None],
        error: type[E],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._clock: Clock | None = clock  # while it is held
        self._done = done
        self._failed = failed
        self._error = error
        self._since = loop.time()
        clock.hold()
        self.task = loop.create_task(work)
        self.task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """Give it up: nothing is called back any more. The task ends soon after."""
        if self._clock is not None:
            self._release()
            self.task.cancel()

    def _release(self, lost_s: float = 0.0) -> None:
        clock, self._clock = self._clock, None
        if clock is not None:
            clock.release(lost_s)

    def _ended(self, task: asyncio.Task[T]) -> None:
        given_up = self._clock is None
        if task.cancelled():
            self._release()
            return
        error = task.exception()
        if given_up:
            return
        timed_out = isinstance(error, TransferFailed) and error.kind == "timeout"
        self._release(task.get_loop().time() - self._since if timed_out else 0.0)
        if error is None:
            self._done(task.result())
        else:
            assert isinstance(error, self._error), error
            self._failed(error)


async def off_loop(call: Callable[_P, T], *args: _P.args, **kwargs: _P.kwargs) -> T:
    """What `call` returns, from a thread; cancelled or not, it has ended when this returns."""
    return await in_thread(None, lambda: call(*args, **kwargs))


async def in_thread(
    executor: Executor | None, call: Callable[[], T], abort: Callable[[], None] | None = None
) -> T:
    """The same in a thread of `executor`; `abort`, called on cancellation, makes `call` return soon."""
    future = asyncio.get_running_loop().run_in_executor(executor, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if abort is not None:
            abort()
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({future})
        future.exception()  # nobody waits for it
        raise
