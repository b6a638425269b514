"""The control protocol over HTTP: a command is a POST, events are a stream (docs/control.md)."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from aiohttp import web

from chargepoint.control import BadCommand, BrokenOff, Command, Performer, Reply, read_command, refusal
from chargepoint.control.events import event_line
from chargepoint.control.http_server import HttpError, HttpServer, error_body, json_response
from chargepoint.control.http_stream import EventStream
from chargepoint.trace import json_line

MAX_STREAMS = 32
"""Fewer than there may be clients, so that commands still come through."""

MAX_COMMANDS = 1000
"""That wait for their turn or for time to pass; their clients may be gone already."""

BODY_WITHIN_S = 15.0
CLOSE_WITHIN_S = 5.0

STATUSES = {"unknown_cp": 404, "bad_state": 409, "internal": 500}
"""Error of a reply -> HTTP status; any other is 400."""

_log = logging.getLogger(__name__)


class Stations(Protocol):
    """What is behind the control: one station or many."""

    def perform(self, command: Command) -> Reply | Awaitable[Reply]:
        """Carry out a command, as `chargepoint.control.Perform`."""

    def known(self, cp: str) -> bool:
        """There is such a station."""

    def lane(self, command: Command) -> str | None:
        """Commands of one lane are carried out one after the other: the station's identity."""

    def listing(self) -> list[dict[str, Any]]:
        """A line for each station."""

    def ready(self) -> dict[str, Any]:
        """The fields of `ready`."""

    def now(self) -> float:
        """Station time."""

    def audience_changed(self) -> None:
        """Somebody began or ceased to listen (`HttpControl.listens_to`)."""


class HttpControl:
    """Takes commands and hands out events over HTTP.

    On a loopback address it serves requests for such a host only, or a page in a browser could have its own
    name point there. With a `token` it serves those who show it.
    """

    def __init__(self, stations: Stations, host: str, token: str | None = None) -> None:
        self._stations = stations
        self._host = host
        self._token = None if token is None else token.encode()
        self._performer = Performer(stations.perform)
        self._lanes: WeakValueDictionary[str | None, asyncio.Lock] = WeakValueDictionary()
        self._wanted: set[asyncio.Future[Reply]] = set()
        self._streams: set[EventStream] = set()
        self._stopped = asyncio.Event()
        self._routes: Mapping[tuple[str, str], Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {
            ("POST", "/v1/commands"): self._command,
            ("GET", "/v1/events"): self._events,
            ("GET", "/v1/stations"): self._listing,
        }
        self._server = HttpServer(self._serve)
        self._listening: asyncio.Server | None = None

    async def open(self, port: int) -> int:
        """Begin to serve, and return the port: 0 takes a free one. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._server, self._host, port)
        return int(self._listening.sockets[0].getsockname()[1])

    def listens_to(self, cp: str) -> bool:
        """Whether anybody wants the events of that station."""
        return any(stream.wants(cp) for stream in self._streams)

    def emit(self, event: dict[str, Any]) -> None:
        """Hand one event to all who want it."""
        cp = event.get("cp")
        streams = [stream for stream in self._streams if stream.wants(cp)]
        if streams:
            line = json_line(event)
            for stream in streams:
                stream.put(line)

    def stop(self) -> None:
        """End `run` as `shutdown` does; a command that is still under way is broken off, and told so."""
        self._stopped.set()
        self._performer.break_off()

    async def run(self) -> str:
        """Wait until the end, and say why it came."""
        await self._stopped.wait()
        return "shutdown"

    async def close(self) -> None:
        """Let clients read what is there for `CLOSE_WITHIN_S`, then let go of them."""
        self.stop()
        if self._listening is not None:
            self._listening.close()
        for stream in self._streams:
            stream.close()
        self._server.pre_shutdown()
        await self._server.shutdown(CLOSE_WITHIN_S)

    # --- one request --------------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            self._admit(request)
            return await self._route(request)(request)
        except HttpError as error:
            return json_response(error.status, error_body(error.code, str(error)), error.headers)
        except ConnectionError:  # the client is gone
            raise
        except Exception as error:
            _log.error("a request failed unexpectedly", exc_info=error)
            return json_response(500, error_body("internal", type(error).__name__))

    def _admit(self, request: web.BaseRequest) -> None:
        if is_loopback(self._host) and not _is_local(request.headers.get("Host", ""), self._host):
            raise HttpError(403, "bad_host", "the Host header must name this machine: a loopback address")
        if self._token is None:
            return
        scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
        right = hmac.compare_digest(shown.strip().encode(errors="surrogateescape"), self._token)
        if scheme.lower() != "bearer" or not right:
            raise HttpError(
                401,
                "unauthorized",
                "show the control token: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"},
            )

    def _route(self, request: web.BaseRequest) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
        if (route := self._routes.get((request.method, request.path))) is not None:
            return route
        there_are = ", ".join(" ".join(known) for known in self._routes)
        if allowed := [method for method, path in self._routes if path == request.path]:
            raise HttpError(
                405, "bad_method", f"not {request.method}; there are {there_are}", {"Allow": allowed[0]}
            )
        raise HttpError(404, "not_found", f"there is nothing at {request.path}; there are {there_are}")

    async def _command(self, request: web.BaseRequest) -> web.StreamResponse:
        # A page in a browser may send a form or plain text anywhere without asking, but not this.
        if request.content_type != "application/json":
            raise HttpError(415, "bad_content_type", "send a command as Content-Type: application/json")
        try:
            command = read_command(await _body(request))
        except BadCommand as error:
            return json_response(400, refusal(error))
        if len(self._wanted) >= MAX_COMMANDS:
            raise HttpError(503, "busy", f"{MAX_COMMANDS} commands wait already")
        carrying_out = asyncio.ensure_future(self._carry_out(command))
        self._wanted.add(carrying_out)
        carrying_out.add_done_callback(self._wanted.discard)
        # This is cancelled when the client hangs up; its command is carried out all the same.
        reply = await asyncio.shield(carrying_out)
        response = json_response(200 if reply["ok"] else STATUSES.get(reply["error"], 400), reply)
        if command.get("cmd") != "shutdown" or not reply["ok"]:
            return response
        try:
            await response.prepare(request)
            await response.write_eof()
        finally:
            self.stop()
        return response

    async def _carry_out(self, command: Command) -> Reply:
        lane = self._stations.lane(command)
        lock = self._lanes.setdefault(lane, asyncio.Lock())
        async with lock:
            if self._stopped.is_set():
                echo = {"id": command["id"]} if "id" in command else {}
                return refusal(BrokenOff("the process ends")) | echo
            return await self._performer.answer(command)

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        for name in request.query:
            if name != "cp":
                raise HttpError(400, "bad_argument", f"there is no {name!r}; there is cp")
        cp = request.query.get("cp")
        if cp is not None and not self._stations.known(cp):
            raise HttpError(404, "unknown_cp", f"there is no station {cp!r} here")
        if self._stopped.is_set():
            raise HttpError(409, "bad_state", "the process ends")
        if len(self._streams) >= MAX_STREAMS:
            raise HttpError(503, "busy", f"{MAX_STREAMS} clients listen already")
        stream = EventStream(cp, lambda count: self._line("missed", {"count": count}))
        stream.put(self._line("ready", self._stations.ready()))
        self._streams.add(stream)
        self._stations.audience_changed()
        try:
            return await stream.serve(request)
        finally:
            self._streams.discard(stream)
            self._stations.audience_changed()

    def _line(self, event: str, fields: dict[str, Any]) -> bytes:
        return json_line(event_line(self._stations.now(), event, fields))

    async def _listing(self, request: web.BaseRequest) -> web.StreamResponse:
        return json_response(200, {"ok": True, "stations": self._stations.listing()})


async def _body(request: web.BaseRequest) -> bytes:
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return await request.read()
    except TimeoutError:
        raise HttpError(408, "too_slow", f"the body took longer than {BODY_WITHIN_S:g} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise HttpError(413, "too_large", "a command has at most 1 MiB") from None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_local(named: str, host: str) -> bool:
    try:
        name = urlsplit(f"//{named}").hostname
    except ValueError:
        return False
    return name is not None and (name == host or is_loopback(name))
