"""What every meter promises (`hal.device.EnergyMeter`), over an emulator of each on real bytes.

The meter measures a simulated vehicle's charge; time is stepped, so a session takes no time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from hal.api import EvseInfo, Limit, MeterReading
from hal.clock import SteppedClock
from hal.device import DeviceError, DeviceRefused, MeterSnapshot
from hal.emulators.faults import Faults
from hal.emulators.meter import EmulatedMeter, MeterFault
from hal.emulators.modbus import ModbusEmulator
from hal.emulators.pty_bus import PtyBus
from hal.modbus.meter import ModbusMeter, open_meter
from hal.modbus.register_map import load_map, map_names
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated

ONE_PHASE = ("sdm120", "sdm220", "sdm230")
FAULTY = ("sdm630", "em340", "abb-b23", "or-we-516")
START_WH = 123_456.0


@dataclass(slots=True)
class Bench:
    """A meter at its emulator, and the vehicle whose charge it measures."""

    meter: ModbusMeter
    emulated: EmulatedMeter
    vehicle: SimulatedEvse
    clock: SteppedClock
    wire: Faults

    @property
    def truth(self) -> MeterReading:
        return self.vehicle.reading()

    async def second(self) -> MeterSnapshot:
        self.clock.advance(1.0)
        return await self.meter.read()


@asynccontextmanager
async def bench(
    name: str, *, tcp: bool = False, most: int | None = None, **settings: Any
) -> AsyncIterator[Bench]:
    """A vehicle charges with 10 A; the meter is open."""
    clock = SteppedClock(1_800_000_000.0)
    vehicle = SimulatedEvse(EvseInfo(phases=1 if name in ONE_PHASE else 3), clock, energy_wh=START_WH)
    vehicle.plug_in(load_vehicle("compact"))
    vehicle.permit(Limit(10.0))
    clock.advance(60.0)
    emulated = EmulatedMeter(load_map(name), vehicle.reading, 5, inverted=settings.get("invert", False))
    emulated.most_registers = most or emulated.most_registers
    emulator = ModbusEmulator([emulated])
    with PtyBus(2) as line:
        await emulator.serve_serial(line)
        host, port = await emulator.serve_tcp()
        # A pseudo terminal knows no parity.
        place = {"host": host, "tcp_port": port} if tcp else {"port": line.names[0], "parity": "N"}
        times = {"timeout_s": 0.1, "quiet_s": 0.15, "gap_s": 0.0}
        meter = open_meter({"driver": name, "unit": 5} | place | times | settings, clock)
        try:
            await meter.open()
            yield Bench(meter, emulated, vehicle, clock, emulator.faults)
        finally:
            await meter.close()
            await emulator.close()
            vehicle.close()
    while len(asyncio.all_tasks()) > 1:  # a connection's task ends in the next turns of the loop
        await asyncio.sleep(0)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run_jumping(story())


def agrees(name: str, seen: MeterSnapshot, truth: MeterReading) -> None:
    """Every figure of the meter is the truth's, within what its register can tell."""
    registers = load_map(name)

    def close(point: str, value: float | None, true: float) -> None:
        there = registers.point(point)
        if there is None:
            assert value is None
            return
        assert value is not None, point
        assert abs(value - true) <= max(there.step, abs(true) * 1e-6), (point, value, true)

    close("energy_import", seen.import_wh, truth.energy_wh)
    close("energy_export", seen.export_wh, 0.0)
    close("power", seen.power_w, truth.power_w)
    close("frequency", seen.frequency_hz, truth.frequency_hz or 0.0)
    close("power_factor", seen.power_factor, truth.power_factor or 0.0)
    figures = {
        "voltage": (seen.voltage_v, truth.voltage_v),
        "current": (seen.current_a, truth.current_a),
        "power": (seen.power_phase_w, truth.power_phase_w),
    }
    for kind, (values, true) in figures.items():
        if registers.point(f"{kind}_l1") is None:
            assert values == ()
            continue
        assert len(values) == len(true)
        for index, (value, expected) in enumerate(zip(values, true, strict=True), 1):
            close(f"{kind}_l{index}", value, expected)


@pytest.mark.parametrize("tcp", [False, True], ids=["serial", "tcp"])
@pytest.mark.parametrize("name", map_names())
def test_it_shows_what_flows(name: str, tcp: bool) -> None:
    async def story() -> None:
        async with bench(name, tcp=tcp) as b:
            before = None
            for _ in range(3):
                seen = await b.second()
                agrees(name, seen, b.truth)
                assert seen.read_at == b.clock.now()
                assert seen.faults == ()
                assert before is None or (seen.import_wh or 0.0) >= before
                before = seen.import_wh

    run(story)


@pytest.mark.parametrize("name", ["sdm630", "em340", "sdm120"])
def test_one_mounted_backwards_shows_the_same(name: str) -> None:
    async def story() -> None:
        async with bench(name, invert=True) as b:
            agrees(name, await b.second(), b.truth)

    run(story)


@pytest.mark.parametrize("name", ["sdm630", "sdm72d-m-2", "sdm72d-m"])
def test_one_that_refuses_large_requests_is_read_all_the_same(name: str) -> None:
    async def story() -> None:
        async with bench(name, most=2 if name == "sdm72d-m" else 10) as b:
            agrees(name, await b.second(), b.truth)

    run(story)


async def refused(b: Bench, problem: str) -> None:
    with pytest.raises(DeviceRefused, match=problem):
        await b.second()


async def absent(b: Bench) -> None:
    await refused(b, "tells no energy")


async def backwards(b: Bench) -> None:
    seen = await b.second()
    assert seen.power_w == pytest.approx(-b.truth.power_w, abs=0.2)
    assert all(amperes is not None and amperes < 0 for amperes in seen.current_a)


async def frozen(b: Bench) -> None:
    seen = await b.second()
    b.clock.advance(1.0)
    stood_at = b.truth.energy_wh
    while not seen.faults:
        assert b.truth.energy_wh < stood_at + 400.0, "never noticed"
        b.clock.advance(4.0)
        seen = await b.second()
    assert [fault.blocking for fault in seen.faults] == [False]
    assert seen.import_wh is not None
    assert seen.import_wh <= stood_at + b.emulated.registers.energy_step_wh


async def tenfold(b: Bench) -> None:
    assert (await b.second()).frequency_hz == pytest.approx(50.0)


async def dead_phase(b: Bench) -> None:
    seen = await b.second()
    assert (seen.voltage_v[2], seen.current_a[2], seen.power_phase_w[2]) == (0.0, 0.0, 0.0)
    assert seen.power_w == pytest.approx(b.truth.power_w * 2 / 3, rel=0.01)


async def wrong_unit(b: Bench) -> None:
    await refused(b, "do not belong to")


async def leapt(b: Bench) -> None:
    """Refused twice, believed the third time, and the register goes on from where it was."""
    for _ in range(2):
        await refused(b, "does not follow from earlier readings")
    step = b.emulated.registers.energy_step_wh
    lost_wh = 5 * b.truth.power_w / 3600.0
    for _ in range(5):
        seen = await b.second()
        assert seen.import_wh is not None
        assert b.truth.energy_wh - lost_wh - step - 1 <= seen.import_wh <= b.truth.energy_wh + step + 0.1


async def rolled_over(b: Bench) -> None:
    before = (await b.second()).import_wh
    for _ in range(60):  # 5 Wh until it overflows, at 2 Wh a second
        try:
            seen = await b.second()
        except DeviceRefused:
            break
        before = seen.import_wh
    else:
        raise AssertionError("it never overflowed")
    await refused(b, "does not follow")
    seen = await b.second()
    assert before is not None
    assert seen.import_wh is not None
    assert before <= seen.import_wh <= b.truth.energy_wh + b.emulated.registers.energy_step_wh + 0.1


FAULTS: dict[MeterFault, Callable[[Bench], Coroutine[Any, Any, None]]] = {
    MeterFault.NAN: absent,
    MeterFault.SENTINEL: absent,
    MeterFault.NEGATIVE: backwards,
    MeterFault.FROZEN: frozen,
    MeterFault.TENFOLD_FREQUENCY: tenfold,
    MeterFault.PHASE_LOST: dead_phase,
    MeterFault.KILOWATTS: wrong_unit,
    MeterFault.RESET: leapt,
    MeterFault.ROLLOVER: rolled_over,
    MeterFault.LEAP: leapt,
}


@pytest.mark.parametrize("fault", MeterFault)
@pytest.mark.parametrize("name", FAULTY)
def test_what_is_wrong_with_a_meter_is_never_believed(name: str, fault: MeterFault) -> None:
    async def story() -> None:
        async with bench(name) as b:
            agrees(name, await b.second(), b.truth)
            b.emulated.inject(fault)
            await FAULTS[fault](b)
            if fault in b.emulated.faults:
                b.emulated.mend(fault)
                agrees(name, await b.second(), b.truth)

    run(story)


def test_a_rude_wire_gives_no_wrong_reading() -> None:
    async def story() -> None:
        async with bench("sdm630", timeout_s=0.05, quiet_s=0.06) as b:
            for kind in ("drop_request", "drop_reply", "flip", "short", "truncate", "noise", "exception"):
                b.wire.set(kind, 0.02)
            good = 0
            for _ in range(25):
                try:
                    seen = await b.second()
                except DeviceError:
                    continue
                agrees("sdm630", seen, b.truth)
                good += 1
            assert good > 10
            assert b.wire.injected.total() > 5

    run(story)


def test_closed_means_closed() -> None:
    async def story() -> None:
        async with bench("sdm630") as b:
            await b.meter.close()
            await b.meter.close()
            with pytest.raises(DeviceError, match="closed"):
                await b.second()
            await b.meter.open()
            assert (await b.second()).power_w

    run(story)
