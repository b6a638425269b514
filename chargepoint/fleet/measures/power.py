"""The power of all running transactions, without reading every meter each time."""

from __future__ import annotations

from collections import OrderedDict

from hal.api import DeviceError, Evse

MOST_READ = 500
"""Meters read per look: at 20 us each, 10 ms a second for a view that looks once a second."""


class FleetPower:
    """Adds up what charging connectors draw; reads the ones longest not read, and remembers the rest."""

    __slots__ = ("_drawn", "_sum_w", "most_read")

    def __init__(self, most_read: int = MOST_READ) -> None:
        self.most_read = most_read
        self._drawn: OrderedDict[Evse, float] = OrderedDict()  # the ones read longest ago first
        self._sum_w = 0.0

    def begin(self, evse: Evse) -> None:
        """A transaction runs at this connector; it is read at the next look."""
        if evse not in self._drawn:
            self._drawn[evse] = 0.0
            self._drawn.move_to_end(evse, last=False)

    def end(self, evse: Evse) -> None:
        """None runs there any more."""
        self._sum_w -= self._drawn.pop(evse, 0.0)

    def power_w(self) -> float:
        """The sum over all of them; with more than `most_read`, some values are a few looks old."""
        for _ in range(min(self.most_read, len(self._drawn))):
            evse, before = next(iter(self._drawn.items()))
            try:
                now = evse.reading().power_w
            except DeviceError:
                now = 0.0
            self._drawn[evse] = now
            self._drawn.move_to_end(evse)
            self._sum_w += now - before
        if not self._drawn:
            self._sum_w = 0.0  # rounding leaves a trace
        return max(self._sum_w, 0.0)
