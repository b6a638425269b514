"""An HTTP server for few clients: so many at once, each with so much time for a request, errors as JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web

from chargepoint.control import reply_line

MAX_CLIENTS = 64
REQUEST_WITHIN_S = 15.0
"""From one request, or the connection, to the headers of the next."""

_LINGER_S = 1.0
_mute = logging.getLogger(f"{__name__}.aiohttp")
_mute.setLevel(logging.CRITICAL + 1)  # it writes what clients send, tokens included, and tracebacks


class HttpError(Exception):
    """A request that cannot be served; `code` and the text go into the reply."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


def json_response(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> web.Response:
    """A response with one JSON object and a line end."""
    return web.Response(
        status=status,
        body=reply_line(body),
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"} | (headers or {}),
    )


def error_body(code: str, message: str) -> dict[str, Any]:
    """The reply to what cannot be served."""
    return {"ok": False, "error": code, "message": message}


class HttpServer(web.Server):
    """Serves requests with `serve`, which answers everything and raises nothing."""

    def __init__(self, serve: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(
            self._served,
            handler_cancellation=True,  # the only way to hear that the reader of a stream is gone
            access_log=None,
            logger=_mute,
            auto_decompress=False,  # a small body can unpack to a very large one
            lingering_time=_LINGER_S,
        )
        self._serve = serve

    def __call__(self) -> web.RequestHandler:
        if len(self.connections) >= MAX_CLIENTS:
            return _Refusal()  # type: ignore[return-value]  # all that asyncio needs is a protocol
        return _Connection(self, loop=asyncio.get_running_loop(), **self._kwargs)

    async def _served(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        connection.busy()
        try:
            return await self._serve(request)
        finally:
            connection.idle()


class _Connection(web.RequestHandler):
    """One client; closed when it takes too long to say what it wants."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.idle()

    def connection_lost(self, exc: BaseException | None) -> None:
        self.busy()
        super().connection_lost(exc)

    def idle(self) -> None:
        """Nothing was asked yet, or all of it is answered."""
        self.busy()
        if self.transport is not None:
            self._deadline = asyncio.get_running_loop().call_later(REQUEST_WITHIN_S, self.force_close)

    def busy(self) -> None:
        """A request is here."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP."""
        if request.writer.output_size:
            raise ConnectionError("it fails in the middle of a response")
        response = json_response(status, error_body("bad_request", "this is not a request of HTTP/1.1"))
        response.force_close()
        return response


class _Refusal(asyncio.Protocol):
    """For one client too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is not derived from asyncio's
        body = reply_line(error_body("busy", f"{MAX_CLIENTS} clients are connected already"))
        transport.write(
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        transport.close()
