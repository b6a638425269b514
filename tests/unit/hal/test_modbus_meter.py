"""The meter on Modbus: what it asks, what it refuses to believe, and how it is opened."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest

from hal.api import FaultKind
from hal.clock import SteppedClock
from hal.device import DeviceClosed, DeviceRefused, DeviceTimeout, MeterSnapshot
from hal.modbus.meter import meter_names, open_meter
from hal.modbus.place import Place, SerialLine, TcpGateway
from hal.modbus.register_hygiene import KnownEnergy
from tests.unit.hal.meter_line import Registers, meter


def f32(*values: float) -> tuple[int, ...]:
    return struct.unpack(f">{2 * len(values)}H", struct.pack(f">{len(values)}f", *values))


def sdm630(most: int = 125, import_kwh: float = 1000.0) -> Registers:
    """16 A, 10 A and nothing on three phases."""
    return Registers(
        {
            (4, 0x00): f32(230, 230, 230, 16, 10, 0, 3680, 2300, 0),
            (4, 0x34): f32(5980),
            (4, 0x3E): f32(1),
            (4, 0x46): f32(50, import_kwh, 3.0),
            (3, 0xFC00): (1, 2),
        },
        most,
    )


async def opened(registers: Registers, driver: str = "sdm630", **settings: Any) -> MeterSnapshot:
    there = meter(registers, driver, **settings)
    await there.open()
    return await there.read()


def test_a_meter_that_refuses_large_requests_is_asked_in_small_ones() -> None:
    async def story() -> None:
        registers = sdm630(most=10)
        there = meter(registers, "sdm630")
        await there.open()
        registers.asked.clear()
        seen = await there.read()
        assert seen.power_phase_w == (3680.0, 2300.0, 0.0)
        assert [count for _, _, count in registers.asked] == [6, 6, 6, 2, 2, 6]

    asyncio.run(story())


def test_another_device_is_asked_about() -> None:
    with pytest.raises(DeviceRefused, match=r"exception 2 .*; is it a meter Eastron SDM630-Modbus, and is"):
        asyncio.run(opened(Registers({})))


def test_a_meter_mounted_backwards() -> None:
    registers = sdm630()
    registers.put(4, 0x0C, *f32(-3680, -2300, 0))
    registers.put(4, 0x34, *f32(-5980))
    seen = asyncio.run(opened(registers, invert=True))
    assert (seen.import_wh, seen.export_wh, seen.power_w) == (3000.0, 1_000_000.0, 5980.0)
    assert seen.power_phase_w == (3680.0, 2300.0, 0.0)
    assert seen.current_a == (16.0, 10.0, 0.0)


def test_current_has_the_direction_of_its_power() -> None:
    registers = sdm630()
    registers.put(4, 0x0C, *f32(-3680, -2300, 0))
    registers.put(4, 0x34, *f32(-5980))
    assert asyncio.run(opened(registers)).current_a == (-16.0, -10.0, 0.0)


def test_ten_times_the_frequency() -> None:
    registers = sdm630()
    registers.put(4, 0x46, *f32(499.5))
    assert asyncio.run(opened(registers)).frequency_hz == pytest.approx(49.95)


@pytest.mark.parametrize("address", [0x00, 0x06, 0x0C, 0x34, 0x3E, 0x46, 0x4A])
def test_what_is_not_a_number_is_not_measured(address: int) -> None:
    registers = sdm630()
    registers.put(4, address, 0x7FC0, 0x0000)
    seen = asyncio.run(opened(registers))
    gone = {
        0x00: seen.voltage_v[0], 0x06: seen.current_a[0], 0x0C: seen.power_phase_w[0], 0x34: seen.power_w,
        0x3E: seen.power_factor, 0x46: seen.frequency_hz, 0x4A: seen.export_wh,
    }  # fmt: skip
    assert {at for at, value in gone.items() if value is None} == {address}


@pytest.mark.parametrize(
    ("address", "value", "problem"),
    [
        (0x02, 400.0, "voltage_l2 400 is not between 0 and 300"),
        (0x06, 1000.0, "current_l1 1000 is not between"),
        (0x34, 1e6, "power 1e.06 is not between"),
        (0x46, 12.0, "frequency 12 is not between 40 and 70"),
        (0x34, 100_000.0, "100000 W do not belong to 5980 VA"),
        (0x48, float("nan"), "it tells no energy"),
        (0x48, -1.0, "energy -1000.0 Wh does not follow"),
    ],
)
def test_a_reading_that_cannot_be_is_refused(address: int, value: float, problem: str) -> None:
    async def story() -> None:
        registers = sdm630()
        there = meter(registers, "sdm630")
        await there.open()
        registers.put(4, address, *f32(value))
        with pytest.raises(DeviceRefused, match=rf"sdm630 at /dev/nowhere, unit 1: {problem}"):
            await there.read()
        registers.words = sdm630().words
        assert (await there.read()).power_w == 5980.0

    asyncio.run(story())


def test_a_power_in_kilowatts_is_refused() -> None:
    registers = sdm630()
    registers.put(4, 0x0C, *f32(3.68, 2.3, 0))
    registers.put(4, 0x34, *f32(5.98))
    with pytest.raises(
        DeviceRefused, match="6 W do not belong to 5980 VA; a wrong scale in the register map"
    ):
        asyncio.run(opened(registers))


def test_one_phase_may_export_what_another_imports() -> None:
    """The main meter of a building with a solar inverter on one phase."""
    registers = sdm630()
    registers.put(4, 0x0C, *f32(3680, -3680, 0))
    registers.put(4, 0x34, *f32(0))
    assert asyncio.run(opened(registers)).power_w == 0.0


def test_the_register_goes_on_over_a_reset_and_a_restart() -> None:
    async def story() -> None:
        registers, clock = sdm630(), SteppedClock(1000.0)
        there = meter(registers, "sdm630", clock)
        await there.open()
        assert (await there.read()).import_wh == 1_000_000.0
        registers.put(4, 0x48, *f32(0.0))
        for _ in range(2):
            clock.advance(1.0)
            with pytest.raises(DeviceRefused, match="does not follow from earlier readings"):
                await there.read()
        clock.advance(1.0)
        assert (await there.read()).import_wh == 1_000_000.0
        known = there.known
        assert known == KnownEnergy(1_000_000.0, 1_000_000.0, 1003.0)
        registers.put(4, 0x48, *f32(0.5))
        clock.advance(300.0)
        again = meter(registers, "sdm630", clock, known)
        await again.open()
        assert (await again.read()).import_wh == 1_000_500.0

    asyncio.run(story())


def test_a_register_that_stands_still_is_reported() -> None:
    async def story() -> None:
        clock = SteppedClock(1000.0)
        there = meter(sdm630(), "sdm630", clock)
        await there.open()
        for _ in range(62):
            seen = await there.read()
            clock.advance(1.0)
        assert [(fault.kind, fault.blocking) for fault in seen.faults] == [(FaultKind.METER, False)]
        assert seen.import_wh == 1_000_000.0

    asyncio.run(story())


def test_an_unassigned_serial_number_is_no_obstacle() -> None:
    registers = sdm630()
    del registers.words[3, 0xFC00]
    assert asyncio.run(opened(registers)).power_w == 5980.0


@pytest.mark.parametrize(("code", "fits"), [(7, True), (8, False)])
def test_another_model_is_refused(tmp_path: Path, code: int, fits: bool) -> None:
    identify = "identify: {addr: 9, type: uint16, values: [7]}"
    (tmp_path / "mine.yaml").write_text(
        f"function: 3\n{identify}\npoints: {{power: {{addr: 0, type: int16}}}}"
    )
    registers = Registers({(3, 0): (500,), (3, 9): (code,)})
    reading = opened(registers, "modbus", map=str(tmp_path / "mine.yaml"))
    if fits:
        assert asyncio.run(reading) == MeterSnapshot(1000.0, power_w=500.0)
        return
    with pytest.raises(DeviceRefused, match="identifies itself as 8, not as 7; is it a mine"):
        asyncio.run(reading)
    assert registers.released == 1


def test_without_a_total_the_phases_are_added(tmp_path: Path) -> None:
    points = ", ".join(f"power_l{n}: {{addr: {n}, type: int16}}" for n in (1, 2, 3))
    text = f"function: 3\npoints: {{energy_import: {{addr: 4, type: uint16}}, {points}}}\n"
    (tmp_path / "mine.yaml").write_text(text)
    registers = Registers({(3, 1): (100, 0xFFFF, 50, 7)})
    seen = asyncio.run(opened(registers, "modbus", map=str(tmp_path / "mine.yaml")))
    assert (seen.power_w, seen.import_wh) == (149.0, 7.0)
    registers.put(3, 2, 0x7FFF)
    seen = asyncio.run(opened(registers, "modbus", map=str(tmp_path / "mine.yaml")))
    assert (seen.power_w, seen.power_phase_w) == (None, (100.0, None, 50.0))


def test_opening_and_closing() -> None:
    async def story() -> None:
        registers = sdm630()
        there = meter(registers, "sdm630")
        await there.close()
        with pytest.raises(DeviceClosed):
            await there.read()
        await there.open()
        await there.read()
        await there.close()
        await there.close()
        assert registers.released == 1
        with pytest.raises(DeviceClosed):
            await there.read()

    asyncio.run(story())


def test_a_silent_line_is_let_go() -> None:
    class Silent(Registers):
        async def read(self, unit: int, function: int, address: int, count: int) -> list[int]:
            raise DeviceTimeout(f"unit {unit}: no answer")

    async def story(registers: Registers) -> None:
        there = meter(registers, "sdm630")
        for _ in range(2):
            with pytest.raises(DeviceTimeout):
                await there.open()

    registers = Silent({})
    asyncio.run(story(registers))
    assert registers.released == 2


def test_a_line_in_use_otherwise_is_no_mistake_of_the_program() -> None:
    def taken(place: Place) -> Registers:
        raise ValueError(f"{place} is already in use as 2400 baud")

    there = open_meter({"driver": "sdm630", "port": "/dev/x"}, SteppedClock(), taken)
    with pytest.raises(
        DeviceRefused, match="sdm630 at /dev/x, unit 1: /dev/x is already in use as 2400 baud"
    ):
        asyncio.run(there.open())


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"driver": "sdm120"}, SerialLine("/dev/x", baudrate=2400)),
        ({"driver": "sdm120", "baudrate": 9600}, SerialLine("/dev/x")),
        ({"driver": "or-we-517"}, SerialLine("/dev/x", parity="E")),
        ({"driver": "iem3155"}, SerialLine("/dev/x", baudrate=19200, parity="E")),
        ({"driver": "iem3155", "host": "10.0.0.7"}, TcpGateway("10.0.0.7")),
    ],
    ids=["its own speed", "set otherwise", "its own parity", "both", "none over TCP"],
)
def test_the_line_is_as_the_meter_leaves_the_factory(settings: dict[str, Any], place: Place) -> None:
    port = {} if "host" in settings else {"port": "/dev/x"}
    assert open_meter(port | settings | {"unit": 9}, SteppedClock()).place == place


def test_meters_by_name() -> None:
    assert {"sdm630", "et340", "modbus"} <= set(meter_names())
    assert list(meter_names()) == sorted(meter_names())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "meter: driver: no meter None here; there are abb-b21"),
        ({"driver": "sdm"}, "meter: driver: no meter 'sdm' here"),
        ({"driver": "sdm630"}, "meter: port: missing"),
        (
            {"driver": "sdm630", "port": "x", "foo": 1},
            "meter: foo: unknown; driver 'sdm630' has no such setting",
        ),
        ({"driver": "sdm630", "port": "x", "map": "y"}, "meter: map: unknown; driver 'sdm630'"),
        ({"driver": "sdm630", "port": "x", "invert": 1}, "meter: invert: 1; true .* or false is wanted"),
        ({"driver": "modbus", "port": "x"}, "meter: map: missing; driver 'modbus' needs the file"),
        ({"driver": "modbus", "port": "x", "map": "/no/file"}, "meter: map: /no/file: cannot be read"),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}"):
        open_meter(settings, SteppedClock())
