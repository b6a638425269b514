"""The timelines of shards that ran by themselves as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from chargepoint.fleet.measures.histogram import Histogram
from chargepoint.fleet.measures.timeline import MOST_ROWS, Row

_SUMS = (
    "started",
    "connected",
    "booted",
    "charging",
    "power_w",
    "queued",
    "sent",
    "received",
    "failed",
    "reconnects",
    "connect_failures",
    "cpu_share",
    "rss_bytes",
)


def merged_rows(parts: Sequence[tuple[float, Sequence[Row]]]) -> list[Row]:
    """The rows of several runs, each with the moment at which it began, as those of one.

    They are as long as the longest row of any. A run counts with nothing before it began; when it was over,
    and while nobody looked, with what it was last.
    """
    parts = [(began_at, rows) for began_at, rows in parts if rows]
    if not parts:
        return []
    first = min(began_at for began_at, _ in parts)
    shifted = [[replace(row, at_s=row.at_s + began_at - first) for row in rows] for began_at, rows in parts]
    end_s = max(rows[-1].at_s + rows[-1].over_s for rows in shifted)
    row_s = max(1.0, end_s / MOST_ROWS, *(row.over_s for rows in shifted for row in rows))
    count = max(1, round(end_s / row_s))
    columns = [_in_step(rows, row_s, count) for rows in shifted]
    return [
        _together([row for column in columns if (row := column[index]) is not None], index * row_s, row_s)
        for index in range(count)
    ]


def _in_step(rows: Sequence[Row], row_s: float, count: int) -> list[Row | None]:
    """Those of one run in `count` equal spans of time; None: it had not begun."""
    spans: list[list[Row]] = [[] for _ in range(count)]
    for row in rows:
        spans[min(int((row.at_s + row.over_s / 2) / row_s), count - 1)].append(row)
    found: list[Row | None] = []
    last: Row | None = None
    for span in spans:
        if span:
            last = reduce(Row.joined, span)
            found.append(last)
        else:
            found.append(None if last is None else _later(last))
    return found


def _later(row: Row) -> Row:
    """As it was, and nothing happens."""
    counts = {"sent": 0, "received": 0, "failed": 0, "reconnects": 0, "connect_failures": 0}
    return replace(row, lag_s=0.0, bottleneck=False, actions={}, **counts)


def _together(rows: Sequence[Row], at_s: float, over_s: float) -> Row:
    actions: dict[str, Histogram] = {}
    for row in rows:
        for action, histogram in row.actions.items():
            actions.setdefault(action, Histogram()).add(histogram)
    return Row(
        at_s=at_s,
        over_s=over_s,
        station_s=max((row.station_s for row in rows), default=0.0),
        lag_s=max((row.lag_s for row in rows), default=0.0),
        bottleneck=any(row.bottleneck for row in rows),
        actions=actions,
        **{name: sum(getattr(row, name) for row in rows) for name in _SUMS},
    )
