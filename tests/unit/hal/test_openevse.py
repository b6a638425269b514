"""The OpenEVSE driver and its meter (`hal.serial.openevse`), over the emulated controller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hal.api import EvseInfo, FaultKind, Limit, PilotState
from hal.clock import SteppedClock, WallClock
from hal.connector_spec import ConnectorSpec
from hal.device import Capability, DeviceRefused, DeviceTimeout
from hal.emulators.outlet import Outlet
from hal.emulators.pty_bus import PtyBus
from hal.emulators.rapi import RapiEmulator
from hal.polled import PolledEvse
from hal.registry import open_evse
from hal.serial.openevse import OpenEvse
from hal.serial.openevse_meter import OpenEvseMeter
from hal.serial.rapi import Rapi
from hal.simulated.vehicle import load_vehicle
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated


class Rig:
    def __init__(self) -> None:
        self.clock = SteppedClock(1_800_000_000.0)
        self.bus = PtyBus(1)
        self.outlet = Outlet(EvseInfo(phases=1), self.clock, energy_wh=5000.0)
        self.emulator = RapiEmulator(self.bus, self.outlet, self.clock)
        self.rapi = Rapi(self.bus.names[0], timeout_s=0.1)
        self.evse = OpenEvse(self.rapi, self.clock)
        self.meter = OpenEvseMeter(self.rapi, self.evse, self.clock)

    def plug_in(self) -> None:
        self.outlet.evse.plug_in(load_vehicle("compact"))

    async def charge(self, current_a: float = 16.0) -> None:
        self.plug_in()
        await self.evse.feed_watchdog()
        await self.evse.set_limit(current_a)
        self.clock.advance(20.0)
        await self.evse.feed_watchdog()
        assert (await self.evse.status()).closed


def run(test: Callable[[Rig], Awaitable[None]], prepare: Callable[[Rig], object] = lambda rig: None) -> None:
    async def main() -> None:
        rig = Rig()
        prepare(rig)
        try:
            await rig.evse.open()
            await test(rig)
        finally:
            await rig.evse.close()
            assert rig.emulator.eeprom_writes <= 1, "the supervision, once"
            assert not any(" M" in question for question in rig.emulator.heard)
            rig.emulator.close()
            rig.bus.close()

    run_jumping(main())


def test_it_is_opened_paused_and_says_what_it_can() -> None:
    async def test(rig: Rig) -> None:
        info = rig.evse.info
        assert (info.min_current_a, info.max_current_a, info.phases) == (6.0, 32.0, 1)
        assert info.firmware_version == "5.1.0"
        assert Capability.WATCHDOG | Capability.STATE_F | Capability.TEMPERATURE in info.capabilities
        status = await rig.evse.status()
        assert (status.pilot, status.offered_a, status.closed) == (PilotState.A, 0.0, False)
        assert status.temperature_c == 23.1
        assert status.faults == ()
        assert rig.emulator.state == 0xFE

    run(test)


def test_a_vehicle_charges_is_paused_and_goes_on() -> None:
    async def test(rig: Rig) -> None:
        rig.plug_in()
        assert (await rig.evse.status()).pilot is PilotState.B
        assert await rig.evse.set_limit(10.9) == 10.0
        rig.clock.advance(20.0)
        status = await rig.evse.status()
        assert (status.pilot, status.offered_a, status.closed) == (PilotState.C, 10.0, True)
        assert await rig.evse.set_limit(0.0) == 0.0
        status = await rig.evse.status()
        assert (status.pilot, status.offered_a, status.closed) == (PilotState.B, 0.0, False)
        assert await rig.evse.set_limit(100.0) == 32.0
        rig.clock.advance(20.0)
        assert (await rig.evse.status()).closed

    run(test)


@pytest.mark.parametrize("current_a", [-1.0, 0.5, 5.9, float("nan"), float("inf")])
def test_no_pilot_says_that(current_a: float) -> None:
    async def test(rig: Rig) -> None:
        with pytest.raises(ValueError, match="a pilot offers 0 or 6 A and more"):
            await rig.evse.set_limit(current_a)

    run(test)


def test_a_controller_that_keeps_more_is_paused_and_refused() -> None:
    async def test(rig: Rig) -> None:
        rig.emulator.faults.deaf = True
        with pytest.raises(DeviceRefused, match="offers 24 A when told 10 A"):
            await rig.evse.set_limit(10.0)
        assert rig.emulator.state == 0xFE

    run(test)


def test_out_of_use_is_state_f_and_opens_at_once() -> None:
    async def test(rig: Rig) -> None:
        await rig.charge()
        rig.outlet.stubborn = True
        await rig.evse.set_available(False)
        status = await rig.evse.status()
        assert (status.pilot, status.offered_a, status.closed) == (PilotState.F, 0.0, False)
        with pytest.raises(DeviceRefused, match="out of use"):
            await rig.evse.set_limit(10.0)
        await rig.evse.set_available(True)
        assert (await rig.evse.status()).pilot is PilotState.B

    run(test)


def test_a_vehicle_that_does_not_let_go_is_cut_off_after_6_s() -> None:
    async def test(rig: Rig) -> None:
        await rig.charge()
        rig.outlet.stubborn = True
        await rig.evse.set_limit(0.0)
        assert (await rig.evse.status()).closed
        rig.clock.advance(5.9)
        assert (await rig.evse.status()).closed
        rig.clock.advance(0.2)
        assert not (await rig.evse.status()).closed
        assert "FD" in rig.emulator.heard
        assert (await rig.evse.status()).pilot is PilotState.B, "the vehicle can be seen again"

    run(test)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x05, FaultKind.PILOT),
        (0x06, FaultKind.GROUND),
        (0x07, FaultKind.GROUND),
        (0x08, FaultKind.WELDED),
        (0x09, FaultKind.GROUND),
        (0x0A, FaultKind.OVER_TEMPERATURE),
        (0x0B, FaultKind.OVER_CURRENT),
        (0x0E, FaultKind.NOT_CLOSING),
        (0x44, FaultKind.INTERNAL),
    ],
)
def test_its_faults_are_told_and_left_to_it(code: int, kind: FaultKind) -> None:
    """Told to sleep, the firmware would forget a tripped residual current detection."""

    async def test(rig: Rig) -> None:
        await rig.charge()
        rig.emulator.fault(code)
        rig.emulator.heard.clear()
        status = await rig.evse.status()
        assert [fault.kind for fault in status.faults] == [kind]
        assert status.offered_a == 0.0
        assert await rig.evse.set_limit(0.0) == 0.0
        with pytest.raises(DeviceRefused):
            await rig.evse.set_limit(16.0)
        assert not {"FS", "FE", "FD", "FR"}.intersection(rig.emulator.heard)
        rig.emulator.fault(None)
        assert (await rig.evse.status()).faults == ()

    run(test)


def test_a_missed_pulse_is_acknowledged_and_the_offer_restored() -> None:
    async def test(rig: Rig) -> None:
        await rig.charge(16.0)
        rig.clock.advance(31.0)
        rig.emulator.supervise()
        assert rig.emulator.amperes == 6
        assert (await rig.evse.status()).offered_a == 6.0
        await rig.evse.feed_watchdog()
        assert (await rig.evse.status()).offered_a == 16.0
        assert "SY 165" in rig.emulator.heard
        rig.clock.advance(20.0)
        await rig.evse.feed_watchdog()
        assert rig.emulator.heard.count("SY 165") == 1

    run(test)


def test_firmware_without_supervision_works_without() -> None:
    async def test(rig: Rig) -> None:
        assert Capability.WATCHDOG not in rig.evse.info.capabilities
        await rig.evse.feed_watchdog()
        assert rig.emulator.heard.count("SY") == 0

    run(test, lambda rig: rig.emulator.faults.refused.add("SY"))


def test_a_controller_that_restarts_shows_that_it_offers_too_much() -> None:
    async def test(rig: Rig) -> None:
        await rig.charge(10.0)
        rig.emulator.reboot()
        assert (await rig.evse.status()).offered_a == 24.0
        assert await rig.evse.set_limit(10.0) == 10.0
        assert (await rig.evse.status()).offered_a == 10.0

    run(test)


def test_what_it_says_by_itself_is_passed_on() -> None:
    async def test(rig: Rig) -> None:
        heard = asyncio.Event()
        rig.evse.changed = heard.set
        rig.emulator.press()
        await asyncio.wait_for(heard.wait(), 5)

    run(test)


@pytest.mark.emulated
@pytest.mark.parametrize(("lets_go_s", "safe"), [(1.0, True), (5.0, False)])
def test_its_end_waits_a_moment_for_the_contactor_to_open(lets_go_s: float, safe: bool) -> None:
    """A vehicle has 3 s to let go, and only then the controller opens; most take less than one."""

    async def main() -> None:
        with PtyBus(1) as bus:
            clock = WallClock()
            outlet = Outlet(EvseInfo(phases=1), clock)
            emulator = RapiEmulator(bus, outlet, clock)
            settings = {"driver": "openevse", "port": bus.names[0], "poll_s": 0.5}
            evse = open_evse(ConnectorSpec(EvseInfo(), settings, {"driver": "controller"}), clock)
            assert isinstance(evse, PolledEvse)
            try:
                await evse.opened()
                outlet.evse.plug_in(load_vehicle("compact"))
                evse.permit(Limit(16.0))
                async with asyncio.timeout(60):
                    while not evse.closed:
                        await asyncio.sleep(0.1)
                outlet.stubborn = True
                began_at = clock.now()
                clock.call_at(began_at + lets_go_s, outlet.cut)
                evse.close()
                await evse.released()
                assert evse.left_safe is safe
                assert clock.now() - began_at < 3.0
            finally:
                evse.close()
                await evse.released()
                emulator.close()

    run_jumping(main())


def test_what_it_says_by_itself_is_looked_into_at_once() -> None:
    """Polled each ten seconds: only its own word can be that quick, and no chatter makes it poll for ever."""

    async def main() -> None:
        with PtyBus(1) as bus:
            clock = WallClock()
            outlet = Outlet(EvseInfo(phases=1), clock)
            emulator = RapiEmulator(bus, outlet, clock)
            settings = {"driver": "openevse", "port": bus.names[0], "poll_s": 10.0}
            evse = open_evse(ConnectorSpec(EvseInfo(), settings, {"driver": "controller"}), clock)
            assert isinstance(evse, PolledEvse)
            try:
                await evse.opened()
                async with asyncio.timeout(5):
                    outlet.evse.plug_in(load_vehicle("compact"))
                    while not evse.plugged:
                        await asyncio.sleep(0.005)
                emulator.faults.chatter = True
                emulator.heard.clear()
                emulator.announce()
                began_at = clock.now()
                async with asyncio.timeout(5):
                    while emulator.heard.count("SY") < 4:
                        await asyncio.sleep(0.005)
                assert clock.now() - began_at >= 0.25
            finally:
                evse.close()
                await evse.released()
                emulator.close()

    run_jumping(main())


@pytest.mark.parametrize(
    ("unlocks", "lock"), [("SB", "boot_locked"), ("S4 0", "auth_locked")], ids=["after boot", "until told"]
)
def test_a_controller_locked_by_its_own_settings_is_unlocked_to_charge(unlocks: str, lock: str) -> None:
    async def test(rig: Rig) -> None:
        setattr(rig.emulator, lock, True)
        rig.plug_in()
        await rig.evse.status()
        assert unlocks not in rig.emulator.heard, "not before it is allowed to charge"
        await rig.evse.set_limit(16.0)
        rig.clock.advance(20.0)
        assert (await rig.evse.status()).closed
        assert rig.emulator.heard.count(unlocks) == 1
        await rig.evse.set_limit(10.0)
        assert rig.emulator.heard.count(unlocks) == 1

    run(test)


@pytest.mark.parametrize("stubborn", [False, True])
def test_closing_switches_off(stubborn: bool) -> None:
    async def test(rig: Rig) -> None:
        await rig.charge()
        rig.outlet.stubborn = stubborn
        await rig.evse.close()
        assert not rig.outlet.closed
        assert rig.emulator.state in (0xFE, 0xFF)
        await rig.evse.close()

    run(test)


def test_its_energy_only_rises_over_sessions() -> None:
    async def test(rig: Rig) -> None:
        await rig.meter.open()
        registers = [(await rig.meter.read()).import_wh or 0.0]
        for _ in range(3):
            await rig.charge()
            for _ in range(10):
                rig.clock.advance(20.0)
                await rig.evse.feed_watchdog()
                reading = await rig.meter.read()
                registers.append(reading.import_wh or 0.0)
                assert reading.power_w == pytest.approx(16 * 230, rel=0.05)
                assert reading.current_a == pytest.approx((16.0,), rel=0.05)
            rig.outlet.evse.plug_out()
            registers.append((await rig.meter.read()).import_wh or 0.0)
        assert registers == sorted(registers)
        assert registers[-1] == pytest.approx(rig.outlet.reading().energy_wh, abs=4.0)

    run(test)


def test_without_an_ammeter_it_tells_energy_and_no_power() -> None:
    async def test(rig: Rig) -> None:
        await rig.meter.open()
        reading = await rig.meter.read()
        assert reading.power_w is None
        assert reading.current_a == (None,)

    def without(rig: Rig) -> None:
        rig.emulator._ammeter = False

    run(test, without)


def test_a_missing_port_and_a_silent_one_say_so() -> None:
    async def main() -> None:
        with pytest.raises(DeviceTimeout, match="there is no such port"):
            await OpenEvse(Rapi("/dev/serial/by-id/nobody"), SteppedClock()).open()
        with PtyBus(1) as bus:
            rapi = Rapi(bus.names[0], timeout_s=0.05)
            with pytest.raises(DeviceTimeout, match="is it the right port"):
                await OpenEvse(rapi, SteppedClock()).open()
            rapi.close()

    run_jumping(main())


@pytest.mark.parametrize(
    ("evse", "meter", "message"),
    [
        ({}, {}, "evse: port: missing; the serial port"),
        ({"port": "/dev/x", "supervision_s": 66}, {}, "evse: supervision_s: 66; a number from 5 to 65"),
        ({"port": "/dev/x", "unit": 1}, {}, "evse: unit: unknown"),
        ({"port": "/dev/x"}, {"unit": 1}, "meter: unit: unknown"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    evse: dict[str, object], meter: dict[str, object], message: str
) -> None:
    spec = ConnectorSpec(EvseInfo(), {"driver": "openevse", **evse}, {"driver": "controller", **meter})
    with pytest.raises(ValueError, match=message):
        open_evse(spec, SteppedClock())
