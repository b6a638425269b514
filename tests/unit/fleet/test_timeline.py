"""Rows over time: bounded, and nothing counted twice or lost when they are joined."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from chargepoint.fleet.measures.snapshot import ActionFigures, Snapshot
from chargepoint.fleet.measures.timeline import Row, Timeline


class Run:
    """A fleet that sends two CALLs each second, slower and slower."""

    def __init__(self) -> None:
        self.seconds = 0
        self.figures = ActionFigures()

    def snapshot(self, step_s: int = 1) -> Snapshot:
        self.seconds += step_s
        for _ in range(2 * step_s):
            self.figures.sent += 1
            self.figures.waited.record(self.seconds / 1000)
        return Snapshot(
            at_s=float(self.seconds),
            connected=self.seconds,
            sent=self.figures.sent,
            actions={"Heartbeat": self.figures.copy()},
        )


def test_a_row_a_second() -> None:
    run, timeline = Run(), Timeline()
    for _ in range(3):
        timeline.add(run.snapshot())
    rows = list(timeline)
    assert [(row.at_s, row.over_s, row.connected, row.sent) for row in rows] == [
        (0.0, 1.0, 1, 2),
        (1.0, 1.0, 2, 2),
        (2.0, 1.0, 3, 2),
    ]
    assert rows[2].latency.percentile(50) == pytest.approx(0.003, rel=0.02)
    assert rows[2].sent_per_s == 2.0


@pytest.mark.parametrize("most", [8, 9])
def test_a_long_run_gets_coarser_and_keeps_its_sums(most: int) -> None:
    run, timeline = Run(), Timeline(most_rows=most)
    for _ in range(1000):
        timeline.add(run.snapshot())
        assert len(timeline.rows) <= most
    rows = list(timeline)
    assert timeline.row_s >= 1000 / most
    assert sum(row.sent for row in rows) == 2000
    assert sum(row.latency.count for row in rows) == 2000
    assert sum(row.over_s for row in rows) == pytest.approx(1000)
    for before, after in pairwise(rows):
        assert after.at_s == pytest.approx(before.at_s + before.over_s)


def test_quicker_looks_than_rows_are_put_together() -> None:
    run, timeline = Run(), Timeline(row_s=10.0)
    for _ in range(25):
        timeline.add(run.snapshot())
    assert [row.over_s for row in timeline] == [10.0, 10.0, 5.0]


def test_rows_are_plain_values_for_a_plot() -> None:
    run, timeline = Run(), Timeline()
    timeline.add(run.snapshot())
    [row] = json.loads(json.dumps(timeline.to_json()))
    assert row["p95_s"] == pytest.approx(0.001, rel=0.02)
    assert row["connected"] == 1
    assert "latency" not in row


def test_a_row_knows_each_action_by_itself_and_comes_back_from_json() -> None:
    slow, quick = ActionFigures(), ActionFigures()
    timeline = Timeline()
    for second in (1, 2, 3, 4):
        quick.waited.record(0.010)
        if second == 2:
            slow.waited.record(2.0)
        actions = {"Heartbeat": quick.copy(), "Authorize": slow.copy()}
        timeline.add(Snapshot(at_s=float(second), actions=actions))
    rows = list(timeline)
    assert [set(row.actions) for row in rows] == [
        {"Heartbeat"}, {"Heartbeat", "Authorize"}, {"Heartbeat"}, {"Heartbeat"}
    ]  # fmt: skip
    joined = rows[0].joined(rows[1])
    assert joined.actions["Heartbeat"].count == 2
    assert joined.actions["Authorize"].percentile(95) == pytest.approx(2.0, rel=0.02)
    assert joined.latency.count == 3
    written = json.loads(json.dumps(joined.to_json()))
    assert written["actions"]["Authorize"]["p95_s"] == pytest.approx(2.0, rel=0.02)
    again = Row.from_json(written)
    assert again.actions["Authorize"].percentile(95) == pytest.approx(2.0, rel=0.02)
    assert (again.latency.count, again.latency.buckets) == (3, joined.latency.buckets)
    assert (again.at_s, again.over_s, again.connected) == (joined.at_s, joined.over_s, joined.connected)
