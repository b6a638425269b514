"""A serial port on the asyncio loop: bytes in by callback, bytes out at once, no thread.

Name ports by `/dev/serial/by-id/...`: that name is the adapter's and stays when it is plugged in again, while
`/dev/ttyUSB0` may become another adapter.
"""

from __future__ import annotations

import asyncio
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hal.api import DeviceTimeout
from hal.permission import no_permission


class SerialPort:
    """One port, for us alone while it is open; it may be opened again after it was lost.

    `heard` is called with what comes in, `lost` with the reason when the port goes away by itself.
    """

    __slots__ = ("_loop", "_serial", "baudrate", "heard", "lost", "port")

    def __init__(
        self,
        port: str,
        baudrate: int,
        heard: Callable[[bytes], None],
        lost: Callable[[DeviceTimeout], None],
    ) -> None:
        self.port = port
        self.baudrate = baudrate
        self.heard = heard
        self.lost = lost
        self._serial: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __str__(self) -> str:
        return self.port

    @property
    def is_open(self) -> bool:
        """Open, and not known to be gone."""
        return self._serial is not None

    def open(self) -> None:
        """Open it, 8N1; nothing happens to an open one. Raises `DeviceTimeout` with what to do about it."""
        if self._serial is not None:
            return
        import serial

        try:
            self._serial = serial.Serial(self.port, self.baudrate, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError, termios.error) as error:
            raise DeviceTimeout(_why_not(self.port, error)) from error
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._serial.fileno(), self._readable)

    def write(self, data: bytes) -> None:
        """Send `data`; raises `DeviceTimeout` if the port is gone or takes nothing any more."""
        if self._serial is None:
            raise DeviceTimeout(f"{self.port}: the port is not open; was the adapter unplugged?")
        try:
            sent = self._serial.write(data)
        except (OSError, termios.error) as error:
            raise self._gone() from error
        if sent != len(data):
            raise DeviceTimeout(f"{self.port}: takes no more bytes; does the device still listen?")

    def close(self) -> None:
        """Let go of it; idempotent, never raises."""
        port, self._serial = self._serial, None
        if port is None:
            return
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(port.fileno())
        with suppress(OSError, termios.error):  # it was unplugged
            port.close()

    def _readable(self) -> None:
        try:
            data = self._serial.read(4096)
        except (OSError, TypeError, termios.error):  # TypeError: pyserial, closed while it was reading
            self.lost(self._gone())
            return
        if data:
            self.heard(data)

    def _gone(self) -> DeviceTimeout:
        self.close()
        return DeviceTimeout(f"{self.port}: the port is gone; was the adapter unplugged?")


def _why_not(port: str, error: Exception) -> str:
    """Why `port` could not be opened, with the remedy."""
    if not os.path.exists(port):
        return f"{port}: there is no such port; is the adapter plugged in? ls /dev/serial/by-id lists them"
    if not os.access(port, os.R_OK | os.W_OK):
        return f"{port}: {no_permission('dialout')}"
    if "lock" in str(error):
        return f"{port}: another process has it open; fuser -v {port} names it"
    return f"{port}: cannot be opened ({error}); is it a serial port?"
