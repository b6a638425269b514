"""Leases: who runs a shard of the fleet, so that no identity is ever connected from two processes.

A shard asks each 5 s whether it may go on. If its last granted question is 10 s old it drops all its links
by itself; the shard is offered to another process no sooner than 15 s after the last grant. Both sides only
measure durations, each by its own clock, and a question is asked before it is granted: however long messages
take, the old owner is gone 5 s before a new one may begin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hal.api import Clock, Timer

RENEW_EVERY_S = 5.0
DROP_AFTER_S = 10.0
"""Seconds after its last granted question at which a shard lets go of everything."""

FREE_AFTER_S = 15.0
"""Seconds after the last grant from which on the shard may be offered again."""


@dataclass(slots=True)
class _Lease:
    attempt: int = 0
    holder: str | None = None
    granted_at: float = 0.0
    used: bool = False
    """The attempt was granted once; nobody but its holder gets it again."""


class Leases:
    """The side that grants: one lease for each shard, by a clock that never goes back."""

    __slots__ = ("_leases", "_now")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._leases: dict[int, _Lease] = {}

    def free_in_s(self, shard: int) -> float:
        """How long until the shard may be offered; 0: now."""
        lease = self._leases.get(shard)
        if lease is None or lease.holder is None:
            return 0.0
        return max(0.0, lease.granted_at + FREE_AFTER_S - self._now())

    def held(self, shard: int) -> bool:
        """Somebody may be running it."""
        return self.free_in_s(shard) > 0

    def offer(self, shard: int) -> int:
        """A new attempt at a free shard, for one process; earlier attempts are refused from now on."""
        if self.held(shard):
            raise ValueError(f"shard {shard} is held for {self.free_in_s(shard):.1f} s yet")
        lease = self._leases.setdefault(shard, _Lease())
        lease.attempt += 1
        lease.holder, lease.used = None, False
        return lease.attempt

    def withdraw(self, shard: int) -> None:
        """The attempt is refused from now on, taken or not; who has it keeps it until it must let go."""
        if (lease := self._leases.get(shard)) is not None:
            lease.attempt += 1

    def ask(self, shard: int, attempt: int, holder: str) -> bool:
        """Whether this holder may run the shard for a while; the first one to ask with an attempt has it.

        A second process with the same attempt is refused, be it that somebody ran the same order again.
        """
        lease = self._leases.get(shard)
        if lease is None or attempt != lease.attempt:
            return False
        if lease.used and (lease.holder != holder or not self.held(shard)):
            return False
        lease.holder, lease.granted_at, lease.used = holder, self._now(), True
        return True

    def end(self, shard: int, holder: str) -> None:
        """The holder has closed its last link; of anybody else it is ignored."""
        lease = self._leases.get(shard)
        if lease is not None and lease.holder == holder:
            lease.holder = None


class Tenancy:
    """The side that holds a lease: asks from `begin` on, and calls `lost` once if it may not go on.

    `ask` sends a question off and may lose it; the answer comes to `granted` with the moment it was asked
    at, or to `refused`.
    """

    __slots__ = ("_ask", "_asking", "_clock", "_lost", "_until", "over")

    def __init__(self, clock: Clock, ask: Callable[[float], None], lost: Callable[[str], None]) -> None:
        self._clock = clock
        self._ask = ask
        self._lost = lost
        self._asking: Timer | None = None
        self._until: Timer | None = None
        self.over = False

    def begin(self) -> None:
        """Ask for the first time; nothing may be connected before it is granted."""
        self._run_until(self._clock.now() + DROP_AFTER_S)
        self._ask_again()

    def granted(self, asked_at: float) -> None:
        """The question of that moment was answered with yes; questions may overtake each other."""
        if not self.over:
            self._run_until(asked_at + DROP_AFTER_S)

    def refused(self) -> None:
        """The lease is somebody else's, or was given up."""
        self._end("it was given to another")

    def close(self) -> None:
        """All links are closed: nothing is asked any more."""
        self.over = True
        for timer in (self._asking, self._until):
            if timer is not None:
                timer.cancel()

    def _ask_again(self) -> None:
        now = self._clock.now()
        self._asking = self._clock.call_at(now + RENEW_EVERY_S, self._ask_again)
        self._ask(now)

    def _run_until(self, when: float) -> None:
        if self._until is not None:
            self._until.cancel()
        self._until = self._clock.call_at(when, self._run_out)

    def _run_out(self) -> None:
        self._end(f"it could not be renewed for {DROP_AFTER_S:g} s")

    def _end(self, why: str) -> None:
        if not self.over:
            self.close()
            self._lost(why)
