"""The Modbus bus over real bytes: what breaks on the wire is asked again or reported, never believed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import pytest

from hal.device import DeviceClosed, DeviceError, DeviceRefused, DeviceTimeout
from hal.emulators.faults import KINDS, Faults
from hal.modbus.bus import Bus, SerialLine, TcpGateway, bus_at
from tests.jumping_loop import run_jumping
from tests.unit.hal.modbus_rig import PLACES, register, rig

pytestmark = pytest.mark.emulated

places = pytest.mark.parametrize("place", PLACES)

# A bit that is turned over on TCP arrives as a value; an echo needs a common wire.
SERIAL_ONLY = ("flip", "echo")
WIRE_FAULTS = [
    pytest.param(place, kind, id=f"{place}-{kind}", marks=pytest.mark.search if place == "tcp" else ())
    for place in PLACES
    for kind in KINDS
    if place == "serial" or kind not in SERIAL_ONLY
]


def run(story: Coroutine[Any, Any, None]) -> None:
    run_jumping(story)


def expected(unit: int, function: int, address: int, count: int) -> list[int]:
    return [register(unit, function, at) for at in range(address, address + count)]


@places
def test_registers_and_coils_are_read_and_written(place: str) -> None:
    async def story() -> None:
        async with rig(place) as r:
            assert await r.bus.read(1, 3, 10, 4) == expected(1, 3, 10, 4)
            assert await r.bus.read(2, 4, 0, 125) == expected(2, 4, 0, 125)
            assert await r.bus.read_bits(1, 1, 0, 11) == [bool(bit & 1) for bit in expected(1, 1, 0, 11)]
            await r.bus.write(1, 1000, [16, 0xFFFF])
            assert await r.bus.read(1, 3, 1000, 3) == [16, 0xFFFF, register(1, 3, 1002)]
            await r.bus.write_coil(2, 7, True)
            assert await r.bus.read_bits(2, 1, 7, 1) == [True]
            assert {function for function, _ in r.tables[1].asked + r.tables[2].asked} == {1, 3, 4, 15, 16}

    run(story())


@pytest.mark.parametrize(("place", "kind"), WIRE_FAULTS)
def test_one_fault_costs_a_second_try_at_most(place: str, kind: str) -> None:
    async def story() -> None:
        async with rig(
            place, quiet_s=0.08, timeout_s=0.08, faults=Faults(exception_codes=(6,), delay_s=0.12)
        ) as r:
            r.faults.once(kind)
            assert await r.bus.read(1, 4, 0, 18) == expected(1, 4, 0, 18)
            assert r.faults.injected == {kind: 1}
            assert await r.bus.read(1, 4, 100, 18) == expected(1, 4, 100, 18)

    run(story())


OUTCOMES: dict[str, type[DeviceError] | None] = {
    "drop_request": DeviceTimeout,
    "drop_reply": DeviceTimeout,
    "exception": DeviceRefused,
    "short": DeviceRefused,
    "wrong_unit": DeviceTimeout,
    "flip": DeviceTimeout,
    "truncate": DeviceTimeout,
    "noise": None,
    "split": None,
    "delay": DeviceTimeout,
    "duplicate": None,
    "echo": None,
}


@pytest.mark.parametrize(("place", "kind"), WIRE_FAULTS)
def test_a_lasting_fault_is_overcome_or_reported(place: str, kind: str) -> None:
    async def story() -> None:
        async with rig(place, timeout_s=0.05, quiet_s=0.02, faults=Faults(delay_s=0.5, split_s=0.001)) as r:
            r.faults.set(kind)
            outcome = OUTCOMES[kind] if (place, kind) != ("tcp", "noise") else DeviceTimeout
            if outcome is None:
                assert await r.bus.read(1, 3, 0, 6) == expected(1, 3, 0, 6)
                await r.bus.write(1, 0, [1, 2])
                return
            with pytest.raises(outcome):
                await r.bus.read(1, 3, 0, 6)
            with pytest.raises(outcome):
                await r.bus.write(1, 0, [1, 2])

    run(story())


@pytest.mark.parametrize("code", [1, 2, 4, 6, 11])
def test_an_exception_says_what_the_device_said(code: int) -> None:
    async def story() -> None:
        async with rig(faults=Faults(exception=1.0, exception_codes=(code,))) as r:
            with pytest.raises(DeviceRefused, match=f"exception {code}, "):
                await r.bus.read(1, 3, 0, 1)
            assert r.emulator.requests == (2 if code == 6 else 1)

    run(story())


# The device answers, correctly, after 1.1 to 6.5 time-outs; all its answers look alike.
@pytest.mark.parametrize("late_s", [0.022, 0.035, 0.05, 0.065, 0.08, 0.1, 0.13])
@pytest.mark.parametrize("place", ["serial", pytest.param("tcp", marks=pytest.mark.search)])
def test_a_device_slower_than_the_timeout_is_never_believed_wrongly(place: str, late_s: float) -> None:
    async def story() -> None:
        faults = Faults(delay=1.0, delay_s=late_s)
        async with rig(place, faults=faults, timeout_s=0.02, quiet_s=0.04, probe_s=(0.01,)) as r:
            for address in (0, 6, 12, 0):
                try:
                    values = await r.bus.read(1, 4, address, 2)
                except DeviceTimeout:
                    continue
                assert values == expected(1, 4, address, 2)

    run(story())


def test_an_owed_read_does_not_confirm_a_write() -> None:
    async def story() -> None:
        async with rig(timeout_s=0.05, quiet_s=0.1, faults=Faults(delay_s=0.12)) as r:
            r.faults.once("delay")
            r.tables[1].obedient = False
            reading = asyncio.ensure_future(r.bus.read(1, 3, 1000, 1))
            with pytest.raises(DeviceRefused, match="reads back"):
                await r.bus.write(1, 1000, [register(1, 3, 1000) ^ 1])
            assert await reading == expected(1, 3, 1000, 1)

    run(story())


@places
def test_a_cancelled_caller_leaves_no_answer_behind(place: str) -> None:
    async def story() -> None:
        async with rig(place, faults=Faults(delay_s=0.05)) as r:
            await r.bus.read(1, 4, 50, 2)
            for _ in range(5):
                r.faults.once("delay")
                abandoned = asyncio.ensure_future(r.bus.read(1, 4, 0, 2))
                while not r.faults.injected["delay"]:
                    await asyncio.sleep(0)
                r.faults.injected.clear()
                abandoned.cancel()
                assert await r.bus.read(1, 4, 6, 2) == expected(1, 4, 6, 2)

    run(story())


@places
def test_a_write_that_is_ignored_is_refused(place: str) -> None:
    async def story() -> None:
        async with rig(place) as r:
            r.tables[1].obedient = False
            with pytest.raises(DeviceRefused, match=r"wrote \[16\] at 1000, reads back"):
                await r.bus.write(1, 1000, [16])
            with pytest.raises(DeviceRefused, match="reads back"):
                await r.bus.write_coil(1, 0, not register(1, 1, 0) & 1)
            await r.bus.write(1, 1000, [16], verify=False)

    run(story())


# Register 1000 is 0x03E8: the echo of reading it has the shape and the checksum of an answer.
@pytest.mark.parametrize("local_echo", [True, False])
def test_an_echo_is_no_answer_of_a_dead_device(local_echo: bool) -> None:
    async def story() -> None:
        async with rig(units=(1,)) as r:
            r.faults.set("echo")
            r.faults.set("drop_request")
            bus = Bus(
                SerialLine(r.line.names[1], 115200, local_echo=local_echo, timeout_s=0.01, quiet_s=0.0),
                probe_s=(0.0,),
            )
            for address in (0, 1000, 1024):
                with pytest.raises(DeviceError):
                    await bus.read(1, 3, address, 1)
                with pytest.raises(DeviceError):
                    await bus.read_bits(1, 1, address, 1)
                with pytest.raises(DeviceError):
                    await bus.write(1, address, [0x1000])
                with pytest.raises(DeviceError):
                    await bus.write_coil(1, address, True)
            await bus.release()

    run(story())


@pytest.mark.parametrize("pieces", range(1, 4))
def test_an_answer_that_starts_like_its_request_is_no_echo(pieces: int) -> None:
    async def story() -> None:
        async with rig() as r:
            r.line.filter = lambda source, data: data if source >= 0 else later(data)

            def later(data: bytes) -> bytes:
                loop = asyncio.get_running_loop()
                loop.call_later(0.002, r.line.echo, 0, data[pieces:])
                return data[:pieces]

            assert await r.bus.read(1, 4, 0, 2) == expected(1, 4, 0, 2)
            assert r.bus.statistics()[1].retried == 0

    run(story())


def test_a_dead_unit_leaves_the_line_to_the_others() -> None:
    async def story() -> None:
        async with rig(timeout_s=0.05) as r:
            for _ in range(3):
                with pytest.raises(DeviceTimeout, match=r"unit 9 .* no answer"):
                    await r.bus.read(9, 3, 0, 1)
            asked = r.bus.statistics()[9].requests
            with pytest.raises(DeviceTimeout, match="3 times in a row; asked again in"):
                await r.bus.read(9, 3, 0, 1)
            assert await r.bus.read(1, 3, 0, 1) == expected(1, 3, 0, 1)
            figures = r.bus.statistics()
            assert (asked, figures[9].requests, figures[9].silent, figures[9].skipped) == (6, 6, 6, 1)
            assert figures[1].answered == 1
            assert figures[1].p50_s is not None
            assert figures[9].p50_s is None

    run(story())


def test_a_dead_unit_is_probed_once_and_welcomed_back() -> None:
    async def story() -> None:
        async with rig(timeout_s=0.05, probe_s=(0.0,)) as r:
            r.faults.set("drop_request")
            for _ in range(4):
                with pytest.raises(DeviceTimeout):
                    await r.bus.read(1, 3, 0, 1)
            assert r.bus.statistics()[1].requests == 7  # two tries each, then one for a probe
            r.faults.clear()
            assert await r.bus.read(1, 3, 0, 1) == expected(1, 3, 0, 1)
            assert r.bus.statistics()[1].failed_in_row == 0

    run(story())


def test_a_unit_that_is_left_alone_is_written_to_all_the_same() -> None:
    async def story() -> None:
        async with rig(timeout_s=0.02, probe_s=(0.0, 60.0)) as r:
            r.faults.set("drop_request")
            for _ in range(4):
                with pytest.raises(DeviceTimeout, match=r"no answer;"):
                    await r.bus.read(1, 3, 0, 1)
            with pytest.raises(DeviceTimeout, match="4 times in a row"):
                await r.bus.read(1, 3, 0, 1)
            r.faults.clear()
            await r.bus.write(1, 1000, [0])
            assert await r.bus.read(1, 3, 1000, 1) == [0]

    run(story())


def test_a_unit_its_gateway_does_not_find_is_left_alone_too() -> None:
    async def story() -> None:
        async with rig("tcp", faults=Faults(exception=1.0, exception_codes=(11,))) as r:
            for _ in range(3):
                with pytest.raises(DeviceRefused, match="exception 11, the gateway got no answer"):
                    await r.bus.read(1, 3, 0, 1)
            with pytest.raises(DeviceTimeout, match="3 times in a row"):
                await r.bus.read(1, 3, 0, 1)

    run(story())


def test_units_take_turns() -> None:
    async def story() -> None:
        async with rig() as r:
            order: list[int] = []

            async def ask(unit: int) -> None:
                await r.bus.read(unit, 3, 0, 1)
                order.append(unit)

            await asyncio.gather(*(ask(1) for _ in range(5)), *(ask(2) for _ in range(3)))
            assert order == [1, 2, 1, 2, 1, 2, 1, 1]

    run(story())


def test_a_silent_unit_does_not_hold_the_line_while_it_is_left_alone() -> None:
    async def story() -> None:
        async with rig(timeout_s=0.05, quiet_s=30.0) as r:
            r.faults.unit = 2
            r.faults.set("drop_request")
            waiting = asyncio.ensure_future(r.bus.read(2, 3, 0, 1))
            while not r.faults.injected:
                await asyncio.sleep(0)
            assert await r.bus.read(1, 3, 0, 1) == expected(1, 3, 0, 1)
            await r.bus.release()
            with pytest.raises(DeviceClosed):
                await waiting

    run(story())


@places
def test_a_place_that_vanishes_is_found_again_when_it_comes_back(place: str) -> None:
    async def story() -> None:
        async with rig(place) as r:
            await r.bus.read(1, 3, 0, 1)
            await r.emulator.vanish()
            with pytest.raises(DeviceTimeout):
                await r.bus.read(1, 3, 0, 1)
            with pytest.raises(DeviceTimeout, match=r"no such port|no connection"):
                await r.bus.read(1, 3, 0, 1)
            await r.emulator.come_back()
            async with asyncio.timeout(10):
                while True:
                    try:
                        assert await r.bus.read(1, 3, 0, 1) == expected(1, 3, 0, 1)
                        break
                    except DeviceTimeout:  # it tries to open the port twice a second
                        await asyncio.sleep(0.01)

    run(story())


def test_a_port_that_is_not_there_is_named_with_the_remedy() -> None:
    async def story() -> None:
        bus = bus_at(SerialLine("/dev/serial/by-id/usb-none"))
        with pytest.raises(DeviceTimeout, match=r"usb-none: there is no such port; .*ls /dev/serial/by-id"):
            await bus.read(1, 3, 0, 1)
        await bus.release()

    run(story())


def test_a_port_in_use_is_named() -> None:
    async def story() -> None:
        async with rig() as r:
            await r.bus.read(1, 3, 0, 1)
            other = bus_at(SerialLine(os.path.realpath(r.line.names[0])))
            with pytest.raises(DeviceTimeout, match="in use, by another process or under another name"):
                await other.read(1, 3, 0, 1)
            await other.release()

    run(story())


def test_a_speed_the_port_cannot_do_is_a_timeout_and_not_a_crash() -> None:
    async def story() -> None:
        async with rig() as r:
            bus = bus_at(SerialLine(r.line.names[1], parity="E"))  # pseudo terminals have no parity
            with pytest.raises(DeviceTimeout, match="cannot be opened at 9600 baud, 8E1"):
                await bus.read(1, 3, 0, 1)
            await bus.release()

    run(story())


def test_one_place_is_one_bus_until_the_last_user_has_gone() -> None:
    async def story() -> None:
        async with rig() as r:
            line = SerialLine(r.line.names[1], timeout_s=0.2)
            first = bus_at(line)
            second = bus_at(SerialLine(r.line.names[1], gap_s=0.1, timeout_s=0.1))
            assert first is second
            assert (second.place.gap_s, second.place.timeout_s) == (0.1, 0.2)
            with pytest.raises(ValueError, match="in use as 9600 baud, 8N1; it cannot be 9600 baud, 8N2"):
                bus_at(SerialLine(r.line.names[1], stopbits=2))
            await first.release()
            assert await second.read(1, 3, 0, 1) == expected(1, 3, 0, 1)
            await second.release()
            with pytest.raises(DeviceClosed):
                await second.read(1, 3, 0, 1)
            third = bus_at(line)
            assert third is not second
            assert await third.read(1, 3, 0, 1) == expected(1, 3, 0, 1)
            await third.release()

    run(story())


def test_a_bus_belongs_to_one_event_loop() -> None:
    bus = bus_at(TcpGateway("127.0.0.1", 1))

    async def ask() -> None:
        with pytest.raises(DeviceTimeout, match="no connection"):
            await bus.read(1, 3, 0, 1)

    async def ask_elsewhere() -> None:
        with pytest.raises(RuntimeError, match="another event loop"):
            await bus.read(1, 3, 0, 1)
        again = bus_at(TcpGateway("127.0.0.1", 1))
        assert again is not bus
        await again.release()

    run(ask())
    run(ask_elsewhere())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda bus: bus.read(1, 1, 0, 1),
        lambda bus: bus.read(1, 3, 0, 0),
        lambda bus: bus.read(1, 3, 0, 126),
        lambda bus: bus.read(1, 3, 65535, 2),
        lambda bus: bus.read(1, 3, -1, 1),
        lambda bus: bus.read(256, 3, 0, 1),
        lambda bus: bus.read_bits(1, 3, 0, 1),
        lambda bus: bus.write(1, 0, []),
        lambda bus: bus.write(1, 0, [65536]),
        lambda bus: bus.write(1, 0, [-1]),
    ],
)
def test_what_modbus_cannot_say_is_a_mistake_of_ours(wrong: Any) -> None:
    async def story() -> None:
        bus = Bus(TcpGateway("127.0.0.1", 1))
        with pytest.raises(ValueError, match=r".+"):
            await wrong(bus)
        await bus.release()

    run(story())
