"""Messages and control frames on an open connection: RFC 6455 §5 and §7, OCPP 1.6-J §5.1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from tests.integration.link_rig import PATIENCE_S, Csms, Listener, Rig, play, started

LIMIT = 2**20  # max_size of the rig


def _frame(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=False)


def _write(connection: Any, *frames: bytes) -> None:
    """Bytes past the server library's own checks."""
    connection.transport.write(b"".join(frames))


@pytest.mark.parametrize("text", ["[]", b"[]", "ü" * 40_000], ids=["str", "bytes", "80-kB"])
def test_text_both_ways(text: str | bytes) -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            expected = text.encode() if isinstance(text, str) else text
            await connection.send(expected, text=True)
            assert await rig.listener.expect("text") == expected

    play(story())


def test_frames_sent_are_text_in_order() -> None:
    async def story() -> None:
        heard: asyncio.Queue[str | bytes] = asyncio.Queue()

        class Hearing(Csms):
            async def _serve(self, connection: Any) -> None:
                async for message in connection:
                    heard.put_nowait(message)

        async with Hearing() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            touches = rig.clock.touches
            for message in ("[1]", b"[2]", "[3]"):
                rig.link.send(message)
            assert [await heard.get() for _ in range(3)] == ["[1]", "[2]", "[3]"]
            assert rig.clock.touches == touches + 3

    play(story())


@pytest.mark.parametrize(
    ("frames", "kind", "expected"),
    [
        pytest.param(
            [_frame(Opcode.TEXT, b"[2,", False), _frame(Opcode.CONT, b"", False), _frame(Opcode.CONT, b"3]")],
            "text",
            b"[2,3]",
            id="fragments",
        ),
        pytest.param(
            [
                _frame(Opcode.TEXT, "[ü".encode()[:2], False),
                _frame(Opcode.PING, b"a"),
                _frame(Opcode.CONT, "ü".encode()[1:], False),
                _frame(Opcode.PONG, b""),
                _frame(Opcode.CONT, b"]"),
            ],
            "text",
            "[ü]".encode(),
            id="control-frames-between-halves-of-a-character",
        ),
        pytest.param([_frame(Opcode.BINARY, b"\x00\x01")], "binary", b"\x00\x01", id="binary"),
        pytest.param(
            [_frame(Opcode.BINARY, b"\x00", False), _frame(Opcode.CONT, b"\x01")],
            "binary",
            b"\x00\x01",
            id="binary-fragments",
        ),
        pytest.param(
            [_frame(Opcode.TEXT, b"\xff\xfe")], "text", b"\xff\xfe", id="not-utf-8-is-not-judged-here"
        ),
        pytest.param([_frame(Opcode.TEXT, b"")], "text", b"", id="empty"),
        pytest.param([_frame(Opcode.TEXT, b"a" * LIMIT)], "text", b"a" * LIMIT, id="as-long-as-allowed"),
    ],
)
def test_messages_are_put_together(frames: list[bytes], kind: str, expected: bytes) -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            touches = rig.clock.touches
            _write(await csms.connection(), *frames)
            assert await rig.listener.expect(kind) == expected
            assert rig.clock.touches == touches + 1
            assert rig.link.online

    play(story())


def test_bytes_that_come_one_by_one() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            for byte in _frame(Opcode.TEXT, b"[2,", False) + _frame(Opcode.CONT, b"3]"):
                _write(connection, bytes([byte]))
                await asyncio.sleep(0)
            assert await rig.listener.expect("text") == b"[2,3]"

    play(story())


def test_pings_are_answered() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            await asyncio.wait_for(await connection.ping(b"there?"), PATIENCE_S)

    play(story())


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param([_frame(Opcode.TEXT, b"a" * (LIMIT + 1))], 1009, id="message-too-long"),
        pytest.param(
            [_frame(Opcode.TEXT, b"a" * LIMIT, False), _frame(Opcode.CONT, b"a", False)],
            1009,
            id="fragments-too-long-together",
        ),
        pytest.param([_frame(Opcode.CONT, b"a")], 1002, id="continuation-of-nothing"),
        pytest.param([b"\x83\x00"], 1002, id="reserved-opcode"),
        pytest.param([b"\xc1\x00"], 1002, id="reserved-bit"),
        pytest.param([b"\x81\x80\x00\x00\x00\x00"], 1002, id="masked-by-the-server"),
        pytest.param([b"\x88\x01\x03"], 1002, id="close-frame-of-one-byte"),
    ],
)
def test_broken_rules_close_the_connection(frames: list[bytes], code: int) -> None:
    """RFC 6455 §7.1.7; the station comes back."""

    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            _write(connection, *frames)
            await rig.listener.expect("down")
            await connection.wait_closed()
            assert connection.close_code == code
            rig.retry()
            await rig.listener.expect("up")

    play(story())


class _Failing(Listener):
    """A listener that makes a mistake in one of its methods."""

    def __init__(self, failing: str) -> None:
        super().__init__()
        self._failing = failing

    def _maybe_fail(self, name: str) -> None:
        if name == self._failing:
            raise RuntimeError(name)

    def link_up(self) -> None:
        super().link_up()
        self._maybe_fail("link_up")

    def link_down(self, reason: str) -> None:
        super().link_down(reason)
        self._maybe_fail("link_down")

    def frame_received(self, data: bytes) -> None:
        super().frame_received(data)
        self._maybe_fail("frame_received")


@pytest.mark.parametrize("failing", ["link_up", "frame_received", "link_down"])
def test_a_listener_that_fails_is_seen_and_survived(failing: str) -> None:
    async def story() -> None:
        seen: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: seen.append(str(told["exception"])))
        async with Csms() as csms:
            rig = Rig(csms.url)
            rig.listener = rig.link._listener = _Failing(failing)
            rig.link.start()
            await rig.listener.expect("up")
            connection = await csms.connection()
            _write(connection, _frame(Opcode.TEXT, b"[1]"), _frame(Opcode.TEXT, b"[2]"))
            assert await rig.listener.expect("text") == b"[1]"
            assert await rig.listener.expect("text") == b"[2]"
            assert rig.link.online
            assert not rig.clock.held
            rig.link.close()
            await rig.listener.expect("down")
            await rig.link.closed()
        assert seen
        assert set(seen) == {failing}

    play(story())


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda rig: rig.link.drop(), id="drop"),
        pytest.param(lambda rig: rig.link.abort("test"), id="abort"),
        pytest.param(lambda rig: rig.link.cut(True), id="cut"),
        pytest.param(lambda rig: rig.link.close(), id="close"),
    ],
)
def test_nothing_is_delivered_after_the_end(end: Callable[[Rig], None]) -> None:
    """The second of two messages in one packet is lost when the first one ends the connection."""

    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:

            class Ending(Listener):
                def frame_received(self, data: bytes) -> None:
                    super().frame_received(data)
                    end(rig)

            await rig.listener.expect("up")
            rig.listener = rig.link._listener = Ending()
            _write(await csms.connection(), _frame(Opcode.TEXT, b"[1]"), _frame(Opcode.TEXT, b"[2]"))
            assert await rig.listener.expect("text") == b"[1]"
            await rig.listener.expect("down")
            await rig.link.closed()
            assert rig.listener.events.empty()

    play(story())
