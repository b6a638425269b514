"""One open Modbus port: asks one thing at a time over pymodbus and hears nothing but the answer to it.

pymodbus matches RTU answers by unit alone, loses a frame to a single stray byte before it and takes the start
of an answer that comes in pieces for an echo; `_heard` looks at the bytes before pymodbus does.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hal.api import DeviceTimeout
from hal.modbus.place import Place, SerialLine
from hal.permission import no_permission

READ_FUNCTIONS = {
    1: "read_coils",
    2: "read_discrete_inputs",
    3: "read_holding_registers",
    4: "read_input_registers",
}
WRITE_FUNCTIONS = {15: "write_coils", 16: "write_registers"}


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a unit; `values` are written, without them `count` are read."""

    unit: int
    function: int
    address: int
    count: int
    values: tuple[int, ...] | None = None

    def __str__(self) -> str:
        verb = "read" if self.values is None else "write"
        return f"function {self.function}, {verb} {self.count} at {self.address}"

    def answer_head(self) -> bytes:
        """How its answer goes on after unit and function."""
        if self.values is not None:
            return struct.pack(">HH", self.address, self.count)
        return bytes((2 * self.count if self.function in (3, 4) else (self.count + 7) // 8,))

    def wire_bytes(self) -> int:
        """The length of request and answer on a serial line."""
        payload = 2 * self.count if self.function in (3, 4, 16) else (self.count + 7) // 8
        return payload + (13 if self.values is None else 17)


class NoAnswer(Exception):
    """Nothing that could be understood came in time; `garbled` if there was something."""

    def __init__(self, garbled: bool) -> None:
        super().__init__("garbled answer" if garbled else "no answer")
        self.garbled = garbled


class Lost(Exception):
    """The port or connection is gone."""


class Wire:
    """A port from `connect` to `close`; not for use by two at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client: Any = None
        self._asking: Request | None = None
        self._sent = b""
        self._answered = False
        self.heard_at = 0.0  # on the loop's clock: when bytes came last
        self.unasked = 0  # bytes that came while nothing was asked

    @property
    def connected(self) -> bool:
        """Whether the port is open and not known to be gone."""
        return self._client is not None and self._client.connected

    async def connect(self) -> None:
        """Open the port; raises `DeviceTimeout` with what to do about it."""
        self.close()
        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it logs each time-out as an error
        if isinstance(self._place, SerialLine):
            _try(self._place)
        self._client = self._new_client()
        if await self._client.connect():
            await asyncio.sleep(0)  # a serial transport finishes opening in the loop's next turn
            return
        self.close()
        raise DeviceTimeout(f"{self._place}: no connection; is the device on, are host and tcp_port right?")

    def close(self) -> None:
        """Close the port; idempotent."""
        if self._client is not None:
            self._client.close()
            self._client = None

    async def ask(self, request: Request, timeout_s: float) -> Any:
        """The first answer of the right unit, as pymodbus decodes it; raises `NoAnswer` or `Lost`."""
        from pymodbus.exceptions import ConnectionException, ModbusException

        self._client.ctx.comm_params.timeout_connect = timeout_s
        self._sent, self._answered = b"", False
        self._asking = request
        try:
            return await self._call(request)
        except ConnectionException as error:
            raise Lost from error
        except ModbusException as error:
            if not self.connected:
                raise Lost from error
            raise NoAnswer(self._answered) from error
        finally:
            self._asking = None

    async def _call(self, request: Request) -> Any:
        if request.values is None:
            read: Callable[..., Any] = getattr(self._client, READ_FUNCTIONS[request.function])
            return await read(request.address, count=request.count, device_id=request.unit)
        write: Callable[..., Any] = getattr(self._client, WRITE_FUNCTIONS[request.function])
        values = [bool(value) for value in request.values] if request.function == 15 else list(request.values)
        return await write(request.address, values, device_id=request.unit)

    def _new_client(self) -> Any:
        from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

        place = self._place
        # It must neither ask again, which hides late answers, nor connect behind our back.
        habits: dict[str, Any] = {
            "timeout": max(place.timeout_s, 1.0),
            "retries": 0,
            "reconnect_delay": 0,
            "trace_packet": self._traced,
        }
        if isinstance(place, SerialLine):
            return AsyncModbusSerialClient(
                place.port, baudrate=place.baudrate, parity=place.parity, stopbits=place.stopbits, **habits
            )
        return AsyncModbusTcpClient(place.host, port=place.port, **habits)

    def _traced(self, sending: bool, data: bytes) -> bytes:
        if sending:
            self._sent = data
            return data
        self.heard_at = asyncio.get_running_loop().time()
        if self._asking is None:
            self.unasked += 1
            return b""
        self._answered = True
        return self._heard(data, self._asking) if isinstance(self._place, SerialLine) else data

    def _heard(self, data: bytes, request: Request) -> bytes:
        """What may be an answer in all that came since the request: from its head on, without an echo."""
        assert isinstance(self._place, SerialLine)
        if self._place.local_echo:
            if self._sent.startswith(data) and len(data) < len(self._sent):
                return b""  # the start of an echo, or of an answer: the next bytes will tell
            before, _, after = data.partition(self._sent)
            data = after or before
        speaker = bytes((request.unit, request.function))
        for head in (
            speaker + request.answer_head(),
            bytes((request.unit, request.function | 0x80)),
            speaker,
        ):
            if (start := data.find(head)) >= 0:
                break
        else:
            return b""
        # An echo of "read 1 at 0x03E8" has the checksum of an answer of 3 bytes, which no register has.
        if head is speaker and request.function in (3, 4) and len(data) > start + 2 and data[start + 2] % 2:
            return b""
        return data[start:]


def _try(line: SerialLine) -> None:
    """Open the port and close it; pymodbus keeps to itself why it cannot, and the half-opened port too."""
    import serial

    port = serial.Serial(
        baudrate=line.baudrate, parity=line.parity, stopbits=line.stopbits, exclusive=True, timeout=1
    )
    port.port = line.port
    try:
        port.open()
        port.timeout = 0  # sets all up again, which pseudo terminals refuse to do with parity
    except (OSError, ValueError, termios.error) as error:
        raise DeviceTimeout(f"{line.port}: {_why_not(line, error)}") from error
    finally:
        port.close()


def _why_not(line: SerialLine, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return "there is no such port; is the adapter plugged in? ls /dev/serial/by-id lists them"
    if number in (errno.EACCES, errno.EPERM):
        return no_permission("dialout")
    if number in (errno.EAGAIN, errno.EBUSY):
        return f"in use, by another process or under another name; fuser -v {line.port} tells"
    return f"cannot be opened at {line.baudrate} baud, 8{line.parity}{line.stopbits}: {error}"
