"""Thousands of reads on a bad line: not one wrong value is accepted, and a careless bus accepts some."""

from __future__ import annotations

import asyncio
import os
from collections import Counter

import pytest

from hal.device import DeviceError, DeviceRefused, DeviceTimeout
from hal.emulators.faults import KINDS, Faults
from hal.modbus.bus import Bus, Place
from hal.modbus.unit import UnitMemory
from hal.modbus.wire import Request, Wire
from tests.jumping_loop import run_jumping
from tests.unit.hal.modbus_rig import PLACES, Rig, register, rig

# The unit after each of these does not exist: an answer both late and from the wrong unit cannot be told from
# one of that unit, by anybody.
UNITS = (1, 5)
ADDRESSES = (0, 6, 12, 52, 70)


class CarelessWire(Wire):
    """Hands pymodbus all that it hears, whenever it hears it."""

    def _traced(self, sending: bool, data: bytes) -> bytes:
        return data


class CarelessBus(Bus):
    """A bus that asks again at once and looks at no answer twice, as programs on bare pymodbus do."""

    def __init__(self, place: Place, *, probe_s: tuple[float, ...]) -> None:
        super().__init__(place, wire=CarelessWire, probe_s=probe_s)

    _check_shape = staticmethod(lambda request, answer: None)

    async def _wait_for_silence(self, gap_s: float) -> None: ...

    async def _pause_until(self, moment: float) -> None: ...


async def poll(r: Rig, unit: int, rounds: int | None, until: float, seen: Counter[str]) -> None:
    """Read blocks that look alike, and write now and then, as a driver would."""
    loop = asyncio.get_running_loop()
    number = 0
    while number != rounds and loop.time() < until:
        number += 1
        address = ADDRESSES[number % len(ADDRESSES)]
        try:
            if number % 10 == 0:
                await r.bus.write(unit, 1000, [number & 0xFFFF])
                seen["written"] += 1
                continue
            values = await r.bus.read(unit, 4, address, 4)
        except DeviceTimeout:
            seen["timeout"] += 1
        except DeviceRefused:
            seen["refused"] += 1
        except (AttributeError, DeviceError):
            seen["nonsense"] += 1  # only the careless bus gets here: a write answered by a read
        else:
            right = [register(unit, 4, at) for at in range(address, address + 4)]
            seen["right" if values == right else "wrong"] += 1


async def on_a_bad_line(
    place: str, bad: float, bus: type[Bus] = Bus, *, rounds: int | None = None, seconds: float = 600.0
) -> tuple[Counter[str], Rig]:
    """What two drivers saw while that share of all frames was bad, in mixed ways."""
    kinds = [kind for kind in KINDS if place == "serial" or kind not in ("flip", "echo")]
    faults = Faults(exception_codes=(1, 2, 4, 6, 11), seed=7, delay_s=0.045, split_s=0.002)
    for kind in kinds:
        faults.set(kind, bad / (len(kinds) + 3) * (4 if kind == "delay" else 1))  # the treacherous one
    seen: Counter[str] = Counter()
    async with rig(
        place, units=UNITS, faults=faults, timeout_s=0.03, quiet_s=0.03, probe_s=(0.01,), bus=bus
    ) as r:
        until = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(*(poll(r, unit, rounds, until, seen) for unit in UNITS))
        return seen, r


@pytest.mark.search
@pytest.mark.parametrize("place", PLACES)
def test_no_wrong_value_is_accepted_from_a_very_bad_line(place: str) -> None:
    seen, r = run_jumping(on_a_bad_line(place, 0.2, rounds=150))
    assert seen["wrong"] == seen["nonsense"] == 0
    assert seen["right"] > 200
    assert set(r.faults.injected) >= set(KINDS) - {"flip", "echo"}


@pytest.mark.search
def test_a_careless_bus_accepts_wrong_values() -> None:
    seen, _ = run_jumping(on_a_bad_line("serial", 0.4, CarelessBus, rounds=150))
    assert seen["wrong"] > 0


def test_what_is_owed_is_waited_for() -> None:
    memory = UnitMemory(1.0, (5.0,))
    asked = Request(1, 4, 0, 2)
    memory.sent(asked)
    memory.failed(asked, "silent", 10.0, 10.5)
    assert memory.free_at(asked) == 11.5  # the same may be asked again after the pause
    assert memory.free_at(Request(1, 4, 0, 4)) == 11.5  # what has another length too
    assert memory.free_at(Request(1, 4, 6, 2)) == 15.0  # what looks alike has to wait
    assert memory.free_at(Request(1, 16, 6, 2, (0, 0))) == 11.5  # never a write
    memory.sent(asked)
    memory.answered(asked, 11.5, 12.0)  # perhaps the first answer: then the second is due 1.5 s after it
    assert memory.free_at(Request(1, 4, 6, 2)) == pytest.approx(13.8)
    memory.sent(Request(1, 16, 0, 2, (1, 2)))
    assert memory.free_at(asked) == pytest.approx(13.8)  # read before the write, it would not confirm it


@pytest.mark.soak
@pytest.mark.parametrize("place", PLACES)
def test_soak(place: str) -> None:
    minutes = float(os.environ.get("SOAK_MINUTES", "2"))
    seen, r = asyncio.run(on_a_bad_line(place, 0.01, seconds=minutes * 60))
    frames = r.emulator.requests
    print(
        f"\n{place}: {minutes:g} min, {frames} frames, {sum(r.faults.injected.values())} faults: {dict(seen)}"
    )
    for unit, figures in r.bus.statistics().items():
        print(f"  unit {unit}: {figures}")
    assert seen["wrong"] == seen["nonsense"] == 0
    assert seen["right"] > 0
