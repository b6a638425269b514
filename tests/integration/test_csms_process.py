"""`chargepoint csms` as a process, spoken to over its pipes and a real socket by the `ocpp` package."""

# mypy: disable-error-code="no-untyped-call,untyped-decorator"
# `ocpp` comes without types for its decorators and methods.

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action, Reason, RemoteStartStopStatus
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

COMMAND = [sys.executable, "-c", "from chargepoint.cli.csms import csms; csms()"]


class Process:
    """The program, by its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def event(self, name: str) -> dict[str, Any]:
        """The next event of that name; what comes before it is passed over."""
        while (line := await self.line()).get("event") != name:
            pass
        return line

    async def reply(self) -> dict[str, Any]:
        """The next reply; events before it are passed over."""
        while "event" in (line := await self.line()):
            pass
        return line

    async def line(self) -> dict[str, Any]:
        """The next line."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        assert line, "it said no more"
        found: dict[str, Any] = json.loads(line)
        return found

    def say(self, command: dict[str, Any]) -> None:
        """Write a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def ended(self) -> tuple[int, str]:
        """Exit code and what was written to standard error."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


class Station(ChargePoint):
    """A station that accepts remote starts."""

    @on(Action.remote_start_transaction)
    def on_remote_start(self, **_: Any) -> call_result.RemoteStartTransaction:
        """Accept."""
        return call_result.RemoteStartTransaction(RemoteStartStopStatus.accepted)


@asynccontextmanager
async def program(*arguments: str, stdin: int = asyncio.subprocess.PIPE) -> AsyncIterator[Process]:
    """The program started, and killed if it still runs at the end."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def station(url: str) -> AsyncIterator[Station]:
    """A station of the `ocpp` package."""
    async with connect(f"{url}/CP001", subprotocols=[Subprotocol("ocpp1.6")]) as link:
        charge_point = Station("CP001", link)
        serving = asyncio.create_task(charge_point.start())
        try:
            yield charge_point
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)


def play(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story."""

    async def run() -> None:
        await asyncio.wait_for(story(), 150)

    asyncio.run(run())


def test_a_whole_session_over_pipes_and_socket() -> None:
    async def story() -> None:
        async with program("--port", "0", "--json", "--seed", "1", "--interval", "7") as central:
            ready = await central.line()
            assert ready["event"] == "ready"
            async with station(ready["url"]) as cp:
                assert (await central.event("connected"))["cp"] == "CP001"
                boot = await cp.call(call.BootNotification("Model", "Vendor"))
                assert (boot.status, boot.interval) == ("Accepted", 7)
                received = await central.event("frame")
                assert (received["cp"], received["dir"], received["frame"][2]) == (
                    "CP001",
                    "rx",
                    "BootNotification",
                )
                assert (await central.event("frame"))["dir"] == "tx"

                remote_start = {"idTag": "TAG", "connectorId": 1}
                central.say(
                    {"cp": "CP001", "call": "RemoteStartTransaction", "payload": remote_start, "id": 1}
                )
                assert await central.reply() == {"ok": True, "result": {"status": "Accepted"}, "id": 1}
                central.say({"cp": "CP001", "call": "ClearCache", "id": 2})
                refused = await central.reply()
                assert (refused["error"], refused["id"]) == ("NotImplemented", 2)

                central.say({"answer": "Authorize", "error": "InternalError", "times": 1})
                assert await central.reply() == {"ok": True}
                assert await cp.call(call.Authorize("TAG")) is None
                assert (await cp.call(call.Authorize("TAG"))).id_tag_info["status"] == "Accepted"

                start = call.StartTransaction(1, "TAG", 100, "2026-01-01T12:00:00Z")
                assert [(await cp.call(start)).transaction_id for _ in range(2)] == [1, 1]
                await cp.call(call.StopTransaction(350, "2026-01-01T13:00:00Z", 1, reason=Reason.local))
                central.say({"cmd": "transactions"})
                (transaction,) = (await central.reply())["transactions"]
                assert transaction["energy_wh"] == 250
                assert (len(transaction["starts"]), len(transaction["stops"])) == (2, 1)

                central.say({"cmd": "drop", "cp": "CP001"})
                assert await central.reply() == {"ok": True}
            central.say({"cmd": "shutdown", "id": "end"})
            assert await central.reply() == {"ok": True, "id": "end"}
            assert await central.ended() == (0, "")

    play(story)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_an_orderly_end(number: signal.Signals) -> None:
    async def story() -> None:
        async with program("--port", "0") as central:
            url = (await central.event("ready"))["url"]
            async with connect(f"{url}/CP001", subprotocols=[Subprotocol("ocpp1.6")]) as link:
                await central.event("connected")
                central.process.send_signal(number)
                with pytest.raises(ConnectionClosed) as closed:
                    await link.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1001
            assert await central.ended() == (0, "")

    play(story)


def test_the_end_of_a_pipe_waits_for_earlier_calls() -> None:
    async def story() -> None:
        async with program("--port", "0", "--quiet") as central:
            url = (await central.event("ready"))["url"]
            async with connect(f"{url}/CP001", subprotocols=[Subprotocol("ocpp1.6")]) as link:
                await central.event("connected")
                central.say({"cp": "CP001", "call": "ClearCache"})
                assert central.process.stdin is not None
                central.process.stdin.close()
                asked = json.loads(await link.recv())
                await link.send(json.dumps([3, asked[1], {"status": "Accepted"}]))
                assert await central.line() == {"ok": True, "result": {"status": "Accepted"}}
            assert (await central.ended())[0] == 0

    play(story)


def test_without_input_it_serves_until_a_signal() -> None:
    async def story() -> None:
        async with program("--port", "0", stdin=asyncio.subprocess.DEVNULL) as central:
            url = (await central.event("ready"))["url"]
            async with station(url) as cp:
                assert (await cp.call(call.BootNotification("Model", "Vendor"))).status == "Accepted"
            central.process.terminate()
            assert await central.process.wait() == 0

    play(story)


def test_when_nobody_reads_it_ends() -> None:
    async def story() -> None:
        async with program("--port", "0", stdin=asyncio.subprocess.DEVNULL) as central:
            url = (await central.event("ready"))["url"]
            transport = central.process._transport  # type: ignore[attr-defined]  # no public way to close a pipe
            transport.get_pipe_transport(1).close()
            async with connect(f"{url}/CP001", subprotocols=[Subprotocol("ocpp1.6")]) as link:
                with pytest.raises(ConnectionClosed):
                    await link.recv()
            assert await central.process.wait() == 0

    play(story)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(["--port", "{taken}"], "--port", id="port-in-use"),
        pytest.param(["--host", "203.0.113.1", "--port", "0"], "203.0.113.1:0", id="not-our-address"),
    ],
)
def test_an_address_that_cannot_be_had_is_one_line_and_exit_2(arguments: list[str], told: str) -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            async with program(*(argument.format(taken=port) for argument in arguments)) as central:
                code, errors = await central.ended()
        assert code == 2
        assert told in errors
        assert errors.count("\n") == 1

    play(story)


def test_a_password_without_identity_is_a_usage_error() -> None:
    async def story() -> None:
        async with program("--password", "secret") as central:
            code, errors = await central.ended()
        assert code == 2
        assert "IDENTITY=PASSWORD" in errors

    play(story)
