"""What shards left behind, judged as one fleet."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chargepoint.cli.fleet_merge import fleet_merge
from chargepoint.errors import ConfigError
from chargepoint.fleet.measures.entry import Entry, Totals
from chargepoint.fleet.measures.histogram import Histogram
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import ActionFigures, Simulator, Snapshot
from chargepoint.fleet.measures.timeline import Row, Timeline
from chargepoint.fleet.plan.planning import plan_of_flags
from chargepoint.fleet.verdict.criterion import parse
from chargepoint.fleet.verdict.junit import junit
from chargepoint.fleet.verdict.merged_rows import merged_rows
from chargepoint.fleet.verdict.merging import merged
from chargepoint.fleet.verdict.outcome import Outcome
from chargepoint.fleet.verdict.verdict import judge


def entry(shard: int, n: int, *, whole: bool = True) -> dict[str, Any]:
    one = Entry(f"CP{shard}", 1, f"t{n}", "TAG", 0.0, 0, transaction_id=10 * shard + n, accepted=True)
    one.phase, one.stopped_at, one.delivered = "delivered", 60.0, whole
    return one.to_json()


def part(
    shard: int, *, of: int = 2, seed: int = 7, count: int = 20, began_at: float = 0.0, lost: int = 0,
    took_s: float = 0.01,
) -> dict[str, Any]:  # fmt: skip
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
    timeline = Timeline()
    timeline.add(snapshot)
    rows = list(timeline)
    plan = plan_of_flags(count=count, seed=seed)
    outcome = Outcome(
        plan, snapshot, before, ledger, rows, accepted=10, began_at=began_at, shard=shard, shards=of
    )
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
        pytest.param(part(0), "shard 0 of 2 is in 0.json already", id="twice"),
        pytest.param(part(1, seed=8), r"than 0.json: it has another seed \(8, not 7\)", id="other-seed"),
        pytest.param(part(1, of=3), r"another number of shards \(3, not 2\)", id="other-number"),
        pytest.param(part(0, of=1), r"another number of shards \(1, not 2\)", id="a-whole-run"),
        pytest.param(part(1, count=21), "another plan", id="other-plan"),
        pytest.param({}, "not what", id="something-else"),
        pytest.param(part(1) | {"version": 2}, "version 2", id="later"),
        pytest.param(part(1) | {"ledger": []}, "not what", id="odd-ledger"),
    ],
)
def test_what_cannot_be_merged_is_named(other: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        merged({"0.json": part(0), "1.json": other})


def merge(folder: Path, *parts: dict[str, Any], more: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit code and what was said."""
    files = []
    for n, data in enumerate(parts):
        files.append(folder / f"{n}.json")
        files[-1].write_text(json.dumps(data))
    done = CliRunner().invoke(
        fleet_merge, [*map(str, files), *more], standalone_mode=False, catch_exceptions=False
    )
    return done.return_value, done.output


def test_a_shard_that_is_missing_fails_the_whole(tmp_path: Path) -> None:
    code, output = merge(tmp_path, part(0, of=3), part(2, of=3), more=("--junit", str(tmp_path / "all.xml")))
    assert code == 1
    assert "Shard 1 of 3 is missing.\n2 of 3 shards: 20 stations" in output
    assert "FAILED        shard 1 of 3 is missing" in output
    assert "shard 1 of 3 is missing" in (tmp_path / "all.xml").read_text()


def test_a_file_that_is_named_twice_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"0\.json: named 2 times"):
        merge(tmp_path, part(0), part(1), more=(str(tmp_path / "0.json"),))


def test_shards_of_different_hours_are_told(tmp_path: Path) -> None:
    code, output = merge(tmp_path, part(0), part(1, began_at=7260.0))
    assert code == 0
    assert "Shard 1 began 7200 s after shard 0 was over: perhaps of another run." in output


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_figures_of_all_are_written_as_those_of_a_run_are(tmp_path: Path) -> None:
    """Every count is the sum of the parts'; the ledger has what is wrong in any of them."""
    parts = [part(0, lost=1), part(1, lost=2, took_s=3.0)]
    flags = ("--json", str(tmp_path / "all.json"), "--csv", str(tmp_path / "tables"))
    code, output = merge(tmp_path, *parts, more=flags)
    assert code == 0, output
    whole = json.loads((tmp_path / "all.json").read_text())
    for name in ("planned", "sent", "connects"):
        assert whole["snapshot"][name] == sum(one["snapshot"][name] for one in parts) > 0
    for name, total in whole["ledger"]["totals"].items():
        assert total == sum(one["ledger"]["totals"][name] for one in parts), name
    assert whole["ledger"]["lost"] == [*parts[0]["ledger"]["lost"], *parts[1]["ledger"]["lost"]]
    assert len(whole["ledger"]["lost"]) == 3
    assert whole["run"]["accepted"] == 20
    assert (whole["run"]["parts"], whole["run"]["shards"], whole["run"]["gaps"]) == (2, 2, [])
    assert whole["configuration"] == parts[0]["configuration"]
    assert whole["machines"] == [one["machine"] for one in parts]
    assert whole["verdict"]["passed"]
    [heartbeats, together] = table(tmp_path / "tables" / "requests.csv")
    assert (heartbeats["Name"], heartbeats["Request Count"]) == ("Heartbeat", "200")
    assert together["Request Count"] == "200"
    assert float(heartbeats["99%"]) == pytest.approx(3000, rel=0.02)
    rows = table(tmp_path / "tables" / "ledger.csv")
    assert [(one["station"], one["verdict"]) for one in rows] == [("CP0", "missing")] + [
        ("CP1", "missing")
    ] * 2
    with pytest.raises(ConfigError, match=r"all\.json: .*it is merged already"):
        merged({"all.json": whole})


def row(at_s: float, over_s: float = 1.0, **changes: Any) -> Row:
    values: dict[str, Any] = dict.fromkeys(Row.__slots__, 0) | {"bottleneck": False, "actions": {}}
    return Row(**(values | {"at_s": at_s, "over_s": over_s} | changes))


def test_timelines_are_laid_side_by_side_by_the_clock() -> None:
    """The second part began two seconds later, looked half as often and ended first."""
    quick, slow = Histogram(), Histogram()
    quick.record(0.01)
    slow.record(1.0)
    first = [row(n, connected=10, sent=5, actions={"Heartbeat": quick}) for n in range(8)]
    first.append(row(8, 2, connected=0, sent=1))
    second = [row(0, 2, connected=4, sent=3, lag_s=0.5, actions={"Heartbeat": slow}), row(2, 2, connected=6)]
    rows = merged_rows([(1000.0, first), (1002.0, second), (999.0, [])])
    assert [(one.at_s, one.over_s) for one in rows] == [(0, 2), (2, 2), (4, 2), (6, 2), (8, 2)]
    assert [one.connected for one in rows] == [10, 14, 16, 16, 6]
    assert [one.sent for one in rows] == [10, 13, 10, 10, 1]
    assert [one.lag_s for one in rows] == [0, 0.5, 0, 0, 0]
    assert [one.latency.count for one in rows] == [2, 3, 2, 2, 0]
    assert rows[1].latency.max_s == 1.0


@pytest.mark.search
def test_a_report_is_drawn_of_all_parts(tmp_path: Path) -> None:
    files = []
    for shard in (0, 1):
        files.append(tmp_path / f"{shard}.json")
        files[-1].write_text(json.dumps(part(shard)))
    done = CliRunner().invoke(
        fleet_merge,
        [*map(str, files), "--report", str(tmp_path / "all.html")],
        standalone_mode=False,
    )
    assert done.return_value == 0, done.output
    assert "all.html" in done.output
    html = (tmp_path / "all.html").read_text()
    assert "A fleet of 20 stations" in html
    assert 'aria-label="Stations over time"' in html


def test_a_report_nobody_can_write_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--report"):
        CliRunner().invoke(
            fleet_merge,
            [str(tmp_path / "0.json"), "--report", str(tmp_path / "file" / "all.html")],
            standalone_mode=False,
            catch_exceptions=False,
        )
