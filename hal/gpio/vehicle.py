"""A pilot that other hardware makes, seen through contacts (`hal.device.SamplingBoard`).

What the contacts say is translated into the voltages a pilot would have, so that the same rules apply.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from hal.api import Unsupported
from hal.device import DeviceClosed, PilotSample
from hal.gpio.pins import take_contact

if TYPE_CHECKING:
    from gpiozero import DigitalInputDevice

_ABSENT = PilotSample(12.0, -12.0)
_CONNECTED = PilotSample(9.0, -12.0)
_ASKING = PilotSample(6.0, -12.0)


class VehicleContacts:
    """Contacts to ground: `vehicle_pin` while one is connected, `request_pin` while it asks for energy.

    Without the first one counts as connected, always; without the second it asks whenever it may. Nothing
    tells the other hardware that current was taken away, so a vehicle does not ask any more once it may not,
    and the contactor opens at once instead of waiting for it.
    """

    def __init__(self, vehicle_pin: int | None = None, request_pin: int | None = None) -> None:
        self.on_sample: Callable[[PilotSample], None] | None = None
        self._pins = (vehicle_pin, request_pin)
        self._contacts: tuple[DigitalInputDevice | None, DigitalInputDevice | None] = (None, None)
        self._open = False
        self._permitted = False

    async def open(self) -> None:
        vehicle_pin, request_pin = self._pins
        vehicle = None if vehicle_pin is None else take_contact(vehicle_pin)
        try:
            request = None if request_pin is None else take_contact(request_pin)
        except Exception:
            if vehicle is not None:
                vehicle.close()
            raise
        self._contacts, self._open = (vehicle, request), True
        for contact in self._contacts:
            if contact is not None:
                contact.when_activated = contact.when_deactivated = self._moved

    async def close(self) -> None:
        self._open = False
        for contact in self._contacts:
            if contact is not None:
                with suppress(Exception):
                    contact.close()
        self._contacts = (None, None)

    async def steady(self) -> None:
        self._permitted = False

    async def signal(self, duty_percent: float) -> None:
        self._permitted = True

    async def refuse(self) -> None:
        raise Unsupported("the pilot is made by other hardware")

    async def sample(self) -> PilotSample:
        if not self._open:
            raise DeviceClosed("the vehicle's contacts are not open")
        return self._read()

    def _read(self) -> PilotSample:
        vehicle, request = self._contacts
        if vehicle is not None and not vehicle.value:
            return _ABSENT
        asks = self._permitted and (request is None or bool(request.value))
        return _ASKING if asks else _CONNECTED

    def _moved(self) -> None:
        """A contact moved: gpiozero tells in a thread of its own."""
        if self._open and self.on_sample is not None:
            with suppress(Exception):  # closed meanwhile
                self.on_sample(self._read())
