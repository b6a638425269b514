"""Whether the simulator itself is the bottleneck: the lateness of its event loop, its CPU and its memory."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable
from pathlib import Path

EVERY_S = 0.25
LATE_S = 0.1
"""An event loop later than this makes answers look slow that are not."""

BUSY_SHARE = 0.95
"""So much of a core leaves no reserve: what comes at once waits for its turn."""

STARVED_SHARE = 0.3
"""Ready to run and without a core for so much of the time: answers wait for other programs."""

ENTER_AFTER, LEAVE_AFTER = 3, 20
"""Bad looks in a row until the simulator is called the bottleneck, good ones until it no longer is."""

_WEIGHT = 0.2  # of the newest look in the shares, which then cover a second or so


class Judgement:
    """The verdict from one look after the other, slow to change (hysteresis)."""

    __slots__ = (
        "_bad",
        "_good",
        "_reason",
        "bottleneck_s",
        "cpu_share",
        "lag_max_s",
        "lag_s",
        "starved_share",
    )

    def __init__(self) -> None:
        self.lag_s = 0.0  # the worst of the last looks, fading
        self.lag_max_s = 0.0
        self.cpu_share = 0.0
        self.starved_share = 0.0  # of the time it was ready to run and had no core
        self.bottleneck_s = 0.0
        self._bad = self._good = 0
        self._reason: str | None = None

    @property
    def bottleneck(self) -> str | None:
        """Why latencies measured now are the simulator's own, in words; None: they are not."""
        return self._reason

    def look(self, late_s: float, cpu_s: float, passed_s: float, starved_s: float = 0.0) -> None:
        """The loop came `late_s` too late; `cpu_s` of CPU time went in the `passed_s` since the last look.

        For `starved_s` of them it was ready to run and other programs had the cores.
        """
        self.spent(cpu_s, passed_s)
        if passed_s > 0:
            self.starved_share += (starved_s / passed_s - self.starved_share) * _WEIGHT
        self.lag_s = max(late_s, self.lag_s * (1 - _WEIGHT))
        self.lag_max_s = max(self.lag_max_s, late_s)
        reason = self._why(late_s)
        if reason is not None:
            # A look that comes late stands for those that it kept from coming.
            self._bad, self._good = self._bad + max(1, int(passed_s / EVERY_S)), 0
            if self._bad >= ENTER_AFTER or self._reason is not None:
                self._reason = reason
        else:
            self._bad, self._good = 0, self._good + 1
            if self._good >= LEAVE_AFTER:
                self._reason = None
        if self._reason is not None:
            self.bottleneck_s += passed_s

    def spent(self, cpu_s: float, passed_s: float) -> None:
        """So much CPU time went in the `passed_s` since the last look, whatever came late."""
        if passed_s > 0:
            self.cpu_share += (cpu_s / passed_s - self.cpu_share) * _WEIGHT

    def _why(self, late_s: float) -> str | None:
        busy = f"{self.cpu_share:.0%} of a core in use"
        if self.starved_share > STARVED_SHARE:
            return (
                f"no core is free for it {self.starved_share:.0%} of the time, {busy}: "
                "too much else runs on this machine"
            )
        if late_s > LATE_S:
            return f"the event loop is {late_s * 1000:.0f} ms late, {busy}: fewer stations or more processes"
        if self.cpu_share > BUSY_SHARE:
            return f"{busy}: fewer stations or more processes"
        return None


class Lag:
    """Looks four times a second, by one timer for the whole process, from `start` to `close`."""

    __slots__ = ("_cpu_s", "_due", "_handle", "_loop", "_starved_s", "judgement", "judging", "on_look")

    def __init__(self, on_look: Callable[[], None] | None = None) -> None:
        self.judgement = Judgement()
        self.judging = True
        """False: it is to run as fast as the machine can, so that late and busy are no faults."""
        self.on_look = on_look
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._cpu_s = self._starved_s = 0.0

    def start(self) -> None:
        """Begin on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._cpu_s, self._starved_s = cpu_s(), starved_s()
        self._plan(self._loop.time())

    def close(self) -> None:
        """No timer is left; what was judged stays."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _plan(self, now: float) -> None:
        assert self._loop is not None
        self._due = now + EVERY_S
        self._handle = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        assert self._loop is not None
        now, spent_s, without_s = self._loop.time(), cpu_s(), starved_s()
        late_s = max(now - self._due, 0.0)
        passed_s = EVERY_S + late_s
        if self.judging:
            waited_s = max(without_s - self._starved_s, 0.0)
            self.judgement.look(late_s, spent_s - self._cpu_s, passed_s, waited_s)
        else:
            self.judgement.spent(spent_s - self._cpu_s, passed_s)
        self._cpu_s, self._starved_s = spent_s, without_s
        if self.on_look is not None:
            self.on_look()
        self._plan(now)


def cpu_s() -> float:
    """CPU time of this process, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def starved_s() -> float:
    """For how long this thread was ready to run and had no core; 0 where the system does not tell."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text("ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def rss_bytes() -> int:
    """Memory of this process now; where the system does not tell, the most it ever had."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
