"""Takes pins by gpiozero over lgpio, with errors that say which pin, why, and what helps."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hal.device import DeviceError
from hal.permission import no_permission

if TYPE_CHECKING:
    from gpiozero import DigitalInputDevice, DigitalOutputDevice

LAST_PIN = 27
"""The header's pins are BCM 0 to 27."""

PULLED_UP = range(9)
"""Pulled up from reset until something takes them; the others are pulled down."""


def take_output(pin: int, *, active_high: bool) -> DigitalOutputDevice:
    """The pin as an output, off. Raises `DeviceError`."""
    try:
        _choose_factory()
        from gpiozero import DigitalOutputDevice

        return DigitalOutputDevice(pin, active_high=active_high, initial_value=False)
    except Exception as error:  # lgpio's own error is a bare Exception
        raise _explained(pin, error) from error


def take_contact(pin: int) -> DigitalInputDevice:
    """A contact to ground at a pulled-up pin; active while closed. Raises `DeviceError`."""
    try:
        _choose_factory()
        from gpiozero import DigitalInputDevice

        return DigitalInputDevice(pin, pull_up=True)
    except Exception as error:
        raise _explained(pin, error) from error


def _choose_factory() -> None:
    """lgpio, the one that knows every Raspberry Pi, unless GPIOZERO_PIN_FACTORY says otherwise.

    Left alone gpiozero tries one library after the other with a warning each, and ends at one that
    does not work on a Raspberry Pi 5.
    """
    from gpiozero import Device

    if Device.pin_factory is None and not os.environ.get("GPIOZERO_PIN_FACTORY"):
        from gpiozero.pins.lgpio import LGPIOFactory

        Device.pin_factory = LGPIOFactory()


def _explained(pin: int, error: Exception) -> DeviceError:
    from_import = isinstance(error, ImportError)
    text = str(error) or type(error).__name__
    if from_import and "gpiozero" in text:
        remedy = "install it: pip install 'chargepoint[pi]'"
    elif from_import:
        remedy = "apt install python3-lgpio, in an environment with --system-site-packages"
    elif isinstance(error, PermissionError) or "permission" in text.lower() or "can not open" in text:
        remedy = f"{no_permission('gpio')}; or this is no Raspberry Pi"
    elif "busy" in text.lower() or "in use" in text.lower():
        remedy = "another program or another setting uses this pin"
    else:
        remedy = "see docs/gpio-relay.md"
    return DeviceError(f"GPIO {pin}: {text}; {remedy}")
