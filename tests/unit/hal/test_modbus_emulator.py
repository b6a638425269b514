"""The emulated line and its units, byte by byte, without the bus that is tested with them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from hal.emulators.faults import Faults
from hal.emulators.modbus import ModbusEmulator, crc16
from hal.emulators.pty_bus import EMULATED, PtyBus
from tests.jumping_loop import run_jumping
from tests.unit.hal.modbus_rig import Table, register


class Port:
    """One end of a line, opened as a program would."""

    def __init__(self, name: str) -> None:
        self._descriptor = os.open(name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def say(self, data: bytes) -> None:
        os.write(self._descriptor, data)

    async def hear(self, size: int) -> bytes:
        heard = b""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            while len(heard) < size:
                readable = asyncio.Event()
                loop.add_reader(self._descriptor, readable.set)
                await readable.wait()
                loop.remove_reader(self._descriptor)
                heard += os.read(self._descriptor, 4096)
        return heard

    def close(self) -> None:
        os.close(self._descriptor)


@asynccontextmanager
async def line(n: int = 2, baud: int | None = None) -> AsyncIterator[tuple[PtyBus, list[Port]]]:
    with PtyBus(n, baud) as bus:
        ports = [Port(name) for name in bus.names]
        yield bus, ports
        for port in ports:
            port.close()


def rtu(*body: int) -> bytes:
    return bytes(body) + crc16(bytes(body))


def test_the_checksum_is_the_one_of_the_specification() -> None:
    assert crc16(bytes.fromhex("0103000A0001")).hex() == "a408"


def test_all_others_hear_what_one_says() -> None:
    async def story() -> None:
        async with line(3) as (_, ports):
            ports[1].say(b"\x00\r\n\x03\x7f\xff")
            assert await ports[0].hear(6) == b"\x00\r\n\x03\x7f\xff"
            assert await ports[2].hear(6) == b"\x00\r\n\x03\x7f\xff"
            ports[0].say(b"!")
            assert await ports[1].hear(1) == b"!"  # and none of its own bytes

    run_jumping(story())


def test_bytes_take_their_time_on_a_wire() -> None:
    async def story() -> None:
        async with line(baud=9600) as (_, ports):
            started = asyncio.get_running_loop().time()
            ports[0].say(bytes(48))
            await ports[1].hear(48)
            assert asyncio.get_running_loop().time() - started >= 48 * 10 / 9600

    run_jumping(story())


def test_a_filter_sees_who_speaks_and_changes_what_is_heard() -> None:
    async def story() -> None:
        async with line() as (bus, ports):
            emulator = ModbusEmulator([Table(1)])
            await emulator.serve_serial(bus)
            sources = []

            def reverse(source: int, data: bytes) -> bytes:
                sources.append(source)
                return data if source >= 0 else data[::-1]

            bus.filter = reverse
            ports[0].say(rtu(1, 3, 0, 0, 0, 1))
            value = register(1, 3, 0).to_bytes(2, "big")
            assert await ports[1].hear(15) == rtu(1, 3, 0, 0, 0, 1) + rtu(1, 3, 2, *value)[::-1]
            assert sources == [0, EMULATED]
            await emulator.close()

    run_jumping(story())


def test_two_emulators_share_a_line_and_absent_units_are_silent() -> None:
    async def story() -> None:
        async with line() as (bus, ports):
            one, two = ModbusEmulator([Table(1)]), ModbusEmulator([Table(2)])
            await one.serve_serial(bus)
            await two.serve_serial(bus)
            ports[0].say(rtu(9, 3, 0, 0, 0, 1))
            ports[0].say(b"\xff\x00" + rtu(2, 4, 0, 7, 0, 1))
            value = register(2, 4, 7).to_bytes(2, "big")
            assert await ports[0].hear(7) == rtu(2, 4, 2, *value)
            ports[0].say(rtu(1, 6, 0, 5, 0, 16))
            assert await ports[0].hear(8) == rtu(1, 6, 0, 5, 0, 16)
            ports[0].say(rtu(1, 3, 0, 5, 0, 1))
            assert await ports[0].hear(7) == rtu(1, 3, 2, 0, 16)
            assert (one.requests, two.requests) == (2, 1)
            await one.close()
            await two.close()

    run_jumping(story())


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ((1, 7, 0, 0, 0, 0), 1),
        ((1, 3, 0xEA, 0x60, 0, 1), 2),
        ((1, 3, 0, 0, 0, 0), 3),
        ((1, 3, 0, 0, 0, 126), 3),
        ((1, 16, 0, 0, 0, 2, 2, 0, 1), 3),
    ],
)
def test_what_a_unit_cannot_do_it_refuses(request_: tuple[int, ...], code: int) -> None:
    async def story() -> None:
        async with line() as (bus, ports):
            emulator = ModbusEmulator([Table(1)])
            await emulator.serve_serial(bus)
            ports[0].say(rtu(*request_))
            assert await ports[0].hear(5) == rtu(1, request_[1] | 0x80, code)
            await emulator.close()

    run_jumping(story())


def test_a_mistake_in_an_emulated_device_is_a_failed_device() -> None:
    class Broken(Table):
        def read(self, function: int, address: int, count: int) -> list[int]:
            return [70000] * count

    assert ModbusEmulator([Broken(1)]).answer(1, bytes((3, 0, 0, 0, 1)), frozenset()) == bytes((0x83, 4))


def test_equal_seeds_give_equal_faults() -> None:
    def drawn(seed: int) -> list[frozenset[str]]:
        faults = Faults(drop_reply=0.3, flip=0.3, seed=seed)
        return [faults.draw(1) for _ in range(50)]

    assert drawn(1) == drawn(1) != drawn(2)


def test_faults_can_be_planned_and_kept_to_one_unit() -> None:
    faults = Faults(unit=2, delay=1.0)
    faults.once("flip", "noise")
    assert faults.draw(1) == frozenset()
    assert faults.draw(2) == {"flip", "noise"}
    assert faults.draw(2) == {"delay"}
    faults.clear()
    assert faults.draw(2) == frozenset()
    assert faults.injected == {"flip": 1, "noise": 1, "delay": 1}


@pytest.mark.parametrize(("kind", "probability"), [("explode", 1.0), ("flip", 1.1), ("flip", -0.1)])
def test_a_fault_that_cannot_be_is_refused(kind: str, probability: float) -> None:
    with pytest.raises(ValueError, match=kind):
        Faults().set(kind, probability)


def test_a_name_outlives_the_port_behind_it() -> None:
    async def story() -> None:
        async with line() as (bus, ports):
            bus.unplug(0)
            assert not os.path.exists(bus.names[0])
            bus.replug(0)
            again = Port(bus.names[0])
            ports[1].say(b"?")
            assert await again.hear(1) == b"?"
            again.close()
        assert not os.path.exists(os.path.dirname(bus.names[0]))

    run_jumping(story())
