"""`--control http://...` of a station in a process of its own, and of a fleet, driven as curl would."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, ClientSession

from chargepoint.actions import VERBS
from chargepoint.cli.control import HttpAddress
from chargepoint.cli.fleet_control import controlled
from chargepoint.cli.fleet_runs import FleetRun
from chargepoint.cli.main import main
from chargepoint.cli.options import ClockChoice
from chargepoint.config import StationConfig
from chargepoint.fleet.plan.plan import Group, Plan
from tests.e2e.shell import forked
from tests.integration.piped import PATIENCE_S, Line, Piped, play
from tests.integration.station_process import START, StationProcess

REPEATABLE = ("--clock", "stepped", "--start", START, "--seed", "7")

SCRIPT: Sequence[Line] = [
    {"cmd": "advance", "seconds": 5, "id": 1},
    {"cmd": "plug_in", "connector": 1, "ev": "compact", "id": {"n": 2}},
    {"cmd": "swipe", "id_tag": "TAG", "connector": 1},
    {"cmd": "advance", "seconds": 60},
    {"cmd": "ev", "connector": 1, "draws": False},
    {"cmd": "advance", "seconds": 60},
    {"cmd": "meter", "connector": 1, "voltage_v": 228},
    {"cmd": "status", "id": None},
    {"cmd": "fault", "connector": 1, "error_code": "GroundFailure"},
    {"cmd": "advance", "seconds": 10},
    {"cmd": "clear_fault", "connector": 1},
    {"cmd": "plug_out", "connector": 1},
    {"cmd": "emergency_stop", "pressed": True},
    {"cmd": "emergency_stop", "pressed": False},
    {"cmd": "lock", "connector": 1, "broken": False},
    {"cmd": "availability", "connector": 1, "operative": False},
    {"cmd": "availability", "connector": 1, "operative": True},
    {"cmd": "data_transfer", "vendor_id": "example", "data": "x"},
    {"cmd": "security_event", "type": "InvalidFirmwareSignature"},
    {"cmd": "config", "key": "HeartbeatInterval", "value": "60"},
    {"cmd": "override", "action": "Reset", "status": "Rejected"},
    {"cmd": "firmware_outcome", "fail": None},
    {"cmd": "advance", "seconds": 10},
    {"cmd": "network", "online": False},
    {"cmd": "network", "online": True},
    {"cmd": "advance", "seconds": 10},
    {"cmd": "reboot"},
    {"cmd": "advance", "seconds": 60},
    {"cmd": "power", "on": False},
    {"cmd": "advance", "seconds": 60},
    {"cmd": "power", "on": True},
    {"cmd": "advance", "seconds": 60},
    {"cmd": "site", "power_w": 1000},
    {"cmd": "plug_in", "connector": 9},
    {"cmd": "swipe"},
    {"cmd": "no such thing", "id": 7},
    {"cmd": "status", "cp": "CP999"},
    {"cmd": "status", "cp": "CP001"},
    {"cmd": "shutdown", "id": "last"},
]


SETTLED = [step for command in SCRIPT for step in ({"cmd": "advance", "seconds": 0}, command)]
"""Each command after the answers to what the one before has sent, which it would race otherwise."""


class Events:
    """A stream of events, read up to what is wanted."""

    def __init__(self, response: ClientResponse) -> None:
        assert response.content_type == "text/event-stream"
        self._response = response
        self.all: list[Line] = []

    async def __anext__(self) -> Line:
        async for line in self._response.content:
            if line.startswith(b"data: "):
                self.all.append(json.loads(line.removeprefix(b"data: ")))
                return self.all[-1]
        raise StopAsyncIteration

    def __aiter__(self) -> Events:
        return self

    async def until(self, event: str, **fields: Any) -> Line:
        """The next event of that name with these fields."""
        async for line in self:
            if line["event"] == event and line | fields == line:
                return line
        raise AssertionError(f"it ended without {event} {fields}: {self.all}")

    async def rest(self) -> list[Line]:
        """Everything, once the stream has ended."""
        async for _ in self:
            pass
        return self.all


class Remote:
    """A control over HTTP as a script sees it."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def ask(self, command: Line) -> tuple[int, Line]:
        """Status and reply."""
        async with self.session.post(f"{self.url}/v1/commands", json=command) as response:
            return response.status, await response.json()

    async def do(self, cmd: str, **fields: Any) -> Line:
        """A command that must succeed; its reply."""
        status, reply = await self.ask({"cmd": cmd} | fields)
        assert (status, reply["ok"]) == (200, True), reply
        return reply

    async def stations(self) -> list[Line]:
        async with self.session.get(f"{self.url}/v1/stations") as response:
            listing: list[Line] = (await response.json())["stations"]
            return listing

    @asynccontextmanager
    async def events(self, cp: str | None = None) -> AsyncIterator[Events]:
        """The stream of events, which has said `ready`."""
        query = {} if cp is None else {"cp": cp}
        async with self.session.get(f"{self.url}/v1/events", params=query) as response:
            events = Events(response)
            await events.until("ready", protocol=1)
            yield events


@asynccontextmanager
async def station(
    *options: str | Path,
    address: str = "http://127.0.0.1:0",
    headers: dict[str, str] | None = None,
    **env: str,
) -> AsyncIterator[tuple[Remote, Piped]]:
    """A station with an embedded central system, under control over HTTP."""
    arguments = ("run", "--control", address, *REPEATABLE, *options)
    async with Piped.born(arguments, **env) as process, ClientSession(headers=headers) as session:
        async with asyncio.timeout(PATIENCE_S):
            while not (found := re.search(r"^ready: .* at (http\S+)\n", process.errors, re.MULTILINE)):
                await asyncio.sleep(0.01)
        yield Remote(session, found[1].replace("0.0.0.0", "127.0.0.1")), process


def test_a_charging_session_is_driven_and_watched() -> None:
    async def story() -> None:
        async with station() as (remote, process), remote.events() as events:
            assert events.all[0] | {"identity": "CP001"} == events.all[0]
            await remote.do("advance", seconds=5)
            await remote.do("plug_in", connector=1, ev="compact")
            await remote.do("swipe", id_tag="TAG")
            assert (await remote.do("advance", seconds=3600, id="slow")) == {
                "ok": True,
                "held_s": 0,
                "id": "slow",
            }
            (connector,) = (await remote.do("status"))["connectors"]
            assert connector["status"] == "Charging"
            assert connector["meter_wh"] > 10_000
            await remote.do("plug_out", connector=1)
            await remote.do("advance", seconds=10)
            assert await remote.stations() == [
                {"cp": "CP001", "online": True, "registration": "Accepted", "connectors": 1}
            ]
            await remote.do("shutdown")
            said = await events.rest()
            assert await process.ended() == 0, process.errors
            assert [line["phase"] for line in said if line["event"] == "transaction"] == [
                "started",
                "confirmed",
                "stopped",
                "delivered",
            ]
            assert {line["cp"] for line in said[1:]} == {"CP001"}
            times = [line["t"] for line in said]
            assert times == sorted(times)
            assert said[-1]["event"] == "connection"
            assert not process.lines

    play(story)


def test_http_is_the_same_protocol_as_stdio() -> None:
    def comparable(events: Sequence[Line]) -> list[Line]:
        """From the first thing done on; before, the stream may not have been there yet."""
        plain = [
            {name: value for name, value in event.items() if name not in ("real_t", "cp")} for event in events
        ]
        return plain[next(n for n, event in enumerate(plain) if event.get("status") == "Preparing") :]

    async def story() -> None:
        assert {command["cmd"] for command in SCRIPT} >= set(VERBS)
        arguments = ("run", "--control", "stdio", *REPEATABLE)
        async with StationProcess.born(arguments) as by_pipe:
            piped = [await by_pipe.ask(command) for command in SETTLED]
            assert await by_pipe.ended() == 0
        async with station() as (remote, process), remote.events() as events:
            answers = [await remote.ask(command) for command in SETTLED]
            heard = await events.rest()
            assert await process.ended() == 0
        assert [reply for _, reply in answers] == piped
        assert comparable(heard) == comparable(by_pipe.events)
        for status, reply in answers:
            error = reply.get("error")
            assert status == {None: 200, "unknown_cp": 404, "bad_state": 409}.get(error, 400), reply

    play(story)


def test_clients_share_a_station_in_order_and_a_slow_one_holds_nobody_up() -> None:
    async def story() -> None:
        async with station() as (remote, process), remote.events() as quick, remote.events("CP001") as slow:
            await remote.do("advance", seconds=1)
            before = (await remote.do("status"))["now"]
            asked = [asyncio.ensure_future(remote.ask({"cmd": "advance", "seconds": 3600})) for _ in range(3)]
            while not remote.session.connector or len(remote.session.connector._acquired) < 5:
                await asyncio.sleep(0)
            now = (await remote.do("status"))["now"]
            assert [status for status, _ in await asyncio.gather(*asked)] == [200] * 3
            assert (before[:13], now[:13]) == (START[:13], "2026-01-01T03")
            count = 60
            for _ in range(count):  # nobody reads `slow` meanwhile
                await remote.do("data_transfer", vendor_id="example", data="x" * 500_000)
                await remote.do("advance", seconds=0)
                await quick.until("ocpp", dir="tx")
            await remote.do("plug_in", connector=1)
            await quick.until("status", status="Preparing")
            missed = await slow.until("missed")
            told = [line for line in slow.all if "DataTransfer" in json.dumps(line.get("frame"))]
            assert 0 < len(told) < count
            assert missed["count"] >= count - len(told)
            await remote.do("plug_out", connector=1)
            await slow.until("status", status="Available")
            await remote.do("shutdown")
            assert await process.ended() == 0

    play(story)


def test_other_machines_need_the_token_of_a_file_and_it_is_never_told(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("open-sesame-7\n")
    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
    told = {"Authorization": "Bearer open-sesame-7"}

    async def story() -> None:
        options = ("--control-token-file", file)
        async with station(*options, address="http://0.0.0.0:0") as (remote, process):
            assert (await remote.ask({"cmd": "shutdown"}))[0] == 401
            for path in ("events", "stations"):
                async with remote.session.get(f"{remote.url}/v1/{path}") as response:
                    assert response.status == 401
            remote.session.headers.update(told)
            async with remote.events() as events:
                await remote.do("status")
                await remote.do("shutdown")
                said = await events.rest()
            assert await process.ended() == 0
            assert "sesame" not in process.errors + json.dumps(said)

    play(story)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--control", "http://0.0.0.0:0"), "CHARGEPOINT_CONTROL_TOKEN"),
        (("--control", "http://example.com:80"), "CHARGEPOINT_CONTROL_TOKEN"),
        (("--control", "http://127.0.0.1"), "with port 0 for a free one"),
        (("--control", "https://127.0.0.1:0"), "with port 0 for a free one"),
        (("--control", "http://me@127.0.0.1:0"), "with port 0 for a free one"),
        (("--control", "http://127.0.0.1:0/v2"), "with port 0 for a free one"),
        (("--control", "http://127.0.0.1:99999"), "with port 0 for a free one"),
        (("--control", "pipe"), "with port 0 for a free one"),
        (("--control", "http://127.0.0.1:0", "--control-token", "a b"), "visible ASCII"),
        (("--control", "http://127.0.0.1:0", "--control-token", ""), "visible ASCII"),
        (("--control", "http://127.0.0.1:0", "--control-token-file", "readable"), "chmod 600 readable"),
        (("--control", "http://127.0.0.1:0", "--control-token-file", "none"), "No such file"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(
    options: tuple[str, ...],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "readable").write_text("open-sesame")
    (tmp_path / "readable").chmod(0o644)
    for command in (("run",), ("fleet", "run", "--for", "1s")):
        assert main([*command, *options]) == 2
        told = capsys.readouterr().err
        assert said in told
        assert "sesame" not in told


def test_an_address_that_cannot_be_had_is_said_at_once(tmp_path: Path) -> None:
    options = ("--control", "http://192.0.2.1:0", "--control-token", "open-sesame")  # of no machine
    for command in (("run",), ("fleet", "run", "--for", "1s")):
        done = forked(*command, *options, cwd=tmp_path)
        assert (done.returncode, "http://192.0.2.1:0: " in done.stderr) == (2, True), done.stderr
        assert "sesame" not in done.stderr
        assert "Traceback" not in done.stderr


# --- many stations ------------------------------------------------------------------------------------


@asynccontextmanager
async def fleet(count: int, clock: ClockChoice) -> AsyncIterator[tuple[FleetRun, Remote]]:
    """A fleet in this process, all of it accepted; it ends when the test leaves it, if it has not ended."""
    group = Group("g", count, config=StationConfig(storage=None), behaviour="idle", identities="CP{n:03d}")
    run = FleetRun(Plan((group,), 7, 500.0), clock=clock, for_s=None)
    async with (
        controlled(run.fleet, HttpAddress("127.0.0.1", 0), None) as url,
        ClientSession() as session,
    ):
        running = asyncio.ensure_future(run.run())
        while run.fleet.accepted < count:
            await asyncio.sleep(0.01)
        try:
            yield run, Remote(session, url)
        finally:
            run.fleet.stop()
            await running


def test_each_station_of_a_fleet_is_driven_and_watched_by_its_identity() -> None:
    async def story() -> None:
        async with fleet(3, ClockChoice("scaled", 60.0)) as (run, remote):
            listed = await remote.stations()
            assert [one["cp"] for one in listed] == ["CP001", "CP002", "CP003"]
            watched = [resident.station for resident in run.fleet.residents.values()]
            assert not any(one._watchers for one in watched)
            async with remote.events("CP002") as second, remote.events() as everyone:
                assert everyone.all[0]["stations"] == 3
                await remote.do("plug_in", cp="CP001", connector=1)
                await remote.do("plug_in", cp="CP002", connector=1)
                await remote.do("swipe", cp="CP002", id_tag="TAG")
                assert (await remote.do("status", cp="CP002"))["connectors"][0]["plugged"]
                await everyone.until("transaction", cp="CP002", phase="confirmed")
                run.fleet.add(1)
                await everyone.until("registration", cp="CP004", status="Accepted")
                await second.until("transaction", phase="confirmed")
                assert {event["cp"] for event in everyone.all[1:]} >= {"CP001", "CP002", "CP004"}
                assert {event["cp"] for event in second.all[1:]} == {"CP002"}
                assert "ocpp" in {event["event"] for event in second.all}
            while any(one._watchers for one in watched):
                await asyncio.sleep(0)
            for command, status, error in (
                ({"cmd": "status"}, 400, "bad_argument"),
                ({"cmd": "nothing"}, 400, "unknown_command"),
                ({"cmd": "status", "cp": "CP009"}, 404, "unknown_cp"),
                ({"cmd": "status", "cp": ["CP001"]}, 404, "unknown_cp"),
                ({"cmd": "plug_in", "cp": "CP001", "connector": 7}, 400, "bad_connector"),
                ({"cmd": "advance", "cp": "CP001", "seconds": 1}, 409, "bad_state"),
                ({"cmd": "shutdown", "cp": "CP001"}, 400, "bad_argument"),
            ):
                answered, reply = await remote.ask(command)
                assert (answered, reply["error"]) == (status, error), command
            async with remote.events() as everyone:
                await remote.do("shutdown", id=1)
                async for event in everyone:
                    if event["event"] == "transaction" and event["phase"] == "delivered":
                        break
            assert run.fleet.ending

    play(story)


def test_a_fleet_of_one_needs_no_name() -> None:
    async def story() -> None:
        async with fleet(1, ClockChoice("wall")) as (_, remote):
            assert (await remote.do("status"))["registration"] == "Accepted"

    play(story)
