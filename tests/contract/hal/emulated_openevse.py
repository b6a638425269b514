"""An OpenEVSE with its own meter over the emulated controller, for the checks of every connector."""

from __future__ import annotations

from hal.api import EvseInfo
from hal.clock import ScaledClock
from hal.connector_spec import ConnectorSpec
from hal.emulators.outlet import Outlet
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rapi import RapiEmulator
from hal.polled import PolledEvse
from hal.registry import open_evse
from tests.contract.hal.emulated import Emulated


class EmulatedOpenEvse(Emulated):
    """One connector; see `Emulated`."""

    def __init__(self, info: EvseInfo) -> None:
        self._info = info
        super().__init__("openevse", info, "serial", _no_unit)  # type: ignore[arg-type]  # a line of its own has no units

    async def _open(self, *_: object) -> None:
        self.clock = ScaledClock(1.0, 1_800_000_000.0)
        self.outlet = Outlet(self._info, self.clock, energy_wh=5000.0)
        self._line = PtyBus(1)
        self.controller = RapiEmulator(self._line, self.outlet, self.clock)
        spec = ConnectorSpec(
            self._info,
            {"driver": "openevse", "port": self._line.names[0], "poll_s": 1.0},
            {"driver": "controller"},
            5000.0,
        )
        evse = open_evse(spec, self.clock)
        assert isinstance(evse, PolledEvse)
        self.evse = evse
        self.evse.fed = self._fed
        await self.evse.opened()

    async def _close(self) -> None:
        self.evse.close()
        await self.evse.released()
        self.controller.close()
        self._line.close()


def _no_unit(outlet: Outlet) -> None: ...
