"""A moment of a fleet as plain values: what a view shows, metrics export and a verdict judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chargepoint.fleet.measures.histogram import Histogram
from chargepoint.rpc.session import CUT, LINK_LOST

PERCENTS = (50.0, 95.0, 99.0)

UNANSWERED = (LINK_LOST, CUT)
"""Kinds of errors of which nobody knows how long the answer would have taken."""


@dataclass(slots=True)
class ActionFigures:
    """One kind of message to the central system: `sent` is `answered` + `unanswered` + `under_way`."""

    sent: int = 0
    answered: int = 0
    """With a result, a CALLERROR or not in time; what was cut off is in `failed` and `errors` only."""
    failed: int = 0
    """Without a result."""
    errors: Counter[str] = field(default_factory=Counter)
    """By CALLERROR code, `Timeout`, `InvalidAnswer`, `LinkLost` or `Cut`."""
    waited: Histogram = field(default_factory=Histogram)
    """Wanted -> answered: the queue and the simulator's own lateness count."""
    took: Histogram = field(default_factory=Histogram)
    """Sent -> answered."""

    @property
    def p50_s(self) -> float:
        """Half of them were answered within this, from the moment they were wanted."""
        return self.waited.percentile(50)

    @property
    def p95_s(self) -> float:
        """See `p50_s`."""
        return self.waited.percentile(95)

    @property
    def p99_s(self) -> float:
        """See `p50_s`."""
        return self.waited.percentile(99)

    @property
    def max_s(self) -> float:
        """The slowest answer."""
        return self.waited.max_s

    @property
    def unanswered(self) -> int:
        """What a lost link took with it, or the end of its station."""
        return sum(self.errors[kind] for kind in UNANSWERED)

    @property
    def with_result(self) -> int:
        """Answered as they should be."""
        return self.answered + self.unanswered - self.failed

    @property
    def under_way(self) -> int:
        """Neither answered nor failed yet."""
        return self.sent - self.answered - self.unanswered

    def copy(self) -> ActionFigures:
        """The same figures, counted on independently."""
        copy = ActionFigures()
        copy.add(self)
        return copy

    def add(self, other: ActionFigures) -> None:
        """Count what another process counted."""
        self.sent += other.sent
        self.answered += other.answered
        self.failed += other.failed
        self.errors.update(other.errors)
        self.waited.add(other.waited)
        self.took.add(other.took)

    def to_json(self) -> dict[str, Any]:
        """Plain values; the percentiles are for readers, `from_json` does without."""
        names = {50.0: "p50_s", 95.0: "p95_s", 99.0: "p99_s"}
        shown = zip(PERCENTS, self.waited.percentiles(PERCENTS), strict=True)
        return {
            "sent": self.sent,
            "answered": self.answered,
            "failed": self.failed,
            "under_way": self.under_way,
            "errors": dict(self.errors),
            **{names[percent]: seconds for percent, seconds in shown},
            "max_s": self.max_s,
            "waited": self.waited.to_json(),
            "took": self.took.to_json(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ActionFigures:
        """What `to_json` gave."""
        return cls(
            data["sent"],
            data["answered"],
            data["failed"],
            Counter(data["errors"]),
            Histogram.from_json(data["waited"]),
            Histogram.from_json(data["took"]),
        )


class Happened(NamedTuple):
    """Something that was done to the fleet, by its file or by a person."""

    at_s: float
    """Since the start of the run, on the real clock."""
    station_s: float
    """The same on the stations' clock."""
    what: str


@dataclass(slots=True)
class Simulator:
    """One process of the fleet: what it costs, and whether it keeps up."""

    shard: int = 0
    cpu_share: float = 0.0
    """Of one core, lately."""
    rss_bytes: int = 0
    lag_s: float = 0.0
    """How late the event loop was at worst, lately."""
    lag_max_s: float = 0.0
    """How late it was at worst in this run."""
    bottleneck: str | None = None
    """Why the latencies measured now are this process's own, in words; None: they are not."""
    bottleneck_s: float = 0.0
    """For how long that was so in this run."""


@dataclass(slots=True)
class Snapshot:
    """What a fleet is and did up to `at_s`, seconds since its start on the real clock.

    Counts are totals since the start, rates those of the last seconds.
    """

    at_s: float = 0.0
    station_s: float = 0.0
    """The same on the stations' clock."""
    planned: int = 0
    started: int = 0
    connected: int = 0
    booted: int = 0
    """Accepted by the central system."""
    charging: int = 0
    """Running transactions."""
    power_w: float = 0.0
    sent: int = 0
    """CALLs to the central system."""
    received: int = 0
    """CALLs of the central system."""
    sent_per_s: float = 0.0
    received_per_s: float = 0.0
    queued: int = 0
    """Transaction-related messages that wait for delivery."""
    connects: int = 0
    reconnects: int = 0
    """Connections that were not a station's first."""
    transactions: int = 0
    lost_transactions: int = 0
    """A message of theirs was given up, or not acknowledged when the run was over."""
    doubled_transactions: int = 0
    released_holds: int = 0
    """How often a stepped clock went on without an answer: the run is then not reproducible."""
    actions: dict[str, ActionFigures] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    """CALLs of the central system, by action."""
    refused: Counter[str] = field(default_factory=Counter)
    """Those of them that we refused, by CALLERROR code."""
    connect_failures: Counter[str] = field(default_factory=Counter)
    """Connections that did not come about, by kind of `LinkError`."""
    lost_links: Counter[str] = field(default_factory=Counter)
    """Connections that ended, by who ended them and how."""
    simulators: list[Simulator] = field(default_factory=list)
    events: list[Happened] = field(default_factory=list)
    """What was done to the fleet so far, the oldest first; of many the latest."""

    @property
    def failed(self) -> int:
        """CALLs that the central system did not answer with a result."""
        return sum(figures.failed for figures in self.actions.values())

    @property
    def under_way(self) -> int:
        """CALLs that are neither answered nor failed; after the end: what the end cut off."""
        return sum(figures.under_way for figures in self.actions.values())

    @property
    def errors(self) -> Counter[str]:
        """Failed CALLs by kind, over all actions."""
        errors: Counter[str] = Counter()
        for figures in self.actions.values():
            errors.update(figures.errors)
        return errors

    @property
    def overall(self) -> ActionFigures:
        """All kinds of messages together."""
        total = ActionFigures()
        for figures in self.actions.values():
            total.add(figures)
        return total

    @property
    def cpu_share(self) -> float:
        """Cores in use, over all processes."""
        return sum(simulator.cpu_share for simulator in self.simulators)

    @property
    def rss_bytes(self) -> int:
        """Memory of all processes."""
        return sum(simulator.rss_bytes for simulator in self.simulators)

    @property
    def lag_s(self) -> float:
        """The latest event loop, lately."""
        return max((simulator.lag_s for simulator in self.simulators), default=0.0)

    @property
    def bottleneck(self) -> str | None:
        """Why the latencies are not to be trusted now: the first process that cannot keep up."""
        slow = [simulator for simulator in self.simulators if simulator.bottleneck is not None]
        if not slow:
            return None
        where = f"process {slow[0].shard}: " if len(self.simulators) > 1 else ""
        return f"{where}{slow[0].bottleneck}"

    @property
    def was_bottleneck(self) -> bool:
        """The simulator could not keep up at some time of this run: its latency figures are marked."""
        return any(simulator.bottleneck_s or simulator.bottleneck for simulator in self.simulators)

    @classmethod
    def merged(cls, parts: Iterable[Snapshot]) -> Snapshot:
        """Several processes as one fleet; none gives an empty snapshot. The parts stay as they are."""
        whole = cls()
        for part in parts:
            whole.at_s = max(whole.at_s, part.at_s)
            whole.station_s = max(whole.station_s, part.station_s)
            for name in _SUMS:
                setattr(whole, name, getattr(whole, name) + getattr(part, name))
            for name in _COUNTERS:
                getattr(whole, name).update(getattr(part, name))
            for action, figures in part.actions.items():
                whole.actions.setdefault(action, ActionFigures()).add(figures)
            whole.simulators.extend(part.simulators)
            # Every process does the same; one that came late has not seen all of it.
            whole.events = max(whole.events, list(part.events), key=len)
        return whole

    def to_json(self) -> dict[str, Any]:
        """Plain values, ready for `json`."""
        return {
            "at_s": self.at_s,
            "station_s": self.station_s,
            **{name: getattr(self, name) for name in _SUMS},
            **{name: dict(getattr(self, name)) for name in _COUNTERS},
            "actions": {action: figures.to_json() for action, figures in self.actions.items()},
            "simulators": [
                {name: getattr(simulator, name) for name in Simulator.__slots__}
                for simulator in self.simulators
            ],
            "events": [list(event) for event in self.events],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Snapshot:
        """What `to_json` gave; fields of later versions are ignored."""
        snapshot = cls(at_s=data["at_s"], station_s=data["station_s"])
        for name in _SUMS:
            setattr(snapshot, name, data[name])
        for name in _COUNTERS:
            setattr(snapshot, name, Counter(data[name]))
        snapshot.actions = {
            action: ActionFigures.from_json(figures) for action, figures in data["actions"].items()
        }
        snapshot.simulators = [
            Simulator(**{name: value for name, value in one.items() if name in Simulator.__slots__})
            for one in data["simulators"]
        ]
        snapshot.events = [Happened(*event) for event in data.get("events", ())]
        return snapshot


_SUMS = (
    "planned",
    "started",
    "connected",
    "booted",
    "charging",
    "power_w",
    "sent",
    "received",
    "sent_per_s",
    "received_per_s",
    "queued",
    "connects",
    "reconnects",
    "transactions",
    "lost_transactions",
    "doubled_transactions",
    "released_holds",
)
_COUNTERS = ("served", "refused", "connect_failures", "lost_links")
