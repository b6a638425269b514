"""The control protocol of `chargepoint run --control stdio`: lines, replies, errors and events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from tests.integration.piped import Line, play
from tests.integration.station_process import CP, START, StationProcess, at_central_system, station
from tests.standstills import again_after_a_standstill

EVENTS: dict[str, set[str]] = {
    "ready": {"protocol", "identity", "version"},
    "connection": {"online"},
    "registration": {"status", "interval_s"},
    "status": {"connector", "status", "error_code"},
    "transaction": {"key", "connector", "phase", "id_tag", "meter_wh"},
    "limit": {"connector", "offered_a", "offered_w", "because"},
    "reboot": {"reason"},
    "ocpp": {"dir", "frame"},
    "error": {"message"},
}
"""Event -> the fields it always has, besides `event` and `t`."""

SOMETIMES = {
    "connection": {"reason"},
    "transaction": {"transaction_id", "reason"},
    "ocpp": {"raw"},
}


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_ready_is_the_first_line_and_commands_may_already_wait(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            ready = cp.lines[0]
            assert (
                ready | {"event": "ready", "protocol": 1, "identity": CP, "t": START[:-1] + ".000Z"} == ready
            )
            assert (await cp.do("status"))["ok"]
            await cp.shut_down()

    play(story)


def test_every_line_is_a_reply_or_an_event_with_its_fields(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.advance(1)
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", id_tag="TAG")
            await cp.advance(70)
            await cp.do("swipe", id_tag="TAG")
            await cp.do("reboot")
            await cp.advance(10)
            await cp.do("network", online=False)
            await cp.shut_down()
            replies = [line for line in cp.lines if "event" not in line]
            assert [line["ok"] for line in replies] == [True] * 9
            for event in cp.events:
                fields = set(event) - {"event", "t", "real_t"}
                always, sometimes = EVENTS[event["event"]], SOMETIMES.get(event["event"], set())
                assert always <= fields <= always | sometimes, event
            errors = [event["message"] for event in cp.events if event["event"] == "error"]
            assert all("writing took" in message for message in errors), errors  # how fast the disk is
            assert {event["event"] for event in cp.events} - {"error"} == set(EVENTS) - {"error"}

    play(story)


def test_a_transaction_is_told_in_four_phases(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.advance(1)
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", id_tag="TAG")
            await cp.advance(60)
            await cp.do("swipe", id_tag="TAG")
            await cp.advance(1)
            await cp.shut_down()
            phases = [event for event in cp.events if event["event"] == "transaction"]
            assert [event["phase"] for event in phases] == ["started", "confirmed", "stopped", "delivered"]
            assert len({event["key"] for event in phases}) == 1
            assert [event.get("transaction_id") for event in phases] == [None, 1, 1, 1]
            assert [event.get("reason") for event in phases] == [None, None, "Local", "Local"]
            assert [event["meter_wh"] for event in phases[:2]] == [0, 0]
            (stop,) = (payload for _, payload in cp.calls("StopTransaction"))
            assert [event["meter_wh"] for event in phases[2:]] == [stop["meterStop"]] * 2

    play(story)


def test_replies_come_in_the_order_of_commands_with_their_ids(tmp_path: Path) -> None:
    async def story() -> None:
        ids: list[Any] = [1, "two", None, [3, {"a": 1.5}], True, 2**70]
        async with at_central_system(tmp_path) as (_, cp):
            cp.say({"cmd": "advance", "seconds": 3600, "id": "slow"})
            for n in ids:
                cp.say({"cmd": "status", "id": n})
            cp.say({"cmd": "no such thing", "id": "wrong"})
            cp.say({"cmd": "status"})
            replies = [await cp.reply() for _ in range(len(ids) + 3)]
            assert [reply.get("id", "none") for reply in replies] == ["slow", *ids, "wrong", "none"]
            assert [reply["ok"] for reply in replies] == [True] * (len(ids) + 1) + [False, True]
            assert replies[0]["held_s"] == 0
            assert _seconds(replies[1]["now"]) - _seconds(START) == 3600
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        pytest.param("status", "bad_json", id="not-json"),
        pytest.param('{"cmd":"status"', "bad_json", id="cut-short"),
        pytest.param('["status"]', "bad_json", id="no-object"),
        pytest.param('{"cmd":"status","id":NaN}', "bad_json", id="nan"),
        pytest.param("{}", "unknown_command", id="no-cmd"),
        pytest.param('{"cmd":7}', "unknown_command", id="cmd-no-text"),
        pytest.param('{"cmd":"plug_it_in"}', "unknown_command", id="no-such-command"),
        pytest.param('{"cmd":"status","cp":"CP999"}', "unknown_cp", id="other-station"),
        pytest.param('{"cmd":"plug_in"}', "bad_argument", id="missing"),
        pytest.param('{"cmd":"plug_in","connector":"1"}', "bad_argument", id="wrong-type"),
        pytest.param('{"cmd":"plug_in","connector":true}', "bad_argument", id="no-number"),
        pytest.param('{"cmd":"plug_in","connector":1,"car":"x"}', "bad_argument", id="unknown-field"),
        pytest.param('{"cmd":"plug_in","connector":1,"ev":"spaceship"}', "bad_argument", id="no-such-ev"),
        pytest.param('{"cmd":"plug_in","connector":1,"ev":{"kind":1}}', "bad_argument", id="ev-of-no-kind"),
        pytest.param('{"cmd":"plug_in","connector":2}', "bad_connector", id="beyond-the-last"),
        pytest.param('{"cmd":"plug_in","connector":0}', "bad_connector", id="plug-into-the-station"),
        pytest.param('{"cmd":"plug_in","connector":-1}', "bad_connector", id="negative"),
        pytest.param('{"cmd":"swipe","id_tag":"A","connector":0}', "bad_connector", id="reader-0"),
        pytest.param(
            '{"cmd":"availability","connector":9,"operative":true}', "bad_connector", id="availability"
        ),
        pytest.param(
            '{"cmd":"fault","connector":-1,"error_code":"NoError"}', "bad_argument", id="fault-none"
        ),
        pytest.param(
            '{"cmd":"fault","connector":9,"error_code":"GroundFailure"}', "bad_connector", id="fault-9"
        ),
        pytest.param('{"cmd":"emergency_stop","connector":-1,"pressed":true}', "bad_connector", id="button"),
        pytest.param('{"cmd":"swipe","id_tag":""}', "bad_argument", id="empty-tag"),
        pytest.param(f'{{"cmd":"swipe","id_tag":"{"A" * 21}"}}', "bad_argument", id="long-tag"),
        pytest.param('{"cmd":"plug_out","connector":1}', "bad_state", id="nothing-plugged"),
        pytest.param('{"cmd":"ev","connector":1,"draws":false}', "bad_state", id="no-vehicle"),
        pytest.param('{"cmd":"ev","connector":1}', "bad_argument", id="ev-unchanged"),
        pytest.param('{"cmd":"meter","connector":1}', "bad_argument", id="meter-unchanged"),
        pytest.param('{"cmd":"meter","connector":1,"energy_wh":-1}', "bad_argument", id="negative-register"),
        pytest.param('{"cmd":"meter","connector":1,"voltage_v":1e999}', "bad_argument", id="infinite"),
        pytest.param('{"cmd":"advance","seconds":-1}', "bad_argument", id="back-in-time"),
        pytest.param('{"cmd":"config","key":"NoSuchKey","value":"1"}', "bad_argument", id="no-such-key"),
        pytest.param(
            '{"cmd":"config","key":"HeartbeatInterval","value":"soon"}', "bad_argument", id="no-value"
        ),
        pytest.param('{"cmd":"override","action":"Reset","error":"Oops"}', "bad_argument", id="no-such-code"),
        pytest.param(
            '{"cmd":"override","action":"Dance","status":"No"}', "bad_argument", id="no-such-action"
        ),
        pytest.param(
            '{"cmd":"override","action":"Reset","status":"Rejected","error":"GenericError"}',
            "bad_argument",
            id="two-answers",
        ),
    ],
)
def test_a_bad_command_is_refused(refusing: Callable[[str], Line], line: str, error: str) -> None:
    reply = refusing(line)
    assert set(reply) == {"ok", "error", "message"}
    assert (reply["ok"], reply["error"]) == (False, error), reply
    assert reply["message"].isprintable()


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One station for all bad commands: after each it goes on and says so."""
    folder = tmp_path_factory.mktemp("refusing")
    with asyncio.Runner() as runner:
        context = at_central_system(folder)
        _, cp = runner.run(context.__aenter__())

        async def both(line: str) -> Line:
            reply = await cp.ask(line)
            assert (await cp.do("status"))["online"] in (True, False)
            return reply

        yield lambda line: runner.run(both(line))
        runner.run(cp.shut_down())
        runner.run(context.__aexit__(None, None, None))


def test_blank_lines_are_passed_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            cp.say("\n  \n")
            assert (await cp.ask({"cmd": "status", "id": 1}))["id"] == 1
            await cp.shut_down()

    play(story)


def test_the_station_may_be_named(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            assert (await cp.do("status", cp=CP))["ok"]
            await cp.shut_down()

    play(story)


def test_advance_is_for_a_stepped_clock(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, clock="wall") as (_, cp):
            assert await cp.refused("advance", seconds=1) == "bad_state"
            await cp.shut_down()

    play(story)


@again_after_a_standstill
def test_advance_tells_the_real_seconds_lost_to_silence(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, ocpp={"MessageTimeout": "1"}) as (central, cp):
            await cp.advance(1)
            central.set_answer("Heartbeat", silent=True)
            assert await cp.advance(290) == 0
            assert 0.9 < await cp.advance(60) < 3
            central.set_answer("Heartbeat")
            assert await cp.advance(600) == 0
            await cp.shut_down()

    play(story)


def test_a_stepped_clock_shows_its_time_and_the_real_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.advance(3600)
            await cp.do("plug_in", connector=1)
            event = await cp.event("status", status="Preparing")
            assert event["t"] == "2026-01-01T01:00:00.000Z"
            assert abs(_seconds(event["real_t"]) - datetime.now().timestamp()) < 60
            await cp.shut_down()

    play(story)


def test_the_time_of_events_follows_the_central_system(tmp_path: Path) -> None:
    """On a real clock the station takes over the central system's time, and `t` is the station's (§4.6)."""

    async def story() -> None:
        async with at_central_system(tmp_path, clock="wall") as (central, cp):
            await cp.event("registration", status="Accepted")
            accepted = {"status": "Accepted", "interval": 300, "currentTime": "2031-05-01T00:00:00Z"}
            central.set_answer("BootNotification", payload=accepted)
            await cp.do("reboot")
            await cp.event("reboot")
            await cp.event("registration", status="Accepted")
            await cp.do("plug_in", connector=1)
            event = await cp.event("status", status="Preparing")
            assert event["t"].startswith("2031-05-01T00:00:")
            assert "real_t" in event
            assert (await cp.do("status"))["now"].startswith("2031-05-01T00:00:")
            await cp.shut_down()

    play(story)


def test_on_a_real_clock_there_is_one_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, clock="wall") as (_, cp):
            await cp.event("registration", status="Accepted")
            await cp.shut_down()
            assert not any("real_t" in event for event in cp.events)

    play(story)


@asynccontextmanager
async def _scripted_central_system(*frames: str) -> AsyncIterator[str]:
    """Accepts the station, then says `frames`, exactly as they are written."""

    async def greet(link: ServerConnection) -> None:
        boot = json.loads(await link.recv())
        answer = {"status": "Accepted", "currentTime": START, "interval": 300}
        await link.send(json.dumps([3, boot[1], answer]))
        for frame in frames:
            await link.send(frame)
        async for text in link:
            if text[1] == "2":
                await link.send(json.dumps([3, json.loads(text)[1], {}]))

    async with serve(greet, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_raw_is_there_where_compact_json_would_differ(tmp_path: Path) -> None:
    spaced = '[2, "a", "ClearCache", {}]'
    compact = '[2,"b","ClearCache",{}]'
    escaped = '[2,"\\u0063","ClearCache",{}]'
    huge = '[2,"d","GetCompositeSchedule",{"connectorId":1,"duration":36893488147419103232}]'
    rubbish = "hello?"

    async def story() -> None:
        async with (
            _scripted_central_system(spaced, compact, escaped, huge, rubbish) as url,
            station("--linger", "0", csms=url, storage=tmp_path) as cp,
        ):
            await cp.advance(1)
            heard = [event for event in cp.events if event["event"] == "ocpp" and event["dir"] == "rx"]
            by_id = {event["frame"][1]: event for event in heard if isinstance(event["frame"], list)}
            assert by_id["a"]["raw"] == spaced
            assert "raw" not in by_id["b"]
            assert by_id["c"]["raw"] == escaped
            assert by_id["d"]["frame"][3]["duration"] == 2**65
            assert [event["frame"] for event in heard if not isinstance(event["frame"], list)] == [rubbish]
            sent = [event for event in cp.events if event["event"] == "ocpp" and event["dir"] == "tx"]
            assert sent
            assert not any("raw" in event for event in sent)
            await cp.shut_down()

    play(story)


def test_two_stations_cannot_share_a_store(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, first):
            await first.advance(1)
            arguments = ["-m", "chargepoint", "run", "--control", "stdio", "--csms", central.url]
            async with StationProcess.started([*arguments, "--storage", tmp_path / "storage"]) as second:
                assert await second.ended() == 2
                assert second.lines == []
                assert "in use by process" in second.errors
                assert second.errors.count("\n") == 1
            await first.shut_down()

    play(story)
