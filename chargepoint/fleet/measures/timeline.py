"""What a run was like over time: a bounded number of rows for plots, coarser the longer it lasts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chargepoint.fleet.measures.histogram import Histogram
from chargepoint.fleet.measures.snapshot import Snapshot

MOST_ROWS = 600


@dataclass(slots=True)
class Row:
    """What happened from `at_s` on for `over_s` seconds, on the real clock; gauges are as of its end.

    Durations are `waited` of `ActionFigures`, of what was answered in this time, in milliseconds.
    """

    at_s: float
    over_s: float
    station_s: float
    started: int
    connected: int
    booted: int
    charging: int
    power_w: float
    queued: int
    sent: int
    received: int
    failed: int
    reconnects: int
    connect_failures: int
    cpu_share: float
    rss_bytes: int
    lag_s: float
    """The highest of this time."""
    bottleneck: bool
    """At some time of it."""
    actions: dict[str, Histogram]
    """Of those that were answered."""

    @property
    def latency(self) -> Histogram:
        """Of all actions together."""
        whole = Histogram()
        for histogram in self.actions.values():
            whole.add(histogram)
        return whole

    @property
    def sent_per_s(self) -> float:
        """CALLs to the central system per second."""
        return self.sent / self.over_s if self.over_s > 0 else 0.0

    @property
    def failed_per_s(self) -> float:
        """CALLs per second that brought no result."""
        return self.failed / self.over_s if self.over_s > 0 else 0.0

    def joined(self, later: Row) -> Row:
        """This row and the one after it as one."""
        actions = {action: histogram.copy() for action, histogram in self.actions.items()}
        for action, histogram in later.actions.items():
            actions.setdefault(action, Histogram()).add(histogram)
        values = {name: getattr(later, name) for name in Row.__slots__}
        for name in _COUNTS:
            values[name] += getattr(self, name)
        return Row(
            **values
            | {
                "at_s": self.at_s,
                "over_s": self.over_s + later.over_s,
                "lag_s": max(self.lag_s, later.lag_s),
                "bottleneck": self.bottleneck or later.bottleneck,
                "actions": actions,
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values; the percentiles are for readers, `from_json` does without."""
        latency = self.latency
        p50, p95, p99 = latency.percentiles((50, 95, 99))
        plain = {name: getattr(self, name) for name in Row.__slots__ if name != "actions"}
        return plain | {
            "sent_per_s": self.sent_per_s,
            "failed_per_s": self.failed_per_s,
            "p50_s": p50,
            "p95_s": p95,
            "p99_s": p99,
            "max_s": latency.max_s,
            "actions": {
                action: {
                    "count": histogram.count,
                    "p50_s": histogram.percentile(50),
                    "p95_s": histogram.percentile(95),
                    "buckets": histogram.buckets,
                }
                for action, histogram in self.actions.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Row:
        """What `to_json` gave, but for what is less than a bucket."""
        values = {name: data[name] for name in cls.__slots__ if name != "actions"}
        actions = data.get("actions", {})
        return cls(
            **values,
            actions={action: Histogram.from_buckets(of["buckets"]) for action, of in actions.items()},
        )


_COUNTS = ("sent", "received", "failed", "reconnects", "connect_failures")


class Timeline:
    """Takes snapshots at any pace and keeps rows of `row_s` seconds, twice as long whenever they are full."""

    __slots__ = ("_before", "_pending", "most_rows", "row_s", "rows")

    def __init__(self, row_s: float = 1.0, most_rows: int = MOST_ROWS) -> None:
        if most_rows < 2:
            raise ValueError("a timeline needs at least two rows")
        self.row_s = row_s
        self.most_rows = most_rows
        self.rows: list[Row] = []
        self._before: Snapshot | None = None
        self._pending: Row | None = None  # the row that is not full yet

    def add(self, snapshot: Snapshot) -> None:
        """What has happened since the one before."""
        before, self._before = self._before or Snapshot(), snapshot
        row = _between(before, snapshot)
        self._pending = row if self._pending is None else self._pending.joined(row)
        if self._pending.over_s >= self.row_s * 0.999:
            self.rows.append(self._pending)
            self._pending = None
        if len(self.rows) >= self.most_rows:
            self._join_pairs()

    def _join_pairs(self) -> None:
        self.row_s *= 2
        rows = self.rows
        if len(rows) % 2:
            last = rows.pop()
            self._pending = last if self._pending is None else last.joined(self._pending)
        self.rows = [first.joined(second) for first, second in zip(rows[::2], rows[1::2], strict=True)]

    def __iter__(self) -> Iterator[Row]:
        """All rows, the unfinished one included."""
        yield from self.rows
        if self._pending is not None:
            yield self._pending

    def to_json(self) -> list[dict[str, Any]]:
        """Plain values of all rows."""
        return [row.to_json() for row in self]


def _between(before: Snapshot, after: Snapshot) -> Row:
    return Row(
        at_s=before.at_s,
        over_s=max(after.at_s - before.at_s, 0.0),
        station_s=after.station_s,
        started=after.started,
        connected=after.connected,
        booted=after.booted,
        charging=after.charging,
        power_w=after.power_w,
        queued=after.queued,
        sent=after.sent - before.sent,
        received=after.received - before.received,
        failed=after.failed - before.failed,
        reconnects=after.reconnects - before.reconnects,
        connect_failures=after.connect_failures.total() - before.connect_failures.total(),
        cpu_share=after.cpu_share,
        rss_bytes=after.rss_bytes,
        lag_s=after.lag_s,
        bottleneck=after.bottleneck is not None,
        actions=dict(_answered(before, after)),
    )


def _answered(before: Snapshot, after: Snapshot) -> Iterator[tuple[str, Histogram]]:
    for action, figures in after.actions.items():
        earlier = before.actions.get(action)
        since = figures.waited if earlier is None else figures.waited.since(earlier.waited)
        if since.count:
            yield action, since
