"""TLS of the link: OCPP 1.6 security whitepaper, profiles 2 and 3 (A00)."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Response

from chargepoint.errors import LinkError
from chargepoint.tls import shared_context
from tests.integration.link_rig import PATIENCE_S, Csms, answering, play, rude_server, started, trust
from tests.integration.tls_material import Authority, Issued


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def serving(issued: Issued) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.cert, issued.key)
    return context


def _named(url: str) -> str:
    """The same server under its name instead of its address."""
    return url.replace("127.0.0.1", "localhost")


@pytest.mark.parametrize(
    ("common_name", "names", "tls"),
    [
        pytest.param("localhost", (), {}, id="common-name-only"),
        pytest.param("CSMS", ("localhost",), {}, id="alternative-name"),
        pytest.param("localhost", ("other.example",), {}, id="common-name-beside-others"),
        pytest.param("CSMS", ("localhost",), {"server_name": "san"}, id="san-setting"),
        pytest.param("other.example", (), {"verify_hostname": False}, id="name-not-checked"),
    ],
)
def test_good_certificates(
    authority: Authority, common_name: str, names: tuple[str, ...], tls: dict[str, Any]
) -> None:
    async def story() -> None:
        csms = Csms(serving(authority.issue(common_name, names)))
        async with csms, started(_named(csms.url), tls=trust(authority.ca, **tls)) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            rig.link.drop()
            await rig.listener.expect("down")
            await connection.wait_closed()
            assert connection.close_code == 1000

    play(story())


def test_an_address_as_name(authority: Authority) -> None:
    async def story() -> None:
        csms = Csms(serving(authority.issue("CSMS", ("127.0.0.1",))))
        async with csms, started(csms.url, tls=trust(authority.ca)) as rig:
            await rig.listener.expect("up")

    play(story())


def test_a_pinned_server_certificate(authority: Authority) -> None:
    """The trusted file may hold the server's own certificate instead of a root."""

    async def story() -> None:
        issued = authority.issue("localhost")
        csms = Csms(serving(issued))
        async with csms, started(_named(csms.url), tls=trust(issued.cert)) as rig:
            await rig.listener.expect("up")

    play(story())


@pytest.mark.parametrize(
    ("issued", "tls", "says"),
    [
        pytest.param({"days": (-30, -1)}, {}, "expired", id="expired"),
        pytest.param({"days": (2, 30)}, {}, "not valid yet", id="not-yet-valid"),
        pytest.param(
            {"common_name": "other.example"}, {}, "other.example, not for localhost", id="wrong-name"
        ),
        pytest.param({}, {"server_name": "san"}, "no host at all", id="common-name-does-not-count"),
        pytest.param({}, {"ca": "another"}, "unknown CA", id="unknown-ca"),
        pytest.param({}, {"ca": "empty.pem"}, "no usable PEM", id="ca-file-empty"),
    ],
)
def test_bad_certificates(
    authority: Authority, tmp_path: Path, issued: dict[str, Any], tls: dict[str, Any], says: str
) -> None:
    """Security whitepaper A00.FR.309, and no password for such a server."""

    async def story() -> None:
        csms = Csms(serving(authority.issue(**({"common_name": "localhost"} | issued))))
        (tmp_path / "empty.pem").write_text("")
        files = {"another": Authority(tmp_path, "Another").ca, "empty.pem": str(tmp_path / "empty.pem")}
        ca = files.get(tls.get("ca", ""), authority.ca)
        settings = trust(ca, **{key: value for key, value in tls.items() if key != "ca"})
        async with (
            csms,
            started(_named(csms.url), tls=settings, security_profile=2, password=b"secret") as rig,
        ):
            # A server that still reads the aborted handshake complains to the loop; that is its business.
            asyncio.get_running_loop().set_exception_handler(lambda *_: None)
            kind, message, _ = await rig.listener.expect("failed")
            assert kind == "tls_certificate"
            assert says in message
            assert csms.requests == []
            assert not rig.clock.held
            assert rig.retry_in_s() == 3

    play(story())


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """A server of one connection in a thread: asyncio's does not send its TLS alerts."""

    def serve() -> None:
        try:
            accepted, _ = listening.accept()
        except OSError:
            return
        accepted.settimeout(PATIENCE_S)
        try:
            with context.wrap_socket(accepted, server_side=True) as secured:
                secured.recv(1024)
        except OSError:
            accepted.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(PATIENCE_S)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(PATIENCE_S)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(authority: Authority) -> None:
    old = serving(authority.issue("localhost"))
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = ssl.TLSVersion.TLSv1
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    _refused(old, authority, "tls_version")


def test_no_common_cipher(authority: Authority) -> None:
    odd = serving(authority.issue("localhost"))
    odd.maximum_version = ssl.TLSVersion.TLSv1_2
    odd.set_ciphers("ECDHE-ECDSA-AES256-CCM")
    _refused(odd, authority, "tls_cipher")


def test_a_server_that_wants_a_client_certificate(authority: Authority) -> None:
    """TLS 1.3 refuses only after our side of the handshake is over."""
    strict = serving(authority.issue("localhost"))
    strict.verify_mode = ssl.CERT_REQUIRED
    strict.load_verify_locations(authority.ca)
    _refused(strict, authority, "client_certificate")


def _refused(context: ssl.SSLContext, authority: Authority, expected: str) -> None:
    async def story() -> None:
        with tls_server(context) as port:
            async with started(f"wss://localhost:{port}/CP1", tls=trust(authority.ca)) as rig:
                kind, message, _ = await rig.listener.expect("failed")
                assert kind == expected, message

    play(story())


def test_tls_spoken_to_a_plain_server(authority: Authority) -> None:
    async def story() -> None:
        async def complain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async with (
            rude_server(complain) as url,
            started(url.replace("ws:", "wss:"), tls=trust(authority.ca)) as rig,
        ):
            kind, message, _ = await rig.listener.expect("failed")
            assert kind == "not_websocket"
            assert "does not speak TLS" in message

    play(story())


def test_a_redirect_from_tls_to_plain_text_is_refused(authority: Authority) -> None:
    async def story() -> None:
        async with Csms() as plain:
            csms = Csms(serving(authority.issue("localhost")))
            location = _named(plain.url).replace("ws:", "http:")
            csms.answer = lambda _: Response(302, "Found", Headers(Location=location))
            async with csms, started(_named(csms.url), tls=trust(authority.ca)) as rig:
                kind, *_ = await rig.listener.expect("failed")
                assert kind == "redirect"
                assert plain.requests == []

    play(story())


def test_profile_3_shows_the_client_certificate(authority: Authority) -> None:
    async def story() -> None:
        context = serving(authority.issue("localhost"))
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.ca)
        own = authority.issue("SERIAL-1")
        tls = trust(authority.ca, cert=own.cert, key=own.key)
        csms = Csms(context)
        async with csms, started(_named(csms.url), security_profile=3, password=b"x", tls=tls) as rig:
            await rig.listener.expect("up")
            connection = await csms.connection()
            peer = connection.transport.get_extra_info("peercert")
            assert (("commonName", "SERIAL-1"),) in peer["subject"]
            assert "Authorization" not in csms.requests[0].headers

    play(story())


@pytest.mark.parametrize(
    "cipher",
    [
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
    ],
)
def test_required_cipher_suites(authority: Authority, cipher: str) -> None:
    """The four suites that the whitepaper asks for; Python alone would not offer the last two."""

    async def story() -> None:
        context = serving(authority.issue("localhost", rsa_key=not cipher.startswith("ECDHE")))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
        csms = Csms(context)
        async with csms, started(_named(csms.url), tls=trust(authority.ca)) as rig:
            await rig.listener.expect("up")

    play(story())


def test_contexts_are_shared_by_their_content(authority: Authority) -> None:
    own = authority.issue("SERIAL-1")
    tls = trust(authority.ca, cert=own.cert, key=own.key)
    first = shared_context(tls)
    assert shared_context(trust(authority.ca, cert=own.cert, key=own.key)) is first
    assert shared_context(trust(authority.ca)) is not first
    renewed = authority.issue("SERIAL-1")
    os.replace(renewed.cert, own.cert)
    os.replace(renewed.key, own.key)
    assert shared_context(trust(authority.ca, cert=own.cert, key=own.key)) is not first


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda own, other: (own.cert, other.key), id="key-of-another"),
        pytest.param(lambda own, other: (own.key, own.key), id="no-certificate"),
        pytest.param(lambda own, other: (own.cert, own.cert), id="no-key"),
    ],
)
def test_unusable_client_certificates(authority: Authority, spoil: Any) -> None:
    cert, key = spoil(authority.issue("SERIAL-1"), authority.issue("SERIAL-2"))
    with pytest.raises(LinkError, match="belong together") as caught:
        shared_context(trust(authority.ca, cert=cert, key=key))
    assert caught.value.kind == "client_certificate"


def test_an_encrypted_key_is_refused_without_asking(authority: Authority) -> None:
    own = authority.issue("SERIAL-1", key_password=b"secret")
    with pytest.raises(LinkError, match="no password"):
        shared_context(trust(authority.ca, cert=own.cert, key=own.key))


def test_silent_tls_server_times_out(authority: Authority) -> None:
    async def story() -> None:
        reached = asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            reached.set()
            await reader.read()

        async with (
            rude_server(say_nothing) as url,
            started(url.replace("ws:", "wss:"), tls=trust(authority.ca)) as rig,
        ):
            await reached.wait()
            rig.wire.advance(20)
            kind, message, _ = await rig.listener.expect("failed")
            assert kind == "timeout"
            assert "connection" in message

    play(story())


def test_plain_text_spoken_to_a_tls_port(authority: Authority) -> None:
    """Most TLS servers just close; what is said then names the remedy."""

    async def story() -> None:
        async with rude_server(answering(b"")) as url, started(url) as rig:
            kind, message, _ = await rig.listener.expect("failed")
            assert kind == "closed"
            assert "wss://" in message

    play(story())
