"""What can go wrong with a CALL to a station."""

from __future__ import annotations

from hal.api import Clock


class CallFailed(Exception):
    """The station refused: `code` is the CALLERROR's; an answer that is not valid counts as refused."""

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code
        self.description = description


class CallTimeout(CallFailed):
    """No answer in time; a later one is ignored."""

    def __init__(self, action: str, waited_s: float) -> None:
        lost = "was lost on the way" if not waited_s else f"did not come within {waited_s:g} s"
        super().__init__("timeout", f"the answer to {action} {lost}")
        self.waited_s = waited_s


class NotConnected(CallFailed):
    """The station is not there, or went away before it answered."""

    def __init__(self, cp: str) -> None:
        super().__init__("not_connected", f"{cp} is not connected")


class LostOnTheWay(TimeoutError):
    """Who carries the frames knows that this answer will never come."""


class Waiting:
    """The clock held while a CALL waits for its answer, unless nothing real is under way for it."""

    __slots__ = ("_clock", "_held")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held = True
        clock.hold()

    def hold(self, held: bool) -> None:
        """Whether the clock is to wait for the answer."""
        if held != self._held:
            self._held = held
            if held:
                self._clock.hold()
            else:
                self._clock.release()

    def end(self, lost_s: float) -> None:
        """The answer is there, or will not be waited for any more."""
        if self._held:
            self._held = False
            self._clock.release(lost_s)
