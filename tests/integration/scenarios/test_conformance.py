"""library:csms finds what a central system does wrong, rule by rule, and tells what it did not look at."""

from __future__ import annotations

import asyncio

import pytest

from chargepoint.cli.main import main
from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.events import Event
from chargepoint.csms.ledger import Request
from scenarios.batch import run_all
from scenarios.collection import collected
from scenarios.coverage import coverage
from scenarios.rules import rules, table
from scenarios.runner import RunOptions
from scenarios.verdict import Outcome, Verdict

LONG_AGO = {"currentTime": "2001-01-01T00:00:00Z"}


async def outcomes_at(csms: CentralSystem, *names: str) -> list[Outcome]:
    """The scenarios at a central system that is somebody else's, as far as they know."""
    options = RunOptions(csms=csms.url, linger_s=0.002, variables={"unknown_tag": "NOBODY"})
    return await run_all(
        collected(f"library:csms/{name}" for name in names),
        options,
        jobs=1,
        fail_fast=False,
        told=lambda outcome: None,
        stop=asyncio.Event(),
    )


def judged(outcomes: list[Outcome], verdict: str) -> set[tuple[str, str]]:
    return {(rule.message, rule.rule) for rule in rules(outcomes) if rule.verdict == verdict}


def test_a_good_central_system_keeps_every_rule_that_needs_no_adapter() -> None:
    async def story() -> list[Outcome]:
        async with CentralSystem(seed=1) as csms:
            csms.set_answer("Authorize", id_tag="NOBODY", payload={"idTagInfo": {"status": "Invalid"}})
            return await outcomes_at(csms, "authorize", "transaction", "unknown-action", "commands-core")

    outcomes = asyncio.run(story())
    assert {outcome.verdict for outcome in outcomes} == {Verdict.PASS, Verdict.SKIPPED}
    assert {rule.verdict for rule in rules(outcomes)} == {"PASS", "SKIPPED"}
    assert ("Authorize", "an unknown card is refused") in judged(outcomes, "PASS")
    skipped = [rule for rule in rules(outcomes) if rule.verdict == "SKIPPED"]
    assert {rule.message for rule in skipped} >= {"Reset", "RemoteStartTransaction", "UnlockConnector"}
    assert all("--adapter" in rule.why for rule in skipped)


def test_a_bad_one_breaks_the_rules_that_it_breaks_and_no_others() -> None:
    async def story() -> list[Outcome]:
        async with CentralSystem(seed=1) as csms:
            csms.set_answer("Heartbeat", payload=LONG_AGO)
            csms.set_answer("StopTransaction", error="InternalError")
            csms.set_answer("DataTransfer", payload={"status": "Accepted"})
            return await outcomes_at(
                csms, "authorize", "heartbeat", "data-transfer", "unknown-transaction", "statuses", "boot"
            )

    outcomes = asyncio.run(story())
    assert judged(outcomes, "FAIL") == {
        ("Authorize", "an unknown card is refused"),
        ("DataTransfer", "an unknown vendor is UnknownVendorId"),
        ("Heartbeat", "is answered with the time, right to a minute"),
        ("Heartbeat", "the time does not go back"),
        ("StopTransaction", "an unknown transaction is taken all the same"),
        ("StopTransaction", "transaction -1 of a start that was given up is taken"),
    }
    assert len(judged(outcomes, "PASS")) == len(rules(outcomes)) - 6
    lines = table(outcomes)
    assert lines[-1] == f"{len(rules(outcomes))} rules: {len(rules(outcomes)) - 6} PASS, 6 FAIL"
    assert any("the CALLERROR InternalError" in text for text in lines)


LENIENT = "with a field of nobody is answered all the same, or refused as a violation"


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        ("GenericError", set()),
        ("PropertyConstraintViolation", set()),
        ("InternalError", {"with a status of nobody is refused by a CALLERROR"}),
        (None, {"with a status of nobody is refused by a CALLERROR"}),
    ],
)
def test_how_rubbish_may_be_refused(error: str | None, broken: set[str]) -> None:
    async def story() -> list[Outcome]:
        async with CentralSystem(seed=1) as csms:
            csms.set_answer("StatusNotification", error=error, payload=None if error else {})
            csms.set_answer("Heartbeat", payload={"currentTime": "2026-01-01T00:00:00Z"})
            return await outcomes_at(csms, "malformed")

    outcomes = asyncio.run(story())
    assert {rule for message, rule in judged(outcomes, "FAIL") if message == "StatusNotification"} == broken
    assert ("Heartbeat", LENIENT) in judged(outcomes, "PASS")


def test_of_a_doubled_message_one_may_be_refused() -> None:
    async def story() -> list[Outcome]:
        async with CentralSystem(seed=1) as csms:
            seen: list[Event] = []

            def refuse_the_first(event: Event) -> None:
                if "Preparing" in str(event.fields) and not seen:
                    seen.append(event)
                    csms.set_answer("StatusNotification", error="GenericError", times=1)

            csms.listen(refuse_the_first)
            return await outcomes_at(csms, "broken-frames")

    (outcome,) = asyncio.run(story())
    assert outcome.verdict is Verdict.PASS, outcome.why
    doubled = [one for one in outcome.stations["CP001"].exchanges if one.request.get("status") == "Preparing"]
    assert [exchange.error for exchange in doubled] == [None, "GenericError"]


@pytest.mark.parametrize(
    ("message", "answer", "rule"),
    [
        ("BootNotification", {"status": "Accepted", "interval": 1}, "the heartbeat interval is sensible"),
        (
            "BootNotification",
            {"status": "Accepted", "interval": 300, "currentTime": "2026-01-01T00:00:00"},
            "currentTime says its zone",
        ),
    ],
    ids=["interval", "zone"],
)
def test_an_odd_answer_to_the_boot(message: str, answer: dict[str, object], rule: str) -> None:
    async def story() -> list[Outcome]:
        async with CentralSystem(seed=1) as csms:
            csms.set_answer(message, payload=answer)
            return await outcomes_at(csms, "boot")

    assert (message, rule) in judged(asyncio.run(story()), "FAIL")


def test_a_second_number_for_the_same_start_is_found() -> None:
    async def story() -> list[Outcome]:
        async with CentralSystem(seed=1) as csms:
            another = {"transactionId": 500, "idTagInfo": {"status": "Accepted"}}

            forgotten: list[Request] = []

            async def forget(cp: str, request: Request) -> None:
                if not forgotten:
                    forgotten.append(request)
                    csms.set_answer("StartTransaction", payload=another, times=1)

            csms.react("StartTransaction", forget)
            return await outcomes_at(csms, "transaction")

    assert judged(asyncio.run(story()), "FAIL") == {
        ("StartTransaction", "the same start sent again gets the same number")
    }


def test_what_was_exercised_and_what_was_not() -> None:
    async def story() -> list[Outcome]:
        async with CentralSystem(seed=1) as csms:
            return await outcomes_at(csms, "statuses", "reasons")

    found = {covered.what: covered for covered in coverage(asyncio.run(story()))}
    assert found["StatusNotification.status"].missing == ()
    assert len(found["StatusNotification.errorCode"].exercised) == 16
    assert found["StopTransaction.reason"].missing == ()
    assert "MeterValues" in found["messages of the station"].missing
    assert found["messages of the central system"].exercised == ()
    assert "HeartbeatInterval" in found["configuration keys"].missing
    assert found["BootNotification answer.status"].missing == ("Pending", "Rejected")


def test_the_command_prints_the_table_and_the_coverage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "run", "library:csms/commands-core"]) == 0
    told = capsys.readouterr().out
    assert "8 rules: 8 PASS" in told
    line = next(text for text in told.splitlines() if "configuration keys" in text)
    assert line.split()[2:5] == ["2", "of", "50"]


def test_coverage_of_other_scenarios_is_told_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scenario", "run", "library:remote/triggers"]) == 0
    assert "exercised" not in capsys.readouterr().out
    assert main(["scenario", "run", "--coverage", "library:remote/triggers"]) == 0
    told = capsys.readouterr().out
    line = next(text for text in told.splitlines() if "TriggerMessage.requestedMessage" in text)
    assert line.split()[1:4] == ["6", "of", "6"]
