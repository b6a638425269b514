"""A scenario written from a recording loads, runs, and the station does again what it did."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from chargepoint.cli.scenario_replay import from_trace_command
from chargepoint.errors import ConfigError
from scenarios import model, runner
from scenarios.deeds import started_unseen
from scenarios.from_trace import story
from scenarios.importers import read
from scenarios.recorded import Frame, Happening, Recorded
from scenarios.verdict import Outcome, Verdict
from tests.integration.scenarios.recordings import A_SESSION, Step, record

BEGINS_AT = datetime(2026, 1, 1, tzinfo=UTC)
SAMPLES = Path(__file__).parents[2] / "unit" / "scenarios" / "samples"

STORIES: dict[str, tuple[Sequence[Step], int]] = {
    "plug-first": (A_SESSION, 1),
    "card-first": (
        (
            {"cmd": "swipe", "id_tag": "04E12345"},
            8,
            {"cmd": "plug_in", "connector": 1},
            120.5,
            {"cmd": "plug_out", "connector": 1},
            5,
        ),
        1,
    ),
    "remote-with-a-profile": (
        (
            {"cmd": "plug_in", "connector": 2},
            5,
            {"call": "RemoteStartTransaction", "payload": {"idTag": "APP", "connectorId": 2}},
            100,
            {
                "call": "SetChargingProfile",
                "payload": {
                    "connectorId": 2,
                    "csChargingProfiles": {
                        "chargingProfileId": 9,
                        "transactionId": 700,
                        "stackLevel": 1,
                        "chargingProfilePurpose": "TxProfile",
                        "chargingProfileKind": "Relative",
                        "chargingSchedule": {
                            "chargingRateUnit": "A",
                            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10}],
                        },
                    },
                },
            },
            100,
            {"call": "RemoteStopTransaction", "payload": {"transactionId": 700}},
            5,
            {"cmd": "plug_out", "connector": 2},
            5,
        ),
        2,
    ),
    "refused-then-accepted": (
        (
            {"answer": "Authorize", "id_tag": "BAD", "payload": {"idTagInfo": {"status": "Blocked"}}},
            {"cmd": "plug_in", "connector": 1},
            5,
            {"cmd": "swipe", "id_tag": "BAD"},
            5,
            {"cmd": "swipe", "id_tag": "GOOD"},
            60,
            {"cmd": "plug_out", "connector": 1},
            5,
        ),
        1,
    ),
    "suspended-and-a-fault": (
        (
            {"cmd": "plug_in", "connector": 1, "ev": "city"},
            5,
            {"cmd": "swipe", "id_tag": "TAG1"},
            60,
            {"cmd": "ev", "connector": 1, "draws": False},
            60,
            {"cmd": "ev", "connector": 1, "draws": True},
            60,
            {"cmd": "fault", "connector": 1, "error_code": "GroundFailure"},
            10,
            {"cmd": "clear_fault", "connector": 1},
            30,
            {"cmd": "plug_out", "connector": 1},
            5,
        ),
        1,
    ),
    "two-transactions-and-a-reset": (
        (
            *A_SESSION,
            *A_SESSION[1:5],
            {"call": "Reset", "payload": {"type": "Soft"}},
            30,
            {"cmd": "plug_out", "connector": 1},
            5,
        ),
        1,
    ),
}


def actions(recorded: Recorded) -> list[str]:
    """What the charge point says, from the first thing that happens on; at one moment the order may vary."""
    return [frame.action or "" for frame in recorded.frames if frame.outgoing and frame.kind == "CALL"]


def run(recorded: Recorded, *, expectations: bool = True) -> tuple[Outcome, list[str]]:
    text = story(recorded, expectations=expectations)
    outcome = asyncio.run(runner.run(model.parse(text, "written.yaml")))
    [history] = outcome.stations.values()
    calls = [exchange.action for exchange in history.exchanges if exchange.sender == "station"]
    return outcome, calls


@pytest.mark.parametrize(("steps", "connectors"), STORIES.values(), ids=STORIES)
def test_our_own_recording(tmp_path: Path, steps: Sequence[Step], connectors: int) -> None:
    recorded = read(record(tmp_path / "t.jsonl", steps, connectors=connectors))
    outcome, calls = run(recorded)
    assert outcome.verdict is Verdict.PASS, outcome.why
    assert calls == actions(recorded)


@pytest.mark.parametrize(("steps", "connectors"), STORIES.values(), ids=STORIES)
def test_the_same_by_its_hardware_alone_and_by_its_frames_alone(
    tmp_path: Path, steps: Sequence[Step], connectors: int
) -> None:
    """Without the verbs plugs and cards tell the story; without these the frames do."""
    recorded = read(record(tmp_path / "t.jsonl", steps, connectors=connectors))
    without = {"hardware": {"verb"}, "frames": {"verb", "plug", "card", "faults", "recording"}}
    for names in without.values():
        rest = [r for r in recorded.records if not (isinstance(r, Happening) and r.event in names)]
        recorded.records = rest
        if any(isinstance(step, dict) and step.get("cmd") == "ev" for step in steps) and "plug" not in names:
            continue  # a vehicle that stops drawing leaves no mark on plug and card
        outcome, calls = run(recorded)
        assert outcome.verdict is Verdict.PASS, (names, outcome.why)
        assert [call for call in calls if call != "MeterValues"] == [
            action for action in actions(recorded) if action != "MeterValues"
        ]


@pytest.mark.parametrize(
    "name", ["steve.log", "wrapped.log", "bare-time.log", "portal.csv", "open-trace.jsonl"]
)
def test_the_log_of_another_charge_point(name: str) -> None:
    recorded = read(SAMPLES / name, zone=ZoneInfo("Europe/Berlin") if name == "bare-time.log" else None)
    outcome, calls = run(recorded)
    assert outcome.verdict is Verdict.PASS, outcome.why
    assert [call for call in calls if call != "SecurityEventNotification"] == actions(recorded)


def test_expectations_can_fail(tmp_path: Path) -> None:
    recorded = read(record(tmp_path / "t.jsonl"))
    text = story(recorded).replace("status: Finishing", "status: Reserved")
    outcome = asyncio.run(runner.run(model.parse(text, "written.yaml")))
    assert outcome.verdict is Verdict.FAIL


def test_a_verb_that_was_refused_is_not_done(tmp_path: Path) -> None:
    recorded = read(record(tmp_path / "t.jsonl"))
    at = next(n for n, r in enumerate(recorded.records) if isinstance(r, Happening) and r.event == "verb")
    verb = recorded.records[at]
    refused = Happening(verb.at, verb.line, "refused", {"cmd": "plug_in", "error": "bad_state"})
    again = Happening(verb.at, verb.line, "verb", {"cmd": "plug_in", "connector": 1})
    recorded.records[at + 1 : at + 1] = [again, refused]
    assert story(recorded).count("plug_in") == 1


def test_texts_survive_yaml(tmp_path: Path) -> None:
    """Tags that look like numbers, braces and colons."""
    tags = ["0123", "1e5", "true", "a: b", "{x}", "null"]
    steps: list[Step] = []
    for tag in tags:
        steps += [{"cmd": "swipe", "id_tag": tag}, 200]
    recorded = read(record(tmp_path / "t.jsonl", steps))
    outcome, _ = run(recorded)
    assert outcome.verdict is Verdict.PASS, outcome.why
    [history] = outcome.stations.values()
    assert [e.request["idTag"] for e in history.exchanges if e.action == "Authorize"] == tags


def test_only_what_happens(tmp_path: Path) -> None:
    recorded = read(record(tmp_path / "t.jsonl"))
    text = story(recorded, expectations=False)
    assert "expect" not in text.replace("expect: {frame: StartTransaction", "")
    outcome, calls = run(recorded, expectations=False)
    assert outcome.verdict is Verdict.PASS
    assert calls == actions(recorded)


def test_a_recording_in_which_nothing_happens() -> None:
    boot = Frame(0.0, 1, True, '[2,"1","BootNotification",{}]', "CALL", "1", "BootNotification", {})
    with pytest.raises(ConfigError, match="nothing happens in it"):
        story(Recorded("x", "log", None, [boot]))


def test_the_command_writes_a_file_that_loads(tmp_path: Path) -> None:
    out = tmp_path / "night.yaml"
    arguments = [str(SAMPLES / "steve.log"), "--out", str(out), "--title", "The night it stopped"]
    result = CliRunner().invoke(from_trace_command, arguments, standalone_mode=False)
    assert result.return_value == 0, result.output
    assert model.load(out).title == "The night it stopped"


def test_a_recording_whose_program_ended_in_the_middle_of_a_charge(tmp_path: Path) -> None:
    """No verb ends a program; the station is restarted instead, which gives the same reason."""
    charging: Sequence[Step] = ({"cmd": "plug_in", "connector": 1}, {"cmd": "swipe", "id_tag": "T"}, 600)
    recorded = read(record(tmp_path / "t.jsonl", charging))
    stops = [f.payload for f in recorded.frames if f.kind == "CALL" and f.action == "StopTransaction"]
    assert [stop["reason"] for stop in stops if stop is not None] == ["Reboot"]
    outcome, _ = run(recorded)
    assert outcome.verdict is Verdict.PASS, outcome.why


def from_the_middle(folder: Path) -> Path:
    """A log that begins while a car charges."""
    lines = (SAMPLES / "steve.log").read_text().splitlines()
    first = next(n for n, line in enumerate(lines) if '"MeterValues"' in line)
    path = folder / "middle.log"
    path.write_text("\n".join(lines[first:]))
    return path


def test_a_log_that_begins_while_a_car_charges(tmp_path: Path) -> None:
    """The car is plugged in and its card shown at once; its transaction keeps its number."""
    recorded = read(from_the_middle(tmp_path))
    [(number, connector)] = started_unseen(recorded).items()
    assert connector == 1
    [stop] = [
        frame for frame in recorded.frames if frame.kind == "CALL" and frame.action == "StopTransaction"
    ]
    outcome, calls = run(recorded)
    assert outcome.verdict is Verdict.PASS, outcome.why
    [history] = outcome.stations.values()
    [start] = [e for e in history.exchanges if e.action == "StartTransaction"]
    [stopped] = [e for e in history.exchanges if e.action == "StopTransaction"]
    assert start.request["idTag"] == stop.payload["idTag"]
    assert stopped.request["transactionId"] == number == stop.payload["transactionId"]
    assert [c for c in calls if c not in ("StartTransaction", "Authorize", "MeterValues")][-3:] == [
        action for action in actions(recorded) if action != "MeterValues"
    ][-3:]


def test_an_end_whose_beginning_was_lost_is_not_expected(tmp_path: Path) -> None:
    """The line with the StartTransaction was cut short: nothing can make that transaction end."""
    lines = (SAMPLES / "steve.log").read_text().splitlines()
    path = tmp_path / "cut.log"
    kept = [line for line in lines if '"MeterValues"' not in line]
    path.write_text("\n".join(line[:90] if '"StartTransaction"' in line else line for line in kept))
    recorded = read(path)
    [number] = started_unseen(recorded)
    text = story(recorded)
    assert f"transaction {number} ends, whose start is not recorded" in text
    assert "frame: StopTransaction" not in text
    assert model.parse(text, "written.yaml").title == "What cut.log shows"


@pytest.mark.parametrize("nonsense", [None, "x", "", -1, 1.5, True, [], {"a": [1]}, 10**9], ids=repr)
def test_a_charge_point_that_writes_nonsense(nonsense: object) -> None:
    """A number that is none makes neither a crash nor a thousand million connectors."""
    recorded = read(SAMPLES / "steve.log")
    for key in ("connectorId", "transactionId", "idTag", "status", "idTagInfo"):
        records: list[Frame | Happening] = [
            replace(record, payload={**record.payload, key: nonsense})
            if isinstance(record, Frame) and isinstance(record.payload, dict) and key in record.payload
            else record
            for record in recorded.records
        ]
        text = story(replace(recorded, records=records))
        assert len(text) < 20_000


def calls_for_a_story_of(transactions: int, path: Path) -> int:
    """How many functions are called to write the story of so many."""
    lines = []
    for n in range(transactions):
        begin = {"connectorId": 1, "idTag": f"T{n}", "meterStart": 0, "timestamp": "2026-01-01T00:00:00Z"}
        end = {"transactionId": n + 1, "meterStop": 5, "timestamp": "2026-01-01T00:00:00Z"}
        given = {"transactionId": n + 1, "idTagInfo": {"status": "Accepted"}}
        frames = [
            ("sent", [2, f"a{n}", "StartTransaction", begin]),
            ("received", [3, f"a{n}", given]),
            ("sent", [2, f"b{n}", "StopTransaction", end]),
            ("received", [3, f"b{n}", {}]),
        ]
        at = BEGINS_AT + timedelta(minutes=n)
        lines += [f"{at:%Y-%m-%d %H:%M:%S} {side} {json.dumps(frame)}\n" for side, frame in frames]
    path.write_text("".join(lines))
    recorded, count = read(path), 0

    def called(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        story(recorded)
    finally:
        sys.setprofile(before)
    return count


def test_a_long_recording_costs_as_much_more_as_it_is_longer(tmp_path: Path) -> None:
    few = calls_for_a_story_of(20, tmp_path / "few.log")
    many = calls_for_a_story_of(200, tmp_path / "many.log")
    assert many < 12 * few
