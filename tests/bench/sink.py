"""A central system as light as possible: a process that answers every CALL and looks at none closely.

Run as `python -m tests.bench.sink [--heartbeat SECONDS] [--tls CERT KEY]`; prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import ssl
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import orjson
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from tests.bench.loops import LOOPS, run

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}


BACKLOG = 2000


def answer(action: str, heartbeat_s: int = 86400) -> dict[str, Any]:
    """The least a valid answer has to say."""
    if action in ("BootNotification", "Heartbeat"):
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        boot = {"status": "Accepted", "interval": heartbeat_s} if action == "BootNotification" else {}
        return {"currentTime": now} | boot
    if action == "StartTransaction":
        return {"transactionId": 12345} | ACCEPTED
    return ACCEPTED if action in ("Authorize", "StopTransaction") else {}


class Sink(asyncio.Protocol):
    """One connection; no extensions, so that nobody pays for compression."""

    def __init__(self, heartbeat_s: int) -> None:
        self.heartbeat_s = heartbeat_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.protocol = ServerProtocol(subprotocols=[Subprotocol("ocpp1.6")])

    def data_received(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.protocol.send_response(self.protocol.accept(event))
            elif (
                isinstance(event, Frame) and event.opcode is Opcode.TEXT and self.protocol.state is State.OPEN
            ):
                frame = orjson.loads(event.data)
                if frame[0] == 2:
                    self.protocol.send_text(orjson.dumps([3, frame[1], answer(frame[2], self.heartbeat_s)]))
        for part in self.protocol.data_to_send():
            if part:
                self.transport.write(part)
            else:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.close()


async def main(heartbeat_s: int, context: ssl.SSLContext | None) -> None:
    """Listen on a free port of the loopback, tell it, and go on until killed."""
    server = await asyncio.get_running_loop().create_server(
        partial(Sink, heartbeat_s), "127.0.0.1", 0, backlog=BACKLOG, ssl=context
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _server_context(files: list[str] | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--heartbeat", type=int, default=86400)
    parser.add_argument("--tls", nargs=2)
    flags = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    run(main(flags.heartbeat, _server_context(flags.tls)), LOOPS[-1])
