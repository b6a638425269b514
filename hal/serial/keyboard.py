"""Card readers that type: USB keyboards whose keys are the card's number, ended by Enter.

Needs python3-evdev (the extra `rfid-usb`) and the group `input`. The keyboard is taken for ourselves, so that
cards do not end up in a login prompt.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from hal.device import DeviceClosed, DeviceError, DeviceTimeout
from hal.permission import no_permission
from hal.serial.presence import Presence

FORMATS = ("dec10", "hex")

_KEY_EVENT, _DOWN = 1, 1
_ENTER = frozenset({28, 96})  # the main one and the keypad's
_LONGEST = 20

# Key codes of linux/input-event-codes.h, on the layout all such readers assume.
_KEYS = {
    **dict(zip(range(2, 11), "123456789", strict=True)),
    11: "0",
    **dict(zip((71, 72, 73, 75, 76, 77, 79, 80, 81, 82), "7894561230", strict=True)),
    **dict(zip((30, 48, 46, 32, 18, 33), "ABCDEF", strict=True)),
}
_SHIFTS = frozenset({42, 54, 58, 69})  # both shifts, caps lock, num lock: nothing is typed by them


class Typing:
    """Puts typed keys together to identifiers.

    `dec10`: the decimal number printed on most 125 kHz cards, made the eight hex digits it stands for. `hex`:
    the identifier itself. A line with any other key in it is not a card.
    """

    __slots__ = ("_decimal", "_line")

    def __init__(self, form: str) -> None:
        self._decimal = form == "dec10"
        self._line: str | None = ""  # None: spoilt until the next Enter

    def feed(self, kind: int, code: int, value: int) -> str | None:
        """One event; the identifier that it completes, if it does."""
        if kind != _KEY_EVENT or value != _DOWN or code in _SHIFTS:
            return None
        if code in _ENTER:
            line, self._line = self._line, ""
            return self._identifier(line or "")
        if self._line is not None:
            key = _KEYS.get(code)
            self._line = None if key is None or len(self._line) >= _LONGEST else self._line + key
        return None

    def _identifier(self, line: str) -> str | None:
        if not self._decimal:
            return line or None
        return f"{int(line):08X}" if line.isdigit() and len(line) <= 10 else None


class KeyboardReader:
    """One reader; `open_device` opens its path, evdev's `InputDevice` if not given."""

    def __init__(
        self,
        port: str,
        form: str = FORMATS[0],
        *,
        now: Callable[[], float] = time.monotonic,
        open_device: Callable[[str], Any] | None = None,
    ) -> None:
        self._path = port
        self._form = form
        self._open_device = open_device
        self._device: Any = None
        self._presence = Presence(now)

    def __str__(self) -> str:
        return f"keyboard reader at {self._path}"

    async def open(self) -> None:
        if self._device is not None:
            return
        open_device = self._open_device or _input_device()
        try:
            device = open_device(self._path)
        except OSError as error:
            raise DeviceTimeout(_why_not(self._path, error)) from error
        try:
            device.grab()
        except OSError as error:
            device.close()
            raise DeviceTimeout(f"{self._path}: another program has taken this keyboard ({error})") from error
        self._device = device

    async def close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            with suppress(OSError):  # it was unplugged
                device.close()  # gives up the grab too

    async def tokens(self) -> AsyncIterator[str]:
        if self._device is None:
            raise DeviceClosed(f"{self}: not open")
        typing = Typing(self._form)
        try:
            async for event in self._device.async_read_loop():
                uid = typing.feed(event.type, event.code, event.value)
                if uid is not None and self._presence.arrives(uid):
                    yield uid
        except OSError as error:
            raise DeviceTimeout(f"{self._path}: the reader is gone; was it unplugged?") from error


def _input_device() -> Callable[[str], Any]:
    try:
        evdev = importlib.import_module("evdev")
    except ImportError as error:
        raise DeviceError(
            "keyboard readers need evdev: sudo apt install python3-evdev, in an environment made with "
            "--system-site-packages, or pip install 'chargepoint[rfid-usb]'"
        ) from error
    device: Callable[[str], Any] = evdev.InputDevice
    return device


def _why_not(path: str, error: OSError) -> str:
    if not os.path.exists(path):
        return f"{path}: there is no such device; is the reader plugged in? ls /dev/input/by-id lists them"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path}: {no_permission('input')}"
    return f"{path}: cannot be opened ({error}); is it an input device?"
