"""Everything off, without the program that was running it."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import Iterator
from typing import Any

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from hal.api import EvseInfo
from hal.clock import WallClock
from hal.connector_spec import ConnectorSpec
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.modbus import ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.safe_off import Outcome, safe_off

pytestmark = pytest.mark.emulated

SIMULATED = {"driver": "simulated"}


def spec(evse: dict[str, Any], meter: dict[str, Any] | None = None) -> ConnectorSpec:
    return ConnectorSpec(EvseInfo(), evse, meter or SIMULATED)


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    before, Device.pin_factory = Device.pin_factory, MockFactory()
    yield Device.pin_factory
    Device.pin_factory.reset()
    Device.pin_factory = before


def test_simulated_hardware_is_safe() -> None:
    assert safe_off([spec(SIMULATED)]) == [Outcome(1, "simulated")]


def test_a_relay_left_on_is_switched_off(pins: MockFactory) -> None:
    pin = pins.pin(17)
    pin.function = "output"
    pin.state = True
    assert safe_off([spec({"driver": "relay", "pin": 17}, {"driver": "none"})]) == [Outcome(1, "relay at 17")]
    assert pin.function == "input"
    assert [state.state for state in pin.states] == [False, True, False]


def test_a_contactor_that_stays_closed_is_told(pins: MockFactory) -> None:
    settings = {"driver": "relay", "pin": 17, "feedback_pin": 27}
    (outcome,) = safe_off([spec(settings, {"driver": "none"})])
    assert outcome.problem == "the mirror contact says closed"


def test_a_mistake_in_the_settings_is_that_connectors_problem(pins: MockFactory) -> None:
    bad, good = safe_off([spec({"driver": "relay", "pin": 99}), spec({"driver": "relay", "pin": 17})])
    assert "pin: 99" in str(bad.problem)
    assert good.problem is None


def test_a_controller_is_told_zero_and_a_dead_one_does_not_keep_it() -> None:
    async def story() -> tuple[list[Outcome], float]:
        outlet = Outlet(EvseInfo(), WallClock())
        controller = EvseWbEmulator(outlet)
        controller.turn(16.0)
        emulator = ModbusEmulator([controller])
        host, port = await emulator.serve_tcp()
        dead, other_end = pty.openpty()
        meter = {"driver": "sdm630", "host": host, "tcp_port": port, "unit": 2}
        alive = {"driver": "evse-wb", "host": host, "tcp_port": port, "unit": 1, "gap_s": 0.001}
        silent = {"driver": "evse-wb", "port": os.ttyname(other_end), "unit": 1}
        try:
            specs = [spec(silent, meter), spec(alive, meter)]
            for _ in range(3):  # a machine that stood still may have been too slow once
                outcomes = await asyncio.to_thread(safe_off, specs, within_s=1.0)
                if outcomes[1].problem is None:
                    break
        finally:
            await emulator.close()
            os.close(dead)
            os.close(other_end)
        return outcomes, controller.offered_a

    (silent, alive), current = asyncio.run(story())
    assert silent.problem not in (None, "hangs")
    assert alive.problem is None
    assert current == 0
