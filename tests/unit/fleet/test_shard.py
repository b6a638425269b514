"""Shards: every station is in exactly one, and reports of several are one."""

from __future__ import annotations

import json
import pickle
import time
from collections import Counter
from dataclasses import replace
from itertools import chain

import pytest

from chargepoint.fleet.cluster.led_shard import SILENT_AFTER_S, AsOne, LedShard
from chargepoint.fleet.cluster.shard import ShardReport, gone, shard_of, shared, together
from chargepoint.fleet.cluster.worker import Errand
from chargepoint.fleet.measures.snapshot import ActionFigures, Simulator, Snapshot
from chargepoint.fleet.measures.trouble import Trouble
from chargepoint.fleet.plan.planning import plan_of_flags


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 20, 21])
def test_shards_partition_the_fleet(shards: int) -> None:
    plan = plan_of_flags(count=20, seed=1)
    parts = [[member.identity for member in plan.members(shard, shards)] for shard in range(shards)]
    assert sorted(chain.from_iterable(parts)) == [member.identity for member in plan.members()]
    assert [len(part) for part in parts] == [shared(20, shard, shards) for shard in range(shards)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        pytest.param(None, {}, (0, 1), id="whole"),
        pytest.param("2/8", {}, (2, 8), id="written"),
        pytest.param("auto/8", {"JOB_COMPLETION_INDEX": "7"}, (7, 8), id="of-the-job"),
        pytest.param(None, {"JOB_COMPLETION_INDEX": "1", "COMPLETIONS": "3"}, (1, 3), id="environment"),
        pytest.param(None, {"COMPLETIONS": "3"}, (0, 1), id="no-job"),
        pytest.param("0/1", {"JOB_COMPLETION_INDEX": "1"}, (0, 1), id="whole-in-a-pod"),
        pytest.param("0/2", {"JOB_COMPLETION_INDEX": "1", "COMPLETIONS": "3"}, (0, 2), id="flag-first"),
    ],
)
def test_which_shard_this_is(text: str | None, environment: dict[str, str], shard: tuple[int, int]) -> None:
    assert shard_of(text, environment) == shard


@pytest.mark.parametrize(
    ("text", "environment", "named"),
    [
        pytest.param("8/8", {}, "0 to 7", id="beyond"),
        pytest.param("0/0", {}, "no shard 0 of 0", id="none"),
        pytest.param("1", {}, "0/4", id="half"),
        pytest.param("-1/4", {}, "0/4", id="negative"),
        pytest.param("auto/4", {}, "not set", id="no-job"),
        pytest.param(
            None, {"JOB_COMPLETION_INDEX": "1"}, "every pod would be the whole fleet", id="no-count"
        ),
        pytest.param("auto/4", {"JOB_COMPLETION_INDEX": "x"}, "'x'", id="odd-job"),
        pytest.param(None, {"JOB_COMPLETION_INDEX": "1", "COMPLETIONS": "many"}, "many", id="odd-count"),
    ],
)
def test_what_is_no_shard(text: str | None, environment: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        shard_of(text, environment)


def a_report(shard: int, **changes: int) -> ShardReport:
    figures = ActionFigures(sent=3, answered=3)
    for _ in range(3):
        figures.waited.record(0.01 * (1 + shard))
    snapshot = Snapshot(
        planned=10, connected=9, booted=8, sent=3, transactions=4, actions={"Heartbeat": figures},
        simulators=[Simulator(shard, rss_bytes=1000, lag_max_s=0.2)],
    )  # fmt: skip
    return ShardReport(snapshot, accepted=9, ramp_behind_s=float(shard), skipped=Counter(odd=1))


def test_reports_cross_a_process_and_add_up() -> None:
    reports = [ShardReport.from_json(json.loads(json.dumps(a_report(shard).to_json()))) for shard in range(3)]
    whole = together(reports)
    assert (whole.accepted, whole.ramp_behind_s, whole.skipped) == (27, 2.0, {"odd": 3})
    assert (whole.snapshot.planned, whole.snapshot.sent) == (30, 9)
    assert whole.snapshot.actions["Heartbeat"].waited.count == 9
    assert [one.shard for one in whole.snapshot.simulators] == [0, 1, 2]


def test_what_keeps_stations_of_several_shards_from_connecting_is_told_once() -> None:
    shards = [LedShard(number, 10) for number in range(3)]
    refused, unknown = Trouble("refused", 6, 9, "nothing listens"), Trouble("dns", 2, 9, "no such name")
    for shard, troubles in zip(shards, ([refused], [unknown, refused], [refused]), strict=True):
        report = ShardReport(Snapshot(started=9), troubles=troubles)
        shard.report = ShardReport.from_json(json.loads(json.dumps(report.to_json())))
        shard.heard_at = time.monotonic()
    shards[2].heard_at = -SILENT_AFTER_S  # it says nothing any more
    assert AsOne(shards).troubles() == [
        replace(refused, count=12, stations=18),
        replace(unknown, stations=18),
    ]


def test_a_fleet_has_begun_when_each_shard_that_is_to_run_has_reported() -> None:
    begun, new, given_up = LedShard(0, 10), LedShard(1, 10), LedShard(2, 10)
    begun.report = ShardReport(Snapshot())
    given_up.done = given_up.given_up = True
    assert not AsOne([]).heard
    assert not AsOne([begun, new, given_up]).heard
    new.report = ShardReport(Snapshot())
    assert AsOne([begun, new, given_up]).heard


def test_an_order_in_a_log_shows_no_password() -> None:
    plan = plan_of_flags(count=2, seed=1)
    plan = replace(plan, groups=(replace(plan.groups[0], passwords="open sesame"),))
    errand = Errand("run", "key", 1, 0, 2, plan, "ws://user:open@host", None)
    assert pickle.loads(pickle.dumps(errand)) == errand
    assert "open" not in repr(errand)


def test_who_is_gone_has_counted_but_is_nothing_any_more() -> None:
    past = gone(a_report(0).snapshot)
    assert (past.planned, past.connected, past.booted, past.rss_bytes) == (0, 0, 0, 0)
    assert (past.sent, past.transactions, past.actions["Heartbeat"].waited.count) == (3, 4, 3)
    assert past.simulators[0].lag_max_s == 0.2


def test_a_shard_whose_end_failed_once_was_not_left_out() -> None:
    """It ran, and what it had counted is there; left out is who was given up."""
    ran, given_up = LedShard(0, 10), LedShard(1, 7)
    ran.report = ShardReport(Snapshot(planned=10), accepted=10)
    ran.over(0)
    ran.failures, ran.done = 1, True
    given_up.failures, given_up.done, given_up.given_up = 3, True, True
    fleet = AsOne([ran, given_up])
    assert fleet.accepted == 10
    assert fleet.skipped == {"shard 1 could not run": 7}
