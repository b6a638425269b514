"""Criteria as a person writes them, and what a run makes of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargepoint.csms.answers import ACTIONS
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.verdict.criterion import KINDS, METRICS, UNITS, Metric, parse
from chargepoint.fleet.verdict.verdict import _MEASURES, MOST_NAMED, Result, judge
from tests.unit.fleet.outcomes import doubtful, entry, ledger_of, outcome

PAGE = Path(__file__).parents[3] / "docs" / "fleet-verdict.md"


def judged(text: str, of: object = None) -> Result:
    """What becomes of one criterion."""
    (result,) = judge([parse(text)], of or outcome()).results  # type: ignore[arg-type]  # what is judged has all that is asked of an outcome
    return result


@pytest.mark.parametrize(
    ("text", "name", "argument", "operator", "limit"),
    [
        ("p95(StartTransaction) > 2s", "p95", "StartTransaction", ">", 2.0),
        ("p99.9 >= 250 ms", "p95", None, ">=", 0.25),
        ("MEAN( startTRANSACTION )<=1min", "mean", "StartTransaction", "<=", 60.0),
        ("lost_transactions > 0", "lost_transactions", None, ">", 0.0),
        ("errors > 1%", "errors", None, ">", 0.01),
        ("errors(timeout) = 0", "errors", "Timeout", "==", 0.0),
        ("errors(MeterValues) != 0", "errors", "MeterValues", "!=", 0.0),
        ("connected < 99.5 %", "connected", None, "<", 0.995),
        ("rate(MeterValues) < 6000/min", "rate", "MeterValues", "<", 100.0),
        ("power < 1.5MW", "power", None, "<", 1.5e6),
        ("lag > 0", "lag", None, ">", 0.0),
        ("bottleneck", "bottleneck", None, ">", 0.0),
        ("bottleneck > 5s", "bottleneck", None, ">", 5.0),
    ],
)
def test_reading(text: str, name: str, argument: str | None, operator: str, limit: float) -> None:
    read = parse(text)
    assert (read.metric.name, read.argument, read.operator) == (name, argument, operator)
    assert read.limit == pytest.approx(limit)
    assert read.text == text


@given(st.text() | st.lists(st.sampled_from([*METRICS, *KINDS, *"()<>=!%.1 ", "p95", "2s"])).map("".join))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert parse(text).text == text.strip()


def test_an_action_is_no_kind_of_error() -> None:
    assert not ACTIONS & KINDS


def test_percentiles_are_those_asked_for() -> None:
    assert [parse(f"{text} > 1s").percent for text in ("p50", "P99.9", "p100")] == [50.0, 99.9, 100.0]


@pytest.mark.parametrize(
    ("text", "at", "named"),
    [
        ("", 1, "lost_transactions"),
        ("p96(StartTransacton) > 2s", 5, "did you mean StartTransaction?"),
        ("p0 > 1s", 1, "p1 to p100"),
        ("p101 > 1s", 1, "p1 to p100"),
        ("lost_transaction > 0", 1, "did you mean lost_transactions?"),
        ("speed > 3", 1, "p50 .. p100"),
        ("errors(Timeot) > 0", 8, "did you mean Timeout?"),
        ("errors() > 0", 8, "errors(StartTransaction)"),
        ("errors(Timeout > 0", 16, "a ) is missing"),
        ("reconnects(CP1) > 0", 11, "no parts"),
        ("errors", 7, "in quotes"),
        ("errors more than 1", 8, ">="),
        ("errors > many", 10, "a number is missing"),
        ("errors > -1", 10, "a number is missing"),
        ("p95 > 2", 7, "2ms, 2s"),
        ("p95 > 2 %", 7, "2ms, 2s"),
        ("reconnects > 10%", 14, "compared with 10"),
        ("errors > 1% please", 10, "compared with 1 or 1%"),
        ("rate > 100", 8, "100/s"),
        ("lag > 1e3s", 7, "1ms"),
        ("lag > 9999999999999999s", 7, "compared with"),
    ],
)
def test_mistakes_are_told_with_their_place_and_the_remedy(text: str, at: int, named: str) -> None:
    with pytest.raises(ValueError, match=re.escape(named)) as caught:
        parse(text)
    assert str(caught.value).startswith(f"{text!r}, at character {at}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "becomes", "measured"),
    [
        ("max(StartTransaction) > 2s", "failed", "3 s"),
        ("max(StartTransaction) > 3s", "passed", "3 s"),
        ("max(StartTransaction) >= 3s", "failed", "3 s"),
        ("p99(MeterValues) > 20ms", "passed", "10 ms"),
        ("mean(StartTransaction) > 1s", "failed", "1.1 s"),
        ("errors > 1%", "failed", "2 of 100 (2%)"),
        ("errors > 2%", "passed", "2 of 100 (2%)"),
        ("errors(Timeout) > 0", "failed", "1 of 100 (1%)"),
        ("errors(StartTransaction) > 25%", "passed", "1 of 4 (25%)"),
        ("errors(InvalidAnswer) > 0", "passed", "0 of 100 (0%)"),
        ("sent < 101", "failed", "100"),
        ("sent(Heartbeat) == 0", "failed", "0"),
        ("received > 7", "passed", "7"),
        ("rate(MeterValues) < 1/s", "failed", "0.96/s"),
        ("transactions < 3", "passed", "3"),
        ("lost_transactions > 0", "passed", "0 of 3 (0%)"),
        ("doubled_transactions > 0", "passed", "0 of 3 (0%)"),
        ("reconnects > 4", "failed", "5"),
        ("connect_failures > 3", "passed", "3"),
        ("lost_links > 4", "passed", "4"),
        ("started < 100%", "passed", "10 of 10 (100%)"),
        ("connected < 99%", "failed", "9 of 10 (90%)"),
        ("booted < 8", "passed", "8 of 10 (80%)"),
        ("charging < 4", "passed", "4 of 10 (40%)"),
        ("power < 44.1 kW", "failed", "44.0 kW"),
        ("lag > 0.2s", "failed", "300 ms"),
        ("bottleneck", "passed", "0 ms"),
        ("released_holds > 0", "passed", "0"),
    ],
)
def test_judging(text: str, becomes: str, measured: str) -> None:
    result = judged(text)
    assert (result.judged, result.measured) == (becomes, measured)


def test_everything_that_can_be_asked_is_judged() -> None:
    assert set(_MEASURES) == set(METRICS)


def test_a_percentile_is_near_the_truth() -> None:
    assert judged("p50(StartTransaction) > 1s").value == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("p95(SignCertificate) > 1s", "no SignCertificate was sent"),
        ("errors(Heartbeat) > 0", "no Heartbeat was sent"),
        ("rate(Heartbeat) > 100/s", "no Heartbeat was sent"),
        ("errors > 0", "no CALL was sent"),
        ("lost_transactions > 0", "no transaction was made"),
        ("doubled_transactions > 1%", "no transaction was made"),
        ("reconnects > 0", "no station was ever connected"),
        ("connect_failures > 0", "no station tried to connect"),
        ("connected < 1", "nobody looked before the end"),
        ("power > 0", "nobody looked before the end"),
    ],
)
def test_what_never_happened_is_not_measured_and_fails(text: str, why: str) -> None:
    empty = outcome(snapshot=Snapshot(at_s=1.0), before_end=None, ledger=Ledger())
    verdict = judge([parse(text)], empty)
    assert [(one.judged, one.measured) for one in verdict.results] == [("not measured", why)]
    assert not verdict.passed
    assert verdict.exit_code == 1
    assert any("NOT MEASURED" in line and why in line for line in verdict.lines())


def test_latencies_of_a_slow_simulator_are_marked_and_judged_all_the_same() -> None:
    for text, becomes in (("max > 2s", "failed"), ("max > 4s", "passed")):
        result = judged(text, doubtful())
        assert result.judged == becomes
        assert result.notes == ("unreliable: the simulator itself could not keep up for 12.0 s of the run",)
    assert not judged("errors > 50%", doubtful()).notes
    assert not judged("max > 2s").notes
    assert judged("bottleneck", doubtful()).judged == "failed"
    assert judged("bottleneck > 15s", doubtful()).judged == "passed"


def test_on_a_stepped_clock_latencies_are_marked_and_lateness_is_unknown() -> None:
    stepped = outcome(clock="stepped")
    assert "stepped clock" in judged("max > 2s", stepped).notes[0]
    assert judged("lag > 1s", stepped).judged == "not measured"
    assert judged("bottleneck", stepped).judged == "not measured"


def test_lost_and_doubled_transactions_are_named() -> None:
    of = outcome(ledger=ledger_of(entry("CP001", "a", 1), entry("CP002", "b", None), entry("CP001", "c", 1)))
    lost = judged("lost_transactions > 0", of)
    assert (lost.judged, lost.measured) == ("failed", "1 of 3 (33.3%)")
    assert lost.notes == (
        "CP002/b (connector 1, without an id): StartTransaction was given up: InternalError",
    )
    doubled = judged("doubled_transactions > 0", of)
    assert doubled.notes == (
        "CP001/a (connector 1, id 1): shares its id with CP001/c",
        "CP001/c (connector 1, id 1): shares its id with CP001/a",
    )


def test_no_more_are_named_than_a_person_reads() -> None:
    ledger = ledger_of(*(entry("CP001", f"key{n}", None) for n in range(20)))
    notes = judged("lost_transactions > 0", outcome(ledger=ledger)).notes
    assert len(notes) == MOST_NAMED + 1
    assert notes[-1] == "and 15 more"


def test_a_run_without_stations_fails_whatever_was_asked() -> None:
    verdict = judge([], outcome(accepted=0, skipped=Counter({"no space;\n no hope": 2})))
    assert verdict.exit_code == 1
    assert verdict.problems == (
        "no station was ever accepted by the central system",
        "2 of the stations were left out: no space; no hope",
    )


def test_nothing_asked_and_nothing_wrong_is_not_worth_a_line() -> None:
    verdict = judge([], outcome())
    assert (verdict.exit_code, verdict.lines()) == (0, [])


def test_the_verdict_and_the_run_are_plain_values_without_secrets() -> None:
    of = outcome()
    verdict = judge([parse("max > 2s"), parse("sent(Heartbeat) > 0")], of)
    document = json.dumps({"verdict": verdict.to_json(), **of.to_json()}, allow_nan=False)
    read = json.loads(document)
    assert read["verdict"]["passed"] is False
    assert [one["judged"] for one in read["verdict"]["criteria"]] == ["failed", "passed"]
    assert read["verdict"]["criteria"][0]["value"] == 3.0
    assert read["ledger"]["totals"]["made"] == 3
    assert read["run"]["seed"] == 7
    assert read["machine"]["Python"]
    assert Snapshot.from_json(read["snapshot"]).to_json() == of.snapshot.to_json()
    assert "the secret of all" not in document
    assert "hidden" not in document
    assert "ws://csms.example/ocpp" in document


def test_a_run_that_was_cut_short_says_so() -> None:
    assert not outcome(for_s=90.0).ended_early
    assert outcome(for_s=600.0).ended_early
    assert not outcome(for_s=None).ended_early


def row(metric: Metric) -> str:
    """How the page shows it."""
    parts = "an action or a kind" if metric.name == "errors" else "an action" if metric.arguments else ""
    units = ", ".join(f"`{name}`" if name else "a number" for name in UNITS[metric.quantity])
    return f"| `{metric.name}` | {parts} | {units} | {metric.about} |"


def test_the_page_lists_everything_that_can_be_asked() -> None:
    page = PAGE.read_text(encoding="utf-8")
    head = page.index("| what | of | compared with |")
    shown = page[head : page.index("\n\n", head)].splitlines()[2:]
    assert shown == [row(metric) for metric in METRICS.values()]


def test_the_criteria_of_the_page_can_be_read() -> None:
    texts = re.findall(r'--fail-if "([^"]+)"', PAGE.read_text(encoding="utf-8"))
    assert len(texts) > 4
    for text in texts:
        parse(text)


def test_what_was_lost_with_a_worker_is_lost_and_said_to_be_so() -> None:
    cut = entry("CP002", "key4", 4, stopped_at=None, delivered=False, lost_with="tcp://10.0.0.7:4000")
    gone = entry("CP002", "key5", None)
    result = judged("lost_transactions > 0", outcome(ledger=ledger_of(cut, gone)))
    assert (result.judged, result.value) == ("failed", 2.0)
    assert result.notes[0] == "1 of them were lost with a worker of the fleet, not by the central system"
    assert "it was open when worker tcp://10.0.0.7:4000 was lost" in result.notes[1]
    assert judged("doubled_transactions > 0", outcome(ledger=ledger_of(cut))).judged == "passed"
