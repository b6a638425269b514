"""Emulated Modbus devices on a serial line (RTU) or TCP, with faults on demand.

The framing is our own: pymodbus' server answers for units that are not there, which no device does, and
cannot be made to send half a frame or a wrong checksum. Nor can master and devices share a mistake this way.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable, Iterable
from typing import Protocol

from hal.emulators.faults import KINDS, Faults
from hal.emulators.pty_bus import PtyBus, Say

__all__ = ["KINDS", "EmulatedUnit", "Faults", "ModbusEmulator", "Refusal"]

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
DEVICE_FAILURE = 4

_log = logging.getLogger(__name__)
_READS = (1, 2, 3, 4)
_WRITES = (5, 6, 15, 16)
_PAUSE_S = 0.1  # what came before so long a silence does not belong to what comes after it


class Refusal(Exception):
    """The device answers with an exception code: 1 function, 2 address, 3 value, 4 failure, 6 busy."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class EmulatedUnit(Protocol):
    """One device with its registers."""

    @property
    def unit(self) -> int:
        """Its address on the line, 1 to 247."""

    def read(self, function: int, address: int, count: int) -> list[int]:
        """Coils (function 1), discrete inputs (2), both as 0 or 1, holding (3) or input registers (4).

        Raises `Refusal`, or any other exception for a failure of the device (code 4).
        """

    def write(self, function: int, address: int, values: list[int]) -> None:
        """Coils (functions 5 and 15) or holding registers (6 and 16); raises as `read`."""


class ModbusEmulator:
    """Answers for its units, and is silent for all others, in as many places as it is told to serve."""

    def __init__(self, units: Iterable[EmulatedUnit], *, faults: Faults | None = None) -> None:
        self.faults = faults if faults is not None else Faults()
        self.requests = 0  # heard, for one of the units
        self._units = {unit.unit: unit for unit in units}
        self._lines: list[_RtuEnd] = []
        self._servers: list[_TcpEnd] = []

    async def serve_serial(self, bus: PtyBus) -> None:
        """Take part in `bus` until `close`."""
        self._lines.append(_RtuEnd(self, bus))

    async def serve_tcp(self, host: str = "127.0.0.1", port: int = 0) -> tuple[str, int]:
        """Listen; returns host and port, a free one for 0."""
        server = _TcpEnd(self, host, port)
        await server.listen()
        self._servers.append(server)
        return server.host, server.port

    async def vanish(self) -> None:
        """Serial lines lose their adapters, TCP connections end and new ones are refused."""
        for line in self._lines:
            for index in range(len(line.bus.names)):
                line.bus.unplug(index)
        for server in self._servers:
            await server.shut()

    async def come_back(self) -> None:
        """Undo `vanish`, under the same names and ports."""
        for line in self._lines:
            for index in range(len(line.bus.names)):
                line.bus.replug(index)
        for server in self._servers:
            await server.listen()

    async def close(self) -> None:
        """Leave every line and connection; the lines stay open. Idempotent."""
        for line in self._lines:
            line.leave()
        for server in self._servers:
            await server.shut()
        self._lines.clear()
        self._servers.clear()

    def has(self, unit: int) -> bool:
        """Whether such a unit answers here."""
        return unit in self._units

    def answer(self, unit: int, request: bytes, drawn: frozenset[str]) -> bytes:
        """The answer to a request, both from the function code on."""
        function = request[0]
        self.requests += 1
        try:
            if "exception" in drawn:
                raise Refusal(self.faults.exception_code())
            return self._carried_out(self._units[unit], function, request, "short" in drawn)
        except Refusal as refusal:
            return bytes((function | 0x80, refusal.code))
        except Exception:
            _log.exception("unit %d failed at function %d", unit, function)
            return bytes((function | 0x80, DEVICE_FAILURE))

    @staticmethod
    def _carried_out(unit: EmulatedUnit, function: int, request: bytes, short: bool) -> bytes:
        if function not in _READS + _WRITES:
            raise Refusal(ILLEGAL_FUNCTION)
        address, count = struct.unpack_from(">HH", request, 1)
        if function in _READS:
            if not 1 <= count <= (2000 if function < 3 else 125) or address + count > 65536:
                raise Refusal(ILLEGAL_VALUE)
            values = unit.read(function, address, count)
            if short and len(values) > 1:
                values = values[:-1]
            data = _packed_bits(values) if function < 3 else struct.pack(f">{len(values)}H", *values)
            return bytes((function, len(data))) + data
        if function in (5, 6):
            unit.write(function, address, [int(count == 0xFF00) if function == 5 else count])
            return request[:5]
        data = request[6 : 6 + request[5]]
        if function == 16 and len(data) == 2 * count:
            written = list(struct.unpack(f">{count}H", data))
        elif function == 15 and len(data) == (count + 7) // 8:
            written = [data[index // 8] >> index % 8 & 1 for index in range(count)]
        else:
            raise Refusal(ILLEGAL_VALUE)
        unit.write(function, address, written)
        return struct.pack(">BHH", function, address, count - 1 if short else count)


class _End:
    """Sends answers, as late and as broken as the faults want, in the order of their requests."""

    def __init__(self, emulator: ModbusEmulator) -> None:
        self.emulator = emulator
        self._loop = asyncio.get_running_loop()
        self._pending: set[asyncio.TimerHandle] = set()
        self._last_due = 0.0

    def reply(self, frame: bytes, drawn: frozenset[str], send: Callable[[bytes], None]) -> None:
        """Send `frame` with what `drawn` does to it."""
        faults = self.emulator.faults
        if "flip" in drawn:
            frame = faults.flipped(frame)
        if "truncate" in drawn:
            frame = faults.truncated(frame)
        if "noise" in drawn:
            frame = faults.noisy(frame)
        # A device is busy with one request at a time, so a late answer is never overtaken by the next.
        due = max(self._loop.time() + (faults.delay_s if "delay" in drawn else 0.0), self._last_due)
        for _ in range(2 if "duplicate" in drawn else 1):
            for piece in faults.pieces(frame) if "split" in drawn and frame else [frame]:
                self._send_at(due, piece, send)
                due += faults.split_s if "split" in drawn else 0.0
        self._last_due = due

    def cancel(self) -> None:
        """What has not been sent never will."""
        for timer in self._pending:
            timer.cancel()
        self._pending.clear()

    def _send_at(self, due: float, data: bytes, send: Callable[[bytes], None]) -> None:
        if due <= self._loop.time() and not self._pending:
            send(data)
            return

        def now() -> None:
            self._pending.discard(timer)
            send(data)

        timer = self._loop.call_at(due, now)
        self._pending.add(timer)


class _RtuEnd(_End):
    """The emulator on one serial line."""

    def __init__(self, emulator: ModbusEmulator, bus: PtyBus) -> None:
        super().__init__(emulator)
        self.bus = bus
        self._say: Say = bus.attach(self._hear)
        self._heard = b""
        self._heard_at = 0.0

    def leave(self) -> None:
        self.cancel()
        self.bus.detach(self._hear)

    def _hear(self, source: int, data: bytes) -> None:
        now = self._loop.time()
        if now - self._heard_at > _PAUSE_S:
            self._heard = b""
        self._heard, self._heard_at = self._heard + data, now
        while (found := self._request()) is not None:
            self._take(source, found)

    def _request(self) -> bytes | None:
        """The next complete request to one of the units; what is before it (others' answers) is dropped."""
        for start in range(len(self._heard)):
            frame = self._heard[start:]
            if not self.emulator.has(frame[0]) or len(frame) < 8:
                continue
            size = 9 + frame[6] if frame[1] in (15, 16) else 8
            if len(frame) >= size and crc16(frame[: size - 2]) == frame[size - 2 : size]:
                self._heard = frame[size:]
                return frame[:size]
        self._heard = self._heard[-264:]
        return None

    def _take(self, source: int, frame: bytes) -> None:
        unit = frame[0]
        drawn = self.emulator.faults.draw(unit)
        if "echo" in drawn and source >= 0:
            self.bus.echo(source, frame)
        if "drop_request" in drawn:
            return
        answer = self.emulator.answer(unit, frame[1:-2], drawn)
        if "drop_reply" in drawn:
            return
        body = bytes((unit + 1 if "wrong_unit" in drawn else unit,)) + answer
        self.reply(body + crc16(body), drawn, self._say)


class _TcpEnd(_End):
    """The emulator behind one listening socket."""

    def __init__(self, emulator: ModbusEmulator, host: str, port: int) -> None:
        super().__init__(emulator)
        self.host, self.port = host, port
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}

    async def listen(self) -> None:
        """Accept connections; nothing happens if it does."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
            self.host, self.port = self._server.sockets[0].getsockname()[:2]

    async def shut(self) -> None:
        """End all connections and accept no more."""
        if self._server is None:
            return
        self.cancel()
        self._server.close()
        tasks = list(self._connections.values())
        for writer in self._connections:
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[writer] = task
        try:
            while True:
                head = await reader.readexactly(7)
                number, protocol, length, unit = struct.unpack(">HHHB", head)
                if protocol != 0 or not 2 <= length <= 254:
                    return  # not Modbus
                self._take(number, unit, await reader.readexactly(length - 1), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            del self._connections[writer]
            writer.close()

    def _take(self, number: int, unit: int, request: bytes, writer: asyncio.StreamWriter) -> None:
        if not self.emulator.has(unit):
            return
        drawn = self.emulator.faults.draw(unit)
        if "drop_request" in drawn:
            return
        answer = self.emulator.answer(unit, request, drawn)
        if "drop_reply" in drawn:
            return
        speaker = unit + 1 if "wrong_unit" in drawn else unit
        self.reply(
            struct.pack(">HHHB", number, 0, len(answer) + 1, speaker) + answer, drawn, _writing(writer)
        )


def _writing(writer: asyncio.StreamWriter) -> Callable[[bytes], None]:
    def send(data: bytes) -> None:
        if not writer.is_closing():
            writer.write(data)

    return send


def _packed_bits(values: list[int]) -> bytes:
    packed = bytearray((len(values) + 7) // 8)
    for index, value in enumerate(values):
        packed[index // 8] |= bool(value) << index % 8
    return bytes(packed)


def crc16(data: bytes) -> bytes:
    """The checksum of an RTU frame, as it follows it (Modbus over Serial Line 1.02 §2.5.1.2)."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return struct.pack("<H", crc)
