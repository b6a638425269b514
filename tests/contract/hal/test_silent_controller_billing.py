"""A charge point on an EVSE-WB and an SDM630 with real bytes between, when the board falls silent.

The board has no watchdog: it goes on with the last current it was told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from hal.api import EvseInfo, FaultKind
from hal.emulators.evse_wb import EvseWbEmulator
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle
from tests.contract.hal.emulated import Emulated
from tests.unit.ocpp16.bench import Bench

pytestmark = pytest.mark.emulated

SOON_S = 100.0  # a board that was silent is asked again each 5 s


class OnWires(Bench):
    """A station on the emulated devices and their clock."""

    def __init__(self, rig: Emulated) -> None:
        self.rig = rig
        self.clock_type = lambda start: rig.clock  # type: ignore[misc,assignment]  # the rig's own clock in place of a new one
        super().__init__()
        self.made.remove(self)  # no stepped clock can tell whether it holds on to anything

    def evse(self, connector: int, info: EvseInfo) -> SimulatedEvse:
        return cast(SimulatedEvse, self.rig.evse)

    def advance(self, seconds: float) -> None:
        if seconds:
            ends_at = self.clock.now() + seconds
            self.rig.wait_for(lambda: self.clock.now() >= ends_at, SOON_S)
        assert self.errors == []

    def wait_for(self, action: str) -> dict[str, Any]:
        """The first CALL of that kind."""
        self.rig.wait_for(lambda: bool(self.sent(action)), SOON_S)
        payload: dict[str, Any] = self.sent(action)[0]
        return payload

    @property
    def register(self) -> int:
        """Where the meter stands."""
        return int(self.rig.outlet.reading().energy_wh)


@pytest.fixture
def charging() -> Iterator[OnWires]:
    """A charge under way, at a board that has just fallen silent."""
    rig = Emulated("evse-wb", EvseInfo(lockable=False), "serial", EvseWbEmulator)
    station = OnWires(rig)
    try:
        station.connect()
        rig.wait_for(lambda: bool(station.sent("BootNotification")), SOON_S)
        rig.outlet.evse.plug_in(load_vehicle("compact"))
        rig.wait_for(lambda: rig.evse.plugged, SOON_S)
        station.swipe("TAG")
        station.wait_for("StartTransaction")
        rig.wait_for(lambda: rig.outlet.closed, SOON_S)
        station.advance(5.0)
        rig.emulator.faults.unit = 1
        rig.emulator.faults.set("drop_request")
        yield station
    finally:
        station.cp.close()
        rig.close()


def test_what_flows_after_the_stop_is_billed_until_it_ends(charging: OnWires) -> None:
    rig = charging.rig
    charging.swipe("TAG")
    swiped_wh = charging.register
    charging.advance(25.0)
    assert rig.outlet.closed
    assert charging.sent("StopTransaction") == []
    assert FaultKind.COMMUNICATION in {fault.kind for fault in rig.evse.faults}
    rig.outlet.evse.plug_out()
    stop = charging.wait_for("StopTransaction")
    assert stop["meterStop"] == charging.register > swiped_wh
    assert stop["reason"] == "Local"


def test_what_flows_after_the_stop_is_billed_until_the_board_is_reached(charging: OnWires) -> None:
    rig = charging.rig
    charging.swipe("TAG")
    charging.advance(25.0)
    assert charging.sent("StopTransaction") == []
    rig.emulator.faults.clear()
    stop = charging.wait_for("StopTransaction")
    assert not rig.outlet.closed
    assert stop["meterStop"] == charging.register


def test_a_meter_that_falls_silent_as_well_is_billed_as_far_as_it_told(charging: OnWires) -> None:
    rig = charging.rig
    charging.swipe("TAG")
    charging.advance(15.0)
    told_wh = int(rig.evse.reading().energy_wh)
    rig.emulator.faults.unit = None
    stop = charging.wait_for("StopTransaction")
    assert told_wh <= stop["meterStop"] < charging.register
