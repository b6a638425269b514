"""One WebSocket connection from its handshake to its end: RFC 6455 on an asyncio transport, no tasks."""

from __future__ import annotations

import asyncio
import socket
import struct
from binascii import b2a_base64
from os import urandom
from typing import Protocol, cast

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN, Side
from websockets.protocol import Protocol as WebSocketProtocol
from websockets.uri import WebSocketURI

from chargepoint import link_errors
from chargepoint.errors import LinkError
from chargepoint.handshake import LOGGER, agrees, handshake, handshake_error, request_bytes
from chargepoint.link_settings import LinkSettings
from chargepoint.tls import check_server_name, trust_anchor
from hal.api import Clock, Timer

try:
    from websockets.speedups import apply_mask
except ImportError:  # no wheel for this machine
    from websockets.utils import apply_mask

_HEAD = b"HTTP/1."
_END_OF_HEAD = b"\r\n\r\n"
_MAX_HEAD = 64 * 1024
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, for 0 s: closing sends RST


_WHOLE_TEXT = 0x80 | Opcode.TEXT
_WHOLE_PING = 0x80 | Opcode.PING
_WHOLE_PONG = 0x80 | Opcode.PONG


class ConnectionOwner(Protocol):
    """Who a connection reports to: `opened` or `failed` once, after `opened` frames and `lost` once."""

    def opened(self) -> None:
        """The handshake ended well."""

    def failed(self, error: LinkError) -> None:
        """The connection never came about."""

    def lost(self, reason: str) -> None:
        """No frame will come or go any more, though the TCP connection may still be closing."""

    def text_received(self, data: bytes) -> None:
        """A whole text message; whether it is UTF-8 was not checked."""

    def binary_received(self, data: bytes) -> None:
        """A whole binary message."""


_masks: list[bytes] = []


def _mask() -> bytes:
    """Four bytes that nobody can foretell (RFC 6455 §5.3), many from one call of the system."""
    try:
        return _masks.pop()
    except IndexError:
        random = urandom(1024)
        _masks.extend([random[at : at + 4] for at in range(4, len(random), 4)])
        return random[:4]


def _key() -> str:
    """Sixteen such bytes, for a handshake (RFC 6455 §4.1)."""
    return b2a_base64(b"".join((_mask(), _mask(), _mask(), _mask())), newline=False).decode()


def _frame(kind: int, data: bytes) -> bytes:
    """A masked whole frame (RFC 6455 §5.2, §5.3), in half the time the library takes."""
    length, mask = len(data), _mask()
    if length < 126:
        head = bytes((kind, 0x80 | length))
    elif length < 65536:
        head = struct.pack("!BBH", kind, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", kind, 0x80 | 127, length)
    return b"".join((head, mask, apply_mask(data, mask)))


def _size(length: int) -> int:
    """The bytes of an unmasked frame with a payload of that length, if its head is as short as can be.

    With a longer one a connection never seems to be at the end of a frame, and the library reads them all.
    """
    return length + (2 if length < 126 else 4 if length < 65536 else 10)


class WebSocketConnection(asyncio.Protocol):
    """A client connection; after `close`, `abort` or a loss it reports nothing more to its owner."""

    __slots__ = (
        "_awaiting_pong",
        "_fragments",
        "_gone",
        "_head",
        "_interval_s",
        "_key",
        "_max_size",
        "_message_opcode",
        "_owner",
        "_pinging",
        "_pong_timeout_s",
        "_protocol",
        "_settings",
        "_timer",
        "_transport",
        "_unread",
        "_uri",
        "_wire",
    )

    def __init__(
        self,
        owner: ConnectionOwner,
        settings: LinkSettings,
        uri: WebSocketURI,
        *,
        wire: Clock,
        max_size: int,
        pong_timeout_s: float,
    ) -> None:
        self._owner: ConnectionOwner | None = owner
        self._settings = settings
        self._uri = uri
        self._max_size = max_size
        self._wire = wire
        self._pong_timeout_s = pong_timeout_s
        self._protocol: WebSocketProtocol | None = None  # only while there is anything but short messages
        self._key = _key()
        # First what to send, then what came back; None once open.
        self._head: bytes | None = request_bytes(settings, uri, self._key)
        self._transport: asyncio.Transport | None = None
        self._timer: Timer | None = None
        self._interval_s = 0
        self._awaiting_pong = False
        self._pinging: Clock | None = None  # set while pongs are lost
        self._unread = 0  # bytes of a frame that has not come to its end
        self._fragments: bytearray | None = None
        self._message_opcode = Opcode.TEXT
        self._gone: asyncio.Future[None] | None = None

    @property
    def connected(self) -> bool:
        """True while there is a TCP connection (with TLS on it, if any)."""
        return self._transport is not None

    def trust_anchor(self) -> str | None:
        """The fingerprint of the root certificate that the server was verified with; None without TLS."""
        tls = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        return None if tls is None else trust_anchor(tls)

    def send_text(self, data: bytes) -> None:
        """Send one text message; on a connection that is closing it is forgotten."""
        self._send(_WHOLE_TEXT, data)

    def keep_alive(self, interval_s: int) -> None:
        """Ping each `interval_s` from now on, 0 = never; a pong that does not come aborts the connection."""
        self._interval_s = interval_s
        if not self._awaiting_pong or not interval_s:
            self._awaiting_pong = False
            self._next_ping()

    def lose_pongs(self, clock: Clock | None) -> None:
        """Take no notice of pongs, as if they were lost, and time pings by `clock`; None ends that."""
        self._pinging = clock
        self._awaiting_pong = False
        self._next_ping()

    def close(self, code: int, within_s: float) -> None:
        """Say goodbye and end the TCP connection when the server has answered, or after `within_s`."""
        self._owner = None
        if self._is_open:
            self._library().send_close(code)
            self._flush()
        self._cancel_timer()
        if self._transport is not None:
            self._timer = self._wire.call_at(self._wire.now() + within_s, self.abort)

    def abort(self) -> None:
        """End the TCP connection at once, without a word, by reset."""
        self._owner = None
        self._cancel_timer()
        transport = self._transport
        if transport is None:
            return
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        transport.abort()

    async def gone(self) -> None:
        """Wait until the TCP connection is closed."""
        if self._transport is not None:
            if self._gone is None:
                self._gone = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._gone)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._owner is None:
            # Given up meanwhile, and the task that connects was cancelled: uvloop may never report its loss.
            cast(asyncio.Transport, transport).abort()
            return
        self._transport = cast(asyncio.Transport, transport)
        if (tls := transport.get_extra_info("ssl_object")) is not None:
            try:
                # Before the first byte is sent: the request may carry the password.
                check_server_name(tls.getpeercert(), self._uri.host, self._settings.tls)
            except LinkError as error:
                self._fail(error)
                return
        request, self._head = self._head, b""
        assert request is not None
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            data = self._handshake_received(data) if self._owner is not None else b""
        if not data:
            return
        # One short frame and nothing else, as most of what comes is: no need for the library.
        if self._protocol is None and len(data) >= 2 and data[1] == len(data) - 2 < 126:
            if data[0] == _WHOLE_TEXT:
                if self._owner is not None:
                    self._owner.text_received(data[2:])
                return
            if data[0] == _WHOLE_PONG:
                self._pong_received()
                return
        protocol = self._library()
        self._unread += len(data)
        protocol.receive_data(data)
        for event in protocol.events_received():
            assert isinstance(event, Frame)
            self._unread -= _size(len(event.data))
            self._frame_received(event)
        self._flush()
        if protocol.state is not OPEN:
            if self._owner is not None:
                self._lose(self._why_closed(protocol))
        elif not self._unread and self._fragments is None:
            self._protocol = None  # it holds 1.5 KB, and knows nothing that the next one has to know

    def eof_received(self) -> None:
        if self._owner is None:
            return
        if self._head is not None:
            self._fail(link_errors.closed_early(self._uri))
        else:
            self._library().receive_eof()
            self._lose("the central system closed the connection without a close frame")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._cancel_timer()
        owner, self._owner = self._owner, None
        if self._gone is not None:
            self._gone.set_result(None)
        if owner is None:
            return
        if self._head is not None:
            uri = self._uri
            owner.failed(link_errors.from_exception(exc, uri) if exc else link_errors.closed_early(uri))
        else:
            owner.lost(f"the connection broke ({exc or 'closed'})")

    @property
    def _is_open(self) -> bool:
        """The handshake is over, and neither side has said goodbye."""
        return self._head is None and (self._protocol is None or self._protocol.state is OPEN)

    def _library(self) -> WebSocketProtocol:
        """The library's reading of the open connection, where it is not plain."""
        if self._protocol is None:
            self._protocol = WebSocketProtocol(Side.CLIENT, max_size=self._max_size, logger=LOGGER)
            self._protocol.debug = False  # at level DEBUG it logs frames, and with them passwords and keys
        return self._protocol

    def _handshake_received(self, data: bytes) -> bytes:
        """Gather the answer's head and judge it; returns what follows it on an open connection.

        Answers that are no WebSocket handshake are judged as soon as their head is there: the library would
        wait for a body that a server may never send, and refuses HTTP/1.0.
        """
        assert self._head is not None
        assert self._owner is not None
        received = self._head = self._head + data
        complete = received.find(_END_OF_HEAD) >= 0 or len(received) > _MAX_HEAD
        if not complete and received.startswith(_HEAD[: len(received)]):
            return b""
        end = received.find(_END_OF_HEAD) + len(_END_OF_HEAD)
        if not agrees(received[:end], self._key):
            error = link_errors.from_response(received, self._uri) or self._look_closer(received)
            if error is not None:
                self._fail(error)
                return b""
        self._head = None
        self._owner.opened()
        return received[end:]

    def _look_closer(self, received: bytes) -> LinkError | None:
        """What the library has against an unusual 101 answer."""
        protocol, _ = handshake(self._settings, self._uri, self._max_size)
        protocol.key = self._key
        protocol.receive_data(received)
        error = handshake_error(protocol)
        if error is not None and protocol.state is OPEN:  # the server believes that it is one
            protocol.send_close(CloseCode.PROTOCOL_ERROR)
            if self._transport is not None:
                self._transport.write(b"".join(protocol.data_to_send()))
        return error

    def _frame_received(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            if frame.fin:
                self._message_received(frame.opcode, bytes(frame.data))
            else:
                self._message_opcode = frame.opcode
                self._fragments = bytearray(frame.data)
        elif frame.opcode is Opcode.CONT:
            assert self._fragments is not None
            self._fragments += frame.data
            if frame.fin:
                message, self._fragments = bytes(self._fragments), None
                self._message_received(self._message_opcode, message)
        elif frame.opcode is Opcode.PONG:
            self._pong_received()

    def _message_received(self, opcode: Opcode, data: bytes) -> None:
        if self._owner is None:
            return
        if opcode is Opcode.TEXT:
            self._owner.text_received(data)
        else:
            self._owner.binary_received(data)

    def _pong_received(self) -> None:
        if self._awaiting_pong and self._pinging is None:
            self._awaiting_pong = False
            self._next_ping()

    def _why_closed(self, protocol: WebSocketProtocol) -> str:
        if protocol.parser_exc is not None:
            return f"the central system broke the WebSocket protocol: {protocol.parser_exc}"
        return f"closed by the central system: {protocol.close_rcvd}"

    def _fail(self, error: LinkError) -> None:
        owner, self._owner = self._owner, None
        if self._transport is not None:
            self._transport.close()
        if owner is not None:
            owner.failed(error)

    def _lose(self, reason: str) -> None:
        """The conversation is over; the owner still has to `close`, for the TCP connection."""
        owner, self._owner = self._owner, None
        self._cancel_timer()
        if owner is not None:
            owner.lost(reason)

    def _send(self, kind: int, data: bytes) -> None:
        """Straight to the transport: there are no extensions, and whatever else was to be sent is flushed."""
        transport = self._transport
        if self._is_open and transport is not None and not transport.is_closing():
            transport.write(_frame(kind, data))

    def _flush(self) -> None:
        """Send what the library wants sent."""
        data = b"".join(self._protocol.data_to_send()) if self._protocol is not None else b""
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _next_ping(self) -> None:
        self._cancel_timer()
        if self._interval_s and self._owner is not None:
            clock = self._pinging or self._wire
            self._timer = clock.call_at(clock.now() + self._interval_s, self._ping)

    def _ping(self) -> None:
        self._send(_WHOLE_PING, b"")
        self._awaiting_pong = True
        clock = self._pinging or self._wire
        self._timer = clock.call_at(clock.now() + self._pong_timeout_s, self._pong_missing)

    def _pong_missing(self) -> None:
        owner = self._owner
        self.abort()
        if owner is not None:
            owner.lost(f"no pong within {self._pong_timeout_s:g} s: the connection was dead")

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
