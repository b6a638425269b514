"""A station on a controller and a meter that share one RS-485 line at its real speed, both emulated.

The station is `chargepoint run` in a process of its own on the wall clock; the devices are in this one.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from chargepoint.csms.central_system import CentralSystem
from hal.api import EvseInfo
from hal.clock import WallClock
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.meter import EmulatedMeter
from hal.emulators.modbus import ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.pty_bus import PtyBus
from hal.modbus.register_map import load_map
from hal.simulated.vehicle import load_vehicle
from tests.integration.piped import Line, play
from tests.integration.station_process import CP, StationProcess, configuration, station

BAUD = 9600
REGISTER_WH = 5000.0


@dataclass(slots=True)
class Garage:
    """The devices, the central system and where the station remembers."""

    outlet: Outlet
    board: EvseWbEmulator
    devices: ModbusEmulator
    central: CentralSystem
    arguments: tuple[str | Path, ...]
    folder: Path

    @asynccontextmanager
    async def powered(self) -> AsyncIterator[StationProcess]:
        """The station's program."""
        async with station(
            *self.arguments, csms=self.central.url, storage=self.folder / "storage", clock="wall"
        ) as running:
            yield running


@asynccontextmanager
async def garage(folder: Path, **evse: object) -> AsyncIterator[Garage]:
    outlet = Outlet(EvseInfo(lockable=False), WallClock(), energy_wh=REGISTER_WH)
    board = EvseWbEmulator(outlet, 1, boot_current_a=16)
    devices = ModbusEmulator([board, EmulatedMeter(load_map("sdm630"), outlet.reading, 2)])
    with PtyBus(1, baud=BAUD) as line:
        await devices.serve_serial(line)
        connector = {
            "evse": {"driver": "evse-wb", "port": line.names[0], "unit": 1} | evse,
            "meter": {"driver": "sdm630", "port": line.names[0], "unit": 2},
        }
        try:
            async with CentralSystem(seed=1) as central:
                path = configuration(folder, connectors=[connector])
                yield Garage(outlet, board, devices, central, ("--config", path), folder)
        finally:
            await devices.close()


async def until(what: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for the emulated hardware, which reports to nobody."""
    async with asyncio.timeout(within_s):
        while not what():
            await asyncio.sleep(0.02)


async def charging(place: Garage, cp: StationProcess) -> Line:
    """Plug in, show a card, and wait until energy flows; StartTransaction."""
    await cp.sent("StatusNotification", connectorId=1, status="Available")
    assert place.board.amps == 0
    place.outlet.evse.plug_in(load_vehicle("compact"))
    await cp.do("swipe", id_tag="TAG", connector=1)
    started = await cp.sent("StartTransaction")
    await cp.sent("StatusNotification", status="Charging")
    await until(lambda: place.outlet.closed)
    return started


def profile(current_a: float) -> Line:
    return {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": current_a}],
            },
        },
    }


@pytest.mark.campaign
def test_a_session_on_one_line_follows_its_profile_and_bills_what_the_meter_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with garage(tmp_path) as place:
            assert place.board.amps == 16  # what such a board comes up with
            async with place.powered() as cp:
                started = await charging(place, cp)
                assert started["meterStart"] == REGISTER_WH
                assert place.board.amps == 32

                await place.central.call(CP, "SetChargingProfile", profile(10.7))
                await until(lambda: place.board.amps == 10, 3.0)
                place.outlet.evse.plug_out()
                stopped = await cp.sent("StopTransaction")
                assert stopped["reason"] == "EVDisconnected"
                assert stopped["meterStop"] == int(place.outlet.reading().energy_wh)
                assert stopped["meterStop"] > REGISTER_WH
                await cp.shut_down()
            assert place.board.amps == 0
            assert place.board.eeprom_writes == []

    play(story)


@pytest.mark.campaign
def test_a_controller_that_is_gone_is_a_fault_and_the_session_goes_on_when_it_is_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with garage(tmp_path) as place, place.powered() as cp:
            await charging(place, cp)
            place.devices.faults.unit = 1
            place.devices.faults.set("drop_request")
            faulted = await cp.sent("StatusNotification", connectorId=1, status="Faulted")
            assert faulted["errorCode"] == "InternalError"
            place.devices.faults.clear()
            await cp.sent("StatusNotification", connectorId=1, errorCode="NoError")
            await until(lambda: place.outlet.closed and place.board.amps == 32)
            assert not cp.calls("StopTransaction")

    play(story)


@pytest.mark.campaign
@pytest.mark.parametrize("after", ["nothing", "restart"])
def test_a_killed_program_leaves_the_last_current_until_it_is_back(tmp_path: Path, after: str) -> None:
    """No watchdog is in these boards: this is why `ExecStopPost` and a current after boot of 0 matter."""

    async def story() -> None:
        async with garage(tmp_path, boot_current_a=0) as place:
            async with place.powered() as cp:
                await charging(place, cp)
                assert place.board.eeprom_writes == [2000]
                cp.process.send_signal(signal.SIGKILL)
                assert await cp.ended() == -signal.SIGKILL
            assert place.board.amps == 32
            assert place.outlet.closed
            if after == "nothing":
                place.board.reboot()
                assert place.board.amps == 0
                return
            async with place.powered() as again:
                await until(lambda: place.board.amps == 0, 5.0)
                await again.sent("StatusNotification", connectorId=1)
            assert place.board.eeprom_writes == [2000]

    play(story)
