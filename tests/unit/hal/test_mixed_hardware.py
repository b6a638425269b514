"""`driver: simulated` stands in for any part: a meter without a controller, a controller without a meter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from hal.api import Evse, EvseInfo, EvseListener, FaultKind, Limit, MeterUnavailable
from hal.clock import ScaledClock, SteppedClock
from hal.connector_spec import ConnectorSpec
from hal.device import AttendedEvse
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.meter import EmulatedMeter
from hal.emulators.modbus import EmulatedUnit, ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rapi import RapiEmulator
from hal.modbus.register_map import load_map
from hal.registry import open_evse
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated

INFO = EvseInfo(phases=3)
SIMULATED = {"driver": "simulated"}


class Noticed:
    def __init__(self) -> None:
        self.times = 0

    def evse_changed(self) -> None:
        self.times += 1


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not happened():
            await asyncio.sleep(0.1)


@asynccontextmanager
async def opened(evse: dict[str, Any], meter: dict[str, Any], clock: ScaledClock) -> AsyncIterator[Evse]:
    there = open_evse(ConnectorSpec(INFO, evse, meter), clock)
    try:
        await cast(AttendedEvse, there).opened()
        yield there
    finally:
        there.close()
        await cast(AttendedEvse, there).released()


@asynccontextmanager
async def line(*units: EmulatedUnit) -> AsyncIterator[tuple[ModbusEmulator, dict[str, Any]]]:
    emulator = ModbusEmulator(units)
    with PtyBus(1) as bus:
        await emulator.serve_serial(bus)
        try:
            yield emulator, {"port": bus.names[0], "quiet_s": 0.02, "gap_s": 0.001, "timeout_s": 0.1}
        finally:
            await emulator.close()


def test_a_real_meter_beside_a_simulated_vehicle() -> None:
    async def story() -> None:
        clock = ScaledClock(1.0, 1_800_000_000.0)
        kettle = Outlet(INFO, clock, energy_wh=7000.0)
        kettle.evse.plug_in(load_vehicle("compact"))
        kettle.signal(16.0)
        unit = EmulatedMeter(load_map("sdm630"), kettle.reading, 2)
        async with (
            line(unit) as (emulator, place),
            opened(SIMULATED, {"driver": "sdm630", "unit": 2, **place}, clock) as evse,
        ):
            assert isinstance(evse, SimulatedEvse)
            noticed: EvseListener = Noticed()
            evse.listener = noticed
            await until(lambda: evse.reading().power_w > 10_000)
            assert evse.reading().energy_wh == pytest.approx(kettle.reading().energy_wh, abs=50)
            assert (evse.reading().soc_percent, evse.closed) == (None, False), "no vehicle is at this one"
            evse.plug_in(load_vehicle("compact"), 40.0)
            assert evse.reading().soc_percent == evse.soc_percent == pytest.approx(40.0)
            emulator.faults.set("drop_request")
            await until(lambda: bool(evse.faults))
            assert [fault.kind for fault in evse.faults] == [FaultKind.METER]
            with pytest.raises(MeterUnavailable):
                evse.reading()

    run_jumping(story())


def test_a_real_controller_beside_a_simulated_meter() -> None:
    async def story() -> None:
        clock = ScaledClock(1.0, 1_800_000_000.0)
        outlet = Outlet(INFO, clock)
        board = EvseWbEmulator(outlet)
        async with (
            line(board) as (_, place),
            opened({"driver": "evse-wb", "unit": 1, **place}, SIMULATED, clock) as evse,
        ):
            assert evse.reading().power_w == 0.0
            outlet.evse.plug_in(load_vehicle("compact"))
            evse.permit(Limit(10.0))
            await until(lambda: evse.closed and evse.reading().power_w > 0)
            assert evse.reading().power_w == pytest.approx(3 * 230 * 10)
            assert evse.reading().current_a == (10.0, 10.0, 10.0)
            before = evse.reading()
            await until(lambda: evse.reading().time > before.time)
            hours = (evse.reading().time - before.time) / 3600
            assert evse.reading().energy_wh - before.energy_wh == pytest.approx(6900 * hours, rel=1e-3)
            outlet.evse.plug_out()
            await until(lambda: evse.reading().power_w == 0.0 and not evse.closed)
            assert evse.faults == ()

    run_jumping(story())


def test_an_openevse_beside_a_simulated_meter() -> None:
    async def story() -> None:
        clock = ScaledClock(1.0, 1_800_000_000.0)
        outlet = Outlet(INFO, clock)
        with PtyBus(1) as bus:
            board = RapiEmulator(bus, outlet, clock)
            evse_settings = {"driver": "openevse", "port": bus.names[0], "supervision_s": 65}
            async with opened(evse_settings, SIMULATED, clock) as evse:
                outlet.evse.plug_in(load_vehicle("compact"))
                evse.permit(Limit(10.0))
                await until(lambda: evse.reading().power_w > 0)
                assert evse.reading().current_a == (10.0, 10.0, 10.0)
            board.close()

    run_jumping(story())


@pytest.mark.parametrize(
    ("evse", "meter", "message"),
    [
        (SIMULATED, {"driver": "controller"}, "meter: driver: no meter 'controller' here"),
        (SIMULATED, {"driver": "sdm630"}, "meter: port: missing"),
        ({"driver": "evse-wb", "port": "/dev/x"}, {**SIMULATED, "unit": 1}, "meter: unit: unknown"),
        ({"driver": "relay", "pin": 17}, {**SIMULATED, "unit": 1}, "meter: unit: unknown"),
    ],
)
def test_what_does_not_go_together_says_so(evse: dict[str, Any], meter: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_evse(ConnectorSpec(INFO, evse, meter), SteppedClock())
