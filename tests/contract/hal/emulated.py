"""Drivers over emulated devices, real bytes between them, for checks that are plain functions.

Time passes while they wait, and only then (`JumpingLoop`): how fast the machine is changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from hal.api import EvseInfo, MeterUnavailable
from hal.clock import ScaledClock
from hal.connector_spec import ConnectorSpec
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.meter import EmulatedMeter
from hal.emulators.modbus import ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.phoenix import PhoenixEmulator
from hal.emulators.pty_bus import PtyBus
from hal.modbus.register_map import load_map
from hal.polled import PolledEvse
from hal.registry import open_evse
from tests.jumping_loop import JumpingLoop

WAITS_S = 250.0

Way = Literal["serial", "tcp"]
Controller = EvseWbEmulator | PhoenixEmulator


class Emulated:
    """One connector's driver, the outlet behind its emulated controller and meter, and their common clock."""

    def __init__(
        self,
        driver: str,
        info: EvseInfo,
        way: Way,
        make: Callable[[Outlet], Controller],
        **settings: Any,
    ) -> None:
        self._loop = JumpingLoop()
        self._rounds = 0
        self._run(self._open(driver, info, way, make, settings))

    async def _open(
        self,
        driver: str,
        info: EvseInfo,
        way: Way,
        make: Callable[[Outlet], Controller],
        settings: dict[str, object],
    ) -> None:
        self.clock = ScaledClock(1.0, 1_800_000_000.0)
        self.outlet = Outlet(EvseInfo(phases=info.phases), self.clock, energy_wh=5000.0)
        meter = EmulatedMeter(load_map("sdm630"), self.outlet.reading, 2)
        self.device = make(self.outlet)
        self.emulator = ModbusEmulator([self.device, meter])
        self._line = PtyBus(1)
        place: dict[str, Any] = {"quiet_s": 0.02, "gap_s": 0.001, "timeout_s": 0.1}
        if way == "serial":
            await self.emulator.serve_serial(self._line)
            place["port"] = self._line.names[0]
        else:
            place["host"], place["tcp_port"] = await self.emulator.serve_tcp()
        spec = ConnectorSpec(
            info,
            {"driver": driver, "unit": 1, "poll_s": 1.0, **settings, **place},
            {"driver": "sdm630", "unit": 2, **place},
            5000.0,
        )
        evse = open_evse(spec, self.clock)
        assert isinstance(evse, PolledEvse)
        self.evse = evse
        self.evse.fed = self._fed
        await self.evse.opened()

    def advance(self, seconds: float) -> None:
        """Let that much of the connector's time pass, and what happened then arrive."""
        self._run(asyncio.sleep(seconds))
        self.soon()

    def soon(self) -> None:
        """Two rounds with the controller, then a reading and one more: nothing promised takes longer."""
        self._run(self._caught_up())

    def wait_for(self, what: Callable[[], bool], within_s: float) -> None:
        """Wait at most so many of the connector's seconds."""

        async def wait() -> None:
            async with asyncio.timeout(within_s):
                while not what():
                    await asyncio.sleep(0.1)

        self._run(wait())

    def close(self) -> None:
        self._run(self._close())
        self._loop.close()

    def _fed(self) -> None:
        self._rounds += 1

    async def _caught_up(self) -> None:
        async with asyncio.timeout(WAITS_S):
            if self.evse.closing:
                await self.evse.released()
                return
            await self._reach(self._rounds + 2)
            seen_at = self.clock.now()
            while not self._read_since(seen_at):
                await asyncio.sleep(0.05)
            await self._reach(self._rounds + 1)

    def _read_since(self, moment: float) -> bool:
        try:
            return self.evse.reading().time >= moment
        except MeterUnavailable:
            return False

    async def _reach(self, rounds: int) -> None:
        while self._rounds < rounds:
            await asyncio.sleep(0.05)

    async def _close(self) -> None:
        self.evse.close()
        await self.evse.released()
        await self.emulator.close()
        self._line.close()

    def _run(self, work: Any) -> None:
        self._loop.run_until_complete(work)


def evse_wb(info: EvseInfo, way: Way) -> Emulated:
    """An EVSE-WB with an SDM630."""
    return Emulated("evse-wb", info, way, EvseWbEmulator)


def phoenix(info: EvseInfo, way: Way) -> Emulated:
    """A Phoenix Contact EV Charge Control Basic with an SDM630."""
    return Emulated("phoenix", info, way, PhoenixEmulator)
