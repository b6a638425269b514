"""Tries other settings for a Modbus device that does not answer, by reading only and for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from hal.api import DeviceTimeout
from hal.device import DeviceRefused
from hal.look import described
from hal.modbus.bus import Bus, Place, SerialLine, take_place
from hal.modbus.meter import OWN_MAP
from hal.modbus.register_map import load_map, read_map

__all__ = ["LONGEST_S", "scan"]

LONGEST_S = 60.0
"""A scan ends after that, whatever is left to try."""

_BAUDRATES = (9600, 19200, 2400, 38400, 4800, 115200)
_PARITIES = ("N", "E")
_UNITS = range(1, 11)
_ANSWERS = "answers"
_PATIENCE_S = 0.25
_QUIET_S = 0.2
_QUESTIONS = {"evse-wb": (3, 1000, 7), "phoenix": (3, 4000, 3)}


async def scan(part: str, settings: Mapping[str, Any]) -> str:
    """What answers where these settings lead with other ones; a sentence for a person.

    Tried are the common speeds and parities with the unit that is configured, then units 1 to 10 at the speed
    that is. Raises `ValueError` for wrong settings.
    """
    rest = dict(settings)
    question = _question(part, rest)
    place, unit = take_place(part, rest)
    patient = replace(place, timeout_s=_PATIENCE_S, quiet_s=_QUIET_S)
    refusing = []
    try:
        async with asyncio.timeout(LONGEST_S):
            for tried, number in _tries(patient, unit):
                said = await _says(tried, number, question)
                if said == _ANSWERS:
                    return f"{described(tried)}, unit {number} {said}"
                if said is not None:
                    refusing.append(f"{described(tried)}, unit {number} {said}")
    except TimeoutError:
        return f"nothing answered within {LONGEST_S:g} s of trying other speeds and units"
    if refusing:
        return "; ".join(refusing)
    return "nothing answers at other common speeds, with other parity, or as units 1 to 10 either"


def _question(part: str, settings: dict[str, Any]) -> tuple[int, int, int]:
    """Function, address and count of something this driver's device can be asked."""
    driver = settings.pop("driver")
    if part == "evse":
        return _QUESTIONS[driver]
    own = settings.pop("map", None)
    registers = read_map(str(own)) if driver == OWN_MAP else load_map(driver)
    if "port" in settings:
        settings.update({**registers.serial, **settings})
    point = registers.points[0]
    return point.function, point.address, point.end - point.address


def _tries(place: Place, unit: int) -> Iterator[tuple[Place, int]]:
    if isinstance(place, SerialLine):
        for parity in _PARITIES:
            for baudrate in _BAUDRATES:
                yield replace(place, baudrate=baudrate, parity=parity), unit
    for other in _UNITS:
        if other != unit:
            yield place, other


async def _says(place: Place, unit: int, question: tuple[int, int, int]) -> str | None:
    """How a device reacts there; None if none does."""
    bus = Bus(place)  # of our own: the shared one of this port has another speed
    try:
        await bus.read(unit, *question)
    except DeviceTimeout:
        return None
    except DeviceRefused as error:
        return f"answers, but refuses what was asked ({error}): another device?"
    finally:
        await bus.release()
    return _ANSWERS
