"""The example of the relay at mock pins and an emulated SDM120: contactor, vehicle and trip as wired."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from chargepoint.cli.devices import specs_of
from chargepoint.config import parse
from hal.api import NOTHING, Evse, EvseInfo, FaultKind, Limit, MeterUnavailable, PilotState
from hal.clock import ScaledClock
from hal.device import AttendedEvse
from hal.emulators.meter import EmulatedMeter
from hal.emulators.modbus import ModbusEmulator
from hal.emulators.pty_bus import PtyBus
from hal.modbus.register_map import load_map
from hal.registry import open_evse
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated

EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "pi-relay-sdm120.yaml"
PORT = "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0"
COIL, FEEDBACK, VEHICLE, RCD = 17, 27, 22, 24


class Wires:
    """What the drawing connects with the pins: looked at again every two milliseconds."""

    def __init__(self, factory: MockFactory, outlet: SimulatedEvse) -> None:
        self.closed = self.tripped = False
        self._factory = factory
        self._outlet = outlet
        self._loop = asyncio.get_running_loop()
        self._follow()

    def _follow(self) -> None:
        coil = self._factory.pin(COIL)
        self.closed = coil.function == "output" and bool(coil.state) and not self.tripped
        self._outlet.permit(Limit(16.0) if self.closed else NOTHING)
        self._to_ground(FEEDBACK, not self.closed)
        self._to_ground(VEHICLE, self._outlet.pilot is not PilotState.A)
        self._to_ground(RCD, not self.tripped)
        self._next = self._loop.call_later(0.002, self._follow)

    def _to_ground(self, number: int, connected: bool) -> None:
        pin = self._factory.pin(number)
        (pin.drive_low if connected else pin.drive_high)()

    def cut(self) -> None:
        self._next.cancel()


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(45):
        while not happened():
            await asyncio.sleep(0.005)


def drawn_w(evse: Evse) -> float:
    try:
        return evse.reading().power_w
    except MeterUnavailable:
        return -1.0


def test_the_example_charges_stops_and_tells_a_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    factory = MockFactory()
    monkeypatch.setattr(Device, "pin_factory", factory)

    async def story() -> None:
        clock = ScaledClock(10.0, 1_800_000_000.0)
        outlet = SimulatedEvse(EvseInfo(phases=1), clock, energy_wh=5000.0)
        emulator = ModbusEmulator([EmulatedMeter(load_map("sdm120"), outlet.reading, 1)])
        wires = Wires(factory, outlet)
        with PtyBus(1) as line:
            await emulator.serve_serial(line)
            text = EXAMPLE.read_text(encoding="utf-8").replace(PORT, line.names[0])
            (spec,) = specs_of(parse(text, EXAMPLE.name))
            evse = open_evse(spec, clock)
            try:
                await cast(AttendedEvse, evse).opened()
                assert (evse.plugged, evse.closed, evse.faults) == (False, False, ())
                outlet.plug_in(load_vehicle("compact"))
                await until(lambda: evse.plugged)
                evse.permit(Limit(16.0))
                await until(lambda: evse.closed and drawn_w(evse) > 3000.0)
                assert wires.closed
                evse.permit(Limit(10.0))  # less than the pilot module offers is nothing
                await until(lambda: not evse.closed and drawn_w(evse) == 0.0)
                assert not wires.closed
                wires.tripped = True
                await until(lambda: FaultKind.GROUND in {fault.kind for fault in evse.faults})
            finally:
                evse.close()
                await cast(AttendedEvse, evse).released()
                wires.cut()
                await emulator.close()
        assert factory.pin(COIL).function == "input"

    run_jumping(story())
    factory.reset()
