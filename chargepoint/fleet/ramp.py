"""The ramp: who starts when, and that a slow central system is not buried under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from chargepoint.fleet.plan.plan import Member
from hal.api import Clock, Timer

MOST_ATTEMPTS = 200
"""First connection attempts under way at once."""

LOOKS_AGAIN_S = 1.0


class Ramp:
    """Starts member `n` of the whole fleet `n / per_s` seconds after `begin`, with one timer for all.

    With `MOST_ATTEMPTS` of them `under_way`, as first attempts to connect are counted, it falls behind and
    catches up as they come to an end.
    """

    __slots__ = (
        "_began_at",
        "_clock",
        "_full",
        "_held_at",
        "_members",
        "_next",
        "_start",
        "_timer",
        "_under_way",
        "per_s",
    )

    def __init__(
        self,
        members: Iterator[Member],
        per_s: float,
        clock: Clock,
        start: Callable[[Member], None],
        under_way: Callable[[], int],
    ) -> None:
        self._members = members
        self.per_s = per_s
        self._clock = clock
        self._start = start
        self._under_way = under_way
        self._next: Member | None = next(members, None)
        self._full = False
        self._held_at: float | None = None
        self._began_at = 0.0
        self._timer: Timer | None = None

    @property
    def over(self) -> bool:
        """Everybody was started."""
        return self._next is None

    @property
    def behind_s(self) -> float:
        """For how long the next member has had no room to be started, on the ramp's clock.

        With room it is about to be: a moment late is the simulator's own, and on a fast clock many seconds.
        """
        if self._next is None or self._held_at is not None or self._under_way() < MOST_ATTEMPTS:
            return 0.0
        return max(0.0, self._clock.now() - self._due_at(self._next))

    def begin(self) -> None:
        """Time runs from now on."""
        self._began_at = self._clock.now()
        self._go_on()

    def stop(self) -> None:
        """Nobody else is started."""
        self._next = None
        self._cancel()

    def hold(self, held: bool) -> None:
        """Nobody is started while it is held; the time that takes does not count."""
        now = self._clock.now()
        if held and self._held_at is None:
            self._held_at = now
            self._cancel()
        elif not held and self._held_at is not None:
            self._began_at += now - self._held_at
            self._held_at = None
            self._go_on()

    def go_at(self, per_s: float) -> None:
        """From the next member on so many start in a second."""
        if self._next is not None:
            self._began_at += self._next.number * (1 / self.per_s - 1 / per_s)
            self.per_s = per_s
            self._go_on()

    def settled(self) -> None:
        """A first attempt to connect has succeeded or failed: there may be room for the next."""
        if self._full:
            self._full = False
            # Not at once: whoever reports this is in the middle of its own affairs.
            self._again_at(self._clock.now())

    def _due_at(self, member: Member) -> float:
        return self._began_at + member.number / self.per_s

    def _go_on(self) -> None:
        if self._held_at is not None:
            return
        now = self._clock.now()
        room = MOST_ATTEMPTS - self._under_way()
        self._full = False
        while self._next is not None:
            if (due_at := self._due_at(self._next)) > now:
                self._again_at(due_at)
                return
            if room <= 0:
                # An attempt can also end unseen, when its station restarts or its network goes.
                self._full = True
                self._again_at(now + LOOKS_AGAIN_S)
                return
            member, self._next = self._next, next(self._members, None)
            self._start(member)
            room -= 1

    def _again_at(self, when: float) -> None:
        self._cancel()
        self._timer = self._clock.call_at(when, self._go_on)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
