"""How a connection ends and comes back: OCPP 1.6-J §5.4, §7 and RFC 6455 §7."""

from __future__ import annotations

import asyncio
import base64
import struct
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.utils import accept_key

from tests.integration.link_rig import PATIENCE_S, Csms, Rig, answering, play, rude_server, started


async def _handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The server's half of an opening handshake, by hand."""
    request = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    key = next(line.partition(": ")[2] for line in request if line.startswith("Sec-WebSocket-Key"))
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: ocpp1.6\r\n"
        b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n\r\n"
    )


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Opcode and payload of the next short frame from the station."""
    head = await asyncio.wait_for(reader.readexactly(6), PATIENCE_S)
    masked = await reader.readexactly(head[1] & 0x7F)
    return head[0] & 0x0F, bytes(byte ^ head[2 + at % 4] for at, byte in enumerate(masked))


def test_the_server_closes() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            await connection.close(1001, "maintenance")
            reason = await rig.listener.expect("down")
            assert "1001" in reason
            assert "maintenance" in reason
            assert connection.close_code == 1001
            assert rig.retry_in_s() == 3
            rig.retry()
            await rig.listener.expect("up")

    play(story())


def test_the_server_vanishes_without_a_close_frame() -> None:
    async def story() -> None:
        async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _handshake(reader, writer)

        async with rude_server(leave) as url, started(url) as rig:
            await rig.listener.expect("up")
            await rig.listener.expect("down")
            assert not rig.link.online
            assert rig.retry_in_s() == 3

    play(story())


def test_backoff_grows_while_connections_are_accepted_and_closed() -> None:
    """A server that accepts and closes must not be hammered."""

    async def story() -> None:
        async with rude_server(_handshake) as url, started(url) as rig:
            waits = []
            for _ in range(8):
                await rig.listener.expect("up")
                await rig.listener.expect("down")
                waits.append(rig.retry_in_s())
                rig.retry()
            assert waits == [3, 6, 12, 24, 48, 96, 96, 96]

    play(story())


def test_backoff_starts_again_after_an_answer() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            waits = []
            for survived in (False, False, True, False):
                await rig.listener.expect("up")
                if survived:
                    rig.link.survived()
                await (await csms.connection()).close()
                await rig.listener.expect("down")
                waits.append(rig.retry_in_s())
                rig.retry()
            assert waits == [3, 6, 3, 6]

    play(story())


def test_failures_count_until_something_survives() -> None:
    async def story() -> None:
        async with rude_server(answering(b"HTTP/1.1 503 Busy\r\n\r\n")) as url, started(url) as rig:
            counted = []
            for _ in range(3):
                counted.append((await rig.listener.expect("failed"))[2])
                rig.link.survived()  # says nothing without a connection
                rig.retry()
            assert counted == [1, 2, 3]

    play(story())


def test_drop_says_goodbye_and_comes_back() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            rig.link.drop(1000)
            assert not rig.link.online
            await rig.listener.expect("down")
            rig.link.send("[lost]")
            await connection.wait_closed()
            assert connection.close_code == 1000
            assert rig.retry_in_s() == 3
            rig.retry()
            await rig.listener.expect("up")

    play(story())


def test_a_pause_lasts_until_the_next_start() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            rig.link.pause()
            await rig.listener.expect("down")
            await connection.wait_closed()
            assert connection.close_code == 1000
            rig.link.reconnect()
            assert not rig.clock.held
            assert rig.clock.next_at() is None
            rig.link.start()
            await rig.listener.expect("up")

    play(story())


def test_close_is_for_good() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            rig.link.close()
            await rig.listener.expect("down")
            await rig.link.closed()
            await connection.wait_closed()
            assert connection.close_code == 1001
            assert rig.clock.next_at() is None
            rig.link.reconnect()
            rig.link.cut(True)
            rig.link.cut(False)
            assert not rig.clock.held

    play(story())


def test_close_does_not_wait_for_a_dead_server() -> None:
    async def story() -> None:
        async def never_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _handshake(reader, writer)
            await reader.read()

        async with rude_server(never_close) as url, started(url) as rig:
            await rig.listener.expect("up")
            rig.link.close()
            ending = asyncio.ensure_future(rig.link.closed())
            await asyncio.sleep(0)
            assert not ending.done()
            rig.wire.advance(5)
            await asyncio.wait_for(ending, PATIENCE_S)

    play(story())


def test_the_next_connection_waits_for_the_end_of_the_last() -> None:
    """A server would take two connections of one identity for an intruder."""

    async def story() -> None:
        accepted: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

        async def never_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.put_nowait(writer)
            await _handshake(reader, writer)
            await reader.read()

        async with rude_server(never_close) as url, started(url) as rig:
            await rig.listener.expect("up")
            first = await accepted.get()
            rig.link.reconnect()
            await rig.listener.expect("down")
            for _ in range(50):
                await asyncio.sleep(0)
            # A server takes connections in order: were the link's second one under way, it would come first.
            _, probe = await asyncio.open_connection(*url.split("/")[2].split(":"))
            second = await accepted.get()
            assert second.get_extra_info("peername") == probe.get_extra_info("sockname")
            assert rig.clock.held
            probe.close()
            first.close()
            await rig.listener.expect("up")

    play(story())


def test_a_cut_also_ends_a_goodbye() -> None:
    async def story() -> None:
        rest: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def keep(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _handshake(reader, writer)
            await _frame(reader)
            rest.set_result(None)
            with pytest.raises(ConnectionResetError):
                await reader.read()

        async with rude_server(keep) as url, started(url) as rig:
            await rig.listener.expect("up")
            rig.link.drop()
            await rest
            rig.link.cut(True)
            await asyncio.wait_for(rig.link.closed(), PATIENCE_S)

    play(story())


def test_a_server_that_closes_halfway_is_not_waited_for() -> None:
    """It sends its close frame and keeps the TCP connection."""

    async def story() -> None:
        gone = asyncio.Event()

        async def half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _handshake(reader, writer)
            writer.write(b"\x88\x02" + struct.pack("!H", 1000))
            assert await _frame(reader) == (8, struct.pack("!H", 1000))
            try:
                await reader.read()
            finally:
                gone.set()

        async with rude_server(half_close) as url, started(url) as rig:
            await rig.listener.expect("up")
            await rig.listener.expect("down")
            rig.wire.advance(5)
            await asyncio.wait_for(gone.wait(), PATIENCE_S)

    play(story())


@pytest.mark.parametrize("way", ["cut", "abort"])
def test_a_cut_cable_sends_no_close_frame(way: str) -> None:
    async def story() -> None:
        rest: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _handshake(reader, writer)
            try:
                rest.set_result(await reader.read())
            except ConnectionResetError as error:
                rest.set_result(error)

        async with rude_server(watch) as url, started(url) as rig:
            await rig.listener.expect("up")
            if way == "cut":
                rig.link.cut(True)
            else:
                rig.link.abort("test")
            event, _ = rig.listener.events.get_nowait()
            assert event == "down"
            assert isinstance(await asyncio.wait_for(rest, PATIENCE_S), ConnectionResetError)
            assert rig.retry_in_s() == (None if way == "cut" else 3)

    play(story())


def test_the_network_stays_cut_until_given_back() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            rig.link.cut(True)
            await rig.listener.expect("down")
            rig.link.reconnect()
            rig.link.cut(True)
            assert not rig.clock.held
            assert rig.clock.next_at() is None
            rig.link.cut(False)
            assert rig.clock.held
            await rig.listener.expect("up")
            assert not rig.clock.held

    play(story())


def test_a_cut_ends_an_attempt_under_way() -> None:
    async def story() -> None:
        reached = asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            reached.set()
            await reader.read()

        async with rude_server(say_nothing) as url, started(url) as rig:
            rig.link.cut(True)  # before anything was tried
            assert not rig.clock.held
            rig.link.cut(False)
            await reached.wait()
            assert rig.clock.held
            rig.link.cut(True)  # amid the handshake
            assert not rig.clock.held
            rig.wire.advance(60)
            assert rig.listener.events.empty()

    play(story())


def test_reconnect_takes_new_settings_at_once() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            old = await csms.connection()
            new = Rig(csms.url + "?new", security_profile=1, password=b"new").settings
            rig.link.reconnect(new)
            await rig.listener.expect("down")
            await rig.listener.expect("up")
            await old.wait_closed()
            assert old.close_code == 1000
            assert rig.link.settings is new
            assert csms.requests[1].path == "/ocpp/CP1?new"
            sent = csms.requests[1].headers["Authorization"].removeprefix("Basic ")
            assert base64.b64decode(sent) == b"CP1:new"

    play(story())


def test_reconnect_does_not_wait_for_the_backoff() -> None:
    async def story() -> None:
        refusals = 2

        class Busy(Csms):
            def _request(self, connection: ServerConnection, request: Any) -> Any:
                super()._request(connection, request)
                busy = len(self.requests) <= refusals
                return connection.respond(503, "busy") if busy else None

        async with Busy() as csms, started(csms.url) as rig:
            await rig.listener.expect("failed")
            rig.link.reconnect()
            _, _, attempts = await rig.listener.expect("failed")
            assert attempts == 1
            rig.link.reconnect()
            await rig.listener.expect("up")
            assert rig.clock.next_at() is None

    play(story())


def test_pings_and_pongs() -> None:
    async def story() -> None:
        heard: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        answers = True

        async def pong(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _handshake(reader, writer)
            while True:
                heard.put_nowait(await _frame(reader))
                if answers:
                    writer.write(b"\x8a\x00\x81\x01a")  # the text tells the test that the pong came

        async with rude_server(pong) as url, started(url) as rig:
            rig.link.set_ping_interval(60)
            await rig.listener.expect("up")
            for _ in range(3):
                rig.wire.advance(60)
                assert await heard.get() == (9, b"")
                await rig.listener.expect("text")
            rig.link.set_ping_interval(10)  # at once, on the open connection
            rig.wire.advance(10)
            assert await heard.get() == (9, b"")
            await rig.listener.expect("text")
            answers = False
            rig.wire.advance(10)
            assert await heard.get() == (9, b"")
            rig.wire.advance(14)
            assert rig.link.online
            rig.wire.advance(1)
            assert "pong" in await rig.listener.expect("down")
            assert rig.retry_in_s() == 3

    play(story())


def test_an_interval_of_zero_sends_no_pings() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            assert rig.wire.next_at() is None
            rig.link.set_ping_interval(30)
            assert rig.wire.next_at() == rig.wire.now() + 30
            rig.link.set_ping_interval(0)
            assert rig.wire.next_at() is None

    play(story())
