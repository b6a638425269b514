"""A look at a device changes nothing about it, whatever its driver would want to write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from hal.api import Clock, EvseInfo, PilotState
from hal.catalogue import names, notes
from hal.clock import SteppedClock, WallClock
from hal.connector_spec import ConnectorSpec
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.modbus import ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.phoenix import PhoenixEmulator
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rapi import RapiEmulator
from hal.look import Onlooker, connector_onlookers, meter_onlooker, reader_onlooker
from hal.scan import scan
from hal.simulated.vehicle import load_vehicle
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated

NO_METER = {"driver": "none"}


class Watched:
    """A Modbus device; `writes` is everything that was ever written to it."""

    def __init__(self, device: EvseWbEmulator | PhoenixEmulator) -> None:
        self.unit = device.unit
        self.writes: list[tuple[int, list[int]]] = []
        self.read = device.read
        self._device = device

    def write(self, function: int, address: int, values: list[int]) -> None:
        self.writes.append((address, values))
        self._device.write(function, address, values)


@asynccontextmanager
async def on_a_line(device: EvseWbEmulator | PhoenixEmulator) -> AsyncIterator[tuple[Watched, str]]:
    watched = Watched(device)
    emulator = ModbusEmulator([watched])
    with PtyBus(1) as line:
        await emulator.serve_serial(line)
        try:
            yield watched, line.names[0]
        finally:
            await emulator.close()


def looked_at(driver: str, port: str, **settings: Any) -> Onlooker:
    spec = ConnectorSpec(EvseInfo(lockable=False), {"driver": driver, "port": port, **settings}, NO_METER)
    (evse,) = connector_onlookers(spec, WallClock())
    return evse


@pytest.mark.parametrize("driver", ["evse-wb", "phoenix"])
def test_modbus_controllers_are_found_and_read_without_a_write(driver: str) -> None:
    async def story() -> None:
        outlet = Outlet(EvseInfo(), WallClock())
        kind = EvseWbEmulator if driver == "evse-wb" else PhoenixEmulator
        async with on_a_line(kind(outlet, 3)) as (watched, port):
            settings = {"boot_current_a": 0} if driver == "evse-wb" else {}
            evse = looked_at(driver, port, unit=3, **settings)
            assert await evse.find(), evse.problem
            assert "6 to" in evse.identity
            outlet.evse.plug_in(load_vehicle("compact"))
            look = await evse.look()
            assert look is not None
            assert look.pilot in (PilotState.B, PilotState.C)
            await evse.close()
            assert watched.writes == []
            if driver == "evse-wb":
                assert look.offered_a == 16

    run_jumping(story())


def test_an_openevse_is_only_asked() -> None:
    async def story() -> None:
        clock: Clock = WallClock()
        outlet = Outlet(EvseInfo(), clock)
        with PtyBus(1) as line:
            controller = RapiEmulator(line, outlet, clock)
            settings = {"driver": "openevse", "port": line.names[0]}
            evse, meter = connector_onlookers(
                ConnectorSpec(EvseInfo(), settings, {"driver": "controller"}), clock
            )
            for one in (evse, meter):
                assert await one.look() is not None, one.problem
            for one in (evse, meter):
                await one.close()
            assert {question[:2] for question in controller.heard} <= {
                "GV",
                "GS",
                "GC",
                "GP",
                "GG",
                "GU",
                "SY",
            }
            assert {question for question in controller.heard if question.startswith("S")} == {"SY"}
            assert controller.eeprom_writes == 0
            assert controller.amperes == 24  # as it was
            alone = looked_at("openevse", line.names[0])
            assert await alone.find(), alone.problem
            assert "firmware 5.1.0" in alone.identity
            await alone.close()
            controller.close()

    run_jumping(story())


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    before, Device.pin_factory = Device.pin_factory, MockFactory()
    yield Device.pin_factory
    Device.pin_factory.close()
    Device.pin_factory = before


def test_beside_a_relay_only_the_contacts_are_taken(pins: MockFactory) -> None:
    async def story() -> None:
        settings = {"driver": "relay", "pin": 17, "feedback_pin": 27, "vehicle_pin": 22}
        (evse,) = connector_onlookers(ConnectorSpec(EvseInfo(), settings, NO_METER), WallClock())
        assert await evse.find()
        assert evse.identity == "feedback at GPIO 27, vehicle at GPIO 22"
        pins.pin(22).drive_low()  # a vehicle
        pins.pin(27).drive_low()  # the mirror contact is normally closed
        look = await evse.look()
        assert look is not None
        assert (look.pilot, look.closed, look.offered_a) == (PilotState.B, False, None)
        pins.pin(27).drive_high()
        look = await evse.look()
        assert look is not None
        assert look.closed is True
        assert pins.pin(17).function == "input"
        await evse.close()

    run_jumping(story())


def test_simulated_parts_are_not_looked_at() -> None:
    simulated = {"driver": "simulated"}
    assert connector_onlookers(ConnectorSpec(EvseInfo(), simulated, simulated), SteppedClock(0.0)) == []
    assert reader_onlooker(simulated) is None


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"driver": "evse-wb"}, "evse: port: missing"),
        ({"driver": "evse-wb", "port": "x", "amps": 3}, "evse: amps: unknown"),
        ({"driver": "openevse", "port": "x", "unit": 3}, "evse: unit: unknown"),
        ({"driver": "relay"}, "evse: pin: missing"),
    ],
    ids=["port", "unknown", "serial", "pin"],
)
def test_wrong_settings_are_refused_as_by_the_driver(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        connector_onlookers(ConnectorSpec(EvseInfo(), settings, NO_METER), SteppedClock(0.0))


def test_a_device_that_comes_later_is_found_then() -> None:
    async def story() -> None:
        outlet = Outlet(EvseInfo(), WallClock())
        async with on_a_line(EvseWbEmulator(outlet, 3)) as (_, port):
            meter = meter_onlooker(
                {"driver": "sdm630", "port": port, "timeout_s": 0.05, "quiet_s": 0}, WallClock()
            )
            assert await meter.look() is None
            assert "no answer" in meter.problem
            await meter.close()
            evse = looked_at("evse-wb", f"{port}x", unit=3)
            assert not await evse.find()
            assert "no such port" in evse.problem
            await evse.close()
            assert await scan("evse", {"driver": "evse-wb", "port": port, "unit": 9}) == (
                f"{port}, 9600 baud, 8N1, unit 3 answers"
            )

    run_jumping(story())


def test_the_catalogue_names_every_driver_of_the_registry() -> None:
    listed = {part: tuple(note.name for note in notes() if note.part == part) for part in names()}
    assert listed == names()
    for note in notes():
        assert note.about
        assert f"driver: {note.name}" in note.example
