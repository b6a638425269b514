"""The control protocol's section "The embedded central system": lines in, replies out."""

from __future__ import annotations

import asyncio
import json
import os
import tracemalloc
from collections.abc import AsyncIterator
from tempfile import TemporaryFile
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from chargepoint.csms import CentralSystem
from chargepoint.csms.control import Control
from chargepoint.csms.lines import MAX_LINE_BYTES, ends_by_itself, lines

AUTHORIZE = '[2,"1","Authorize",{"idTag":"TAG"}]'
START = {"connectorId": 1, "idTag": "TAG", "meterStart": 100, "timestamp": "2026-01-01T12:00:00Z"}


async def given(*commands: dict[str, Any] | str | bytes) -> AsyncIterator[bytes]:
    """These commands, a line each."""
    for command in commands:
        text = json.dumps(command) if isinstance(command, dict) else command
        yield text.encode() if isinstance(text, str) else text


def replies(*commands: dict[str, Any] | str | bytes) -> list[dict[str, Any]]:
    """What a central system without stations replies to these lines."""

    async def run() -> list[dict[str, Any]]:
        written: list[dict[str, Any]] = []
        async with CentralSystem() as central:
            await Control(central, written.append, asyncio.Event()).obey(given(*commands), keep_serving=False)
        return written

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param("{", "bad_json", id="not-json"),
        pytest.param(b"\x80", "bad_json", id="not-utf-8"),
        pytest.param('{"cmd": NaN}', "bad_json", id="not-a-number"),
        pytest.param("[" * 100_000, "bad_json", id="nested-deeply"),
        pytest.param("[]", "bad_json", id="not-an-object"),
        pytest.param({}, "unknown_command", id="empty"),
        pytest.param({"cp": "CP"}, "unknown_command", id="no-verb"),
        pytest.param({"cmd": "dance"}, "unknown_command", id="unknown-cmd"),
        pytest.param({"cmd": "stations", "since": 1}, "bad_argument", id="unknown-field"),
        pytest.param({"cmd": "stations", "cp": 1}, "bad_argument", id="wrong-type"),
        pytest.param({"cmd": "drop"}, "bad_argument", id="drop-without-cp"),
        pytest.param({"cmd": "drop", "cp": "CP"}, "unknown_cp", id="drop-unknown-cp"),
        pytest.param({"call": "Reset"}, "bad_argument", id="call-without-cp"),
        pytest.param({"call": "Reset", "cp": "CP"}, "not_connected", id="call-nobody"),
        pytest.param({"answer": "Authorize"}, "bad_argument", id="answer-without-how"),
        pytest.param({"answer": "Reset", "silent": True}, "bad_argument", id="answer-unknown-action"),
        pytest.param({"answer": "Authorize", "times": True, "silent": True}, "bad_argument", id="bool-times"),
        pytest.param({"answer": "Authorize", "silent": True, "times": 0}, "bad_argument", id="no-times"),
        pytest.param({"answer": "Authorize", "delay_s": "1"}, "bad_argument", id="delay-as-text"),
    ],
)
def test_a_command_that_cannot_be_done_says_why_and_the_next_one_works(
    command: dict[str, Any] | str | bytes, code: str
) -> None:
    refused, done = sorted(replies(command, {"cmd": "stations"}), key=lambda reply: reply["ok"])
    assert (refused["ok"], refused["error"]) == (False, code)
    assert refused["message"]
    assert done == {"ok": True, "stations": []}


@pytest.mark.parametrize("command_id", [0, None, "a", {"b": [1]}], ids=str)
def test_the_id_is_echoed_whatever_it_is(command_id: object) -> None:
    good, bad, call = replies(
        {"cmd": "transactions", "id": command_id},
        {"cmd": "dance", "id": command_id},
        {"call": "Reset", "cp": "CP", "id": command_id},
    )
    assert good == {"ok": True, "transactions": [], "id": command_id}
    assert [reply["id"] for reply in (bad, call)] == [command_id, command_id]


def test_a_command_without_id_gets_a_reply_without_id() -> None:
    assert replies({"cmd": "stations"}, "", "  ") == [{"ok": True, "stations": []}]


def test_shutdown_is_the_last_command() -> None:
    async def run() -> None:
        written: list[dict[str, Any]] = []
        ended = asyncio.Event()
        async with CentralSystem() as central:
            commands = given({"cmd": "shutdown"}, {"cmd": "stations"})
            await Control(central, written.append, ended).obey(commands, keep_serving=True)
        assert ended.is_set()
        assert written == [{"ok": True}]

    asyncio.run(run())


def test_the_end_of_commands_ends_nothing_where_it_was_nobodys_decision() -> None:
    async def run() -> None:
        ended = asyncio.Event()
        async with CentralSystem() as central:
            control = Control(central, lambda reply: None, ended)
            obeying = asyncio.create_task(control.obey(given(), keep_serving=True))
            await asyncio.wait({obeying}, timeout=0.02)
            assert not obeying.done()
            ended.set()
            await obeying

    asyncio.run(run())


def test_a_station_is_called_answered_listed_and_cut() -> None:
    async def run() -> None:
        written: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        async with CentralSystem() as central:
            control = Control(central, written.put_nowait, asyncio.Event())

            async def reply_to(command: dict[str, Any]) -> dict[str, Any]:
                control.command(json.dumps(command))
                return await written.get()

            async with connect(f"{central.url}/CP", subprotocols=[Subprotocol("ocpp1.6")]) as station:

                async def ask(frame: str) -> Any:
                    await station.send(frame)
                    return json.loads(await station.recv())[2]

                assert await reply_to(
                    {"answer": "Authorize", "id_tag": "tag", "payload": {"idTagInfo": {"status": "Blocked"}}}
                ) == {"ok": True}
                assert await ask(AUTHORIZE) == {"idTagInfo": {"status": "Blocked"}}
                await reply_to({"answer": "Authorize", "id_tag": "TAG", "payload": None})
                assert await ask(AUTHORIZE) == {"idTagInfo": {"status": "Accepted"}}

                keys = {
                    "configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": "secret"}]
                }
                control.command('{"cp": "CP", "call": "GetConfiguration", "id": 1}')
                control.command('{"cp": "CP", "call": "ClearCache", "payload": {}, "id": 2}')
                assert await reply_to({"cmd": "transactions", "id": 3}) == {
                    "ok": True,
                    "transactions": [],
                    "id": 3,
                }
                for frame_type, answer in ((3, [keys]), (4, ["InternalError", "why", {}])):
                    call = json.loads(await station.recv())
                    await station.send(json.dumps([frame_type, call[1], *answer]))
                keys["configurationKey"][0]["value"] = "***"
                assert await written.get() == {"ok": True, "result": keys, "id": 1}
                assert await written.get() == {
                    "ok": False,
                    "error": "InternalError",
                    "message": "why",
                    "id": 2,
                }

                await ask(json.dumps([2, "2", "StartTransaction", START]))
                (listed,) = (await reply_to({"cmd": "transactions", "cp": "CP"}))["transactions"]
                assert (listed["cp"], listed["transaction_id"], listed["meter_start_wh"]) == ("CP", 1, 100)
                assert listed["energy_wh"] is None
                (known,) = (await reply_to({"cmd": "stations"}))["stations"]
                assert (known["cp"], known["connected"]) == ("CP", True)

                assert await reply_to({"cmd": "drop", "cp": "CP"}) == {"ok": True}
                assert (await reply_to({"cmd": "drop", "cp": "CP"}))["error"] == "not_connected"
                assert not (await reply_to({"cmd": "stations"}))["stations"][0]["connected"]

    asyncio.run(run())


def test_lines_come_whole_however_they_are_written() -> None:
    async def run() -> list[bytes]:
        reader, writer = os.pipe()
        try:
            assert ends_by_itself(reader)
            for part in (b"one\ntw", b"o\n\n", b"last"):
                os.write(writer, part)
            os.close(writer)
            return [line async for line in lines(reader)]
        finally:
            os.close(reader)

    assert asyncio.run(run()) == [b"one", b"two", b"", b"last"]


@pytest.mark.parametrize("length", [MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 10 * MAX_LINE_BYTES])
@pytest.mark.search
def test_of_a_line_that_is_too_long_only_the_beginning_is_kept_and_the_next_one_is_whole(length: int) -> None:
    async def run() -> list[bytes]:
        return [line async for line in lines(file.fileno())]

    with TemporaryFile() as file:
        file.truncate(length)
        file.seek(length)
        file.write(b"\nnext\n")
        file.seek(0)
        tracemalloc.start()
        endless, following = asyncio.run(run())
        _, most_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(endless) == min(length, MAX_LINE_BYTES + 1)
    assert following == b"next"
    assert most_bytes < 8 * MAX_LINE_BYTES  # the beginning, its copy, and a buffer that grew


def test_a_command_that_is_too_long_is_refused_and_the_next_one_works() -> None:
    refused, done = replies(b"{" + b" " * MAX_LINE_BYTES, {"cmd": "stations"})
    assert (refused["error"], str(MAX_LINE_BYTES) in refused["message"]) == ("bad_json", True)
    assert done == {"ok": True, "stations": []}


def test_no_more_is_read_than_is_taken() -> None:
    """Otherwise `yes | chargepoint csms` would fill the memory."""
    a_few_chunks = 5 << 16

    async def run() -> None:
        with TemporaryFile() as file:
            file.write(b"line\n" * (10 * a_few_chunks // 5))
            file.seek(0)
            coming = lines(file.fileno())
            assert await anext(coming) == b"line"
            for _ in range(20):  # time enough for somebody who reads all there is
                assert os.lseek(file.fileno(), 0, os.SEEK_CUR) <= a_few_chunks
                await asyncio.sleep(0.01)
            assert len([line async for line in coming]) == 2 * a_few_chunks - 1

    asyncio.run(run())


def test_input_that_cannot_be_read_has_ended() -> None:
    async def run() -> list[bytes]:
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            assert not ends_by_itself(null)
            return [line async for line in lines(null)]
        finally:
            os.close(null)

    assert asyncio.run(run()) == []
