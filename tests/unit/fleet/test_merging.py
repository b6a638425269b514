"""What shards left behind, judged as one fleet."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chargepoint.errors import ConfigError
from chargepoint.fleet.measures.ledger import Entry, Ledger, Totals
from chargepoint.fleet.measures.snapshot import ActionFigures, Simulator, Snapshot
from chargepoint.fleet.plan.planning import plan_of_flags
from chargepoint.fleet.verdict.criterion import parse
from chargepoint.fleet.verdict.junit import junit
from chargepoint.fleet.verdict.merging import merged
from chargepoint.fleet.verdict.outcome import Outcome
from chargepoint.fleet.verdict.verdict import judge


def entry(shard: int, n: int, *, whole: bool = True) -> dict[str, Any]:
    one = Entry(f"CP{shard}", 1, f"t{n}", "TAG", 0.0, 0, transaction_id=10 * shard + n, accepted=True)
    one.phase, one.stopped_at, one.delivered = "delivered", 60.0, whole
    return one.to_json()


def part(shard: int, *, lost: int = 0, took_s: float = 0.01) -> dict[str, Any]:
    """What `--json` of a shard writes: five transactions, of which so many have lost their end."""
    figures = ActionFigures(sent=100, answered=100)
    for _ in range(100):
        figures.waited.record(took_s)
    snapshot = Snapshot(at_s=60.0, planned=10, sent=100, connects=10, simulators=[Simulator(shard)])
    snapshot.actions = {"Heartbeat": figures}
    left = dict.fromkeys(Totals.__slots__, 0)
    entries = [entry(shard, n, whole=n >= lost) for n in range(5)]
    ledger = Ledger.merged([{"finished": True, "left": left, "transactions": entries}])
    before = Snapshot(planned=10, connected=10)
    outcome = Outcome(plan_of_flags(count=20, seed=7), snapshot, before, ledger, accepted=10)
    return {"version": 1, **json.loads(json.dumps(outcome.to_json()))}


def test_two_parts_are_one_fleet() -> None:
    outcome = merged({"0.json": part(0), "1.json": part(1, lost=2, took_s=3.0)})
    assert (outcome.planned, outcome.accepted, outcome.snapshot.sent) == (20, 20, 200)
    totals = outcome.ledger.totals()
    assert (totals.made, totals.delivered, totals.lost, totals.doubled) == (10, 8, 2, 0)
    criteria = [parse("p95(Heartbeat) > 1s"), parse("p50(Heartbeat) > 1s"), parse("lost_transactions > 0")]
    verdict = judge(criteria, outcome)
    assert [result.judged for result in verdict.results] == ["failed", "passed", "failed"]
    assert "CP1/t0" in "\n".join(verdict.results[2].notes)
    assert b'name="stations" value="20"' in junit(outcome, verdict)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        pytest.param(part(0), "shard 0 is in 0.json already", id="twice"),
        pytest.param({}, "not what", id="something-else"),
        pytest.param(part(1) | {"version": 2}, "version 2", id="later"),
        pytest.param(part(1) | {"ledger": []}, "not what", id="odd-ledger"),
    ],
)
def test_what_cannot_be_merged_is_named(other: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        merged({"0.json": part(0), "1.json": other})
