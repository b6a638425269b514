"""An event loop whose time passes only while nothing is under way, for two ends of a line in one process.

What is written to a socket or a pseudo terminal of this machine can be read at once, so when nothing can be
read nobody has anything left to do before the next timer, and the loop jumps to it. A slow or stopped machine
moves no time: no answer comes too late for that, and none is ever waited for.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_TURN_S = 1e-6  # what a turn of the loop takes: a timer that comes a rounding error too soon comes again


class _JumpingSelector(selectors.PollSelector):
    """Instead of waiting for a time it adds it to `passed_s`.

    It has to be poll(2): a look at a pseudo terminal takes over what the kernel has not carried across yet,
    where epoll would wait for the kernel's own thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.passed_s += _TURN_S
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:  # no timer: it comes from outside, or never
            return super().select(None)
        self.passed_s += timeout
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """Both ends of every line have to be on it; what another thread or process does is not waited for."""

    def __init__(self) -> None:
        self._jumps = _JumpingSelector()
        super().__init__(self._jumps)

    def time(self) -> float:
        return self._jumps.passed_s


def run_jumping(story: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on such a loop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(story)
