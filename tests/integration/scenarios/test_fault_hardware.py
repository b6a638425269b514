"""Faults of the simulated hardware, as the station notices them and the central system is told."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from hal.api import NOTHING, Limit, PilotState
from scenarios.faults import BadDisturbance
from scenarios.faults.model import HardwareKind
from tests.integration.piped import play
from tests.integration.scenarios.fault_rig import FREE, Rig, disturbance, live

TOLD = {
    "meter_silent": "PowerMeterFailure",
    "meter_nan": "PowerMeterFailure",
    "meter_frozen": "PowerMeterFailure",
    "contactor_not_closing": "PowerSwitchFailure",
    "pilot": "EVCommunicationError",
    "over_temperature": "HighTemperature",
    "ground": "GroundFailure",
    "over_current": "OverCurrentFailure",
    "controller_silent": "InternalError",
    "ev_ventilation": "EVCommunicationError",
    "ev_no_diode": "EVCommunicationError",
}
"""Kind of fault -> errorCode, in a running session (OCPP 1.6 §7.6)."""


def _codes(rig: Rig) -> list[str]:
    return [
        payload["errorCode"] for payload in rig.calls("StatusNotification") if payload["connectorId"] == 1
    ]


async def _session_with(rig: Rig, **keys: Any) -> None:
    """A session with a fault in its middle, and the vehicle's leaving once it is mended."""
    await rig.do("plug_in", connector=1)
    await rig.wait(120)
    await rig.disturb(**keys)
    await rig.wait(150)
    await rig.disturb(calm="all")
    await rig.wait(60)
    await rig.do("plug_out", connector=1)
    await rig.wait(60)


@pytest.mark.parametrize("kind", TOLD)
def test_the_central_system_is_told_of_it_and_of_its_end(kind: str) -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await _session_with(rig, hardware=kind)
            assert TOLD[kind] in _codes(rig)
            assert _codes(rig)[-1] == "NoError"
            assert rig.status()["status"] == "Available"
            await rig.nothing_is_lost()
            rig.rx.clear()
            await rig.charge_freely(1)
            assert set(_codes(rig)) == {"NoError"}
            assert len(rig.transactions) >= 2

    play(run)


def test_without_a_fault_nothing_is_told() -> None:
    """What the test above would say of a fault that does nothing."""

    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await _session_with(rig, clock="skew", by="1s")
            assert set(_codes(rig)) == {"NoError"}

    play(run)


@pytest.mark.parametrize("kind", ["meter_silent", "meter_nan"])
def test_a_meter_that_says_nothing_useful_says_nothing(kind: str) -> None:
    """A minute later it is a fault; no wrong value is ever told."""

    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(30)
            await rig.disturb(hardware=kind)
            assert rig.status()["meter_wh"] is None
            await rig.wait(58)
            assert set(_codes(rig)) == {"NoError"}
            await rig.wait(10)
            assert _codes(rig)[-1] == "PowerMeterFailure"
            await rig.disturb(calm=kind)
            assert rig.status()["meter_wh"] > 0
            await rig.do("plug_out", connector=1)
            await rig.nothing_is_lost()
            assert rig.transactions[0].energy_wh > 0

    play(run)


def test_a_frozen_register_is_a_warning_and_charging_goes_on() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(120)
            await rig.disturb(hardware="meter_frozen")
            frozen_wh = rig.status()["meter_wh"]
            await rig.wait(300)
            assert rig.status()["meter_wh"] == frozen_wh
            assert rig.status()["power_w"] > 1000
            assert rig.status()["status"] == "Charging"
            assert rig.evse.register_wh > frozen_wh
            await rig.disturb(calm="all")
            assert rig.status()["meter_wh"] == pytest.approx(rig.evse.register_wh, abs=0.01)

    play(run)


@pytest.mark.parametrize(("kind", "more"), [("meter_back", {"by_wh": 50}), ("meter_reset", {})])
def test_a_register_that_falls_bills_nothing_twice(kind: str, more: dict[str, Any]) -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("meter", connector=1, energy_wh=5000)
            await rig.do("plug_in", connector=1)
            await rig.wait(300)
            before_wh = rig.evse.register_wh
            await rig.disturb(hardware=kind, **more)
            assert rig.evse.register_wh == pytest.approx(before_wh - 50 if more else 0.0, abs=0.01)
            await rig.wait(300)
            charged_wh = before_wh - 5000 + rig.evse.register_wh - (before_wh - 50 if more else 0.0)
            await rig.do("plug_out", connector=1)
            await rig.nothing_is_lost()
            assert 0 < rig.transactions[0].energy_wh <= charged_wh + 1

    play(run)


def test_a_welded_contactor_stays_closed_and_the_cable_locked() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            await rig.disturb(hardware="contactor_welded")
            assert rig.status()["status"] == "Charging"
            await rig.do("plug_out", connector=1)
            await rig.wait(30)
            assert rig.evse.closed
            assert rig.evse.locked
            assert rig.status()["status"] == "Faulted"
            assert _codes(rig)[-1] == "PowerSwitchFailure"
            await rig.disturb(calm="all")
            await rig.wait(30)
            assert not rig.evse.closed
            assert rig.status()["status"] == "Available"
            await rig.nothing_is_lost()

    play(run)


def test_a_contactor_that_does_not_close_lets_nothing_flow() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(hardware="contactor_not_closing")
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            assert rig.evse.register_wh == 0
            assert not rig.evse.closed
            assert rig.status()["error_code"] == "PowerSwitchFailure"
            await rig.disturb(calm="all")
            await rig.do("plug_out", connector=1)
            await rig.charge_freely(1)
            assert rig.evse.register_wh > 100
            await rig.nothing_is_lost()

    play(run)


def test_a_broken_lock() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(hardware="lock_broken")
            await rig.do("plug_in", connector=1)
            await rig.wait(30)
            assert "ConnectorLockFailure" in _codes(rig)
            await rig.disturb(calm="all")
            await rig.do("plug_out", connector=1)
            await rig.wait(30)
            assert _codes(rig)[-1] == "NoError"

    play(run)


def test_a_vehicle_that_draws_more_than_it_is_offered() -> None:
    async def run() -> None:
        async with live(behaviour=FREE, vehicle="compact") as rig:
            await rig.do("config", key="MeterValueSampleInterval", value=10)
            profile = {
                "chargingProfileId": 1,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "chargingProfileKind": "Relative",
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6.0}],
                },
            }
            await rig.csms.call(
                "CP001", "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile}
            )
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            right_w = rig.status()["power_w"]
            await rig.disturb(hardware="ev_draws_more", by_a=4)
            await rig.wait(30)
            assert rig.status()["offered_a"] == 6
            assert rig.status()["power_w"] == pytest.approx(right_w * 10 / 6, rel=0.1)
            await rig.disturb(calm="all")
            await rig.wait(30)
            assert rig.status()["power_w"] == pytest.approx(right_w, rel=0.01)

    play(run)


def test_a_vehicle_that_goes_on_without_an_offer() -> None:
    """IEC 61851-1: the contactor opens under load after 6 s."""

    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            await rig.disturb(hardware="ev_ignores_stop")
            await rig.csms.call("CP001", "RemoteStopTransaction", {"transactionId": 1})
            await rig.wait(5)
            assert rig.evse.offered.zero
            assert rig.evse.closed
            assert rig.evse.pilot is PilotState.C
            assert rig.calls("StopTransaction") == []
            await rig.wait(2)
            assert not rig.evse.closed
            assert len(rig.calls("StopTransaction")) == 1
            await rig.nothing_is_lost()

    play(run)


def test_a_flapping_pilot() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            told = len(rig.calls("StatusNotification"))
            await rig.disturb(hardware="ev_flapping", every="30s")
            pilots = []
            for _ in range(8):
                pilots.append(rig.evse.pilot)
                await rig.wait(30)
            assert pilots == [PilotState.B, PilotState.C] * 4
            assert len(rig.calls("StatusNotification")) >= told + 4
            await rig.disturb(calm="all")
            await rig.wait(60)
            assert rig.evse.pilot is PilotState.C
            await rig.do("plug_out", connector=1)
            await rig.nothing_is_lost()

    play(run)


def test_a_connector_that_is_not_there() -> None:
    async def run() -> None:
        async with live() as rig:
            with pytest.raises(BadDisturbance, match="CP001 has no connector 2"):
                await rig.disturb(hardware="pilot", connector=2)

    play(run)


def test_meters_that_are_wrong_about_the_power() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(300)
            true_w = rig.status()["power_w"]
            for kind, factor in (("backwards", -1.0), ("kilowatts", 0.001), ("phase_lost", 2 / 3)):
                await rig.disturb(hardware=f"meter_{kind}")
                assert rig.status()["power_w"] == pytest.approx(factor * true_w, rel=1e-3, abs=0.1)
                told_wh, before_wh = rig.status()["meter_wh"], rig.evse.register_wh
                await rig.wait(300)
                gained_wh = rig.evse.register_wh - before_wh
                counted = {"backwards": 0.0, "kilowatts": 1.0, "phase_lost": 2 / 3}[kind]
                assert rig.status()["meter_wh"] - told_wh == pytest.approx(counted * gained_wh, abs=0.1)
                assert rig.status()["status"] == "Charging"
                await rig.disturb(calm="all")
            assert rig.status()["meter_wh"] == pytest.approx(rig.evse.register_wh, abs=0.1)
            assert set(_codes(rig)) == {"NoError"}, "nobody notices but the central system"

    play(run)


def test_a_register_that_leaps_ahead() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(300)
            before_wh = rig.evse.register_wh
            await rig.disturb(hardware="meter_jump", by_wh=700)
            assert rig.evse.register_wh == pytest.approx(before_wh + 700, abs=0.01)

    play(run)


def test_a_controller_that_stays_at_its_current() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            before = rig.evse.offered
            await rig.disturb(hardware="limit_ignored")
            rig.evse.permit(Limit(10.0))
            assert rig.evse.offered == before
            await rig.disturb(calm="all")
            assert rig.evse.offered == Limit(10.0)
            await rig.disturb(hardware="limit_ignored")
            rig.evse.permit(NOTHING)
            assert rig.evse.offered == NOTHING, "a stop is heard"

    play(run)


@pytest.mark.parametrize("kind", ["ev_ventilation", "ev_no_diode", "mirror_broken"])
@pytest.mark.parametrize("before", [True, False], ids=["from-the-beginning", "while-it-charges"])
def test_what_must_not_be_charged_is_not_and_is_told(kind: str, before: bool) -> None:
    """IEC 61851-1: no state D without ventilation; nothing without a diode or a contactor that is seen.

    A vehicle's fault is no Faulted but SuspendedEVSE (OCPP 1.6 §7.6, EVCommunicationError).
    """
    faulted = kind == "mirror_broken"
    seen = "PowerSwitchFailure" if faulted else "EVCommunicationError"

    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            if before:
                await rig.disturb(hardware=kind)
                await rig.do("plug_in", connector=1)
            else:
                await rig.do("plug_in", connector=1)
                await rig.wait(120)
                await rig.disturb(hardware=kind)
            charged_wh = rig.evse.register_wh
            await rig.wait(30)
            assert not rig.evse.closed
            assert rig.status()["status"] == ("Faulted" if faulted else "SuspendedEVSE")
            assert _codes(rig)[-1] == seen
            if faulted:
                assert rig.evse.register_wh > charged_wh, "it was closed for 5 s"
            else:
                assert rig.evse.register_wh == charged_wh
            gone_wh = rig.evse.register_wh
            await rig.wait(600)
            assert rig.evse.register_wh == gone_wh
            assert [transaction.stop is not None for transaction in rig.transactions] == [True]
            await rig.do("plug_out", connector=1)
            await rig.disturb(calm="all")
            await rig.wait(30)
            assert rig.status()["status"] == "Available"
            await rig.charge_freely(1)
            assert rig.transactions[-1].energy_wh > 0

    play(run)


def test_the_fault_of_a_vehicle_leaves_with_it() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(hardware="ev_ventilation")
            pilots: list[PilotState] = []
            rig.evse.observer = lambda: pilots.append(rig.evse.pilot)
            await rig.do("plug_in", connector=1)
            await rig.wait(30)
            assert _codes(rig)[-1] == "EVCommunicationError"
            assert PilotState.D in pilots
            await rig.do("plug_out", connector=1)
            await rig.wait(5)
            assert rig.status()["status"] == "Available"
            assert rig.evse.register_wh == 0

    play(run)


def test_contacts_that_bounce_are_no_fault() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            closed: list[tuple[float, bool]] = []
            observed = rig.evse.observer

            def watch() -> None:
                closed.append((rig.clock.now(), rig.evse.closed))
                if observed is not None:
                    observed()

            rig.evse.observer = watch
            await rig.disturb(hardware="contactor_bounces")
            await rig.do("plug_in", connector=1)
            await rig.wait(300)
            first = next(at for at, shut in closed if shut)
            during = [shut for at, shut in closed if first <= at < first + 0.2]
            assert during.count(False) >= 2
            assert rig.evse.closed
            assert set(_codes(rig)) == {"NoError"}
            assert rig.evse.register_wh > 100
            await rig.do("plug_out", connector=1)
            await rig.nothing_is_lost()
            assert len(rig.transactions) == 1

    play(run)


@pytest.mark.parametrize(("kind", "more"), [("controller_reboot", {"to_a": 6}), ("watchdog_unfed", {})])
def test_a_controller_that_falls_out_for_a_moment_costs_no_transaction(
    kind: str, more: dict[str, Any]
) -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(120)
            offered = rig.evse.offered
            await rig.disturb(hardware=kind, **more)
            assert not rig.evse.closed
            if kind == "controller_reboot":
                assert rig.evse.pilot is PilotState.E
                await rig.wait(3.5)
                assert rig.evse.offered == Limit(6.0)
            await rig.wait(1.5)
            assert rig.evse.offered == offered
            await rig.wait(30)
            assert rig.evse.closed
            assert rig.status()["status"] == "Charging"
            assert set(_codes(rig)) == {"NoError"}
            await rig.do("plug_out", connector=1)
            await rig.nothing_is_lost()
            assert len(rig.transactions) == 1

    play(run)


def test_a_controller_that_starts_anew_beside_a_parked_vehicle_charges_nobody() -> None:
    async def run() -> None:
        async with live() as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(10)
            await rig.disturb(hardware="controller_reboot")
            await rig.wait(60)
            assert rig.evse.offered == NOTHING
            assert rig.evse.register_wh == 0

    play(run)


def test_a_controller_that_is_silent_is_a_fault_after_10_s() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            await rig.disturb(hardware="controller_silent")
            await rig.csms.call("CP001", "RemoteStopTransaction", {"transactionId": 1})
            await rig.wait(9)
            assert rig.evse.closed, "it did not hear of the stop"
            await rig.wait(2)
            assert not rig.evse.closed
            [told] = [call for call in rig.calls("StatusNotification") if call["status"] == "Faulted"]
            assert (told["errorCode"], told["vendorErrorCode"]) == ("InternalError", "EvseCommunication")
            await rig.disturb(calm="all")
            assert rig.evse.offered == NOTHING
            await rig.nothing_is_lost()

    play(run)


def test_somebody_turns_the_current() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            offered, power_w = rig.evse.offered, rig.status()["power_w"]
            await rig.disturb(hardware="limit_turned", to_a=6)
            await rig.wait(4)
            assert rig.evse.offered == Limit(6.0)
            assert rig.status()["power_w"] < power_w / 2
            await rig.wait(10)
            assert rig.evse.offered == offered
            assert rig.status()["power_w"] == pytest.approx(power_w, rel=0.01)
            assert set(_codes(rig)) == {"NoError"}

    play(run)


def test_a_cable_that_carries_less() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(hardware="cable_limit")
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            assert rig.evse.offered == Limit(13.0)
            await rig.disturb(calm="all")
            assert rig.evse.offered.current_a > 13

    play(run)


def test_a_vehicle_that_must_be_woken() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(hardware="ev_sleeps")
            await rig.do("plug_in", connector=1)
            await rig.wait(33)
            assert rig.status()["status"] == "SuspendedEV"
            await rig.wait(10)
            assert rig.status()["status"] == "Charging"

    play(run)


def test_a_vehicle_that_asks_without_a_signal_gets_nothing() -> None:
    async def run() -> None:
        async with live() as rig:
            await rig.disturb(hardware="ev_eager")
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            assert rig.evse.pilot is PilotState.C
            assert not rig.evse.closed
            assert rig.status()["status"] == "Preparing"
            assert rig.evse.register_wh == 0
            await rig.do("swipe", connector=1, id_tag="TAG")
            await rig.wait(60)
            assert rig.status()["status"] == "Charging"
            await rig.do("plug_out", connector=1)
            await rig.nothing_is_lost()

    play(run)


def test_a_meter_that_tells_ten_times_the_frequency() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(hardware="meter_frequency")
            assert rig.evse.reading().frequency_hz == 500
            await rig.disturb(calm="all")
            assert rig.evse.reading().frequency_hz == 50

    play(run)


def test_unplugging_while_it_stops() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            await rig.disturb(hardware="ev_ignores_stop")
            await rig.csms.call("CP001", "RemoteStopTransaction", {"transactionId": 1})
            await rig.wait(3)
            assert rig.evse.closed
            await rig.do("plug_out", connector=1)
            await rig.wait(5)
            assert not rig.evse.closed
            assert set(_codes(rig)) == {"NoError"}
            [stop] = rig.calls("StopTransaction")
            assert stop["reason"] == "Remote"
            await rig.nothing_is_lost()

    play(run)


def test_every_kind_strikes_again_and_again_and_nothing_is_lost() -> None:
    """As a background: at random moments, each for a while, one kind after the other."""

    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            for kind in get_args(HardwareKind):
                lasts = {} if disturbance(hardware=kind).momentary else {"for_": "20s"}
                await rig.disturb(hardware=kind, about_every="20s", **lasts)
                await rig.charge_freely(1)
                await rig.disturb(calm="all")
                await rig.wait(30)
            assert {struck.name for struck in rig.struck} == set(get_args(HardwareKind))
            await rig.nothing_is_lost()

    play(run)


def test_faults_of_one_contactor_that_can_be_together_are_each_calmed_alone() -> None:
    """Bouncing contacts weld, which is how they do in life."""

    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(hardware="contactor_bounces", name="worn")
            await rig.do("plug_in", connector=1)
            await rig.wait(60)
            await rig.disturb(hardware="contactor_welded")
            await rig.do("plug_out", connector=1)
            await rig.wait(30)
            assert rig.status()["error_code"] == "PowerSwitchFailure"
            await rig.disturb(calm="worn")
            await rig.wait(30)
            assert rig.evse.closed
            assert rig.status()["error_code"] == "PowerSwitchFailure"
            await rig.disturb(calm="contactor_welded")
            await rig.wait(30)
            assert not rig.evse.closed
            assert rig.status()["error_code"] == "NoError"

    play(run)


@pytest.mark.parametrize(
    ("present", "wanted"),
    [("contactor_welded", "contactor_not_closing"), ("contactor_not_closing", "contactor_welded")],
)
def test_what_a_contactor_cannot_be_at_once_is_refused_by_both_names(present: str, wanted: str) -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(hardware=present)
            with pytest.raises(BadDisturbance, match=f"{wanted}.*{present}"):
                await rig.disturb(hardware=wanted)
            assert rig.evse.closed is (present == "contactor_welded")
            await rig.disturb(calm=wanted)  # what never struck is nothing to mend
            assert rig.evse.closed is (present == "contactor_welded")
            await rig.disturb(calm=present)
            await rig.disturb(hardware=wanted)
            assert rig.evse.closed is (wanted == "contactor_welded")

    play(run)


def test_a_fault_by_chance_that_cannot_be_just_now_is_left_out_and_comes_another_time() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(hardware="contactor_welded")
            await rig.disturb(hardware="contactor_not_closing", **{"about_every": "1h", "for": "1m"})
            await rig.wait(12 * 3600)
            assert {one.what for one in rig.struck if one.name == "contactor_not_closing"} == {
                "left out: contactor_not_closing, connector 1, contradicts contactor_welded there: "
                "calm that first"
            }
            assert rig.evse.closed
            await rig.disturb(calm="contactor_welded")
            rig.struck.clear()
            await rig.wait(12 * 3600)
            assert "contactor_not_closing, connector 1" in {one.what for one in rig.struck}

    play(run)
