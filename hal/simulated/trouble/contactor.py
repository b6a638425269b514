"""A contactor with one or several things wrong with it."""

from __future__ import annotations

from typing import Literal

from hal.api import DeviceError, Fault, FaultKind
from hal.simulated.plugged import TICK_S

ContactorTrouble = Literal["welded", "not_closing", "bounces", "unseen"]

WELDED = Fault(FaultKind.WELDED, info="contactor does not open")
NOT_CLOSING = Fault(FaultKind.NOT_CLOSING, info="contactor does not close")

CLOSES_S = 5.0
"""A contactor has that long to close for a vehicle that asks."""

BOUNCES_S = 0.1
_BOUNCE_S = 0.02  # open or closed, in turns

_NOTICED_AS: dict[ContactorTrouble, Fault] = {
    "welded": WELDED,
    "not_closing": NOT_CLOSING,
    "unseen": NOT_CLOSING,
}
_NEVER_BOTH: frozenset[ContactorTrouble] = frozenset({"welded", "not_closing"})


class Contradiction(DeviceError):
    """What should break, `wanted`, cannot be while something else, `present`, is broken."""

    def __init__(self, wanted: ContactorTrouble, present: ContactorTrouble) -> None:
        super().__init__(f"a contactor that is {present} cannot be {wanted} as well")
        self.wanted = wanted
        self.present = present


class TroubledContactor:
    """All that is wrong with it at once; each is mended by itself."""

    __slots__ = ("_broken", "_closing_since", "_stuck_since")

    def __init__(self) -> None:
        self._broken: frozenset[ContactorTrouble] = frozenset()
        self._closing_since: float | None = None
        self._stuck_since: float | None = None

    def breaks(self, how: ContactorTrouble) -> None:
        """Beside what is wrong with it already. Raises `Contradiction`."""
        if how in _NEVER_BOTH and (present := self._broken & _NEVER_BOTH - {how}):
            raise Contradiction(how, *present)
        self._broken |= {how}

    def mended(self, how: ContactorTrouble) -> tuple[Fault, ...]:
        """That alone; returns what is no longer noticed, which nothing else causes as well."""
        self._broken -= {how}
        fault = _NOTICED_AS.get(how)
        if fault is None or any(_NOTICED_AS.get(other) is fault for other in self._broken):
            return ()
        return (fault,)

    def contacts(self, told_closed: bool, now: float) -> bool:
        """Whether they are closed, whatever the mirror contact shows."""
        if not told_closed:
            self._closing_since = self._stuck_since = None
            return "welded" in self._broken
        if self._closing_since is None:
            self._closing_since = now
        if not self._broken & {"not_closing", "unseen"}:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = now
        if "welded" in self._broken:
            return True
        bounce = self._bounce(now)
        return "not_closing" not in self._broken and (bounce is None or bounce % 2 == 1)

    def _bounce(self, now: float) -> int | None:
        """The number of the present bounce, apart at the even ones; None once the contacts rest."""
        since = self._closing_since
        if "bounces" not in self._broken or since is None or now >= since + BOUNCES_S - TICK_S:
            return None
        return int((now - since + TICK_S) / _BOUNCE_S)

    def mirrored(self, closed: bool) -> bool:
        """What the mirror contact shows of the contacts."""
        return closed and "unseen" not in self._broken

    def faults(self, told_closed: bool, now: float) -> list[Fault]:
        """What the station has noticed by now."""
        noticed = []
        if not told_closed and self.mirrored("welded" in self._broken):
            noticed.append(WELDED)
        if self._stuck_since is not None and now >= self._stuck_since + CLOSES_S - TICK_S:
            noticed.append(NOT_CLOSING)
        return noticed

    def dues(self, now: float) -> list[float | None]:
        """When something follows by itself, past or to come."""
        stuck_at = None if self._stuck_since is None else self._stuck_since + CLOSES_S
        bounce = self._bounce(now)
        if bounce is None or self._closing_since is None:
            return [stuck_at]
        return [stuck_at, self._closing_since + (bounce + 1) * _BOUNCE_S]
