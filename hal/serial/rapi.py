"""RAPI, the serial protocol of OpenEVSE: frames, their checksums and the one question under way at a time.

A frame is `$` and words, ended by `^`, the exclusive or of all before in hex, and a carriage return; older
firmware ends with `*` and the sum instead. A question may carry a number that its answer repeats.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import xor

from hal.device import DeviceClosed, DeviceRefused, DeviceTimeout
from hal.serial.line import SerialPort

BAUDRATE = 115200

LONGEST_REQUEST = 32
"""The controller's buffer: it drops longer frames without a word."""

_NEWS = frozenset({"AT", "AB", "AN", "WF"})
_TRIES = 2
_LONGEST_LINE = 128


def frame(body: str) -> bytes:
    """The bytes of a question or an answer; `body` without the dollar sign."""
    raw = b"$" + body.encode("ascii")
    return b"%s^%02X\r" % (raw, reduce(xor, raw))


class Frames:
    """Finds frames in what a controller says; whatever is none, or has a wrong checksum, is skipped."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[list[str]]:
        """The words of frames that are complete with `data`."""
        *lines, rest = (self._buffer + data).split(b"\r")
        self._buffer = rest[-_LONGEST_LINE:]
        return [words for line in lines if (words := _words(line))]


def _words(line: bytes) -> list[str]:
    raw = line[max(line.rfind(b"$"), 0) :]
    for mark, checksum in ((b"^", lambda part: reduce(xor, part)), (b"*", lambda part: sum(part) & 0xFF)):
        part, found, told = raw.rpartition(mark)
        if found and part.startswith(b"$"):
            try:
                right = len(told) == 2 and int(told, 16) == checksum(part)
                return part[1:].decode("ascii").split() if right else []
            except ValueError:
                return []
    return []


@dataclass(frozen=True, slots=True)
class Answer:
    """What a controller said to a question: `OK` or `NK`, and the words behind it."""

    accepted: bool
    words: tuple[str, ...]

    def number(self, index: int, base: int = 10) -> int:
        """The word at `index` as a number; raises `DeviceRefused` if it is none."""
        try:
            return int(self.words[index], base)
        except (IndexError, ValueError):
            raise DeviceRefused(f"OpenEVSE: {' '.join(self.words)!r} is not the answer expected") from None


class Rapi:
    """One controller's port. `news` is called with the words of what the controller says by itself.

    A question is asked twice before `DeviceTimeout`. Firmware that does not repeat numbers is noticed at
    `open`; after a silence the port is then left alone for `quiet_s`, in which a late answer dies. The next
    question opens a port again that was lost.
    """

    def __init__(self, port: str, *, timeout_s: float = 0.4, quiet_s: float = 0.5) -> None:
        self._port = SerialPort(port, BAUDRATE, self._heard, self._lost)
        self._timeout_s = timeout_s
        self._quiet_s = quiet_s
        self._frames = Frames()
        self._turn = asyncio.Lock()
        self._waiting: asyncio.Future[Answer | None] | None = None
        self._number = 0
        self._numbered = True
        self._quiet_until = 0.0
        self._closed = True
        self.news: Callable[[list[str]], None] = lambda words: None

    def __str__(self) -> str:
        return f"OpenEVSE at {self._port}"

    async def open(self) -> Answer:
        """Open the port and find a controller; its firmware's version and that of its protocol."""
        self._closed = False
        self._port.open()
        for self._numbered in (True, False):
            try:
                answer = await self.ask("GV")
            except DeviceTimeout:
                if not self._port.is_open:
                    raise
                continue
            if answer.accepted:
                return answer
        raise DeviceTimeout(f"{self}: no answer; is it the right port, and is the controller on?")

    def close(self) -> None:
        """Let go of the port; idempotent, never raises."""
        self._closed = True
        self._port.close()

    async def ask(self, body: str) -> Answer:
        """Its answer, also if that is no; raises `DeviceTimeout`, or `DeviceClosed` after `close`."""
        async with self._turn:
            for _ in range(_TRIES):
                answer = await self._ask(body)
                if answer is not None:
                    return answer
            raise DeviceTimeout(f"{self}: no answer to ${body}")

    async def _ask(self, body: str) -> Answer | None:
        """One try; None if there was no answer, or the question arrived garbled."""
        if self._closed:
            raise DeviceClosed(f"{self}: not open")
        if self._numbered:
            self._number = self._number % 255 + 1
            data = frame(f"{body} :{self._number:02X}")
        else:
            data = frame(body)
        if len(data) > LONGEST_REQUEST:
            raise ValueError(f"${body}: is longer than the {LONGEST_REQUEST} bytes a controller takes")
        loop = asyncio.get_running_loop()
        if (rest_s := self._quiet_until - loop.time()) > 0:
            await asyncio.sleep(rest_s)
        self._port.open()
        self._waiting = loop.create_future()
        answered = False
        try:
            self._port.write(data)
            async with asyncio.timeout(self._timeout_s):
                answer = await self._waiting
            answered = True
            return answer
        except TimeoutError:
            return None
        finally:
            self._waiting = None
            if not answered and not self._numbered:
                self._quiet_until = loop.time() + self._quiet_s

    def _heard(self, data: bytes) -> None:
        for words in self._frames.feed(data):
            if words[0] in _NEWS:
                self.news(words)
            elif words[0] in ("OK", "NK") and self._waiting is not None and not self._waiting.done():
                number = words.pop() if words[-1].startswith(":") else None
                if number == (f":{self._number:02X}" if self._numbered else None):
                    self._waiting.set_result(Answer(words[0] == "OK", tuple(words[1:])))
                elif self._numbered and number is None and words[0] == "NK":
                    self._waiting.set_result(None)  # the question arrived garbled, number and all

    def _lost(self, error: DeviceTimeout) -> None:
        self._frames = Frames()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
