"""A contactor's coil at one pin and its mirror contact at another (`hal.device.FastRelay`)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from hal.api import Clock
from hal.device import DeviceClosed, DeviceRefused
from hal.gpio.pins import take_contact, take_output

if TYPE_CHECKING:
    from gpiozero import DigitalInputDevice, DigitalOutputDevice

MirrorContact = Literal["nc", "no"]
"""Normally closed (a mirror contact of IEC 60947-4-1, annex F) or normally open."""

_SAMPLES = 3
_SAMPLE_S = 0.02
_MOST_SAMPLES = 12
_log = logging.getLogger(__name__)


class GpioRelay:
    """The relay that drives the coil; off after `open` and after `close`.

    A broken feedback wire is never "all well": a normally closed contact then reads "closed", which is a
    welded contactor while the coil is off, a normally open one "open", which is one that does not close.
    """

    def __init__(
        self,
        pin: int,
        clock: Clock,
        *,
        active_high: bool = True,
        feedback_pin: int | None = None,
        feedback: MirrorContact = "nc",
    ) -> None:
        self._pin, self._active_high = pin, active_high
        self._feedback_pin, self._normally_open = feedback_pin, feedback == "no"
        self._clock = clock
        self._output: DigitalOutputDevice | None = None
        self._contact: DigitalInputDevice | None = None

    async def open(self) -> None:
        if self._output is None:
            self._output = take_output(self._pin, active_high=self._active_high)
        if self._feedback_pin is not None and self._contact is None:
            self._contact = take_contact(self._feedback_pin)

    async def close(self) -> None:
        self.drop()
        for device in (self._output, self._contact):
            if device is not None:
                with suppress(Exception):
                    device.close()
        self._output = self._contact = None

    async def switch(self, on: bool) -> None:
        if self._output is None:
            raise DeviceClosed(f"GPIO {self._pin} is not open")
        try:
            self._output.value = on
            reads = bool(self._output.value)
        except Exception as error:  # lgpio's own error is a bare Exception
            raise DeviceRefused(f"GPIO {self._pin}: {error}") from error
        if reads is not on:
            raise DeviceRefused(f"GPIO {self._pin} does not follow: something else drives it")

    def drop(self) -> None:
        output = self._output
        if output is not None:
            try:
                output.off()
            except Exception:
                _log.exception("GPIO %d could not be switched off", self._pin)

    async def feedback(self) -> bool | None:
        """Three equal samples, 20 ms apart; raises `DeviceRefused` if the contact goes on chattering."""
        if self._output is None:
            raise DeviceClosed(f"GPIO {self._pin} is not open")
        if self._contact is None:
            return None
        samples: list[bool] = []
        for _ in range(_MOST_SAMPLES):
            samples.append(bool(self._contact.value) is self._normally_open)
            if len(samples) >= _SAMPLES and len(set(samples[-_SAMPLES:])) == 1:
                return samples[-1]
            await self._wait()
        raise DeviceRefused(f"GPIO {self._feedback_pin}: the mirror contact chatters")

    async def _wait(self) -> None:
        passed = asyncio.Event()
        timer = self._clock.call_at(self._clock.now() + _SAMPLE_S, passed.set)
        try:
            await passed.wait()
        finally:
            timer.cancel()


class GpioTrip:
    """A residual current device's auxiliary contact, to ground while all is well (`hal.device.TripLine`)."""

    def __init__(self, pin: int) -> None:
        self._pin = pin
        self._contact: DigitalInputDevice | None = None

    async def open(self) -> None:
        self._contact = take_contact(self._pin)

    async def close(self) -> None:
        if self._contact is not None:
            with suppress(Exception):
                self._contact.close()
            self._contact = None

    async def tripped(self) -> bool:
        if self._contact is None:
            raise DeviceClosed(f"GPIO {self._pin} is not open")
        return not self._contact.value
