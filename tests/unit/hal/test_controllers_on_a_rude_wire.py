"""Every fault of a wire between each Modbus controller and its driver: the right answer, or none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from hal.api import EvseInfo, PilotState
from hal.clock import SteppedClock
from hal.device import DeviceError, DeviceRefused, EvseController
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.faults import KINDS
from hal.emulators.modbus import ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.phoenix import PhoenixEmulator
from hal.emulators.pty_bus import PtyBus
from hal.modbus.bus import Bus, SerialLine
from hal.modbus.evse_wb import EvseWb
from hal.modbus.phoenix import Phoenix
from hal.simulated.vehicle import load_vehicle
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated

Emulator = EvseWbEmulator | PhoenixEmulator


@asynccontextmanager
async def charging(driver: str) -> AsyncIterator[tuple[EvseController, Emulator, ModbusEmulator]]:
    """A controller whose vehicle draws 10 A; the emulated unit answers late by twice the time-out."""
    clock = SteppedClock(1_800_000_000.0)
    outlet = Outlet(EvseInfo(), clock)
    unit: Emulator = EvseWbEmulator(outlet) if driver == "evse-wb" else PhoenixEmulator(outlet)
    emulator = ModbusEmulator([unit])
    emulator.faults.delay_s = 0.08
    emulator.faults.exception_codes = (1, 2, 4, 6, 11)
    with PtyBus(1) as line:
        await emulator.serve_serial(line)
        bus = Bus(SerialLine(line.names[0], baudrate=115200, timeout_s=0.04, quiet_s=0.05, gap_s=0.0))
        bus.share(bus.place)
        controller: EvseController
        controller = EvseWb(bus, 1, clock) if driver == "evse-wb" else Phoenix(bus, 1, clock)
        try:
            await controller.open()
            outlet.evse.plug_in(load_vehicle("compact"))
            await controller.set_limit(10.0)
            clock.advance(10.0)
            yield controller, unit, emulator
        finally:
            emulator.faults.clear()
            await controller.close()
            await emulator.close()


@pytest.mark.parametrize(("driver", "other"), [("evse-wb", "phoenix"), ("phoenix", "evse-wb")])
def test_another_device_is_asked_about_and_not_written_to(driver: str, other: str) -> None:
    async def story() -> None:
        async with charging(other) as (right, unit, emulator):
            before = emulator.requests
            bus, clock = right._bus, SteppedClock()  # type: ignore[attr-defined]  # both controllers have a bus
            wrong: EvseController = EvseWb(bus, 1, clock) if driver == "evse-wb" else Phoenix(bus, 1, clock)
            with pytest.raises(DeviceRefused, match=r"exception 2, .*; is it an E.*, and is this its unit\?"):
                await wrong.open()
            assert (unit.offered_a, emulator.requests) == (10.0, before + 1)

    run_jumping(story())


@pytest.mark.parametrize("driver", ["evse-wb", "phoenix"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_heard_is_true_and_what_is_told_arrives(driver: str, kind: str) -> None:
    async def story() -> None:
        async with charging(driver) as (controller, unit, emulator):
            emulator.faults.once(kind)
            with suppress(DeviceError):
                status = await controller.status()
                assert (status.pilot, status.offered_a, status.closed) == (PilotState.C, 10.0, True)
                assert (status.cable_max_a, status.faults) == (32.0, ())
            emulator.faults.clear()
            emulator.faults.once(kind)
            with suppress(DeviceError):
                assert await controller.set_limit(7.0) == unit.offered_a == 7.0
            emulator.faults.clear()
            assert await controller.set_limit(8.0) == 8.0
            assert ((await controller.status()).offered_a, unit.offered_a) == (8.0, 8.0)

    run_jumping(story())
