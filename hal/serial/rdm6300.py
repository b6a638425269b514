"""RDM6300 and alike: readers of 125 kHz EM4100 cards that say each card over and over, 9600 baud 8N1.

A frame is 02, ten hex digits of the card, two of the exclusive or of its five bytes, 03. Nothing can be asked
of such a reader, so that it is there shows only when it reads a card.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import reduce
from operator import xor

from hal.device import DeviceClosed, DeviceTimeout
from hal.serial.line import SerialPort
from hal.serial.presence import Presence

BAUDRATE = 9600

_START, _END = 0x02, 0x03
_LENGTH = 14
_HEX = frozenset(b"0123456789ABCDEFabcdef")


def frame(uid: str) -> bytes:
    """What a reader says when it sees this card; `uid` has ten hex digits."""
    return b"\x02%s%02X\x03" % (uid.encode("ascii"), reduce(xor, bytes.fromhex(uid)))


class Frames:
    """Finds frames in what a reader says; whatever is none is skipped."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[str]:
        """The cards whose frames are complete with `data`."""
        buffer = self._buffer + data
        found = []
        while (start := buffer.find(_START)) >= 0 and len(buffer) - start >= _LENGTH:
            uid = _card(buffer[start : start + _LENGTH])
            if uid is not None:
                found.append(uid)
            buffer = buffer[start + (_LENGTH if uid else 1) :]
        self._buffer = buffer[start:] if start >= 0 else b""
        return found


def _card(frame: bytes) -> str | None:
    if frame[-1] != _END or not _HEX.issuperset(frame[1:-1]):
        return None
    content = bytes.fromhex(frame[1:-1].decode("ascii"))
    return content[:-1].hex().upper() if reduce(xor, content) == 0 else None


class Rdm6300:
    """One reader; `now` is any clock in seconds that never goes back."""

    def __init__(self, port: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self._inbox: asyncio.Queue[bytes | DeviceTimeout] = asyncio.Queue()
        self._port = SerialPort(port, BAUDRATE, self._inbox.put_nowait, self._inbox.put_nowait)
        self._presence = Presence(now)

    def __str__(self) -> str:
        return f"RDM6300 at {self._port}"

    async def open(self) -> None:
        self._inbox = asyncio.Queue()
        self._port.heard = self._port.lost = self._inbox.put_nowait
        self._port.open()

    async def close(self) -> None:
        self._port.close()

    async def tokens(self) -> AsyncIterator[str]:
        if not self._port.is_open:
            raise DeviceClosed(f"{self}: not open")
        frames = Frames()
        while True:
            data = await self._inbox.get()
            if isinstance(data, DeviceTimeout):
                raise data
            for uid in frames.feed(data):
                if self._presence.arrives(uid):
                    yield uid
