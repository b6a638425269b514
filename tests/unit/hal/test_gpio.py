"""Relay and contacts at pins, over gpiozero's mock of a Raspberry Pi."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import gpiozero
import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from hal.api import NOTHING, EvseInfo, FaultKind, Limit, MeterUnavailable, PilotState
from hal.clock import ScaledClock, SteppedClock
from hal.connector_spec import ConnectorSpec
from hal.device import DeviceClosed, DeviceError, DeviceRefused, FastRelay, SamplingBoard
from hal.gpio.connector import prepare_relay
from hal.gpio.relay import GpioRelay, GpioTrip
from hal.gpio.vehicle import VehicleContacts
from hal.registry import open_evse
from tests.contract.hal.boards import ALL_PINS, FEEDBACK_PIN, PIN, RCD_PIN, VEHICLE_PIN, WiredRelay

AC = EvseInfo(phases=3, max_current_a=16.0)


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    before, Device.pin_factory = Device.pin_factory, MockFactory()
    yield Device.pin_factory
    Device.pin_factory.reset()
    Device.pin_factory = before


def run(story: Callable[[ScaledClock], Awaitable[None]]) -> None:
    async def at_speed() -> None:
        await story(ScaledClock(20.0))

    asyncio.run(at_speed())


@pytest.mark.parametrize("active_high", [True, False])
def test_the_relay_is_off_from_open_to_close(pins: MockFactory, active_high: bool) -> None:
    async def story(clock: ScaledClock) -> None:
        relay = GpioRelay(PIN, clock, active_high=active_high)
        assert isinstance(relay, FastRelay)
        await relay.open()
        pin = pins.pin(PIN)
        assert pin.state is not active_high
        await relay.switch(True)
        assert pin.state is active_high
        relay.drop()
        assert pin.state is not active_high
        await relay.switch(True)
        await relay.close()
        await relay.close()
        assert pin.function == "input"
        relay.drop()
        with pytest.raises(DeviceClosed):
            await relay.switch(True)

    run(story)


@pytest.mark.parametrize(
    ("kind", "low_means_closed"), [("nc", False), ("no", True)], ids=["mirror contact", "normally open"]
)
def test_the_contact_tells_what_the_contactor_does(
    pins: MockFactory, kind: Any, low_means_closed: bool
) -> None:
    async def story(clock: ScaledClock) -> None:
        relay = GpioRelay(PIN, clock, feedback_pin=FEEDBACK_PIN, feedback=kind)
        await relay.open()
        contact = pins.pin(FEEDBACK_PIN)
        contact.drive_low()
        assert await relay.feedback() is low_means_closed
        contact.drive_high()
        assert await relay.feedback() is not low_means_closed, "a broken wire is pulled up"
        await relay.close()

    run(story)


def test_without_a_contact_nobody_knows(pins: MockFactory) -> None:
    async def story(clock: ScaledClock) -> None:
        relay = GpioRelay(PIN, clock)
        await relay.open()
        assert await relay.feedback() is None
        await relay.close()

    run(story)


def test_a_contact_that_chatters_for_ever_is_an_error(pins: MockFactory) -> None:
    async def story(clock: ScaledClock) -> None:
        relay = GpioRelay(PIN, clock, feedback_pin=FEEDBACK_PIN)
        await relay.open()
        contact = pins.pin(FEEDBACK_PIN)

        async def chatter() -> None:
            contact.state_ = not getattr(contact, "state_", False)
            (contact.drive_high if contact.state_ else contact.drive_low)()

        relay._wait = chatter  # type: ignore[method-assign]  # contacts that bounce meanwhile
        with pytest.raises(DeviceRefused, match="GPIO 27: the mirror contact chatters"):
            await relay.feedback()
        await relay.close()

    run(story)


def test_a_trip_contact_opens_when_the_device_trips_or_its_wire_breaks(pins: MockFactory) -> None:
    async def story(clock: ScaledClock) -> None:
        trip = GpioTrip(RCD_PIN)
        await trip.open()
        pins.pin(RCD_PIN).drive_low()
        assert not await trip.tripped()
        pins.pin(RCD_PIN).drive_high()
        assert await trip.tripped()
        await trip.close()
        with pytest.raises(DeviceClosed):
            await trip.tripped()

    run(story)


def test_contacts_are_a_pilot(pins: MockFactory) -> None:
    async def story(clock: ScaledClock) -> None:
        board = VehicleContacts(22, 23)
        assert isinstance(board, SamplingBoard)
        await board.open()
        seen: list[float] = []
        board.on_sample = lambda sample: seen.append(sample.high_v)
        vehicle, request = pins.pin(22), pins.pin(23)
        vehicle.drive_low()
        request.drive_low()
        await board.signal(16.7)
        assert (await board.sample()).high_v == 6.0
        request.drive_high()
        vehicle.drive_high()
        assert seen == [9.0, 9.0, 9.0, 12.0], "each edge tells at once"
        await board.close()

    run(story)


def test_without_contacts_a_vehicle_is_there_and_asks_while_it_may(pins: MockFactory) -> None:
    async def story(clock: ScaledClock) -> None:
        spec = ConnectorSpec(AC, {"driver": "relay", "pin": PIN}, {"driver": "none"})
        evse = open_evse(spec, clock)
        changed = asyncio.Event()

        class Listener:
            def evse_changed(self) -> None:
                changed.set()

        evse.listener = Listener()

        async def until(pilot: PilotState, closed: bool) -> None:
            async with asyncio.timeout(45):
                while (evse.pilot, evse.closed) != (pilot, closed):
                    changed.clear()
                    await changed.wait()

        await until(PilotState.B, False)
        evse.permit(Limit(15.9))
        evse.permit(Limit(16.0))
        await until(PilotState.C, True)
        assert pins.pin(PIN).state
        evse.permit(Limit(15.9))
        await until(PilotState.B, False)
        assert not pins.pin(PIN).state
        assert evse.faults == ()
        with pytest.raises(MeterUnavailable):
            evse.reading()
        evse.close()
        await evse.released()  # type: ignore[attr-defined]  # a relay at pins has it

    run(story)


def test_the_residual_current_device_is_reported() -> None:
    rig = WiredRelay(AC, ALL_PINS, 10.0)
    try:
        assert [fault.kind for fault in rig.evse.faults] == [FaultKind.GROUND], "its contact is open"
    finally:
        rig.close()


def test_a_vehicle_that_leaves_opens_in_the_callback_of_its_contact() -> None:
    rig = WiredRelay(AC, {"vehicle_pin": VEHICLE_PIN}, 10.0)
    try:
        rig.plug_in()
        rig.evse.permit(Limit(10.0))
        rig.advance(15.0)
        assert rig.factory.pin(PIN).state
        rig.factory.pin(VEHICLE_PIN).drive_high()
        assert not rig.factory.pin(PIN).state
        rig.evse.permit(NOTHING)
    finally:
        rig.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "evse: pin: missing"),
        ({"pin": 28}, "evse: pin: 28; a number from 0 to 27"),
        ({"pin": 4}, "evse: pin: 4 is pulled up from reset"),
        ({"pin": 17, "feedback_pin": 17}, "evse: feedback_pin: 17 is the pin already"),
        ({"pin": 17, "feedback": "maybe"}, "evse: feedback: 'maybe'; there are nc, no"),
        ({"pin": 17, "active_high": "sometimes"}, "evse: active_high"),
        ({"pin": 17, "fixed_current_a": 5}, "evse: fixed_current_a: 5; a number from 6 to 16"),
        ({"pin": 17, "colour": "red"}, "evse: colour: unknown; driver 'relay' has no such setting"),
    ],
)
def test_settings_that_cannot_be_say_why(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare_relay(ConnectorSpec(AC, {"driver": "relay", **settings}, {"driver": "none"}), SteppedClock())


def test_an_output_that_is_low_while_booting_is_worth_a_warning(
    pins: MockFactory, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(clock: ScaledClock) -> None:
        settings = {"driver": "relay", "pin": "17", "active_high": "false"}
        evse = prepare_relay(ConnectorSpec(AC, settings, {"driver": "none"}), clock)()
        evse.close()
        await evse.released()

    with caplog.at_level(logging.WARNING):
        run(story)
    assert "GPIO 17 is pulled down" in caplog.text


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (PermissionError("Permission denied"), "GPIO 17: .*usermod -aG gpio"),
        (Exception("'can not open gpiochip'"), "GPIO 17: .*usermod -aG gpio"),
        (Exception("'GPIO busy'"), "GPIO 17: .*another program"),
        (ModuleNotFoundError("No module named 'lgpio'"), "GPIO 17: .*python3-lgpio"),
        (ModuleNotFoundError("No module named 'gpiozero'"), "GPIO 17: .*chargepoint\\[pi\\]"),
    ],
)
def test_a_pin_that_cannot_be_had_names_the_remedy(
    pins: MockFactory, monkeypatch: pytest.MonkeyPatch, error: Exception, remedy: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(gpiozero, "DigitalOutputDevice", fails)

    async def story(clock: ScaledClock) -> None:
        with pytest.raises(DeviceError, match=remedy):
            await GpioRelay(PIN, clock).open()

    run(story)
