"""What a live view remembers of a fleet: the last seconds, and a few figures over time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from chargepoint.fleet.measures.histogram import Histogram
from chargepoint.fleet.measures.snapshot import ActionFigures, Snapshot

LATELY_S = 10.0
"""What `Past.lately` covers."""

MOST_MOMENTS = 300
"""Of each figure over time."""


@dataclass(frozen=True, slots=True)
class Lately:
    """What became of one kind of message in the last seconds."""

    per_s: float
    failed: int
    waited: Histogram


class Past:
    """Takes a snapshot about once a second."""

    __slots__ = ("_moments", "over_time")

    def __init__(self) -> None:
        self._moments: deque[Snapshot] = deque([Snapshot()])
        self.over_time: dict[str, deque[float]] = {
            name: deque(maxlen=MOST_MOMENTS) for name in ("charging", "kW", "messages/s", "p95, ms")
        }

    def add(self, snapshot: Snapshot) -> None:
        """The moment now."""
        moments = self._moments
        moments.append(snapshot)
        while len(moments) > 2 and moments[1].at_s <= snapshot.at_s - LATELY_S:
            moments.popleft()
        waited = snapshot.overall.waited.since(moments[0].overall.waited)
        for name, value in (
            ("charging", float(snapshot.charging)),
            ("kW", snapshot.power_w / 1000),
            ("messages/s", snapshot.sent_per_s + snapshot.received_per_s),
            ("p95, ms", waited.percentile(95) * 1000),
        ):
            self.over_time[name].append(value)

    @property
    def now(self) -> Snapshot:
        """The latest moment."""
        return self._moments[-1]

    def lately(self, figures: ActionFigures, action: str | None) -> Lately:
        """The last seconds of an action of whose whole run these are the figures; None: all together."""
        before = self._moments[0]
        earlier = before.overall if action is None else before.actions.get(action, ActionFigures())
        over_s = max(self.now.at_s - before.at_s, 1e-9)
        return Lately(
            (figures.sent - earlier.sent) / over_s,
            figures.failed - earlier.failed,
            figures.waited.since(earlier.waited),
        )

    @property
    def marked(self) -> bool:
        """The simulator was the bottleneck at some time of the last seconds."""
        before, now = self._moments[0], self.now
        return now.bottleneck is not None or _spent(now) > _spent(before)


def _spent(snapshot: Snapshot) -> float:
    return sum(simulator.bottleneck_s for simulator in snapshot.simulators)
