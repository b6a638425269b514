"""PN532: readers of 13.56 MHz cards (ISO 14443 A), asked over their serial port (HSU), 115200 baud 8N1."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

from hal.device import DeviceClosed, DeviceTimeout
from hal.serial.line import SerialPort
from hal.serial.presence import Presence

BAUDRATE = 115200

ACK = b"\x00\x00\xff\x00\xff\x00"
NACK = b"\x00\x00\xff\xff\x00\x00"
SYNTAX_ERROR = b"\x7f"
TO_READER, FROM_READER = 0xD4, 0xD5

_WAKE_UP = bytes.fromhex("5555 0000 0000 00")
_SAM_CONFIGURATION = bytes((0x14, 0x01, 0x00, 0x01))  # normal mode, no secure module
_FEW_RETRIES = bytes((0x32, 0x05, 0xFF, 0x01, 0x02))  # RFConfiguration: give up on a missing card at once
_LIST_TARGET = bytes((0x4A, 0x01, 0x00))  # InListPassiveTarget: one card, 106 kbit/s type A
_START = b"\x00\xff"
_UID_LENGTHS = (4, 7, 10)
_RANDOM = 0x08  # the first byte of a 4 byte identifier made up anew each time (ISO 14443-3)

_ACK_S = 0.5
_ANSWER_S = 1.0
_TRIES = 3

_log = logging.getLogger("hal")


def frame(content: bytes) -> bytes:
    """`content` as one information frame; it starts with the direction, D4 or D5."""
    length = len(content)
    return b"\x00" + _START + bytes((length, -length & 0xFF)) + content + bytes((-sum(content) & 0xFF, 0))


class Frames:
    """Finds frames in what a reader says; whatever is none is skipped."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The contents of frames that are complete with `data`; `ACK` and `NACK` stand for themselves."""
        buffer = self._buffer + data
        found = []
        while (start := buffer.find(_START)) >= 0:
            rest = buffer[start + 2 :]
            if len(rest) < 2:
                break
            if rest[:2] in (b"\x00\xff", b"\xff\x00"):
                found.append(ACK if rest[0] == 0 else NACK)
                buffer = rest[2:]
                continue
            length = rest[0]
            if (length + rest[1]) & 0xFF or not length:
                buffer = buffer[start + 1 :]
                continue
            if len(rest) < length + 3:
                break
            content = rest[2 : 2 + length]
            if (sum(content) + rest[2 + length]) & 0xFF:
                buffer = buffer[start + 1 :]
                continue
            found.append(content)
            buffer = rest[length + 3 :]
        else:
            start = len(buffer) - (buffer[-1:] == b"\x00")  # the last byte may begin the next frame
        self._buffer = buffer[start:]
        return found


def uid_of(answer: bytes) -> str | None:
    """The card in the answer to InListPassiveTarget; None if there is none or it makes no sense."""
    if len(answer) < 8 or answer[2] != 1:
        return None
    uid = answer[8 : 8 + answer[7]]
    return uid.hex().upper() if len(uid) == answer[7] and len(uid) in _UID_LENGTHS else None


class Pn532:
    """One reader, asked each `poll_s`; `now` is any clock in seconds that never goes back.

    Identifiers made up anew at each presentation, as phones do, are left out unless `random_ids`.
    """

    def __init__(
        self,
        port: str,
        *,
        random_ids: bool = False,
        poll_s: float = 0.25,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._port = SerialPort(port, BAUDRATE, self._heard, self._lost)
        self._random_ids = random_ids
        self._poll_s = poll_s
        self._presence = Presence(now)
        self._frames = Frames()
        self._inbox: asyncio.Queue[bytes | DeviceTimeout] = asyncio.Queue()

    def __str__(self) -> str:
        return f"PN532 at {self._port}"

    async def open(self) -> None:
        self._port.open()
        await self._ask(_SAM_CONFIGURATION, _WAKE_UP)
        await self._ask(_FEW_RETRIES)

    async def close(self) -> None:
        self._port.close()

    async def tokens(self) -> AsyncIterator[str]:
        if not self._port.is_open:
            raise DeviceClosed(f"{self}: not open")
        while True:
            uid = uid_of(await self._ask(_LIST_TARGET))
            if uid is not None and self._presence.arrives(uid):
                if self._random_ids or len(uid) != 8 or int(uid[:2], 16) != _RANDOM:
                    yield uid
                else:
                    _log.warning(
                        "%s: a phone or card that shows a new identifier each time (%s) is left out; "
                        "random_ids: accept takes it",
                        self,
                        uid,
                    )
            await asyncio.sleep(self._poll_s)

    def _heard(self, data: bytes) -> None:
        for content in self._frames.feed(data):
            self._inbox.put_nowait(content)

    def _lost(self, error: DeviceTimeout) -> None:
        self._inbox.put_nowait(error)

    async def _ask(self, command: bytes, before: bytes = b"") -> bytes:
        """Its answer, with up to three tries; raises `DeviceTimeout`."""
        for _ in range(_TRIES):
            self._frames = Frames()
            while not self._inbox.empty():
                self._inbox.get_nowait()
            self._port.write(before + frame(bytes((TO_READER,)) + command))
            if not await self._next(_ACK_S, ACK):
                continue
            answer = await self._next(_ANSWER_S, bytes((FROM_READER, command[0] + 1)))
            if answer is not None:
                return answer
            self._port.write(ACK)  # gives up the command, which would hold up the next one
        raise DeviceTimeout(f"{self}: no answer; check its wiring, and that its switches select HSU")

    async def _next(self, within_s: float, beginning: bytes) -> bytes | None:
        """The next frame that begins so; None if the reader protests or says nothing in time."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    content = await self._inbox.get()
                    if isinstance(content, DeviceTimeout):
                        raise content
                    if content.startswith(beginning):
                        return content
                    if content in (NACK, SYNTAX_ERROR):
                        return None
        except TimeoutError:
            return None
