"""The control protocol over stdin and stdout: commands in order, one reply each (control.md, version 1)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from chargepoint.control.stdio import MAX_LINE, StdioControl

Lines = list[dict[str, Any]]


class Refused(Exception):
    """As an action refuses: with a code of the protocol."""

    code = "bad_state"


class Station:
    """What stands behind the control: it notes commands and answers by a few rules."""

    def __init__(self) -> None:
        self.commands: Lines = []
        self.go_on = asyncio.Event()

    def perform(self, command: dict[str, Any]) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        self.commands.append(command)
        match command.get("cmd"):
            case "wait":
                return self._wait()
            case "refuse":
                raise Refused("no vehicle is plugged in")
            case "break":
                raise ZeroDivisionError("division by zero")
            case "unwritable":
                return {"value": object()}
        return {"n": len(self.commands)}

    async def _wait(self) -> dict[str, Any]:
        await self.go_on.wait()
        return {"waited": True}


def lines_of(text: bytes) -> Lines:
    assert text.endswith(b"\n") or not text
    return [json.loads(line) for line in text.splitlines()]


def read_all(descriptor: int) -> bytes:
    """Everything up to the end of a pipe."""
    parts = []
    while part := os.read(descriptor, 1 << 16):
        parts.append(part)
    return b"".join(parts)


class Pipes:
    """A control between two real pipes, and the far ends of both."""

    def __init__(self) -> None:
        self.station = Station()
        stdin, self.input = os.pipe()
        self.output, stdout = os.pipe()
        self._near = [stdin, stdout]
        self._far = {self.input, self.output}
        self.control = StdioControl(self.station.perform, stdin, stdout)
        self.task = asyncio.create_task(self.control.run())

    def write(self, text: bytes | str) -> None:
        os.write(self.input, text.encode() if isinstance(text, str) else text)

    def end(self, descriptor: int) -> None:
        self._far.discard(descriptor)
        os.close(descriptor)

    async def line(self) -> dict[str, Any]:
        """The next line written, read byte by byte so that nothing behind it is taken."""
        text = b""
        while not text.endswith(b"\n"):
            text += await asyncio.to_thread(os.read, self.output, 1)
        return lines_of(text)[0]

    async def rest(self) -> Lines:
        """Everything not yet read, once the control has let go."""
        reading = asyncio.create_task(asyncio.to_thread(read_all, self.output))
        await self.control.close()
        for descriptor in self._near:
            os.close(descriptor)
        self._near = []
        return lines_of(await reading)

    async def close(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.control.close(timeout_s=0.0)
        for descriptor in [*self._near, *self._far]:
            os.close(descriptor)


@contextlib.asynccontextmanager
async def piped() -> AsyncIterator[Pipes]:
    pipes = Pipes()
    try:
        yield pipes
    finally:
        await pipes.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a story on either event loop."""

    def runner(story: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            await story()

        factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(main())

    return runner


Run = Callable[[Callable[[], Awaitable[None]]], None]


def test_each_command_is_answered_in_order_and_the_end_of_input_ends_it(run: Run) -> None:
    async def story() -> None:
        async with piped() as pipes:
            pipes.write(
                '{"cmd":"plug_in","connector":1,"id":"a"}\n{"cmd":"refuse","id":[1]}\n\n{"cmd":"status"}'
            )
            pipes.end(pipes.input)
            assert await pipes.task == "eof"
            assert await pipes.rest() == [
                {"ok": True, "n": 1, "id": "a"},
                {"ok": False, "error": "bad_state", "message": "no vehicle is plugged in", "id": [1]},
                {"ok": True, "n": 3},
            ]
            assert pipes.station.commands[0] == {"cmd": "plug_in", "connector": 1}

    run(story)


def test_a_command_waits_for_the_one_before_it(run: Run) -> None:
    async def story() -> None:
        async with piped() as pipes:
            pipes.write('{"cmd":"wait","id":1}\n{"cmd":"status","id":2}\n')
            pipes.end(pipes.input)
            while not pipes.station.commands:
                await asyncio.sleep(0)
            pipes.control.emit({"event": "status"})
            assert await pipes.line() == {"event": "status"}
            assert len(pipes.station.commands) == 1
            pipes.station.go_on.set()
            assert await pipes.task == "eof"
            assert [reply["id"] for reply in await pipes.rest()] == [1, 2]

    run(story)


def test_a_conversation_over_open_pipes(run: Run) -> None:
    async def story() -> None:
        async with piped() as pipes:
            pipes.control.emit({"event": "ready"})
            assert await pipes.line() == {"event": "ready"}
            pipes.write('{"cmd":"sta')
            pipes.control.emit({"event": "status"})
            assert await pipes.line() == {"event": "status"}
            pipes.write('tus"}\n')
            assert await pipes.line() == {"ok": True, "n": 1}
            pipes.write('{"cmd":"shutdown","id":9}\n{"cmd":"status"}\n')
            assert await pipes.task == "shutdown"
            pipes.control.emit({"event": "connection", "online": False})
            assert await pipes.rest() == [
                {"ok": True, "n": 2, "id": 9},
                {"event": "connection", "online": False},
            ]
            assert len(pipes.station.commands) == 2

    run(story)


def test_stop_ends_a_control_that_waits_for_input(run: Run) -> None:
    async def story() -> None:
        async with piped() as pipes:
            pipes.write('{"cmd":"status"}\n')
            await pipes.line()
            pipes.control.stop()
            assert await pipes.task == "shutdown"

    run(story)


NOT_COMMANDS = {
    "not-json": (b"status", "not JSON"),
    "cut-off": (b'{"cmd":', "not JSON"),
    "not-an-object": (b'["status"]', "a command is a JSON object"),
    "not-utf-8": (b'{"cmd":"\xff"}', "not UTF-8: invalid start byte at byte 8"),
    "not-a-number": (b'{"cmd":NaN}', "NaN is not a JSON number"),
    "too-deep": (b"[" * 200_000, "nested too deeply"),
    "integer-of-5000-digits": (b'{"id":' + b"1" * 5000 + b"}", "not JSON"),
}


@pytest.mark.parametrize(("text", "message"), NOT_COMMANDS.values(), ids=NOT_COMMANDS)
def test_what_is_no_command_is_refused_and_the_next_one_served(run: Run, text: bytes, message: str) -> None:
    async def story() -> None:
        async with piped() as pipes:
            writing = asyncio.create_task(asyncio.to_thread(pipes.write, text + b'\n{"cmd":"status"}\n'))
            refused = await pipes.line()
            assert (refused["ok"], refused["error"]) == (False, "bad_json")
            assert message in refused["message"]
            assert await pipes.line() == {"ok": True, "n": 1}
            await writing

    run(story)


@pytest.mark.parametrize("length", [MAX_LINE, MAX_LINE + 1, MAX_LINE + 200_000])
def test_a_line_may_be_16_mib_long(run: Run, length: int) -> None:
    async def story() -> None:
        async with piped() as pipes:
            command = b'{"cmd":"x"}'.ljust(length)
            writing = asyncio.create_task(asyncio.to_thread(write_all, pipes.input, command + b"\n{}\n"))
            reply = await pipes.line()
            assert reply == {"ok": True, "n": 1} if length <= MAX_LINE else reply["error"] == "bad_json"
            assert (await pipes.line())["ok"]
            await writing

    run(story)


def write_all(descriptor: int, text: bytes) -> None:
    while text:
        text = text[os.write(descriptor, text) :]


@pytest.mark.parametrize(
    "id_text", ["null", "0", "-1.5", '"é"', "{}", '[1,{"a":null}]', str(2**80), '"\\ud800"'], ids=str
)
def test_any_json_value_is_echoed_as_id(run: Run, id_text: str) -> None:
    async def story() -> None:
        async with piped() as pipes:
            pipes.write(f'{{"cmd":"status","id":{id_text}}}\r\n')
            assert await pipes.line() == {"ok": True, "n": 1, "id": json.loads(id_text)}

    run(story)


def test_a_byte_order_mark_before_the_first_command_is_fine(run: Run) -> None:
    async def story() -> None:
        async with piped() as pipes:
            pipes.write('\ufeff{"cmd":"status"}\n')
            assert (await pipes.line())["ok"]

    run(story)


@pytest.mark.parametrize("command", ["break", "unwritable"])
def test_an_unexpected_exception_is_an_internal_error_and_not_the_end(
    run: Run, command: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with piped() as pipes:
            pipes.write(f'{{"cmd":"{command}","id":7}}\n{{"cmd":"status"}}\n')
            failed = await pipes.line()
            assert (failed["ok"], failed["error"], failed["id"]) == (False, "internal", 7)
            assert failed["message"]
            assert (await pipes.line())["ok"]

    with caplog.at_level(logging.ERROR):
        run(story)
    assert len(caplog.records) == 1


def test_a_slow_reader_blocks_nothing_and_loses_nothing(run: Run) -> None:
    async def story() -> None:
        async with piped() as pipes:
            for number in range(20_000):
                pipes.control.emit({"event": "limit", "n": number, "padding": "x" * 100})
                if number % 1000 == 0:
                    await asyncio.sleep(0)
            pipes.write('{"cmd":"status"}\n')
            while not pipes.station.commands:  # commands are served although nobody reads
                await asyncio.sleep(0)
            pipes.end(pipes.input)
            assert await pipes.task == "eof"
            *events, reply = await pipes.rest()
            assert [event["n"] for event in events] == list(range(20_000))
            assert reply == {"ok": True, "n": 1}

    run(story)


def test_a_reader_that_is_gone_ends_it(run: Run) -> None:
    async def story() -> None:
        async with piped() as pipes:
            pipes.control.emit({"event": "ready"})
            await pipes.line()
            pipes.end(pipes.output)
            pipes.control.emit({"event": "status"})
            assert await pipes.task == "broken_pipe"
            pipes.control.emit({"event": "status"})
            await pipes.control.close()

    run(story)


def test_close_gives_a_reader_that_never_comes_no_more_than_its_time(run: Run) -> None:
    async def story() -> None:
        async with piped() as pipes:
            pipes.control.emit({"padding": "x" * 1_000_000})
            await pipes.control.close(timeout_s=0.01)
            assert await pipes.task == "shutdown"

    run(story)


def test_what_others_have_open_stays_blocking(run: Run) -> None:
    async def story() -> None:
        stdin, far_input = os.pipe()
        far_output, stdout = os.pipe()
        control = StdioControl(Station().perform, stdin, stdout)
        control.emit({"padding": "x" * 1_000_000})
        task = asyncio.create_task(control.run())
        await asyncio.to_thread(os.read, far_output, 1)
        assert [os.get_blocking(descriptor) for descriptor in (stdin, stdout)] == [True, True]
        os.close(far_input)
        await task
        await control.close(timeout_s=0.0)
        for descriptor in (stdin, far_output, stdout):
            os.close(descriptor)

    run(story)


def test_a_socket_serves_as_both(run: Run) -> None:
    async def story() -> None:
        near, far = socket.socketpair()
        control = StdioControl(Station().perform, near.fileno(), near.fileno())
        task = asyncio.create_task(control.run())
        far.sendall(b'{"cmd":"status"}\n')
        assert await asyncio.to_thread(far.recv, 100) == b'{"ok":true,"n":1}\n'
        far.shutdown(socket.SHUT_WR)
        assert await task == "eof"
        await control.close()
        assert near.getblocking()
        assert os.get_blocking(near.fileno())
        near.close()
        far.close()

    run(story)


def test_a_terminal_serves_as_both(run: Run) -> None:
    async def story() -> None:
        far, near = os.openpty()
        control = StdioControl(Station().perform, near, near)
        task = asyncio.create_task(control.run())
        os.write(far, b'{"cmd":"status"}\n')
        seen = b""
        while b'"n":1}\r\n' not in seen:  # after the echo of what was typed
            seen += await asyncio.to_thread(os.read, far, 100)
        os.write(far, b"\x04")
        assert await task == "eof"
        assert os.get_blocking(near)
        await control.close()
        os.close(near)
        os.close(far)

    run(story)


def test_files_serve_as_both(run: Run, tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "in").write_text('{"cmd":"status"}\n' * 5000)
        with (tmp_path / "in").open("rb") as source, tempfile.TemporaryFile() as target:
            control = StdioControl(Station().perform, source.fileno(), target.fileno())
            assert await control.run() == "eof"
            await control.close()
            target.seek(0)
            assert [reply["n"] for reply in lines_of(target.read())] == list(range(1, 5001))

    run(story)


def test_dev_null_is_an_input_that_has_ended(run: Run) -> None:
    async def story() -> None:
        with open("/dev/null", "r+b", buffering=0) as null:
            control = StdioControl(Station().perform, null.fileno(), null.fileno())
            control.emit({"event": "ready"})
            assert await control.run() == "eof"
            await control.close()

    run(story)


def test_a_full_disk_behind_the_output_ends_it(run: Run) -> None:
    async def story() -> None:
        stdin, far_input = os.pipe()
        with open("/dev/full", "wb", buffering=0) as full:
            control = StdioControl(Station().perform, stdin, full.fileno())
            control.emit({"event": "ready"})
            assert await control.run() == "broken_pipe"
            await control.close()
        os.close(stdin)
        os.close(far_input)

    run(story)
