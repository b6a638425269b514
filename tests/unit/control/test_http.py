"""The control protocol over HTTP, at a real socket, with a stand-in for the stations."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvloop

from chargepoint.control import http, http_server, http_stream
from chargepoint.control.http import HttpControl, is_loopback

Line = dict[str, Any]


def on_both_loops(story: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that is a coroutine, run on asyncio's own loop and on uvloop."""

    @functools.wraps(story)
    def test(**fixtures: Any) -> None:
        async def main() -> None:
            await story(**fixtures)

        for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(main())

    return test


class Refused(Exception):
    """As an action refuses."""

    def __init__(self, code: str) -> None:
        super().__init__("not now")
        self.code = code


class Stations:
    """What stands behind the control: it notes commands and answers by a few rules."""

    def __init__(self) -> None:
        self.commands: list[Line] = []
        self.ended: list[Any] = []
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.audiences = 0

    def perform(self, command: Line) -> Line | Awaitable[Line]:
        self.commands.append(command)
        match command.get("cmd"):
            case "wait":
                return self._wait(command)
            case "shutdown" if "cp" in command:
                raise Refused("bad_argument")
            case "break":
                raise ZeroDivisionError("division by zero")
            case str(code) if code.startswith(("bad_", "unknown_")):
                raise Refused(code)
        self.ended.append(command.get("n"))
        return {"n": len(self.commands)}

    async def _wait(self, command: Line) -> Line:
        self.began.set()
        await self.go_on.wait()
        self.ended.append(command.get("n"))
        return {"waited": True}

    def known(self, cp: str) -> bool:
        return cp in ("A", "B")

    def lane(self, command: Line) -> str | None:
        return command.get("cp")

    def listing(self) -> list[Line]:
        return [{"cp": "A"}, {"cp": "B"}]

    def ready(self) -> Line:
        return {"protocol": 1}

    def now(self) -> float:
        return 0.0

    def audience_changed(self) -> None:
        self.audiences += 1


class Client:
    """One connection, spoken to byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, text: bytes | str) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        told = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body))}
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items() if value)]
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def post(self, command: Any, **headers: str) -> None:
        body = command if isinstance(command, bytes) else json.dumps(command).encode()
        self.request("POST", "/v1/commands", body, **headers)

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next response."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        return int(head[0].split()[1]), headers

    async def response(self) -> tuple[int, Line]:
        status, headers = await self.head()
        body = json.loads(await self.reader.readexactly(int(headers["content-length"])))
        assert headers["content-type"] == "application/json"
        assert isinstance(body, dict)
        return status, body

    async def ask(self, command: Any, **headers: str) -> tuple[int, Line]:
        self.post(command, **headers)
        return await self.response()

    async def listen(self, query: str = "") -> Line:
        """Begin to read the stream of events; its first one."""
        self.request("GET", f"/v1/events{query}")
        status, headers = await self.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        return await self.event()

    async def text(self) -> bytes:
        """The next line of the stream that is not empty nor chunked encoding's."""
        while True:
            line = (await self.reader.readline()).rstrip()
            if line.startswith((b"data: ", b": ")):
                return line

    async def event(self) -> Line:
        line: Line = json.loads((await self.text()).removeprefix(b"data: "))
        return line


class Rig:
    """A control that serves, and clients of it."""

    def __init__(self, token: str | None, host: str = "127.0.0.1") -> None:
        self.stations = Stations()
        self.control = HttpControl(self.stations, host, token)
        self.port = 0
        self.clients: list[Client] = []

    async def client(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)))
        return self.clients[-1]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client is let go because the machine stood still."""
    monkeypatch.setattr(http_server, "REQUEST_WITHIN_S", 600.0)
    monkeypatch.setattr(http, "BODY_WITHIN_S", 600.0)


@asynccontextmanager
async def serving(token: str | None = None, host: str = "127.0.0.1") -> AsyncIterator[Rig]:
    rig = Rig(token, host)
    rig.port = await rig.control.open(0)
    async with asyncio.timeout(45):
        try:
            yield rig
        finally:
            for client in rig.clients:
                client.writer.close()
            await rig.control.close()


@pytest.mark.parametrize(
    ("cmd", "status", "error"),
    [
        ("status", 200, None),
        ("bad_argument", 400, "bad_argument"),
        ("bad_connector", 400, "bad_connector"),
        ("bad_state", 409, "bad_state"),
        ("unknown_command", 400, "unknown_command"),
        ("unknown_cp", 404, "unknown_cp"),
        ("break", 500, "internal"),
    ],
)
@on_both_loops
async def test_a_reply_is_that_of_the_protocol_and_the_status_follows_from_it(
    cmd: str, status: int, error: str | None
) -> None:
    async with serving() as rig:
        answered, reply = await (await rig.client()).ask({"cmd": cmd, "id": [1, {"a": 2**70}]})
        assert (answered, reply["ok"], reply.get("error")) == (status, error is None, error)
        assert reply["id"] == [1, {"a": 2**70}]
        assert rig.stations.commands == [{"cmd": cmd}]


@pytest.mark.parametrize(
    ("body", "headers", "status", "error"),
    [
        pytest.param(b"", {}, 400, "bad_json", id="nothing"),
        pytest.param(b"status", {}, 400, "bad_json", id="no-json"),
        pytest.param(b'"status"', {}, 400, "bad_json", id="no-object"),
        pytest.param(b"\xff\xfe{}", {}, 400, "bad_json", id="no-utf-8"),
        pytest.param(b'{"a":' + b"[" * 50_000, {}, 400, "bad_json", id="deep"),
        pytest.param(b'{"cmd":NaN}', {}, 400, "bad_json", id="nan"),
        pytest.param(b"{}", {"Content_Type": "text/plain"}, 415, "bad_content_type", id="text"),
        pytest.param(b"{}", {"Content_Type": ""}, 415, "bad_content_type", id="untyped"),
        pytest.param(b"cmd=x", {"Content_Type": "application/x-www-form-urlencoded"}, 415, None, id="form"),
        pytest.param(b" " * (2**20 + 1), {}, 413, "too_large", id="large"),
        pytest.param(b"{}", {"Host": "evil.example"}, 403, "bad_host", id="rebound-name"),
        pytest.param(b"{}", {"Host": "127.0.0.1.evil.example:1"}, 403, "bad_host", id="alike"),
        pytest.param(b"{}", {"Host": ""}, 400, "bad_request", id="no-host"),
        pytest.param(b"{}", {"Host": "[::1"}, 400, None, id="broken-host"),
    ],
)
@on_both_loops
async def test_what_is_no_command_is_refused_as_json_and_not_performed(
    body: bytes, headers: dict[str, str], status: int, error: str | None
) -> None:
    async with serving() as rig:
        answered, reply = await (await rig.client()).ask(body, **headers)
        assert (answered, reply["ok"]) in ((status, False), (403, False))
        assert error in (None, reply["error"])
        assert reply["message"]
        assert not rig.stations.commands
        assert (await (await rig.client()).ask({"cmd": "status"}))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/commands", 405, "bad_method"),
        ("OPTIONS", "/v1/commands", 405, "bad_method"),
        ("POST", "/v1/events", 405, "bad_method"),
        ("GET", "/v1/events?cp=C", 404, "unknown_cp"),
        ("GET", "/v1/events?station=A", 400, "bad_argument"),
        ("GET", "/v1/../etc/passwd", 404, "not_found"),
    ],
)
@on_both_loops
async def test_there_are_three_resources(method: str, path: str, status: int, error: str) -> None:
    async with serving() as rig:
        client = await rig.client()
        client.request(method, path)
        answered, reply = await client.response()
        assert (answered, reply["error"]) == (status, error)
        client.request("GET", "/v1/stations")
        assert await client.response() == (200, {"ok": True, "stations": [{"cp": "A"}, {"cp": "B"}]})


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost\x00: b\r\n\r\n",
        b"GET /%s HTTP/1.1\r\n\r\n" % (b"a" * 20_000),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: %s\r\n\r\n" % (b"a" * 20_000),
    ],
    ids=["tls", "zero", "long-line", "long-header"],
)
@on_both_loops
async def test_garbage_is_told_so_and_hurts_nobody(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as rig:
        client = await rig.client()
        client.send(garbage)
        status, reply = await client.response()
        assert (status, reply["error"]) == (400, "bad_request")
        assert (await (await rig.client()).ask({"cmd": "status"}))[0] == 200
    assert not caplog.records


@on_both_loops
async def test_commands_to_one_station_keep_their_order_and_do_not_hold_up_another() -> None:
    async with serving() as rig:
        first, second, other = [await rig.client() for _ in range(3)]
        first.post({"cmd": "wait", "cp": "A", "n": 1})
        await rig.stations.began.wait()
        second.post({"cmd": "status", "cp": "A", "n": 2})
        assert (await other.ask({"cmd": "status", "cp": "B", "n": 3}))[0] == 200
        assert rig.stations.ended == [3]
        rig.stations.go_on.set()
        assert (await second.response())[0] == (await first.response())[0] == 200
        assert rig.stations.ended == [3, 1, 2]


@on_both_loops
async def test_a_command_is_carried_out_although_its_client_hangs_up() -> None:
    async with serving() as rig:
        first, other = await rig.client(), await rig.client()
        first.post({"cmd": "wait", "cp": "A", "n": 1})
        await rig.stations.began.wait()
        first.writer.close()
        other.post({"cmd": "status", "cp": "A", "n": 2})
        rig.stations.go_on.set()
        assert (await other.response())[0] == 200
        assert rig.stations.ended == [1, 2]


@on_both_loops
async def test_shutdown_ends_after_its_reply_and_breaks_off_what_is_under_way() -> None:
    async with serving() as rig:
        first, later, second = [await rig.client() for _ in range(3)]
        first.post({"cmd": "wait", "cp": "A", "id": 1})
        await rig.stations.began.wait()
        later.post({"cmd": "status", "cp": "A", "id": 2})
        assert await second.ask({"cmd": "shutdown"}) == (200, {"ok": True, "n": 2})
        assert await rig.control.run() == "shutdown"
        for client, n in ((first, 1), (later, 2)):
            status, reply = await client.response()
            assert (status, reply["error"], reply["id"]) == (409, "bad_state", n)
        assert [command["cmd"] for command in rig.stations.commands] == ["wait", "shutdown"]


@on_both_loops
async def test_a_shutdown_that_is_refused_ends_nothing() -> None:
    async with serving() as rig:
        assert (await (await rig.client()).ask({"cmd": "shutdown", "cp": "A"}))[0] == 400
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rig.control.run(), 0.01)


# --- events -------------------------------------------------------------------------------------------


@on_both_loops
async def test_each_client_reads_what_it_asked_for_and_the_end() -> None:
    async with serving() as rig:
        all_of_them, only_a = await rig.client(), await rig.client()
        for client, query in ((all_of_them, ""), (only_a, "?cp=A")):
            ready = await client.listen(query)
            assert {"event": "ready", "t": "1970-01-01T00:00:00.000Z", "protocol": 1}.items() <= ready.items()
        assert rig.control.listens_to("B")
        for n, cp in enumerate("BAAB"):
            rig.control.emit({"event": "status", "cp": cp, "n": n})
        assert [(await all_of_them.event())["n"] for _ in range(4)] == [0, 1, 2, 3]
        assert [(await only_a.event())["n"] for _ in range(2)] == [1, 2]
        closing = asyncio.ensure_future(rig.control.close())
        rest = await all_of_them.reader.read()
        assert rest.endswith(b"0\r\n\r\n"), rest
        await closing


@on_both_loops
async def test_nobody_is_listened_for_once_a_client_is_gone() -> None:
    async with serving() as rig:
        client = await rig.client()
        await client.listen("?cp=A")
        assert (rig.control.listens_to("A"), rig.control.listens_to("B")) == (True, False)
        client.writer.close()
        while rig.control.listens_to("A"):
            await asyncio.sleep(0)
        assert rig.stations.audiences == 2


@on_both_loops
async def test_a_slow_reader_is_told_what_it_missed_and_goes_on() -> None:
    async with serving() as rig:
        slow, quick = await rig.client(), await rig.client()
        await slow.listen()
        await quick.listen()
        slow.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket's transport has it
        count, large = 60, "x" * 500_000
        for n in range(count):
            rig.control.emit({"event": "error", "n": n, "message": large})
            assert (await quick.event())["n"] == n
        slow.writer.transport.resume_reading()  # type: ignore[attr-defined]  # a socket's transport has it
        read: list[int] = []
        while (event := await slow.event())["event"] != "missed":
            read.append(event["n"])
        assert read == list(range(len(read)))
        assert 0 < event["count"] == count - len(read)
        rig.control.emit({"event": "error", "n": count})
        assert (await slow.event())["n"] == count


@on_both_loops
async def test_a_stream_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_stream, "KEEP_ALIVE_S", 0.01)
    async with serving() as rig:
        client = await rig.client()
        await client.listen()
        assert (await client.text()).startswith(b": ")


# --- who may, and how many ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "status"),
    [
        ("Bearer open-sesame", 200),
        ("bearer open-sesame", 200),
        ("", 401),
        ("Bearer open", 401),
        ("Bearer open-sesame-", 401),
        ("Basic open-sesame", 401),
        ("open-sesame", 401),
        ("Bearer öpen", 401),
    ],
)
@on_both_loops
async def test_a_token_must_be_shown_for_everything(shown: str, status: int) -> None:
    async with serving("open-sesame") as rig:
        client = await rig.client()
        assert (await client.ask({"cmd": "status"}, Authorization=shown))[0] == status
        assert len(rig.stations.commands) == (status == 200)
        for path in ("/v1/events", "/v1/stations", "/"):
            client = await rig.client()
            client.request("GET", path)
            answered, headers = await client.head()
            assert (answered, headers["www-authenticate"]) == (401, "bearer")


@on_both_loops
async def test_an_address_of_the_network_takes_any_host_for_there_is_a_token() -> None:
    async with serving("open-sesame", "0.0.0.0") as rig:
        client = await rig.client()
        told = {"Host": "station.example:8080", "Authorization": "Bearer open-sesame"}
        assert (await client.ask({"cmd": "status"}, **told))[0] == 200


@pytest.mark.parametrize("began", [b"", b"POST /v1/commands HTT", b"GET /v1/stations HTTP/1.1\r\nHost: l"])
@on_both_loops
async def test_who_takes_too_long_to_ask_is_let_go(began: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_WITHIN_S", 0.02)
    async with serving() as rig:
        client = await rig.client()
        client.send(began)
        assert await client.reader.read() == b""


@on_both_loops
async def test_who_is_served_may_take_longer_and_then_has_to_ask_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_WITHIN_S", 0.05)
    async with serving() as rig:
        while not rig.stations.began.is_set():  # a machine may be slower than that even with a request
            client = await rig.client()
            client.post({"cmd": "wait"})
            ended, began = asyncio.ensure_future(client.reader.read()), rig.stations.began
            served = asyncio.ensure_future(began.wait())
            await asyncio.wait({ended, served}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            served.cancel()
        await asyncio.sleep(0.1)
        rig.stations.go_on.set()
        assert (await client.response())[0] == 200
        assert await client.reader.read() == b""


@on_both_loops
async def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_WITHIN_S", 0.02)
    async with serving() as rig:
        client = await rig.client()
        client.request("POST", "/v1/commands", Content_Length="10")
        status, reply = await client.response()
        assert (status, reply["error"]) == (408, "too_slow")


@on_both_loops
async def test_one_client_too_many_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MAX_CLIENTS", 2)
    async with serving() as rig:
        first, second = await rig.client(), await rig.client()
        for client in (first, second):
            assert (await client.ask({"cmd": "status"}))[0] == 200
        status, reply = await (await rig.client()).response()
        assert (status, reply["error"]) == (503, "busy")
        first.writer.close()
        with contextlib.suppress(OSError):
            await first.writer.wait_closed()
        assert (await second.ask({"cmd": "status"}))[0] == 200
        assert (await (await rig.client()).ask({"cmd": "status"}))[0] == 200


@on_both_loops
async def test_listeners_never_keep_commands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_STREAMS", 1)
    async with serving() as rig:
        await (await rig.client()).listen()
        client = await rig.client()
        client.request("GET", "/v1/events")
        assert (await client.response())[1]["error"] == "busy"
        assert (await client.ask({"cmd": "status"}))[0] == 200


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.7", False),
        ("station.example", False),
        ("localhost.example", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
