"""The request statistics of a run as a table that load-testing people know."""

from __future__ import annotations

import csv
from typing import TextIO

from chargepoint.fleet.measures.snapshot import ActionFigures, Snapshot

_PERCENTS = (50, 66, 75, 80, 90, 95, 98, 99, 99.9, 99.99, 100)


def write_csv(snapshot: Snapshot, file: TextIO) -> None:
    """The request statistics in the columns that Locust writes: milliseconds, one row an action and the sum.

    Sizes are not counted (0). Times are `waited`, failures without an answer left out.
    """
    writer = csv.writer(file)
    writer.writerow(
        [
            "Type",
            "Name",
            "Request Count",
            "Failure Count",
            "Median Response Time",
            "Average Response Time",
            "Min Response Time",
            "Max Response Time",
            "Average Content Size",
            "Requests/s",
            "Failures/s",
            *(f"{percent}%" for percent in _PERCENTS),
        ]
    )
    for action, figures in sorted(snapshot.actions.items()):
        writer.writerow(["CALL", action, *_columns(figures, snapshot.at_s)])
    writer.writerow(["", "Aggregated", *_columns(snapshot.overall, snapshot.at_s)])


def _columns(figures: ActionFigures, over_s: float) -> list[float]:
    waited = figures.waited
    count = figures.answered + figures.unanswered
    percentiles = [round(seconds * 1000, 3) for seconds in waited.percentiles(_PERCENTS)]
    return [
        count,
        figures.failed,
        percentiles[0],
        round(waited.mean_s * 1000, 3),
        round(waited.min_s * 1000, 3),
        round(waited.max_s * 1000, 3),
        0,
        round(count / over_s, 3) if over_s > 0 else 0.0,
        round(figures.failed / over_s, 3) if over_s > 0 else 0.0,
        *percentiles,
    ]
