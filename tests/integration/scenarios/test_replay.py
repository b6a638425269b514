"""What was recorded is played again, at the embedded central system and at others, on real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chargepoint.cli.scenario_replay import replay_command
from chargepoint.csms.central_system import CentralSystem
from chargepoint.csms.events import Event
from chargepoint.errors import ConfigError
from chargepoint.link import LinkSettings
from hal.clock import ScaledClock, SteppedClock
from scenarios.importers import read
from scenarios.recorded import Frame, Recorded
from scenarios.replay import Options, Outcome, replay
from tests.integration.scenarios.recordings import A_SESSION, START, Step, record

Setup = Callable[[CentralSystem], object]

REMOTE: Sequence[Step] = (
    {"cmd": "plug_in", "connector": 1},
    5,
    {"call": "RemoteStartTransaction", "payload": {"idTag": "APP", "connectorId": 1}},
    100,
    {"call": "RemoteStopTransaction", "payload": {"transactionId": 700}},
    5,
    {"call": "GetConfiguration", "payload": {"key": ["HeartbeatInterval"]}},
    5,
    {"cmd": "plug_out", "connector": 1},
    5,
)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return read(record(tmp_path_factory.mktemp("trace") / "session.jsonl"))


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return read(record(tmp_path_factory.mktemp("trace") / "remote.jsonl", REMOTE))


class Played:
    """What came of a replay, and what the central system saw of it."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, Any]] = []
        self.outcome: Outcome

    @property
    def calls(self) -> list[str]:
        return [frame[2] for way, frame in self.frames if way == "rx" and frame[0] == 2]

    @property
    def what(self) -> list[tuple[str, str, str]]:
        return [(d.what, d.action, d.path) for d in self.outcome.matters]


def play(
    recorded: Recorded,
    setup: Setup = lambda csms: None,
    *,
    embedded: bool = True,
    during: Callable[[CentralSystem, SteppedClock], Awaitable[None]] | None = None,
    **options: Any,
) -> Played:
    """Replay it; `setup` tells the central system how to answer. One that is not embedded makes no CALLs."""

    async def run() -> Played:
        played = Played()
        clock = SteppedClock(START, 0.0 if embedded or during else 0.005)
        csms = CentralSystem(seed=1, clock=clock, first_transaction_id=1)
        async with csms:
            setup(csms)
            csms.listen(lambda event: hear(played, event))
            settings = LinkSettings(f"{csms.url}/CP007", "CP007")
            work = replay(recorded, clock, Options(settings=settings, **options), csms if embedded else None)
            other = asyncio.ensure_future(during(csms, clock)) if during else None
            played.outcome = await work
            if other is not None:
                await other
        return played

    return asyncio.run(run())


def hear(played: Played, event: Event) -> None:
    if event.name == "frame":
        played.frames.append((event.fields["dir"], event.fields["frame"]))


def said(recorded: Recorded) -> list[str | None]:
    return [frame.action for frame in recorded.frames if frame.outgoing and frame.kind == "CALL"]


def test_a_session_played_again_is_the_same(session: Recorded) -> None:
    played = play(session)
    assert played.outcome.verdict == "same"
    assert [d.path for d in played.outcome.differences] == ["transactionId"]
    assert played.calls == said(session)
    assert played.outcome.transactions == {700: 1}
    [stop] = [frame for way, frame in played.frames if way == "rx" and frame[2] == "StopTransaction"]
    assert stop[3]["transactionId"] == 1


def test_a_recording_that_begins_while_a_car_charges(session: Recorded) -> None:
    """Nobody can know the number of that transaction today: it goes out as it was, and that is said."""
    [start] = [n for n, r in enumerate(session.records) if isinstance(r, Frame) and _starts(r)]
    played = play(replace(session, records=session.records[start + 2 :]))
    [stop] = [frame for way, frame in played.frames if way == "rx" and frame[2] == "StopTransaction"]
    assert stop[3]["transactionId"] == 700
    assert [note for note in played.outcome.notes if "transaction" in note] == [
        "the start of transaction 700 is not in the recording: it goes out under that number"
    ]
    assert not [note for note in play(session).outcome.notes if "transaction" in note]


def _starts(frame: Frame) -> bool:
    return frame.kind == "CALL" and frame.action == "StartTransaction"


def test_distances_are_kept_and_ids_are_new(session: Recorded, tmp_path: Path) -> None:
    out = tmp_path / "again.jsonl"
    path = Path(session.source)
    result = CliRunner().invoke(
        replay_command, [str(path), "--trace", str(out), "--seed", "5"], standalone_mode=False
    )
    assert result.return_value == 0, result.output
    again = read(out)
    then = [(frame.at, frame.action) for frame in session.frames if frame.outgoing]
    assert [(frame.at, frame.action) for frame in again.frames if frame.outgoing] == then
    ids = {frame.message_id for frame in again.frames} & {frame.message_id for frame in session.frames}
    assert ids == set()


CHANGES: dict[str, tuple[Setup, list[tuple[str, str, str]]]] = {
    "blocked": (
        lambda csms: csms.set_answer("Authorize", payload={"idTagInfo": {"status": "Blocked"}}, times=1),
        [("value", "Authorize", "idTagInfo.status")],
    ),
    "refused": (
        lambda csms: csms.set_answer("StopTransaction", error="InternalError"),
        [("error_instead_of_result", "StopTransaction", "")],
    ),
    "one-number-missing": (
        lambda csms: csms.set_answer("StartTransaction", payload={"transactionId": 5, "idTagInfo": {}}),
        [("missing_field", "StartTransaction", "idTagInfo.status")],
    ),
    "silent": (
        lambda csms: csms.set_answer("StopTransaction", silent=True),
        [("no_answer", "StopTransaction", "")],
    ),
}


@pytest.mark.parametrize(("setup", "expected"), CHANGES.values(), ids=CHANGES)
def test_a_changed_answer_is_found(
    session: Recorded, setup: Setup, expected: list[tuple[str, str, str]]
) -> None:
    played = play(session, setup, answer_within_s=0.2)
    assert played.what == expected
    assert played.outcome.verdict == "differs"
    assert played.calls == said(session)
    [difference] = played.outcome.matters
    line = Path(session.source).read_text().splitlines()[difference.line - 1]
    assert json.loads(line)["action"] == expected[0][1]


def test_without_the_comparison_nothing_would_be_found(session: Recorded) -> None:
    setup, _ = CHANGES["blocked"]
    assert play(session, setup, compare=False).outcome.verdict == "same"


def test_what_is_ignored_does_not_count(session: Recorded) -> None:
    setup, _ = CHANGES["blocked"]
    assert play(session, setup, ignore=("Authorize",)).outcome.verdict == "same"
    assert play(session, setup, ignore=("Heartbeat",)).outcome.verdict == "differs"


def test_the_embedded_central_system_makes_the_recorded_calls(remote: Recorded) -> None:
    played = play(remote)
    assert played.outcome.verdict == "same", played.what
    assert played.calls == said(remote)
    calls = [frame for way, frame in played.frames if way == "tx" and frame[0] == 2]
    assert [frame[2] for frame in calls] == [
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "GetConfiguration",
    ]
    assert calls[1][3] == {"transactionId": 1}
    answers = [frame for way, frame in played.frames if way == "rx" and frame[0] == 3]
    assert [frame[1] for frame in answers] == [frame[1] for frame in calls]
    assert answers[0][2] == {"status": "Accepted"}
    assert answers[2][2]["configurationKey"][0]["key"] == "HeartbeatInterval"


def test_calls_that_another_central_system_does_not_make_are_missing(remote: Recorded) -> None:
    played = play(remote, embedded=False, call_within_s=0.05)
    assert played.what == [
        ("missing_call", "RemoteStartTransaction", ""),
        ("missing_call", "RemoteStopTransaction", ""),
        ("missing_call", "GetConfiguration", ""),
    ]
    assert played.calls == said(remote)


def test_a_call_that_was_not_recorded_is_new_and_answered(session: Recorded) -> None:
    answers: list[str] = []

    async def ask(csms: CentralSystem, clock: SteppedClock) -> None:
        heard = asyncio.Event()
        csms.listen(lambda event: heard.set() if event.name == "frame" else None)
        await heard.wait()
        try:
            await csms.call("CP007", "ClearCache")
        except Exception as error:
            answers.append(type(error).__name__ + getattr(error, "code", ""))

    played = play(session, during=ask)
    assert played.what == [("new_call", "ClearCache", "")]
    assert answers == ["CallFailedGenericError"]


def test_a_network_that_was_away_is_away_again(tmp_path: Path) -> None:
    steps = [
        *A_SESSION[:4],
        60,
        {"cmd": "network", "online": False},
        300,
        {"cmd": "network", "online": True},
        *A_SESSION[5:],
    ]
    recorded = read(record(tmp_path / "t.jsonl", steps))
    links: list[str] = []
    played = play(recorded, lambda csms: csms.listen(lambda event: links.append(event.name)))
    assert played.outcome.verdict == "same", played.what
    assert played.calls == said(recorded)
    assert [name for name in links if name in ("connected", "disconnected")] == [
        "connected",
        "disconnected",
    ] * 2


def test_a_link_that_breaks_in_the_replay_matters(session: Recorded) -> None:
    async def cut(csms: CentralSystem, clock: SteppedClock) -> None:
        started = asyncio.Event()

        def hear(event: Event) -> None:
            if event.name == "frame" and event.fields["dir"] == "tx" and "transactionId" in str(event.fields):
                started.set()

        csms.listen(hear)
        await started.wait()
        csms.drop("CP007")

    played = play(session, during=cut)
    assert ("connection", "", "") in played.what
    assert played.calls[-1] == "StatusNotification"


def test_frames_that_are_no_frames_go_out_as_they_were(session: Recorded, tmp_path: Path) -> None:
    lines = Path(session.source).read_text().splitlines()
    at = next(n for n, line in enumerate(lines) if "Authorize" in line)
    broken = {
        "timestamp": json.loads(lines[at])["timestamp"],
        "chargePointId": "CP007",
        "direction": "cp-to-csms",
        "raw": '[2,"x","Heartbeat"',
    }
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join([*lines[:at], json.dumps(broken), *lines[at:]]))
    played = play(read(path))
    assert '[2,"x","Heartbeat"' in [frame for way, frame in played.frames if way == "rx"]


def test_a_recording_without_a_word_of_the_charge_point(session: Recorded) -> None:
    mute = replace(session, records=[frame for frame in session.frames if not frame.outgoing])
    with pytest.raises(ConfigError, match="nothing to replay"):
        play(mute)


def test_a_scaled_clock_keeps_the_distances_too(session: Recorded) -> None:
    async def run() -> Outcome:
        clock = ScaledClock(2000, START)
        csms = CentralSystem(seed=1, clock=clock)
        async with csms:
            settings = LinkSettings(f"{csms.url}/CP007", "CP007")
            return await replay(session, clock, Options(settings=settings), csms)

    outcome = asyncio.run(run())
    assert outcome.verdict == "same"
    assert outcome.real_s >= 220 / 2000


# --- the command ------------------------------------------------------------------------------------


def command(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(
        replay_command, [str(argument) for argument in arguments], standalone_mode=False
    )
    if result.exception is not None:
        raise result.exception
    return result.return_value, result.stdout, result.stderr


def test_the_command_says_same(session: Recorded) -> None:
    code, out, err = command(session.source)
    assert code == 0
    assert "SAME: 14 calls of CP007, 0 of the central system; 0 differences that matter, 1 that do not" in out
    assert "transactions: 700 is 1" in out
    assert "frames of CP007 (trace)" in err


def test_the_command_says_what_differs(session: Recorded, tmp_path: Path) -> None:
    text = Path(session.source).read_text()
    changed = tmp_path / "changed.jsonl"
    changed.write_text(
        text.replace(
            '\\"idTagInfo\\":{\\"status\\":\\"Accepted\\"}', '\\"idTagInfo\\":{\\"status\\":\\"Expired\\"}'
        )
    )
    result = tmp_path / "result.json"
    code, out, _ = command(changed, "--json", result)
    assert code == 1
    assert "Authorize.idTagInfo.status: Accepted; recorded was Expired" in out
    document = json.loads(result.read_text())
    assert document["verdict"] == "differs"
    assert document["schemaVersion"] == 1
    assert {d["path"] for d in document["differences"] if d["matters"]} == {"idTagInfo.status"}
    assert result.stat().st_mode & 0o077 == 0
    code, out, err = command(changed, "--json", "-", "--ignore", "*.idTagInfo.status")
    assert (code, json.loads(out)["verdict"], err) == (0, "same", "")


def test_a_central_system_that_is_not_there_cannot_be_replayed_at(session: Recorded) -> None:
    code, out, err = command(session.source, "--csms", "ws://127.0.0.1:9/")
    assert code == 2
    assert out == ""
    assert err.count("cannot replay") == 1
    assert "127.0.0.1:9" in err


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match="No such file"):
        command("/no/such.jsonl")
