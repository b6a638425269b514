"""Frames as bytes (RFC 6455 §5): however they are cut on their way, and however long they are."""

from __future__ import annotations

import asyncio
import base64
from typing import Any, cast

import pytest
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from chargepoint.domain.chance import draw
from chargepoint.link_settings import LinkSettings
from chargepoint.websocket import WebSocketConnection
from hal.clock import SteppedClock

URL = "ws://127.0.0.1:9/CP001"
LENGTHS = (0, 1, 2, 43, 125, 126, 127, 300, 65_535, 65_536, 70_000)


class Wire:
    """Both ends of a connection: ours, and the library's server, with bytes handed on by the test."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.binaries: list[bytes] = []
        self.ends: list[str] = []
        self.server = ServerProtocol(subprotocols=[Subprotocol("ocpp1.6")])
        self.connection = WebSocketConnection(
            self,
            LinkSettings(url=URL, identity="CP001"),
            parse_uri(URL),
            wire=SteppedClock(),
            max_size=2**20,
            pong_timeout_s=15,
        )
        self.connection.connection_made(cast(asyncio.BaseTransport, self))
        for event in self.server.events_received():
            assert isinstance(event, Request)
            self.key = event.headers["Sec-WebSocket-Key"]
            self.server.send_response(self.server.accept(event))

    def to_send(self) -> bytes:
        """What the server wants to say."""
        return b"".join(self.server.data_to_send())

    # --- asyncio.Transport --------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        self.server.receive_data(data)

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> Any:
        return None

    # --- websocket.ConnectionOwner ------------------------------------------------------------------

    def opened(self) -> None: ...

    def failed(self, error: Exception) -> None:
        raise error

    def lost(self, reason: str) -> None:
        self.ends.append(reason)

    def text_received(self, data: bytes) -> None:
        self.texts.append(data)

    def binary_received(self, data: bytes) -> None:
        self.binaries.append(data)


def opened() -> Wire:
    wire = Wire()
    wire.connection.data_received(wire.to_send())
    return wire


def test_every_handshake_has_a_key_of_its_own() -> None:
    """RFC 6455 §4.1: sixteen bytes that nobody can foretell."""
    keys = [Wire().key for _ in range(200)]
    assert len(set(keys)) == len(keys)
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


@pytest.mark.parametrize("length", LENGTHS)
def test_what_we_send_is_read_by_the_library(length: int) -> None:
    wire = opened()
    wire.connection.send_text(b"x" * length)
    [frame] = wire.server.events_received()
    assert isinstance(frame, Frame)
    assert (frame.opcode, frame.fin, frame.data) == (Opcode.TEXT, True, b"x" * length)


@pytest.mark.parametrize("seed", range(60))
def test_what_comes_is_whole_however_it_was_cut(seed: int) -> None:
    """Texts, binaries, fragments and pings, in pieces of any size, the end of the handshake included."""

    def chance(purpose: str, n: int) -> float:
        return draw(seed, "CP001", purpose, n)

    wire = Wire()
    texts: list[bytes] = []
    stream = wire.to_send()
    for n in range(20):
        kind = chance("kind", n)
        text = b"%d:" % n + b"y" * LENGTHS[int(chance("length", n) * (8 if n % 5 else len(LENGTHS)))]
        if kind < 0.6:
            wire.server.send_text(text)
        elif kind < 0.75:
            wire.server.send_text(text[: len(text) // 2], fin=False)
            wire.server.send_ping(b"between")
            wire.server.send_continuation(text[len(text) // 2 :], fin=True)
        elif kind < 0.9:
            wire.server.send_ping(b"hello")
            continue
        else:
            wire.server.send_binary(text)
            continue
        texts.append(text)
        whole = wire.to_send()
        if chance("apart", n) < 0.3:  # a piece of its own, as on a network with time
            _cut(wire, stream, chance)
            stream = b""
            wire.connection.data_received(whole)
        else:
            stream += whole
    _cut(wire, stream + wire.to_send(), chance)
    assert wire.texts == texts
    assert wire.ends == []


def _cut(wire: Wire, stream: bytes, chance: Any) -> None:
    at = n = 0
    while at < len(stream):
        size = 1 + int(chance(f"piece {len(stream)}", n) ** 3 * 200) * (1 if n % 3 else 50)
        wire.connection.data_received(stream[at : at + size])
        at, n = at + size, n + 1


@pytest.mark.parametrize(
    "frame",
    [b"\x81\xfe\x00\x01x", b"\x81\x81\x00\x00\x00\x00x", b"\xc1\x01x", b"\x80\x01x"],
    ids=["long masked head", "masked", "reserved bit", "continuation of nothing"],
)
def test_what_no_server_may_send_ends_the_connection(frame: bytes) -> None:
    wire = opened()
    wire.connection.data_received(frame)
    assert wire.texts == []
    assert len(wire.ends) == 1


@pytest.mark.parametrize("cut", range(2, 9))
def test_the_rest_of_a_message_may_look_like_a_whole_one(cut: int) -> None:
    wire = opened()
    text = b"abcd"[: cut - 2] + b"\x81\x03xyz"
    frame = bytes((0x81, len(text))) + text
    wire.connection.data_received(frame[:cut])
    wire.connection.data_received(frame[cut:])
    wire.connection.data_received(b"\x81\x02ok")
    assert wire.texts == [text, b"ok"]


def test_a_head_longer_than_needed_is_read_all_the_same() -> None:
    wire = opened()
    wire.connection.data_received(b"\x81\x7e\x00\x02hi")
    wire.connection.data_received(b"\x81\x03abc")
    assert wire.texts == [b"hi", b"abc"]
