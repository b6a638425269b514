"""What each command of the control protocol does, as the station's events and its central system show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chargepoint.csms.calls import CallFailed
from tests.integration.piped import Line, play
from tests.integration.station_process import CP, START, StationProcess, at_central_system

CONNECTOR_FIELDS = {
    "connector",
    "status",
    "error_code",
    "plugged",
    "transaction_id",
    "id_tag",
    "reservation_id",
    "meter_wh",
    "power_w",
    "offered_a",
    "offered_w",
    "because",
    "soc_percent",
}


def _told(cp: StationProcess, connector: int = 1) -> list[str]:
    """The statuses of a connector that were sent, with an error code that is one."""
    return [
        payload["status"] + ("" if payload["errorCode"] == "NoError" else f" {payload['errorCode']}")
        for _, payload in cp.calls("StatusNotification")
        if payload["connectorId"] == connector
    ]


def test_a_session_from_plug_to_plug(tmp_path: Path) -> None:
    """plug_in, swipe, status, plug_out."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.advance(1)
            free = await cp.do("status")
            assert set(free) == {"ok", "online", "registration", "now", "queued", "connectors"}
            assert (free["online"], free["registration"], free["queued"]) == (True, "Accepted", 0)
            assert [set(connector) for connector in free["connectors"]] == [CONNECTOR_FIELDS]
            before = free["connectors"][0]
            assert (before["status"], before["plugged"], before["transaction_id"]) == (
                "Available",
                False,
                None,
            )
            assert (before["offered_a"], before["soc_percent"], before["power_w"]) == (0, None, 0)

            await cp.charge()
            during = await cp.connector()
            assert (during["plugged"], during["transaction_id"], during["id_tag"]) == (True, 1, "TAG")
            assert during["offered_a"] == 32
            assert during["power_w"] > 5000
            assert during["because"] == "hardware"
            assert 0 < during["soc_percent"] < 100

            await cp.do("swipe", id_tag="TAG")
            await cp.do("plug_out", connector=1)
            await cp.advance(1)
            after = await cp.connector()
            assert (after["status"], after["plugged"], after["id_tag"]) == ("Available", False, None)
            assert after["meter_wh"] > during["meter_wh"] - 1
            assert _told(cp) == ["Available", "Preparing", "Charging", "Finishing", "Available"]
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize(
    ("ev", "soc_percent"),
    [
        pytest.param("city", None, id="by-name"),
        pytest.param({"kind": "city", "soc_percent": 77}, 77, id="as-object"),
    ],
)
def test_plug_in_brings_the_vehicle_that_is_named(tmp_path: Path, ev: Any, soc_percent: int | None) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, vehicle={"kind": "compact", "soc_percent": 11}) as (_, cp):
            await cp.do("plug_in", connector=1, ev=ev)
            found = (await cp.connector())["soc_percent"]
            assert found == soc_percent if soc_percent else found != 11
            assert await cp.refused("plug_in", connector=1) == "bad_state"
            await cp.do("plug_out", connector=1)
            await cp.do("plug_in", connector=1)
            assert (await cp.connector())["soc_percent"] == 11
            await cp.shut_down()

    play(story)


def test_ev_changes_what_the_vehicle_does(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.charge()
            before_w = (await cp.connector())["power_w"]
            await cp.do("ev", connector=1, max_current_a=6, phases=1)
            assert 1000 < (await cp.connector())["power_w"] < 1500 < before_w
            await cp.do("ev", connector=1, draws=False)
            assert (await cp.connector())["status"] == "SuspendedEV"
            await cp.do("ev", connector=1, draws=True, max_power_w=1200, soc_percent=50, battery_wh=40000)
            await cp.advance(10)
            after = await cp.connector()
            assert after["status"] == "Charging"
            assert after["power_w"] <= 1200
            assert 50 <= after["soc_percent"] < 51
            assert _told(cp)[-3:] == ["Charging", "SuspendedEV", "Charging"]
            await cp.shut_down()

    play(story)


def test_swipe_before_the_plug(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, "--connectors", "2") as (_, cp):
            await cp.advance(1)
            await cp.do("swipe", id_tag="TAG")
            await cp.advance(5)
            await cp.do("plug_in", connector=2)
            await cp.advance(5)
            assert (await cp.connector(2))["id_tag"] == "TAG"
            await cp.shut_down()

    play(story)


def test_swipe_at_one_reader_of_two(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, "--connectors", "2") as (_, cp):
            await cp.advance(1)
            await cp.do("plug_in", connector=1)
            await cp.do("plug_in", connector=2)
            await cp.do("swipe", id_tag="TAG", connector=2)
            await cp.advance(5)
            assert (await cp.connector(1))["id_tag"] is None
            assert (await cp.connector(2))["id_tag"] == "TAG"
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize("connector", [0, 1])
def test_a_fault_and_its_end(tmp_path: Path, connector: int) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.advance(1)
            await cp.do(
                "fault",
                connector=connector,
                error_code="GroundFailure",
                vendor_error_code="E42",
                info="residual current",
            )
            await cp.advance(1)
            _, told = cp.calls("StatusNotification")[-1]
            assert (told["connectorId"], told["status"], told["errorCode"]) == (
                connector,
                "Faulted",
                "GroundFailure",
            )
            assert (told["vendorErrorCode"], told["info"]) == ("E42", "residual current")
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", id_tag="TAG")
            await cp.advance(5)
            assert cp.calls("StartTransaction") == []
            await cp.do("clear_fault", connector=connector)
            await cp.do("plug_out", connector=1)
            await cp.advance(1)
            assert _told(cp, connector)[-1] == "Available"
            await cp.shut_down()

    play(story)


def test_a_fault_that_does_not_block_is_a_warning(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.charge()
            await cp.do("fault", connector=1, error_code="HighTemperature", blocking=False)
            assert (await cp.connector())["error_code"] == "HighTemperature"
            await cp.do("clear_fault", connector=1)
            await cp.advance(1)
            assert _told(cp)[-3:] == ["Charging", "Charging HighTemperature", "Charging"]
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize("button", [{}, {"connector": 1}])
def test_emergency_stop(tmp_path: Path, button: Line) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.charge()
            await cp.do("emergency_stop", pressed=True, **button)
            assert (await cp.connector())["power_w"] == 0
            await cp.advance(1)
            ((_, stop),) = cp.calls("StopTransaction")
            assert stop["reason"] == "EmergencyStop"
            assert (await cp.connector())["status"] == "Faulted"
            await cp.do("emergency_stop", pressed=False, **button)
            assert (await cp.connector())["status"] == "Finishing"
            await cp.shut_down()

    play(story)


def test_a_broken_lock(tmp_path: Path) -> None:
    """T:TC_024: no transaction without a locked plug."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.advance(1)
            await cp.do("lock", connector=1, broken=True)
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", id_tag="TAG")
            await cp.advance(5)
            assert cp.calls("StartTransaction") == []
            assert _told(cp)[-1] == "Faulted ConnectorLockFailure"
            await cp.do("lock", connector=1, broken=False)
            await cp.advance(1)
            assert (await cp.connector())["error_code"] == "NoError"
            await cp.shut_down()

    play(story)


def test_the_meter_and_the_supply(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.do("meter", connector=1, energy_wh=123456.7)
            assert (await cp.connector())["meter_wh"] == 123456.7
            await cp.charge()
            ((_, start),) = cp.calls("StartTransaction")
            assert start["meterStart"] == 123456
            before_w = (await cp.connector())["power_w"]
            await cp.do("meter", connector=1, voltage_v=200)
            assert (await cp.connector())["power_w"] < before_w
            await cp.do("meter", connector=1, voltage_v=0)
            assert (await cp.connector())["power_w"] == 0
            await cp.shut_down()

    play(story)


def test_data_transfer(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            assert await cp.refused("data_transfer", vendor_id="org.example") == "bad_state"
            await cp.advance(1)
            await cp.do("data_transfer", vendor_id="org.example")
            await cp.do("data_transfer", vendor_id="org.example", message_id="m", data="d")
            await cp.advance(1)
            assert [payload for _, payload in cp.calls("DataTransfer")] == [
                {"vendorId": "org.example"},
                {"vendorId": "org.example", "messageId": "m", "data": "d"},
            ]
            await cp.shut_down()

    play(story)


def test_availability_is_switched_at_the_station(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, "--connectors", "2") as (_, cp):
            await cp.advance(1)
            await cp.do("availability", connector=2, operative=False)
            await cp.advance(1)
            assert [_told(cp, n)[-1] for n in (0, 1, 2)] == ["Available", "Available", "Unavailable"]
            await cp.do("availability", connector=0, operative=False)
            await cp.advance(1)
            assert [_told(cp, n)[-1] for n in (0, 1, 2)] == ["Unavailable"] * 3
            await cp.do("availability", connector=0, operative=True)
            await cp.advance(1)
            assert [_told(cp, n)[-1] for n in (0, 1, 2)] == ["Available"] * 3
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize(
    ("key", "value", "reported"),
    [
        pytest.param("MeterValueSampleInterval", 7, "7", id="number"),
        pytest.param("LocalPreAuthorize", True, "true", id="truth"),
        pytest.param("MeterValuesSampledData", "Voltage", "Voltage", id="text"),
        pytest.param("GetConfigurationMaxKeys", "5", "5", id="read-only"),
    ],
)
def test_config_is_service_access(tmp_path: Path, key: str, value: Any, reported: str) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.advance(1)
            await cp.do("config", key=key, value=value)
            answer = await central.call(CP, "GetConfiguration", {"key": [key]})
            assert [entry["value"] for entry in answer["configurationKey"]] == [reported]
            await cp.shut_down()

    play(story)


def test_override_answers_in_place_of_the_station(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.charge()
            await cp.do("override", action="RemoteStopTransaction", status="Rejected")
            stop = ("RemoteStopTransaction", {"transactionId": 1})
            assert await central.call(CP, *stop) == {"status": "Rejected"}
            await cp.do("override", action="RemoteStopTransaction", error="InternalError")
            with pytest.raises(CallFailed) as failed:
                await central.call(CP, *stop)
            assert failed.value.code == "InternalError"
            assert (await cp.connector())["status"] == "Charging"
            await cp.do("override", action="RemoteStopTransaction", status=None)
            assert await central.call(CP, *stop) == {"status": "Accepted"}
            await cp.shut_down()

    play(story)


def test_override_lasts_over_a_reboot_until_taken_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.advance(1)
            await cp.do("override", action="ClearCache", status="Rejected")
            assert await central.call(CP, "ClearCache") == {"status": "Rejected"}
            await cp.do("reboot")
            await cp.advance(10)
            assert await central.call(CP, "ClearCache") == {"status": "Rejected"}
            await cp.do("override", action="ClearCache", status=None)
            assert await central.call(CP, "ClearCache") == {"status": "Accepted"}
            await cp.shut_down()

    play(story)


def test_the_network_is_cut_and_comes_back(tmp_path: Path) -> None:
    """The link breaks without a close frame, stays cut, and is tried at once when it is back."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            reasons: list[str] = []
            central.listen(
                lambda event: reasons.append(event.fields["reason"]) if event.name == "disconnected" else None
            )
            await cp.charge()
            await cp.do("network", online=False)
            assert (await cp.event("connection", online=False))["reason"] == "the network was cut"
            await cp.advance(3600)
            offline = await cp.do("status")
            assert (offline["online"], offline["connectors"][0]["status"]) == (False, "Charging")
            assert offline["queued"] == 60
            assert len(reasons) == 1
            assert "no close frame" in reasons[0]
            await cp.do("network", online=True)
            await cp.advance(0)
            await cp.event("connection", online=True)
            assert (await cp.do("status"))["queued"] == 0
            assert len(cp.calls("BootNotification")) == 1
            await cp.do("network", online=True)
            assert (await cp.do("status"))["online"]
            await cp.shut_down()

    play(story)


def test_security_events(tmp_path: Path) -> None:
    """security_event: by the whitepaper's names and by others, told after the one about the start."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            await cp.advance(1)
            await cp.do("security_event", type="TamperDetectionActivated", tech_info="door open")
            await cp.do("security_event", type="com.example.Smoke")
            await cp.do("security_event", type="InvalidMessages", tech_info="only for the log")
            await cp.advance(1)
            told = [(p["type"], p.get("techInfo")) for _, p in cp.calls("SecurityEventNotification")]
            assert told == [
                ("StartupOfTheDevice", None),
                ("TamperDetectionActivated", "door open"),
                ("com.example.Smoke", None),
            ]
            for odd in ({}, {"type": ""}, {"type": "x" * 51}, {"type": "X", "tech_info": "y" * 256}):
                reply = await cp.ask({"cmd": "security_event", **odd})
                assert (reply["ok"], reply["error"]) == (False, "bad_argument")
            await cp.shut_down()

    play(story)


def test_firmware_updates(tmp_path: Path) -> None:
    """firmware_outcome: the next updates fail at that step, or bring that version, until taken back."""

    async def story() -> None:
        async with at_central_system(tmp_path, behaviour={"transfers": "simulated"}) as (central, cp):
            await cp.advance(1)

            async def update(**outcome: str | None) -> list[str]:
                """What the station told of an update that came out so."""
                await cp.do("firmware_outcome", **outcome)
                told = len(cp.calls("FirmwareStatusNotification"))
                order = {"location": "https://files.example/fw-2.0.bin", "retrieveDate": START, "retries": 0}
                assert await central.call(CP, "UpdateFirmware", order) == {}
                await cp.advance(60)
                return [p["status"] for _, p in cp.calls("FirmwareStatusNotification")[told:]]

            assert await update(fail="download") == ["Downloading", "DownloadFailed"]
            failed = ["Downloading", "Downloaded", "Installing", "InstallationFailed"]
            assert await update(fail="install", version="9.9") == failed
            assert len(cp.calls("BootNotification")) == 1
            done = ["Downloading", "Downloaded", "Installing", "Installed"]
            assert await update(fail=None) == done
            assert cp.calls("BootNotification")[-1][1]["firmwareVersion"] == "9.9"
            assert await update(version=None) == done
            assert cp.calls("BootNotification")[-1][1]["firmwareVersion"] == "fw-2.0"
            events = [event["status"] for event in cp.events if event["event"] == "firmware"]
            assert events == ["Downloading", "DownloadFailed", *failed, *done, *done]
            assert [event["reason"] for event in cp.events if event["event"] == "reboot"] == ["Reboot"] * 2
            assert _told(cp)[-2:] == ["Unavailable", "Available"]
            for odd in ({}, {"fail": "luck"}, {"fail": 1}, {"version": ""}, {"version": "x" * 51}):
                assert await cp.refused("firmware_outcome", **odd) == "bad_argument"
            await cp.shut_down()

    play(story)
