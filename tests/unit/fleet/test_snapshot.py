"""A fleet's figures on their way between processes."""

from __future__ import annotations

import json
from collections import Counter

from chargepoint.fleet.measures.snapshot import ActionFigures, Happened, Simulator, Snapshot


def part(shard: int, durations: tuple[float, ...], bottleneck: str | None = None) -> Snapshot:
    figures = ActionFigures(sent=len(durations), answered=len(durations), failed=1, errors=Counter(Timeout=1))
    for seconds in durations:
        figures.waited.record(seconds)
        figures.took.record(seconds / 2)
    return Snapshot(
        at_s=10.0 + shard,
        planned=5,
        connected=4,
        booted=3,
        power_w=7400.5,
        sent=len(durations),
        sent_per_s=2.5,
        actions={"Heartbeat": figures},
        served=Counter(Reset=1),
        connect_failures=Counter(refused=2),
        lost_links=Counter({"no pong": 1}),
        events=[Happened(1.0, 60.0, "blackout"), Happened(2.0, 120.0, "return")][: shard + 1],
        simulators=[Simulator(shard, 0.5, 1000, 0.01, 0.02, bottleneck, 3.0 if bottleneck else 0.0)],
    )


def test_it_arrives_as_it_was() -> None:
    snapshot = part(1, (0.1, 0.2), "late")
    sent = json.dumps(snapshot.to_json())
    assert Snapshot.from_json(json.loads(sent)).to_json() == snapshot.to_json()
    assert Snapshot.from_json(json.loads(sent)).events == snapshot.events


def test_two_shards_are_one_fleet() -> None:
    parts = [part(0, (0.01,) * 9), part(1, (1.0,), "the event loop is late")]
    whole = Snapshot.merged(parts)
    assert (whole.planned, whole.connected, whole.booted, whole.power_w) == (10, 8, 6, 14801.0)
    assert (whole.at_s, whole.sent, whole.sent_per_s) == (11.0, 10, 5.0)
    figures = whole.actions["Heartbeat"]
    assert (figures.answered, figures.failed, figures.errors) == (10, 2, {"Timeout": 2})
    assert figures.p50_s < 0.02
    assert figures.p99_s > 0.9
    assert whole.connect_failures == {"refused": 4}
    assert (whole.cpu_share, whole.rss_bytes) == (1.0, 2000)
    assert whole.bottleneck == "process 1: the event loop is late"
    assert whole.was_bottleneck
    assert [event.what for event in whole.events] == ["blackout", "return"], "each shard did the same"


def test_merging_changes_no_part() -> None:
    one = part(0, (0.1,))
    before = json.dumps(one.to_json())
    Snapshot.merged([one, part(1, (0.2,))])
    assert json.dumps(one.to_json()) == before


def test_nothing_merged_is_an_empty_fleet() -> None:
    empty = Snapshot.merged([])
    assert (empty.planned, empty.bottleneck, empty.was_bottleneck, empty.failed) == (0, None, False, 0)
    assert empty.overall.p99_s == 0.0
