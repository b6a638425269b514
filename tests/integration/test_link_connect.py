"""Opening a connection and failing to: OCPP 1.6-J §3.1, §3.2, §6.2 and RFC 6455 §4."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.utils import accept_key

from tests.integration.link_rig import Csms, Rig, Rude, answering, play, rude_server, started


def test_what_is_asked_for() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url) as rig:
            await rig.listener.expect("up")
            assert rig.link.online
            request = csms.requests[0]
            assert request.path == "/ocpp/CP1"
            assert request.headers["Sec-WebSocket-Protocol"] == "ocpp1.6"
            assert "Sec-WebSocket-Extensions" not in request.headers

    play(story())


@pytest.mark.parametrize(
    ("profile", "password", "expected"),
    [
        pytest.param(0, b"secret", None, id="profile-0-none"),
        pytest.param(1, b"secret", b"CP 1:secret", id="profile-1"),
        pytest.param(1, b"\x00\xff:", b"CP 1:\x00\xff:", id="any-bytes"),
        pytest.param(1, None, None, id="no-password-yet"),
    ],
)
def test_basic_auth(profile: int, password: bytes | None, expected: bytes | None) -> None:
    async def story() -> None:
        async with (
            Csms() as csms,
            started(csms.url, identity="CP 1", security_profile=profile, password=password) as rig,
        ):
            await rig.listener.expect("up")
            sent = csms.requests[0].headers.get("Authorization")
            assert (sent and base64.b64decode(sent.removeprefix("Basic "))) == expected

    play(story())


def test_secrets_stay_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Neither headers nor frames are logged: a frame may carry a new AuthorizationKey."""

    async def story() -> None:
        csms = Csms()
        csms.quiet = True
        async with csms, started(csms.url, security_profile=1, password=b"secret") as rig:
            await rig.listener.expect("up")
            rig.link.send('["another secret"]')
            rig.link.drop()
            await (await csms.connection()).wait_closed()

    with caplog.at_level(logging.DEBUG):
        play(story())
    assert "secret" not in caplog.text
    assert base64.b64encode(b"CP1:secret").decode() not in caplog.text


def _http(status_line: str, *headers: str, body: str = "") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status_line}", *headers, "", body]).encode()


async def _close_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


_WITHOUT_ACCEPT = _http("101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")


@pytest.mark.parametrize(
    ("behave", "kind"),
    [
        pytest.param(answering(_http("401 Unauthorized")), "unauthorized", id="401"),
        pytest.param(
            answering(_http("401 Unauthorized", "Content-Length: 900"), then_wait=True),
            "unauthorized",
            id="401-body-never-comes",
        ),
        pytest.param(answering(_http("403 Forbidden")), "unauthorized", id="403"),
        pytest.param(answering(_http("404 Not Found", body="<html>")), "not_found", id="404"),
        pytest.param(answering(b"HTTP/1.0 404 Not Found\r\n\r\n"), "not_found", id="404-http-1.0"),
        pytest.param(answering(_http("500 Oops")), "server_error", id="500"),
        pytest.param(answering(_http("503 Service Unavailable")), "server_error", id="503"),
        pytest.param(answering(_http("200 OK", body="hello")), "not_websocket", id="200"),
        pytest.param(answering(_http("400 Bad Request")), "not_websocket", id="400"),
        pytest.param(
            answering(_http("400 Bad Request", body="The plain HTTP request was sent to HTTPS port")),
            "wss_needed",
            id="400-of-a-tls-port",
        ),
        pytest.param(answering(b"\x15\x03\x03\x00\x02\x02\x46"), "wss_needed", id="tls-alert"),
        pytest.param(answering(b"SSH-2.0-OpenSSH_9.6\r\n", then_wait=True), "not_websocket", id="ssh"),
        pytest.param(answering(b"\x00" * 40, then_wait=True), "not_websocket", id="rubbish"),
        pytest.param(
            answering(b"HTTP/1.1 " + b"a" * 70_000, then_wait=True), "not_websocket", id="endless-head"
        ),
        pytest.param(answering(b"HTTP/1."), "closed", id="closes-amid-head"),
        pytest.param(answering(b""), "closed", id="closes-after-request"),
        pytest.param(_close_at_once, "closed", id="closes-at-once"),
        pytest.param(
            answering(_WITHOUT_ACCEPT, then_wait=True), "not_websocket", id="101-without-accept-key"
        ),
        pytest.param(
            answering(_http("302 Found", "Location: http://elsewhere.example/")), "redirect", id="other-host"
        ),
        pytest.param(answering(_http("302 Found")), "redirect", id="redirect-to-nowhere"),
    ],
)
def test_failed_handshakes(behave: Rude, kind: str) -> None:
    async def story() -> None:
        async with rude_server(behave) as url, started(url) as rig:
            assert rig.clock.held
            got, message, attempts = await rig.listener.expect("failed")
            assert (got, attempts) == (kind, 1), message
            assert not rig.clock.held
            assert rig.retry_in_s() == 3

    play(story())


@pytest.mark.parametrize("chosen", [None, "ocpp2.0.1"], ids=["none", "another"])
def test_a_server_must_choose_ocpp16(chosen: str | None) -> None:
    """OCPP 1.6-J §3.2."""

    async def story() -> None:
        def protocol(request: Request) -> Response | None:
            if chosen:
                request.headers["Sec-WebSocket-Protocol"] = chosen
            return None

        csms = Csms()
        csms.subprotocols = None
        async with csms, started(csms.url) as rig:
            kind, *_ = await rig.listener.expect("failed")
            assert kind == "subprotocol"
            connection = await csms.connection()
            await connection.wait_closed()
            assert connection.close_code == 1002

    play(story())


def test_nobody_listens() -> None:
    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        async with started(f"ws://127.0.0.1:{port}/CP1") as rig:
            kind, message, _ = await rig.listener.expect("failed")
            assert kind == "refused"
            assert f"127.0.0.1:{port}" in message

    play(story())


def test_a_name_that_cannot_exist() -> None:
    async def story() -> None:
        async with started("ws://a..b/CP1") as rig:
            kind, *_ = await rig.listener.expect("failed")
            assert kind == "name"

    play(story())


def test_a_server_that_says_nothing() -> None:
    async def story() -> None:
        reached = asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            reached.set()
            await reader.read()

        async with rude_server(say_nothing) as url, started(url) as rig:
            await reached.wait()
            rig.wire.advance(19)
            assert rig.clock.held
            rig.wire.advance(1)
            kind, message, _ = await rig.listener.expect("failed")
            assert kind == "timeout"
            assert "handshake" in message
            assert not rig.clock.held
            assert rig.clock.lost_s == 20

    play(story())


def test_tls_profiles_refuse_plain_text_before_connecting() -> None:
    async def story() -> None:
        async with Csms() as csms, started(csms.url, security_profile=2, password=b"x") as rig:
            kind, *_ = await rig.listener.expect("failed")
            assert kind == "wss_needed"
            assert csms.requests == []

    play(story())


def test_one_redirect_on_the_same_host_is_followed() -> None:
    async def story() -> None:
        async with Csms() as csms:
            target = csms.url.replace("ws:", "http:").replace("/ocpp/", "/moved/")
            moved = _http("307 Temporary Redirect", f"Location: {target}", "Content-Length: 0")
            async with rude_server(answering(moved)) as url, started(url) as rig:
                await rig.listener.expect("up")
                assert csms.requests[0].path == "/moved/CP1"
                assert rig.link.settings.url == url

    play(story())


def test_a_second_redirect_is_not() -> None:
    async def story() -> None:
        async with Csms() as csms:
            csms.answer = lambda _: Response(302, "Found", Headers(Location="/again"))
            async with started(csms.url) as rig:
                kind, message, _ = await rig.listener.expect("failed")
                assert kind == "redirect"
                assert "/again" in message
                assert len(csms.requests) == 2
                assert not rig.clock.held

    play(story())


def test_a_message_on_the_heels_of_the_handshake() -> None:
    async def story() -> None:
        async def both_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            key = next(line for line in request.decode().splitlines() if "Sec-WebSocket-Key" in line)
            writer.write(
                _http(
                    "101 Switching Protocols",
                    "Upgrade: websocket",
                    "Connection: Upgrade",
                    "Sec-WebSocket-Protocol: ocpp1.6",
                    f"Sec-WebSocket-Accept: {accept_key(key.split(': ')[1])}",
                )
                + b"\x81\x02[]"
            )
            await reader.read()

        async with rude_server(both_at_once) as url, started(url) as rig:
            await rig.listener.expect("up")
            assert await rig.listener.expect("text") == b"[]"

    play(story())


def test_nothing_happens_before_start_or_while_cut() -> None:
    async def story() -> None:
        rig = Rig("ws://127.0.0.1:1/CP1")
        rig.link.cut(True)
        rig.link.start()
        rig.link.send("[]")
        rig.link.drop()
        rig.link.abort("test")
        assert not rig.clock.held
        assert rig.clock.next_at() is None
        assert rig.listener.events.empty()

    play(story())
