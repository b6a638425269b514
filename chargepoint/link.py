"""WebSocketLink: a text channel to the central system that comes back whenever it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVarTuple
from urllib.parse import urlsplit, urlunsplit

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from chargepoint import link_errors
from chargepoint.errors import LinkError
from chargepoint.link_settings import (
    Backoff,
    LinkSettings,
    TlsSettings,
    connection_url,
    decode_authorization_key,
)
from chargepoint.proxy import choose_proxy, is_address, open_tunnel
from chargepoint.tls import shared_context
from chargepoint.websocket import WebSocketConnection
from hal.api import Clock, Timer

__all__ = [
    "Backoff",
    "LinkListener",
    "LinkSettings",
    "TlsSettings",
    "WebSocketLink",
    "connection_url",
    "decode_authorization_key",
]


_Report = TypeVarTuple("_Report")


class LinkListener(Protocol):
    """Who hears of a link; `link_up` and `link_down` alternate, and all calls come on the loop.

    What ends a connection (drop, abort, cut, reconnect, close) calls `link_down` before it returns.
    What a listener raises goes to the loop's exception handler; the link goes on.
    """

    def link_up(self) -> None:
        """Connected: frames may be sent."""

    def link_down(self, reason: str) -> None:
        """Not connected any more."""

    def frame_received(self, data: bytes) -> None:
        """A whole text message; whether it is UTF-8 was not checked."""

    def binary_received(self, data: bytes) -> None:
        """A whole binary message, which OCPP-J does not know."""

    def connect_failed(self, error: LinkError, attempts: int) -> None:
        """An attempt failed, and the next one is already planned.

        `attempts` counts the retries since a connection last `survived`.
        """


class WebSocketLink:
    """Connects, tries again for ever, and carries text frames (OCPP 1.6-J §3, §5.2, §5.4).

    `wire` is real time and bounds each step of a connection; `clock`, the station's time, is held while an
    attempt is under way and touched at each frame; back-off waits on `backoff_clock`. `jitter` draws from
    [0, 1). A message over `max_size` bytes closes the connection with 1009.
    """

    __slots__ = (
        "_attempts",
        "_backoff",
        "_backoff_clock",
        "_clock",
        "_close_timeout_s",
        "_closing",
        "_connect_timeout_s",
        "_connecting_since",
        "_connection",
        "_final",
        "_handshake_timeout_s",
        "_jitter",
        "_listener",
        "_max_size",
        "_offline",
        "_online",
        "_ping_interval_s",
        "_pong_timeout_s",
        "_redirected",
        "_settings",
        "_started",
        "_task",
        "_timer",
        "_wait_s",
        "_wire",
    )

    def __init__(
        self,
        settings: LinkSettings,
        listener: LinkListener,
        *,
        wire: Clock,
        clock: Clock,
        backoff: Backoff,
        backoff_clock: Clock,
        jitter: Callable[[], float],
        max_size: int = 16 * 2**20,
        connect_timeout_s: float = 20,
        handshake_timeout_s: float = 20,
        close_timeout_s: float = 5,
        pong_timeout_s: float = 15,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._wire = wire
        self._clock = clock
        self._backoff = backoff
        self._backoff_clock = backoff_clock
        self._jitter = jitter
        self._max_size = max_size
        self._connect_timeout_s = connect_timeout_s
        self._handshake_timeout_s = handshake_timeout_s
        self._close_timeout_s = close_timeout_s
        self._pong_timeout_s = pong_timeout_s
        self._ping_interval_s = 0
        self._started = self._offline = self._final = self._online = self._redirected = False
        self._attempts = 0
        self._wait_s = 0.0
        self._connection: WebSocketConnection | None = None  # opening or open
        self._closing: WebSocketConnection | None = None  # the one before, on its way out
        self._task: asyncio.Task[None] | None = None  # name, TCP and TLS
        self._connecting_since: float | None = None  # on `wire`; while set, the clock is held
        self._timer: Timer | None = None  # the end of the attempt's patience, or of the back-off

    @property
    def online(self) -> bool:
        """True from `link_up` to `link_down`."""
        return self._online

    @property
    def connecting(self) -> bool:
        """An attempt is under way."""
        return self._connecting_since is not None

    @property
    def wanted(self) -> bool:
        """There is to be a connection: it was started, has a network and was not closed."""
        return self._started and not self._offline and not self._final

    @property
    def settings(self) -> LinkSettings:
        """What the present or next connection uses."""
        return self._settings

    def start(self) -> None:
        """Begin to connect."""
        self._started = True
        self._connect_now()

    def send(self, text: bytes | str) -> None:
        """Send one text frame; a link that is down forgets it."""
        if self._online and self._connection is not None:
            self._clock.touch()
            self._connection.send_text(text.encode() if isinstance(text, str) else text)

    def survived(self) -> None:
        """An answer was exchanged on this connection: the next loss begins a new back-off."""
        if self._online:
            self._attempts = 0

    def drop(self, code: int = 1000) -> None:
        """Close the connection in good order and connect again after the back-off."""
        if self._online:
            self._let_go(code)
            self._connect_later()
            self._report_down(f"closed by the station ({code})")

    def abort(self, reason: str) -> None:
        """Break the connection at once, as a cut cable does, and connect again after the back-off."""
        if self._online:
            self._let_go(None)
            self._connect_later()
            self._report_down(reason)

    def lose_pongs(self, clock: Clock | None) -> None:
        """Lose the pongs of the present connection, pinging by `clock`; None: lose no more."""
        if self._online and self._connection is not None:
            self._connection.lose_pongs(clock)

    def cut(self, offline: bool, code: int | None = None) -> None:
        """Take the network away until given back; then connect at once.

        Without a close frame, or in good order with one of `code`.
        """
        if offline == self._offline:
            return
        self._offline = offline
        if offline:
            self._stop("the network was cut", code)
        else:
            self._attempts = 0
            self._connect_now()

    def reconnect(self, settings: LinkSettings | None = None) -> None:
        """Close the connection, if there is one, and connect now, with new settings if given."""
        if settings is not None:
            self._settings = settings
        self._attempts = 0
        was_online = self._online
        self._end_attempt()
        self._let_go(1000)
        self._connect_now()
        if was_online:
            self._report_down("closed by the station to connect anew")

    def use(self, settings: LinkSettings) -> None:
        """Take new settings for the next attempt, whenever that is due."""
        self._settings = settings

    def trust_anchor(self) -> str | None:
        """The fingerprint of the root certificate that the present connection was verified with."""
        return self._connection.trust_anchor() if self._connection is not None else None

    def set_ping_interval(self, seconds: int) -> None:
        """Ping each `seconds` from now on, also on the present connection; 0 sends none (OCPP 1.6-J §7)."""
        self._ping_interval_s = seconds
        if self._online and self._connection is not None:
            self._connection.keep_alive(seconds)

    def pause(self, code: int = 1000) -> None:
        """Close the connection in good order and stay away until `start`."""
        self._started = False
        self._stop(f"closed by the station ({code})", code)

    def close(self, code: int = 1001) -> None:
        """Close for good; `closed` waits for the end of it."""
        self._final = True
        self._stop(f"closed by the station ({code})", code)

    async def closed(self) -> None:
        """Wait until the last TCP connection is gone, which takes at most `close_timeout_s` after `close`."""
        if self._closing is not None:
            await self._closing.gone()

    def opened(self) -> None:
        """The handshake ended well."""
        self._end_attempt()
        self._online = True
        self._clock.touch()
        if self._connection is not None and self._ping_interval_s:
            self._connection.keep_alive(self._ping_interval_s)
        self._tell(self._listener.link_up)

    def failed(self, error: LinkError) -> None:
        """The attempt came to nothing: follow a redirect once, else try again later."""
        if isinstance(error, link_errors.Redirect) and (target := self._redirect_target(error)):
            self._end_attempt()
            self._connection = None
            self._connect_now(target)
            return
        lost_s = 0.0
        if error.kind == "timeout" and self._connecting_since is not None:
            lost_s = self._wire.now() - self._connecting_since
        self._end_attempt(lost_s)
        self._let_go(None)
        self._connect_later()
        self._tell(self._listener.connect_failed, error, self._attempts)

    def lost(self, reason: str) -> None:
        """The connection ended without our doing."""
        self._let_go(1000)
        self._connect_later()
        self._report_down(reason)

    def text_received(self, data: bytes) -> None:
        """A whole text message came."""
        self._clock.touch()
        self._tell(self._listener.frame_received, data)

    def binary_received(self, data: bytes) -> None:
        """A whole binary message came."""
        self._clock.touch()
        self._tell(self._listener.binary_received, data)

    def _connect_now(self, url: str | None = None) -> None:
        """Begin an attempt, unless one is under way or none is wanted; `url` is where a redirect led."""
        if not self.wanted or self._online or self._connecting_since is not None:
            return
        self._cancel_timer()
        self._redirected = url is not None
        self._connecting_since = now = self._wire.now()
        self._clock.hold()
        self._timer = self._wire.call_at(now + self._connect_timeout_s, self._timed_out)
        uri = self._settings.uri if url is None else parse_uri(url)
        self._task = asyncio.get_running_loop().create_task(self._open(uri))

    async def _open(self, uri: WebSocketURI) -> None:
        """Bring up name, TCP and TLS; from there on the connection reports by itself."""
        try:
            if self._closing is not None:
                await self.closed()
                self._closing = None
            await self._open_transport(uri)
        except Exception as error:
            if not isinstance(error, LinkError | OSError | UnicodeError):
                self._blame("a connection attempt failed in an unforeseen way", error)
            if self._task is asyncio.current_task():
                self._task = None
                self.failed(link_errors.from_exception(error, uri))
            return
        if self._task is asyncio.current_task():  # else the handshake is already over
            self._task = None
            self._cancel_timer()
            self._timer = self._wire.call_at(self._wire.now() + self._handshake_timeout_s, self._timed_out)

    async def _open_transport(self, uri: WebSocketURI) -> None:
        settings = self._settings
        if settings.security_profile >= 2 and not uri.secure:
            raise LinkError(
                "wss_needed",
                f"security profile {settings.security_profile} needs TLS: write wss:// instead of ws://",
            )
        loop = asyncio.get_running_loop()
        context = shared_context(settings.tls) if uri.secure else None
        connection = self._connection = WebSocketConnection(
            self,
            settings,
            uri,
            wire=self._wire,
            max_size=self._max_size,
            pong_timeout_s=self._pong_timeout_s,
        )
        name = uri.host if uri.secure else None
        source = None if settings.source is None else (settings.source, 0)
        proxy = choose_proxy(settings.proxy, uri)
        if proxy is not None:
            sock = await open_tunnel(proxy, uri)
            await loop.create_connection(lambda: connection, sock=sock, ssl=context, server_hostname=name)
        elif isinstance(loop, asyncio.BaseEventLoop) and not is_address(uri.host):
            # A dead IPv6 route must not eat the whole patience; uvloop does not know the option. Cancelled,
            # asyncio leaves such an attempt's sockets to the collector.
            await loop.create_connection(
                lambda: connection,
                uri.host,
                uri.port,
                ssl=context,
                server_hostname=name,
                local_addr=source,
                happy_eyeballs_delay=0.25,
            )
        else:
            await loop.create_connection(
                lambda: connection, uri.host, uri.port, ssl=context, server_hostname=name, local_addr=source
            )

    def _timed_out(self) -> None:
        uri = self._settings.uri
        connected = self._connection is not None and self._connection.connected
        what = "the WebSocket handshake" if connected else "the connection"
        self.failed(link_errors.timed_out(f"{uri.host}:{uri.port}", what))

    def _end_attempt(self, lost_s: float = 0.0) -> None:
        """No attempt is under way any more: the one place that lets the clock go on."""
        self._cancel_timer()
        task, self._task = self._task, None
        connected = self._connection is not None and self._connection.connected
        # Once connected the task is at its end. Cancelled now it would close the transport under us, and
        # uvloop would never report the loss that `closed` waits for.
        if task is not None and not connected:
            task.cancel()
        if self._connecting_since is not None:
            self._connecting_since = None
            self._clock.release(lost_s)

    def _connect_later(self) -> None:
        self._attempts += 1
        self._wait_s = self._backoff.wait_s(self._attempts, self._wait_s, self._jitter())
        self._cancel_timer()
        self._timer = self._backoff_clock.call_at(self._backoff_clock.now() + self._wait_s, self._connect_now)

    def _stop(self, reason: str, code: int | None) -> None:
        """End whatever is under way; nothing follows by itself."""
        was_online = self._online
        self._end_attempt()
        self._let_go(code)
        if was_online:
            self._report_down(reason)

    def _let_go(self, code: int | None) -> None:
        """Part with the connection, with a close frame if there is a `code`."""
        connection, self._connection = self._connection, None
        if code is None and self._closing is not None:
            self._closing.abort()
        if connection is not None:
            if code is None or not self._online:
                connection.abort()
            else:
                connection.close(code, self._close_timeout_s)
            self._closing = connection
        self._online = False

    def _report_down(self, reason: str) -> None:
        self._tell(self._listener.link_down, reason)

    def _redirect_target(self, error: link_errors.Redirect) -> str | None:
        """Where a redirect leads, if it may be followed: once, same host, never from TLS to plain text.

        Another host would be sent the password of this one.
        """
        if self._redirected or error.location is None:
            return None
        parts = urlsplit(error.location)
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        target = urlunsplit(parts._replace(scheme=scheme))
        old = self._settings.uri
        try:
            new = parse_uri(target)
        except (InvalidURI, ValueError):
            return None
        same_host = new.host == old.host and new.user_info is None
        return target if same_host and (new.secure or not old.secure) else None

    def _tell(self, report: Callable[[*_Report], None], *args: *_Report) -> None:
        """Call the listener; its mistakes must neither end the connection nor stay unseen."""
        try:
            report(*args)
        except Exception as error:
            self._blame("the listener of the link failed", error)

    def _blame(self, message: str, error: Exception) -> None:
        context = {"message": f"{self._settings.identity}: {message}", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
