"""The verdict as continuous integration reads it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from chargepoint.fleet.verdict.criterion import parse
from chargepoint.fleet.verdict.junit import junit
from chargepoint.fleet.verdict.verdict import judge
from tests.unit.fleet.outcomes import entry, ledger_of, outcome


def cases(*criteria: str, **of: object) -> tuple[ET.Element, list[ET.Element]]:
    run = outcome(**of)
    root = ET.fromstring(junit(run, judge(map(parse, criteria), run)))
    (suite,) = root
    return suite, list(suite.iter("testcase"))


def test_each_criterion_is_a_case_and_the_run_one_more() -> None:
    suite, (run, late, good, never) = cases(
        "max(StartTransaction) > 2s", "errors > 50%", "p95(Heartbeat) > 1s"
    )
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "0",
        "skipped": "0",
    }
    assert run.find("failure") is None
    assert late.get("name") == "fails if max(StartTransaction) > 2s"
    failure = late.find("failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("failed", "failed: 3 s")
    assert good.find("failure") is None
    assert good.findtext("system-out") == "2 of 100 (2%)"
    failure = never.find("failure")
    assert failure is not None
    assert failure.get("type") == "not measured"


def test_a_run_that_failed_as_such_is_a_failed_case() -> None:
    suite, (run,) = cases(accepted=0)
    assert suite.get("failures") == "1"
    failure = run.find("failure")
    assert failure is not None
    assert "no station was ever accepted" in (failure.text or "")


def test_strange_identities_leave_it_well_formed() -> None:
    ledger = ledger_of(entry("CP<1>&\x01\x1b\ud800", "ключ", None))
    _, (_, lost) = cases("lost_transactions > 0", ledger=ledger)
    assert "CP<1>&???/ключ" in (lost.findtext("failure") or "")


def test_it_tells_how_to_repeat_the_run() -> None:
    suite, _ = cases()
    told = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert (told["seed"], told["clock"]) == ("7", "wall")
    assert told["central system"] == "ws://csms.example/ocpp"
