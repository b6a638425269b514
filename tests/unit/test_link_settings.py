"""Addresses, keys and waits of a link: OCPP 1.6-J §3.1.1, §6.2.2; back-off as in OCPP 2.0.1 part 4 §5.3."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.uri import parse_uri

from chargepoint.errors import ConfigError
from chargepoint.link import Backoff, LinkSettings, connection_url, decode_authorization_key

HEX_32 = "0123456789abcdef0123456789ABCDEF"


@pytest.mark.parametrize(
    ("endpoint", "identity", "expected"),
    [
        pytest.param("ws://h/ocpp", "CP1", "ws://h/ocpp/CP1", id="plain"),
        pytest.param("ws://h/ocpp/", "CP1", "ws://h/ocpp/CP1", id="one-slash-dropped"),
        pytest.param("ws://h/ocpp//", "CP1", "ws://h/ocpp//CP1", id="only-one"),
        pytest.param("ws://h", "CP1", "ws://h/CP1", id="no-path"),
        pytest.param("ws://h:9000/", "CP1", "ws://h:9000/CP1", id="root-path"),
        pytest.param("ws://h/ocpp", "RDAM 123", "ws://h/ocpp/RDAM%20123", id="space"),
        pytest.param("ws://h/ocpp", "a/b", "ws://h/ocpp/a%2Fb", id="slash"),
        pytest.param("ws://h/ocpp", "ü", "ws://h/ocpp/%C3%BC", id="umlaut"),
        pytest.param("ws://h/ocpp", "a+b:c@d", "ws://h/ocpp/a%2Bb%3Ac%40d", id="reserved"),
        pytest.param("ws://h/ocpp", "50%", "ws://h/ocpp/50%25", id="percent"),
        pytest.param("ws://h/ocpp/CP1", "CP1", "ws://h/ocpp/CP1", id="already-there"),
        pytest.param("ws://h/ocpp/CP1/", "CP1", "ws://h/ocpp/CP1", id="already-there-with-slash"),
        pytest.param("ws://h/ocpp/RDAM%20123", "RDAM 123", "ws://h/ocpp/RDAM%20123", id="there-encoded"),
        pytest.param("ws://h/ocpp/RDAM 123", "RDAM 123", "ws://h/ocpp/RDAM%20123", id="there-literally"),
        pytest.param("ws://h/ocpp/a%2fb", "a/b", "ws://h/ocpp/a%2Fb", id="there-in-lower-case-hex"),
        pytest.param("ws://h/ocpp/XCP1", "CP1", "ws://h/ocpp/XCP1/CP1", id="only-whole-segments-count"),
        pytest.param("ws://CP1", "CP1", "ws://CP1/CP1", id="the-host-does-not-count"),
        pytest.param("wss://h/ocpp?tenant=7", "CP1", "wss://h/ocpp/CP1?tenant=7", id="query"),
    ],
)
def test_connection_url(endpoint: str, identity: str, expected: str) -> None:
    assert connection_url(endpoint, identity) == expected


@given(st.text(min_size=1, max_size=255).filter(lambda text: text.isprintable()))
def test_the_same_address_twice(identity: str) -> None:
    url = connection_url("ws://h/ocpp", identity)
    assert connection_url(url, identity) == url
    assert parse_uri(url).path.startswith("/ocpp/")
    assert parse_uri(url).path.count("/") == 2


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        pytest.param(HEX_32, "auto", bytes.fromhex(HEX_32), id="32-digits"),
        pytest.param(HEX_32 + "00112233", "auto", bytes.fromhex(HEX_32 + "00112233"), id="40-digits"),
        pytest.param(HEX_32 + "0", "auto", (HEX_32 + "0").encode(), id="33-digits-are-text"),
        pytest.param(HEX_32[:30], "auto", HEX_32[:30].encode(), id="30-digits-are-text"),
        pytest.param(
            HEX_32 + "0011223344", "auto", (HEX_32 + "0011223344").encode(), id="42-digits-are-text"
        ),
        pytest.param("OCA_OCTT_admin_test", "auto", b"OCA_OCTT_admin_test", id="text"),
        pytest.param("ü", "auto", "ü".encode(), id="utf-8"),
        pytest.param(HEX_32, "literal", HEX_32.encode(), id="literal"),
        pytest.param("00ff", "hex", b"\x00\xff", id="hex-of-any-length"),
    ],
)
def test_authorization_key(text: str, encoding: str, expected: bytes) -> None:
    assert decode_authorization_key(text, encoding) == expected  # type: ignore[arg-type]  # a table's str


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("", "auto"), ("", "literal"), ("abc", "hex"), ("secret!!", "hex"), ("00 ff", "hex")],
)
def test_unusable_keys_are_not_repeated(text: str, encoding: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode_authorization_key(text, encoding)  # type: ignore[arg-type]  # a table's str
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://h/CP1", "h/CP1", "ws:///CP1", "ws://h:port/CP1", "ws://user:pw@h/CP1", "ws://h/CP1#part"]
)
def test_unusable_urls_are_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LinkSettings(url, "CP1")
    assert "pw" not in str(caught.value)


def test_secrets_do_not_show() -> None:
    settings = LinkSettings("ws://h/CP1", "CP1", 1, b"hush-hush", proxy="http://u:whisper@p:1")
    assert "hush" not in repr(settings)
    assert "whisper" not in repr(settings)


@pytest.mark.parametrize(
    ("backoff", "draw", "expected"),
    [
        pytest.param(Backoff(), 0.0, [3, 6, 12, 24, 48, 96, 96, 96], id="without-chance"),
        pytest.param(Backoff(), 0.5, [8, 21, 47, 99, 120, 120, 120], id="half"),
        pytest.param(Backoff(min_s=1, jitter_s=0, max_s=5), 0.9, [1, 2, 4, 5, 5], id="short"),
        pytest.param(Backoff(min_s=200, jitter_s=0, max_s=120), 0.0, [120, 120], id="cap-below-start"),
    ],
)
def test_waits(backoff: Backoff, draw: float, expected: list[float]) -> None:
    waits = [0.0]
    for retry in range(1, len(expected) + 1):
        waits.append(backoff.wait_s(retry, waits[-1], draw))
    assert waits[1:] == expected
