"""A central system as light as possible: a process that answers every CALL and looks at none closely."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import orjson
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

ACCEPTED = {"idTagInfo": {"status": "Accepted"}}


def answer(action: str) -> dict[str, Any]:
    """The least a valid answer has to say."""
    if action == "BootNotification":
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"status": "Accepted", "currentTime": now, "interval": 86400}
    if action == "StartTransaction":
        return {"transactionId": 12345} | ACCEPTED
    return ACCEPTED if action in ("Authorize", "StopTransaction") else {}


class Sink(asyncio.Protocol):
    """One connection; no extensions, so that nobody pays for compression."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.protocol = ServerProtocol(subprotocols=[Subprotocol("ocpp1.6")])

    def data_received(self, data: bytes) -> None:
        self.protocol.receive_data(data)
        for event in self.protocol.events_received():
            if isinstance(event, Request):
                self.protocol.send_response(self.protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                frame = orjson.loads(event.data)
                if frame[0] == 2:
                    self.protocol.send_text(orjson.dumps([3, frame[1], answer(frame[2])]))
        for part in self.protocol.data_to_send():
            if part:
                self.transport.write(part)
            else:
                self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport.close()


async def main() -> None:
    """Listen on a free port of the loopback, tell it, and go on until killed."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
