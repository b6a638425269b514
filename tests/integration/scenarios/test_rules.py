"""CALLs a station sends without knowing of them, and groups after which the story goes on."""

from __future__ import annotations

import asyncio
from xml.etree import ElementTree as ET

from scenarios.junit import junit
from scenarios.model import parse
from scenarios.rules import rules, table
from scenarios.runner import run
from scenarios.verdict import Outcome, State, Verdict


def play(steps: str, head: str = "") -> Outcome:
    return asyncio.run(run(parse(f"title: T\ntags: [conformance]\n{head}\nsteps:{steps}")))


def test_a_call_that_ocpp_does_not_know() -> None:
    outcome = play(
        """
  - send: {action: "{action}", payload: {strength: 5}}
  - expect: {frame: "{action}", from: station, where: {strength: 5}, error: NotSupported}
  - send: {action: StartTransaction, payload: {connectorId: 1}}
  - expect: {frame: StartTransaction, error: ProtocolError}
  - swipe: {id_tag: TAG1}
  - expect: {status: Preparing}
""",
        "variables: {action: MakeCoffee}",
    )
    assert outcome.verdict is Verdict.PASS, outcome.why
    ids = [exchange.id for exchange in outcome.stations["CP001"].exchanges]
    assert len(set(ids)) == len(ids)


def test_it_goes_out_beside_bad_habits_under_ids_of_its_own() -> None:
    outcome = play(
        """
  - send: {action: Heartbeat}
  - expect: {frame: Heartbeat, answer: {currentTime: "*"}}
  - expect: {frame: StatusNotification, times: 3, where: {connectorId: 1}, answer: {}, within: 31s}
""",
        "stations: [{station: {quirks: {status_flood_s: 10}}}]",
    )
    assert outcome.verdict is Verdict.PASS, outcome.why
    ids = [exchange.id for exchange in outcome.stations["CP001"].exchanges]
    assert len(set(ids)) == len(ids)


def test_nothing_can_be_sent_without_a_link() -> None:
    outcome = play("\n  - network: {online: false}\n  - send: {action: Heartbeat}\n")
    assert outcome.verdict is Verdict.ERROR
    assert "CP001 is not connected" in outcome.why


GOES_ON = """
  - group:
      title: "Heartbeat: comes by itself"
      goes_on: true
      steps: [{expect: {frame: Heartbeat}}]
  - group:
      title: "BootNotification: is accepted"
      goes_on: true
      steps: [{expect: {frame: BootNotification, since: start, answer: {status: Accepted}}}]
"""


def test_a_story_goes_on_after_a_broken_rule_and_fails_at_its_end() -> None:
    outcome = play(GOES_ON + "  - wait: 1h\n")
    assert outcome.verdict is Verdict.FAIL
    assert outcome.why.startswith("waited 10s for Heartbeat")
    assert [step.state for step in outcome.steps] == [State.FAILED, State.PASSED, State.PASSED]
    assert outcome.ended_at - outcome.began_at == 3610
    assert [(rule.message, rule.verdict) for rule in rules([outcome])] == [
        ("BootNotification", "PASS"),
        ("Heartbeat", "FAIL"),
    ]
    assert table([outcome])[-1] == "2 rules: 1 PASS, 1 FAIL"


def test_what_breaks_off_afterwards_does_not_hide_the_broken_rule() -> None:
    outcome = play(GOES_ON + "  - plug_out: {connector: 1}\n  - wait: 1h\n")
    assert outcome.verdict is Verdict.FAIL
    assert outcome.why.startswith("waited 10s for Heartbeat")
    assert [step.state for step in outcome.steps][2:] == [State.ERROR, State.NOT_RUN]


def test_of_one_rule_in_two_scenarios_the_worse_verdict_counts() -> None:
    good = play('\n  - group: {title: "Heartbeat: is there", steps: [{wait: 1s}]}\n')
    bad = play('\n  - group: {title: "Heartbeat: is there", steps: [{expect: {frame: Heartbeat}}]}\n')
    for outcomes in ([good, bad], [bad, good]):
        assert [rule.verdict for rule in rules(outcomes)] == ["FAIL"]


def test_scenarios_without_rules_have_no_table() -> None:
    outcome = play("\n  - group: {title: The car comes, steps: [{plug_in: {connector: 1}}]}\n")
    assert outcome.verdict is Verdict.PASS
    assert table([outcome]) == []


def test_each_rule_is_a_test_case_by_its_profile() -> None:
    outcomes = [
        play(
            GOES_ON
            + """
  - send: {action: FirmwareStatusNotification, payload: {status: Idle}}
  - group:
      title: "FirmwareStatusNotification: is taken"
      steps: [{expect: {frame: FirmwareStatusNotification, answer: {}}}]
"""
        ),
        play('\n  - group: {title: "CALL: is served", steps: [{wait: 1s}]}\n', "needs: [wall clock]"),
    ]
    suites = ET.fromstring(junit(outcomes))
    stories, told = suites
    assert {name: suites.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "2",
        "errors": "0",
        "skipped": "1",
    }
    assert [suite.get("tests") for suite in (stories, told)] == ["2", "3"]
    assert [(case.get("classname"), case.get("name"), [one.tag for one in case]) for case in told] == [
        ("Core", "BootNotification: is accepted", []),
        ("FirmwareManagement", "FirmwareStatusNotification: is taken", []),
        ("Core", "Heartbeat: comes by itself", ["failure"]),
    ]
    (failure,) = told[2]
    assert failure.get("message") == outcomes[0].why
    assert failure.get("message", "").startswith("waited 10s for Heartbeat: ")
    assert failure.text is not None
    assert '"StatusNotification"' in failure.text  # the frames up to then
    assert '"FirmwareStatusNotification"' not in failure.text


def test_a_run_without_rules_has_one_suite() -> None:
    outcome = play("\n  - wait: 1s\n")
    assert len(ET.fromstring(junit([outcome]))) == 1
