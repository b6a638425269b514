"""The opening handshake (RFC 6455 §4) of a station: what it asks, and whether the answer agrees."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI
from websockets.utils import accept_key

from chargepoint import link_errors
from chargepoint.errors import LinkError
from chargepoint.link_settings import LinkSettings

SUBPROTOCOL = Subprotocol("ocpp1.6")
LOGGER = logging.getLogger("chargepoint.websocket")

_USUAL_BYTES = 1024
_ACCEPT = b"the-key-that-was-asked-for"
_FIELD = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)\r\n"
_FIELDS = re.compile(_FIELD)
_USUAL_ANSWER = re.compile(rb"HTTP/1\.1 101 [\x20-\x7e]*\r\n(?:" + _FIELD + rb")+\r\n")


def handshake(settings: LinkSettings, uri: WebSocketURI, max_size: int) -> tuple[ClientProtocol, bytes]:
    """A protocol in its opening state and the request it waits to have answered."""
    protocol = ClientProtocol(uri, subprotocols=[SUBPROTOCOL], max_size=max_size, logger=LOGGER)
    # At level DEBUG the library logs headers and frames, and with them passwords and keys.
    protocol.debug = False
    request = protocol.connect()
    if authorization := settings.authorization():
        request.headers["Authorization"] = authorization
    return protocol, request.serialize()


def handshake_error(protocol: ClientProtocol) -> LinkError | None:
    """What was wrong with the 101 answer that `protocol` received; None if nothing was."""
    if protocol.handshake_exc is not None:
        return link_errors.from_handshake(cast(InvalidHandshake, protocol.handshake_exc))
    return None if protocol.subprotocol == SUBPROTOCOL else link_errors.no_subprotocol()


def request_bytes(settings: LinkSettings, uri: WebSocketURI, key: str) -> bytes:
    """The request that `handshake` would make with this key, in a tenth of the time."""
    host = f"[{uri.host}]" if ":" in uri.host else uri.host
    if uri.port != (443 if uri.secure else 80):
        host = f"{host}:{uri.port}"
    authorization = settings.authorization()
    return (
        f"GET {uri.resource_name} HTTP/1.1\r\n"
        f"Host: {host}\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n"
        + (f"Authorization: {authorization}\r\n" if authorization else "")
        + "\r\n"
    ).encode()


def agrees(head: bytes, key: str) -> bool:
    """Whether an answer, up to its empty line, opens the connection in the words that nearly all servers use.

    False says nothing: the library has to look at it.
    """
    accept = accept_key(key).encode()
    return len(head) <= _USUAL_BYTES and head.count(accept) == 1 and _opens(head.replace(accept, _ACCEPT))


@lru_cache(maxsize=64)
def _opens(head: bytes) -> bool:
    """Whether an answer does with `_ACCEPT` in the place of the right key; in one second all say the same."""
    if not _USUAL_ANSWER.fullmatch(head):
        return False
    found = _FIELDS.findall(head, head.index(b"\r\n") + 2)
    fields = {name.lower(): value for name, value in found}
    return (
        len(fields) == len(found)
        and fields.get(b"upgrade", b"").lower() == b"websocket"
        and fields.get(b"connection", b"").lower() == b"upgrade"
        and fields.get(b"sec-websocket-accept") == _ACCEPT
        and fields.get(b"sec-websocket-protocol") == SUBPROTOCOL.encode()
        and b"sec-websocket-extensions" not in fields
    )
