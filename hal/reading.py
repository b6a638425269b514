"""Keeps a card reader open and hands on what it reads: puts a `TokenReader` behind `hal.api.TagReader`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from hal.api import DeviceError, Fault, FaultKind
from hal.device import TokenReader
from hal.whitelist import Whitelist

_LONGEST = 20
_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 30.0

_log = logging.getLogger("hal")


class AttendedReader:
    """One reader, opened at once and again whenever it was lost; make it inside a running asyncio loop.

    `on_fault` is told once that the reader is gone, and None once it is back. With a `whitelist` the reader
    vouches for the cards in it; `others` False leaves out all others. Waits pass in real time, first
    `retry_s`, then twice as long each time up to 30 s.
    """

    def __init__(
        self,
        reader: TokenReader,
        *,
        whitelist: Whitelist | None = None,
        others: bool = True,
        retry_s: float = _FIRST_RETRY_S,
    ) -> None:
        self.on_tag: Callable[[str], None] | None = None
        self._on_fault: Callable[[Fault | None], None] | None = None
        self._fault: Fault | None = None
        self._reader = reader
        self._whitelist = whitelist
        self._others = others
        self._retry_s = retry_s
        self._shut = False
        self._task = asyncio.get_running_loop().create_task(self._attend(), name=str(reader))

    @property
    def on_fault(self) -> Callable[[Fault | None], None] | None:
        """Who is told that the reader is lost, and None once it is back."""
        return self._on_fault

    @on_fault.setter
    def on_fault(self, told: Callable[[Fault | None], None] | None) -> None:
        self._on_fault = told
        if told is not None and self._fault is not None:
            told(self._fault)

    def vouches(self, id_tag: str) -> bool:
        return self._whitelist is not None and id_tag in self._whitelist

    @property
    def closed(self) -> bool:
        """Closed, and the hardware let go of."""
        return self._task.done()

    def close(self) -> None:
        self._shut = True
        self.on_tag = self._on_fault = None
        self._task.cancel()

    async def wait_closed(self) -> None:
        """Until the hardware is let go of, after `close`."""
        await asyncio.wait((self._task,))

    async def _attend(self) -> None:
        wait_s = self._retry_s
        try:
            while not self._shut:
                try:
                    await self._reader.open()
                    self._tell(None)
                    wait_s = self._retry_s
                    async for uid in self._reader.tokens():
                        self._read(uid)
                    error: Exception = DeviceError(f"{self._reader}: stopped reading")
                except DeviceError as problem:
                    error = problem
                except Exception as problem:  # a mistake in a driver must not end the station's reader
                    _log.exception("%s failed", self._reader)
                    error = problem
                self._tell(Fault(FaultKind.READER, blocking=False, info=str(error)))
                await self._reader.close()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, _LAST_RETRY_S)
        finally:
            await self._reader.close()

    def _read(self, uid: str) -> None:
        uid = uid.upper()
        if not 1 <= len(uid) <= _LONGEST or self._shut:
            return
        if not self._others and not self.vouches(uid):
            _log.info("%s: %s is not on the whitelist", self._reader, uid)
            return
        if self.on_tag is not None:
            try:
                self.on_tag(uid)
            except Exception:  # whoever listens has a problem; the next card is read all the same
                _log.exception("%s: a card could not be handed on", self._reader)

    def _tell(self, fault: Fault | None) -> None:
        if (fault is None) == (self._fault is None):
            return  # nothing new, or the same trouble for another reason
        self._fault = fault
        if fault is not None:
            _log.warning("card reader: %s", fault.info)
        if self._on_fault is not None:
            self._on_fault(fault)
