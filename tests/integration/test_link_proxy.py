"""Reaching the central system through an HTTP proxy: RFC 9110 §9.3.6."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.uri import parse_uri

from chargepoint.errors import LinkError
from chargepoint.proxy import choose_proxy
from tests.integration.link_rig import Csms, answering, play, rude_server, started, trust
from tests.integration.test_link_tls import serving
from tests.integration.tls_material import Authority


@asynccontextmanager
async def proxy() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy that lets everybody through, and the requests it had."""
    requests: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = requests[-1].split()[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))
        finally:
            far_writer.close()

    async with rude_server(relay) as url:
        yield "http://" + url.split("/")[2], requests


def test_through_a_proxy() -> None:
    async def story() -> None:
        async with (
            Csms() as csms,
            proxy() as (address, requests),
            started(csms.url, proxy=address.replace("http://", "http://user:pw@")) as rig,
        ):
            await rig.listener.expect("up")
            assert requests[0].startswith(b"CONNECT " + csms.url.split("/")[2].encode())
            assert b"Proxy-Authorization: Basic dXNlcjpwdw==" in requests[0]

    play(story())


def test_tls_through_a_proxy(tmp_path: Path) -> None:
    async def story() -> None:
        authority = Authority(tmp_path)
        csms = Csms(serving(authority.issue("localhost")))
        async with csms, proxy() as (address, _):
            url = csms.url.replace("127.0.0.1", "localhost")
            async with started(url, proxy=address, tls=trust(authority.ca)) as rig:
                await rig.listener.expect("up")

    play(story())


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"", b"SSH-2.0-x\r\n"]
)
def test_a_proxy_that_refuses(answer: bytes) -> None:
    async def story() -> None:
        async with rude_server(answering(answer)) as url:
            address = "http://" + url.split("/")[2]
            async with started("ws://csms.example/CP1", proxy=address) as rig:
                kind, message, _ = await rig.listener.expect("failed")
                assert kind == "refused"
                assert "proxy" in message

    play(story())


@pytest.mark.parametrize(
    ("wanted", "url", "expected"),
    [
        pytest.param(None, "ws://csms.example/CP1", None, id="none"),
        pytest.param("auto", "ws://csms.example/CP1", "secure.example", id="auto-ws-prefers-https"),
        pytest.param("auto", "wss://csms.example/CP1", "secure.example", id="auto-wss"),
        pytest.param("auto", "ws://inside.example/CP1", None, id="no-proxy"),
        pytest.param("auto", "ws://127.0.0.1/CP1", None, id="loopback-address"),
        pytest.param("auto", "ws://[::1]/CP1", None, id="loopback-ipv6"),
        pytest.param("auto", "ws://localhost/CP1", None, id="loopback-name"),
        pytest.param("http://given.example:8080", "ws://localhost/CP1", "given.example", id="given"),
    ],
)
def test_choice(monkeypatch: pytest.MonkeyPatch, wanted: str | None, url: str, expected: str | None) -> None:
    for name in ("all_proxy", "ws_proxy", "wss_proxy", "socks_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://plain.example:3128")
    monkeypatch.setenv("https_proxy", "http://secure.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    chosen = choose_proxy(wanted, parse_uri(url))
    assert (chosen.host if chosen else None) == expected


@pytest.mark.parametrize("wanted", ["socks5://h:1", "https://h:1", "h:1", "http://h:1/path"])
def test_proxies_that_are_not_supported(wanted: str) -> None:
    with pytest.raises(LinkError, match="http://host:port"):
        choose_proxy(wanted, parse_uri("ws://csms.example/CP1"))
