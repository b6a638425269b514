"""Connectors without a controller over emulators, on a clock that jumps: the bare board and the relay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from hal.api import EvseInfo, Limit, PilotState
from hal.board import BoardEvse
from hal.clock import SteppedClock
from hal.connector_spec import ConnectorSpec
from hal.emulators.board import EmulatedBoard, EmulatedContactor
from hal.gpio.connector import relay_connector
from hal.gpio.relay import GpioRelay
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle

_LOOP_PASSES = 6  # a task wakes another one, which wakes a third
SOON_S = 1.5  # a lock moves, a meter is read

PIN, FEEDBACK_PIN, VEHICLE_PIN, REQUEST_PIN, RCD_PIN = 17, 27, 22, 23, 24


class OnBoard:
    """A connector, the board and contactor behind it, and their time; started and rested."""

    def __init__(self, info: EvseInfo, make: Callable[[OnBoard], BoardEvse]) -> None:
        self.clock = SteppedClock(1_800_000_000.0)
        self.outlet = SimulatedEvse(info, self.clock, energy_wh=5000.0)
        self.contactor = EmulatedContactor(self.clock)
        self.board = EmulatedBoard(self.outlet, self.contactor, self.clock)
        self._loop = asyncio.new_event_loop()
        self.evse = self._loop.run_until_complete(self._open(make))
        self.advance(12.0)

    async def _open(self, make: Callable[[OnBoard], BoardEvse]) -> BoardEvse:
        return make(self)

    def advance(self, seconds: float) -> None:
        """Let that much time pass, with everything the tasks do on the way."""
        self._loop.run_until_complete(self._pass(self.clock.now() + seconds))

    async def _pass(self, until: float) -> None:
        while (due := self.clock.next_at()) is not None and due <= until:
            self.clock.advance(max(0.0, due - self.clock.now()))
            for _ in range(_LOOP_PASSES):
                await asyncio.sleep(0)
        self.clock.advance(until - self.clock.now())

    def soon(self) -> None:
        """What the connector may take to notice, and to be read after it."""
        self.advance(SOON_S)

    def plug_in(self) -> None:
        self.board.plug_in(load_vehicle("compact"))

    def asks(self, draws: bool) -> None:
        self.outlet.adjust(draws=draws)

    def close(self) -> None:
        self.evse.close()
        self.advance(1.0)
        self._loop.run_until_complete(self.evse.released())
        self._loop.close()


class EmulatedLock:
    """A plug lock that moves at once (`hal.device.Relay`)."""

    def __init__(self) -> None:
        self.locked = False
        self.broken = False

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def switch(self, on: bool) -> None:
        if not self.broken:
            self.locked = on

    async def feedback(self) -> bool | None:
        return self.locked


def board(info: EvseInfo, **options: Any) -> OnBoard:
    """A bare board with meter and, in a socket, a lock."""
    lock = EmulatedLock() if info.lockable and not info.tethered else None

    def make(rig: OnBoard) -> BoardEvse:
        given = {
            "meter": rig.board.meter,
            "lock": lock,
            "trip": rig.contactor,
            "poll_s": 0.1,
            "contacts_s": 0.2,
        } | options
        return BoardEvse(info, rig.clock, rig.board, rig.contactor, **given)

    return OnBoard(EvseInfo(phases=info.phases, tethered=info.tethered), make)


class WiredRelay(OnBoard):
    """A relay and contacts at mock pins, beside emulated hardware that makes a pilot of 10 A all the time."""

    def __init__(self, info: EvseInfo, pins: dict[str, int], fixed_current_a: float) -> None:
        self._before = Device.pin_factory
        self.factory = Device.pin_factory = MockFactory()
        self._pins = pins
        self._fixed_current_a = fixed_current_a
        super().__init__(EvseInfo(phases=info.phases), self._make)

    def _make(self, rig: OnBoard) -> BoardEvse:
        self.outlet.listener = self
        self.contactor.moved = self._contacts_moved
        relay = GpioRelay(PIN, self.clock, feedback_pin=self._pins.get("feedback_pin"))
        spec = ConnectorSpec(self.outlet.info, {"driver": "relay", "pin": PIN}, {"driver": "none"})
        pins = {key: pin for key, pin in self._pins.items() if key != "feedback_pin"}
        evse = relay_connector(
            spec,
            self.clock,
            relay,
            pins,
            self._fixed_current_a,
            self.board.meter,
            poll_s=0.1,
            contacts_s=0.2,
        )
        self._follow()
        return evse

    def _follow(self) -> None:
        """Each 50 ms: a mock pin forgets what drives it when a program takes it."""
        self.evse_changed()
        self._contacts_moved()
        self.contactor.pull(self.coil_pin_is_output and bool(self.factory.pin(PIN).state))
        self.clock.call_at(self.clock.now() + 0.05, self._follow)

    @property
    def coil_pin_is_output(self) -> bool:
        """A pin let go is an input, which a pull-down brings to low."""
        return bool(self.factory.pin(PIN).function == "output")

    def evse_changed(self) -> None:
        """The other hardware's contacts follow its pilot."""
        state = self.outlet.pilot
        self._contact(VEHICLE_PIN, state is not PilotState.A)
        self._contact(REQUEST_PIN, state is PilotState.C)

    def _contacts_moved(self) -> None:
        self._contact(FEEDBACK_PIN, not self.contactor.closed)
        self.board.follow_contactor()

    def _contact(self, number: int, closed: bool) -> None:
        pin = self.factory.pin(number)
        (pin.drive_low if closed else pin.drive_high)()

    def plug_in(self) -> None:
        self.board.plug_in(load_vehicle("compact"))
        self.outlet.permit(Limit(self._fixed_current_a))

    def close(self) -> None:
        try:
            super().close()
        finally:
            self.factory.reset()
            Device.pin_factory = self._before


ALL_PINS = {
    "feedback_pin": FEEDBACK_PIN,
    "vehicle_pin": VEHICLE_PIN,
    "request_pin": REQUEST_PIN,
    "rcd_pin": RCD_PIN,
}


def relay(info: EvseInfo) -> WiredRelay:
    """A relay with mirror contact and both of the vehicle's contacts."""
    return WiredRelay(info, {key: pin for key, pin in ALL_PINS.items() if key != "rcd_pin"}, 10.0)
