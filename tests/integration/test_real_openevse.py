"""A station on an OpenEVSE with its own meter and an RDM6300 card reader, both emulated.

The station is `chargepoint run` in a process of its own on the wall clock; the devices are in this one.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chargepoint.csms.central_system import CentralSystem
from hal.api import EvseInfo
from hal.clock import WallClock
from hal.emulators.outlet import Outlet
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rapi import RapiEmulator
from hal.emulators.rdm6300 import Rdm6300Emulator
from hal.simulated.vehicle import load_vehicle
from tests.integration.piped import Line, play
from tests.integration.station_process import StationProcess, configuration, station
from tests.standstills import again_after_a_standstill

CARD = "100086F444"
SUPERVISION_S = 5


@dataclass(slots=True)
class Garage:
    """The devices and the program that works with them."""

    outlet: Outlet
    board: RapiEmulator
    board_line: PtyBus
    reader: Rdm6300Emulator
    reader_line: PtyBus
    cp: StationProcess

    async def charging(self) -> Line:
        """Plug in, hold the card before the reader, and wait until energy flows; StartTransaction."""
        await self.cp.sent("StatusNotification", connectorId=1, status="Available")
        assert self.board.state == 0xFE
        self.outlet.evse.plug_in(load_vehicle("compact"))
        await self.cp.sent("StatusNotification", connectorId=1, status="Preparing")
        self.reader.present(CARD)
        started = await self.cp.sent("StartTransaction")
        await self.cp.sent("StatusNotification", connectorId=1, status="Charging")
        await until(lambda: self.outlet.closed)
        return started


@asynccontextmanager
async def garage(folder: Path) -> AsyncIterator[Garage]:
    outlet = Outlet(EvseInfo(phases=1), WallClock(), energy_wh=5000.0)
    (folder / "cards").write_text(f"{CARD}\n")
    with PtyBus(1) as board_line, PtyBus(1) as reader_line:
        board = RapiEmulator(board_line, outlet, WallClock())
        reader = Rdm6300Emulator(reader_line)
        path = configuration(
            folder,
            connectors=[
                {
                    "phases": 1,
                    "evse": {
                        "driver": "openevse",
                        "port": board_line.names[0],
                        "supervision_s": SUPERVISION_S,
                    },
                    "meter": {"driver": "controller"},
                }
            ],
            readers=[{"driver": "rdm6300", "port": reader_line.names[0], "whitelist": "./cards"}],
        )
        async with (
            CentralSystem(seed=1) as central,
            station("--config", path, csms=central.url, storage=folder / "storage", clock="wall") as cp,
        ):
            yield Garage(outlet, board, board_line, reader, reader_line, cp)
        board.close()


async def until(what: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for the emulated hardware, which reports to nobody."""
    async with asyncio.timeout(within_s):
        while not what():
            await asyncio.sleep(0.02)


@again_after_a_standstill
def test_a_card_of_the_house_charges_over_a_replugged_adapter(tmp_path: Path) -> None:
    async def story() -> None:
        async with garage(tmp_path) as place:
            started = await place.charging()
            assert (started["idTag"], started["meterStart"]) == (CARD, 5000)
            assert not place.cp.calls("Authorize")

            place.board_line.unplug(0)
            place.reader_line.unplug(0)
            lost = await place.cp.sent("StatusNotification", connectorId=0, errorCode="ReaderFailure")
            assert lost["status"] == "Available"
            place.board_line.replug(0)
            place.reader_line.replug(0)
            await place.cp.sent("StatusNotification", connectorId=0, errorCode="NoError")
            asked = len(place.board.heard)
            await until(lambda: len(place.board.heard) > asked + 10)
            assert place.outlet.closed

            place.reader.present(CARD)
            stopped = await place.cp.sent("StopTransaction")
            assert stopped.get("reason", "Local") == "Local"
            assert not place.outlet.closed
            assert stopped["meterStop"] > 5000
            assert stopped["meterStop"] <= place.outlet.reading().energy_wh
            await place.cp.shut_down()
            assert place.board.state == 0xFE
            assert place.board.eeprom_writes == 1

    play(story)


@again_after_a_standstill
def test_a_killed_program_leaves_6_a_after_its_supervision_runs_out(tmp_path: Path) -> None:
    async def story() -> None:
        async with garage(tmp_path) as place:
            await place.charging()
            assert place.board.amperes == 32
            place.cp.process.send_signal(signal.SIGKILL)
            assert await place.cp.ended() == -signal.SIGKILL
            await asyncio.sleep(SUPERVISION_S + 0.5)  # real time is the matter: the board's own clock
            place.board.supervise()
            assert place.board.amperes == 6

    play(story)
