"""The opening handshake (RFC 6455 §4, OCPP 1.6-J §3.2) made without the library is what the library makes."""

from __future__ import annotations

import pytest
from websockets.utils import accept_key, generate_key

from chargepoint.handshake import agrees, handshake, handshake_error, request_bytes
from chargepoint.link_settings import LinkSettings

URLS = [
    "ws://127.0.0.1:9000/ocpp/CP1",
    "ws://csms.example/CP1",
    "ws://csms.example:443/CP1",
    "wss://csms.example/a%20b/CP%2F1?tenant=7",
    "wss://csms.example:443/CP1",
    "wss://csms.example:80/CP1",
    "ws://[::1]:9000/CP1",
    "ws://[::1]/CP1",
]

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Accept: {accept_key(KEY)}",
    "Sec-WebSocket-Protocol: ocpp1.6",
]


def answer(*fields: str, first: str = "HTTP/1.1 101 Switching Protocols") -> bytes:
    """The head of an answer."""
    return "".join(f"{line}\r\n" for line in (first, *fields, "")).encode("latin-1")


def without(n: int, *instead: str) -> bytes:
    """A usual answer with one field left out or replaced."""
    return answer(*FIELDS[:n], *instead, *FIELDS[n + 1 :])


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("profile", [0, 1])
def test_the_request_is_the_librarys_to_the_byte(url: str, profile: int) -> None:
    settings = LinkSettings(url, "CP1", security_profile=profile, password=b"\xff secret:")
    protocol, request = handshake(settings, settings.uri, 1000)
    assert request_bytes(settings, settings.uri, protocol.key) == request


USUAL = {
    "as asked": answer(*FIELDS),
    "another order and spelling": answer(*(field.replace("U", "u") for field in reversed(FIELDS))),
    "other fields": answer("Date: Sat, 21 Nov 2026 17:00:00 GMT", *FIELDS, "Server: nginx/1.25 (x)"),
    "no reason": answer(*FIELDS, first="HTTP/1.1 101 "),
}

UNUSUAL = {
    "two options of the connection": without(1, "Connection: keep-alive, Upgrade"),
    "no upgrade": without(0),
    "no connection": without(1),
    "no key": without(2),
    "another key": without(2, f"Sec-WebSocket-Accept: {accept_key(generate_key())}"),
    "no subprotocol": without(3),
    "another subprotocol": without(3, "Sec-WebSocket-Protocol: ocpp2.0.1"),
    "two subprotocols": answer(*FIELDS, FIELDS[3]),
    "an extension": answer(*FIELDS, "Sec-WebSocket-Extensions: permessage-deflate"),
    "a field without a colon": answer(*FIELDS, "rubbish"),
    "a folded field": answer(*FIELDS, "Server: a", " b"),
    "a space before the colon": answer("Upgrade : websocket", *FIELDS[1:]),
    "a bare line feed": answer(*FIELDS, "Server: a\nb"),
    "HTTP/1.0": answer(*FIELDS, first="HTTP/1.0 101 Switching Protocols"),
    "another status": answer(*FIELDS, first="HTTP/1.1 1010 Switching Protocols"),
    "very many fields": answer(*FIELDS, *(f"X-{n}: {n}" for n in range(200))),
}


@pytest.mark.parametrize("head", USUAL.values(), ids=USUAL)
def test_a_usual_answer_agrees_and_the_library_sees_nothing_wrong_with_it(head: bytes) -> None:
    assert agrees(head, KEY)
    settings = LinkSettings("ws://csms.example/CP1", "CP1")
    protocol, _ = handshake(settings, settings.uri, 1000)
    protocol.key = KEY
    protocol.receive_data(head)
    assert handshake_error(protocol) is None


@pytest.mark.parametrize("head", UNUSUAL.values(), ids=UNUSUAL)
def test_anything_else_is_left_to_the_library(head: bytes) -> None:
    assert not agrees(head, KEY)
