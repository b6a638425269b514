"""Power and restarts of a station under the control protocol; kill -9 is a power cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.piped import play
from tests.integration.station_process import CP, StationProcess, at_central_system


def _stops(cp: StationProcess) -> list[str]:
    return [payload["reason"] for _, payload in cp.calls("StopTransaction")]


def _boots(cp: StationProcess) -> int:
    return len(cp.calls("BootNotification"))


# --- restarts: the process and its pipes stay -------------------------------------------------------


def test_reboot(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.charge()
            await cp.do("reboot")
            await cp.event("reboot", reason="Reboot")
            assert _stops(cp) == ["Reboot"]
            assert not (await cp.do("status"))["online"]
            await cp.advance(5)
            assert (await cp.do("status"))["registration"] == "Accepted"
            assert _boots(cp) == 2
            assert (await cp.connector())["status"] == "Finishing"
            await cp.do("plug_out", connector=1)
            await cp.charge()
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
def test_reset_does_not_end_the_process(tmp_path: Path, kind: str, reason: str) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.charge()
            assert await central.call(CP, "Reset", {"type": kind}) == {"status": "Accepted"}
            await cp.event("reboot", reason=reason)
            assert _stops(cp) == [reason]
            await cp.advance(5)
            assert (await cp.do("status"))["registration"] == "Accepted"
            await cp.shut_down()

    play(story)


def test_a_second_reboot_waits_for_the_end_of_the_first(tmp_path: Path) -> None:
    """While the station goes down or is down there is nothing to restart, and the first goes its way."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.charge()
            central.set_answer("StopTransaction", delay_s=0.1)
            await cp.do("reboot")
            assert await cp.refused("reboot") == "bad_state"
            await cp.event("reboot")
            assert await cp.refused("reboot") == "bad_state"
            await cp.advance(200)
            assert [event["event"] for event in cp.events].count("reboot") == 1
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


def test_mains_off_and_on(tmp_path: Path) -> None:
    """T:TC_032_1: with back-up power the transaction ends first; then silence until the mains are back."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.charge()
            await cp.do("power", on=False)
            await cp.event("reboot", reason="PowerLoss")
            assert _stops(cp) == ["PowerLoss"]
            sent = len(cp.calls())
            await cp.do("swipe", id_tag="TAG")
            assert await cp.refused("reboot") == "bad_state"
            assert await cp.refused("availability", connector=1, operative=False) == "bad_state"
            assert await cp.refused("config", key="HeartbeatInterval", value=1) == "bad_state"
            assert await cp.refused("data_transfer", vendor_id="v") == "bad_state"
            await cp.advance(3600)
            assert len(cp.calls()) == sent
            await cp.do("plug_out", connector=1)
            await cp.do("power", on=True)
            await cp.advance(5)
            assert (await cp.connector())["status"] == "Available"
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


def test_mains_go_while_it_restarts(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.advance(1)
            await cp.do("reboot")
            await cp.event("reboot")
            await cp.do("power", on=False)
            await cp.advance(3600)
            assert _boots(cp) == 1
            await cp.do("power", on=True)
            await cp.advance(5)
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


def test_mains_go_while_it_goes_down_to_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.charge()
            central.set_answer("StopTransaction", delay_s=0.1)
            await cp.do("reboot")
            await cp.do("power", on=False)
            await cp.advance(3600)
            assert (_boots(cp), _stops(cp)) == (1, ["Reboot"])
            await cp.do("power", on=True)
            await cp.advance(5)
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


def test_mains_come_back_while_it_goes_down(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.charge()
            central.set_answer("StopTransaction", delay_s=0.1)
            await cp.do("power", on=False)
            await cp.do("power", on=True)
            await cp.advance(10)
            assert (_boots(cp), _stops(cp)) == (2, ["PowerLoss"])
            assert (await cp.do("status"))["registration"] == "Accepted"
            await cp.shut_down()

    play(story)


def test_a_switch_that_is_where_it_should_be_changes_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.charge()
            await cp.do("power", on=True)
            await cp.advance(5)
            assert (await cp.connector())["status"] == "Charging"
            await cp.do("power", on=False)
            await cp.event("reboot")
            await cp.do("power", on=False)
            await cp.do("power", on=True)
            await cp.do("power", on=True)
            await cp.advance(5)
            assert _boots(cp) == 2
            await cp.shut_down()

    play(story)


# --- kill -9 is a power cut --------------------------------------------------------------------------


def test_what_survives_a_power_cut(tmp_path: Path) -> None:
    """Everything but the vehicle, which a new process does not know."""

    async def story() -> None:
        profile = {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 10.0}],
            },
        }
        async with at_central_system(tmp_path, "--connectors", "2") as (central, cp):
            await cp.advance(1)
            await cp.do("availability", connector=2, operative=False)
            change = {"key": "MeterValueSampleInterval", "value": "7"}
            assert (await central.call(CP, "ChangeConfiguration", change))["status"] == "Accepted"
            install = {"connectorId": 0, "csChargingProfiles": profile}
            assert (await central.call(CP, "SetChargingProfile", install))["status"] == "Accepted"
            await cp.do("meter", connector=1, energy_wh=5000)
            await cp.charge()
            await cp.advance(100)
            before = await cp.connector()
            await cp.kill()
        async with at_central_system(tmp_path, "--connectors", "2", start="2026-01-01T06:00:00Z") as (
            central,
            cp,
        ):
            await cp.advance(1)
            first, second = (await cp.do("status"))["connectors"]
            assert (first["status"], first["plugged"]) == ("Available", False)
            assert second["status"] == "Unavailable"
            ((_, stop),) = cp.calls("StopTransaction")
            assert stop["reason"] == "PowerLoss"
            assert stop["timestamp"] < "2026-01-01T00:03"
            assert 0 <= before["meter_wh"] - stop["meterStop"] < 100
            assert first["meter_wh"] >= stop["meterStop"]
            key = {"key": ["MeterValueSampleInterval"]}
            answer = await central.call(CP, "GetConfiguration", key)
            assert answer["configurationKey"][0]["value"] == "7"
            await cp.do("network", online=False)
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", id_tag="TAG", connector=1)  # known to the cache
            await cp.advance(10)
            assert (await cp.connector())["id_tag"] == "TAG"
            assert (await cp.connector())["offered_a"] == 10
            await cp.shut_down()

    play(story)
