"""A line with one meter whose registers are given, for meters without a bus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hal.api import Clock
from hal.clock import SteppedClock
from hal.device import DeviceRefused
from hal.modbus.meter import ModbusMeter, open_meter
from hal.modbus.register_hygiene import KnownEnergy


class Registers:
    """Holds what was put in, refuses everything else, and notes what was asked."""

    def __init__(self, words: Mapping[tuple[int, int], Iterable[int]], most: int = 125) -> None:
        self.words = {
            (function, address + index): word
            for (function, address), run in words.items()
            for index, word in enumerate(run)
        }
        self.most = most
        self.asked: list[tuple[int, int, int]] = []
        self.released = 0

    def put(self, function: int, address: int, *words: int) -> None:
        self.words.update({(function, address + index): word for index, word in enumerate(words)})

    async def read(self, unit: int, function: int, address: int, count: int) -> list[int]:
        self.asked.append((function, address, count))
        try:
            if count > self.most:
                raise KeyError
            return [self.words[function, address + index] for index in range(count)]
        except KeyError:
            raise DeviceRefused(f"unit {unit}: exception 2 at {address:#x} x {count}") from None

    async def release(self) -> None:
        self.released += 1


def meter(
    registers: Registers,
    driver: str,
    clock: Clock | None = None,
    known: KnownEnergy | None = None,
    **settings: Any,
) -> ModbusMeter:
    """A meter on that line."""
    place = {"driver": driver, "port": "/dev/nowhere"}
    return open_meter(place | settings, clock or SteppedClock(1000.0), lambda _: registers, known=known)
