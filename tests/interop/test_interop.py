"""The station at central systems that were not written here: OCPP 1.6 §4 and §5 as their authors read it.

Each story ends with `Meeting.verdict`: no CALLERROR, nothing invalid, every request decoded as it was sent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.piped import Line
from tests.interop.libraries import Library
from tests.interop.rig import Meeting, meet, samples

MEASURANDS = (
    "Energy.Active.Import.Register",
    "Energy.Active.Import.Interval",
    "Power.Active.Import",
    "Power.Offered",
    "Power.Factor",
    "Current.Import",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
    "SoC",
)
ERROR_CODES = (
    "ConnectorLockFailure",
    "GroundFailure",
    "HighTemperature",
    "InternalError",
    "LocalListConflict",
    "OtherError",
    "OverCurrentFailure",
    "OverVoltage",
    "PowerMeterFailure",
    "PowerSwitchFailure",
    "ReaderFailure",
    "ResetFailure",
    "UnderVoltage",
    "WeakSignal",
)


def profile(number: int, purpose: str, limit: float, **fields: Any) -> Line:
    """A charging profile of one period."""
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    return {
        "chargingProfileId": number,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
    } | fields


def daily(number: int, *periods: tuple[int, float]) -> Line:
    """A recurring profile with all fields there are."""
    schedule = {
        "chargingRateUnit": "A",
        "duration": 86400,
        "startSchedule": "2026-01-01T00:00:00Z",
        "minChargingRate": 6.0,
        "chargingSchedulePeriod": [
            {"startPeriod": start, "limit": limit, "numberPhases": 3} for start, limit in periods
        ],
    }
    return profile(number, "TxDefaultProfile", 0.0, chargingProfileKind="Recurring", stackLevel=2) | {
        "recurrencyKind": "Daily",
        "validFrom": "2025-12-31T00:00:00Z",
        "validTo": "2026-12-31T00:00:00Z",
        "chargingSchedule": schedule,
    }


def test_it_boots_and_charges_at_a_card(library: Library, tmp_path: Path) -> None:
    """Core §4.1 to §4.10: everything a station says by itself."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        connected = await csms.event("connected", cp="CP001")
        assert connected.get("subprotocol", "ocpp1.6") == "ocpp1.6"
        boot = await csms.got("BootNotification")
        assert boot == {
            "chargePointVendor": "Example",
            "chargePointModel": "Wallbox",
            "chargePointSerialNumber": "SN-1",
            "firmwareVersion": "1.0.0",
        }
        for connector in (0, 1, 2):
            await csms.got(
                "StatusNotification", connectorId=connector, status="Available", errorCode="NoError"
            )
        await cp.advance(300)
        await csms.got("Heartbeat")

        await here.charge()
        assert [payload for _, payload in csms.requests("Authorize")] == [{"idTag": "TAG"}]
        start = csms.requests("StartTransaction")[0][1]
        assert (start["connectorId"], start["idTag"], start["meterStart"]) == (1, "TAG", 0)
        assert (await cp.event("transaction", phase="confirmed"))["transaction_id"] == 1
        await cp.advance(3600)
        metered = [payload for _, payload in csms.requests("MeterValues")]
        assert len(metered) == 60
        assert {payload["transactionId"] for payload in metered} == {1}
        first, last = samples(metered[0]), samples(metered[-1])
        assert float(last["Energy.Active.Import.Register"]) > float(first["Energy.Active.Import.Register"])
        assert float(last["SoC"]) > float(first["SoC"]) > 0
        assert float(first["Power.Active.Import"]) > 0

        await cp.do("swipe", id_tag="TAG", connector=1)
        stop = await csms.got("StopTransaction", transactionId=1, idTag="TAG", reason="Local")
        assert stop["meterStop"] >= float(last["Energy.Active.Import.Register"])
        assert len(stop["transactionData"]) >= 2
        await csms.got("StatusNotification", connectorId=1, status="Finishing")
        await cp.do("plug_out", connector=1)
        await csms.got("StatusNotification", connectorId=1, status="Available")
        await cp.event("transaction", phase="delivered")

    meet(library, tmp_path, story)


def test_it_charges_from_afar_within_profiles(library: Library, tmp_path: Path) -> None:
    """Remote start with a TxProfile, the other purposes over and under it, and the schedule that results."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        await csms.answered(
            "RemoteStartTransaction",
            "Accepted",
            connectorId=1,
            idTag="AFAR",
            chargingProfile=profile(1, "TxProfile", 10.0),
        )
        await cp.do("plug_in", connector=1)
        await cp.advance(10)
        await csms.got("StartTransaction", connectorId=1, idTag="AFAR")
        await cp.event("limit", connector=1, offered_a=10.0)
        await csms.got("StatusNotification", connectorId=1, status="Charging")
        await cp.event("transaction", phase="confirmed", transaction_id=1)

        await csms.answered(
            "SetChargingProfile",
            "Accepted",
            connectorId=1,
            csChargingProfiles=profile(2, "TxProfile", 8.1, transactionId=1, stackLevel=1),
        )
        await cp.event("limit", connector=1, offered_a=8.1)
        await csms.answered(
            "SetChargingProfile",
            "Accepted",
            connectorId=0,
            csChargingProfiles=profile(3, "TxDefaultProfile", 6.0),
        )
        schedule = await csms.call("GetCompositeSchedule", connectorId=1, duration=600, chargingRateUnit="A")
        assert (schedule["status"], schedule["connectorId"]) == ("Accepted", 1)
        periods = schedule["chargingSchedule"]["chargingSchedulePeriod"]
        assert [(period["startPeriod"], period["limit"]) for period in periods] == [(0, 8.1)]
        assert schedule["chargingSchedule"]["chargingRateUnit"] == "A"

        await csms.answered("ClearChargingProfile", "Accepted", id=2)
        await cp.event("limit", connector=1, offered_a=10.0)
        await csms.answered("ClearChargingProfile", "Accepted", chargingProfilePurpose="TxProfile")
        await cp.event("limit", connector=1, offered_a=6.0)
        await csms.answered("ClearChargingProfile", "Unknown", id=99)

        await csms.answered(
            "SetChargingProfile",
            "Accepted",
            connectorId=2,
            csChargingProfiles=daily(4, (0, 16.0), (1800, 8.5)),
        )
        schedule = await csms.call("GetCompositeSchedule", connectorId=2, duration=3600)
        first, second = schedule["chargingSchedule"]["chargingSchedulePeriod"]
        assert (first["startPeriod"], first["limit"], second["limit"]) == (0, 16.0, 8.5)
        assert 1700 < second["startPeriod"] < 1800

        await csms.answered("RemoteStopTransaction", "Rejected", transactionId=99)
        await csms.answered("RemoteStopTransaction", "Accepted", transactionId=1)
        await csms.got("StopTransaction", transactionId=1, reason="Remote")

    meet(library, tmp_path, story)


def test_its_settings_can_be_read_and_changed(library: Library, tmp_path: Path) -> None:
    """Settings, ChangeAvailability, ClearCache, UnlockConnector and DataTransfer both ways."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        everything = (await csms.call("GetConfiguration"))["configurationKey"]
        values = {entry["key"]: entry.get("value") for entry in everything}
        assert (values["NumberOfConnectors"], values["HeartbeatInterval"]) == ("2", "300")
        assert {"key": "NumberOfConnectors", "readonly": True, "value": "2"} in everything
        some = await csms.call("GetConfiguration", key=["MeterValueSampleInterval", "Nonsense"])
        assert some == {
            "configurationKey": [{"key": "MeterValueSampleInterval", "readonly": False, "value": "60"}],
            "unknownKey": ["Nonsense"],
        }
        for key, value, status in (
            ("MeterValueSampleInterval", "30", "Accepted"),
            ("MeterValueSampleInterval", "-1", "Rejected"),
            ("NumberOfConnectors", "3", "Rejected"),
            ("Nonsense", "1", "NotSupported"),
        ):
            await csms.answered("ChangeConfiguration", status, key=key, value=value)
        changed = await csms.call("GetConfiguration", key=["MeterValueSampleInterval"])
        assert changed["configurationKey"][0]["value"] == "30"

        await csms.answered("ChangeAvailability", "Accepted", connectorId=2, type="Inoperative")
        await csms.got("StatusNotification", connectorId=2, status="Unavailable")
        await csms.answered("ChangeAvailability", "Accepted", connectorId=2, type="Operative")
        await csms.got("StatusNotification", connectorId=2, status="Available")
        await here.charge()
        await csms.answered("ChangeAvailability", "Scheduled", connectorId=1, type="Inoperative")

        await csms.answered("ClearCache", "Accepted")
        await csms.answered("UnlockConnector", "NotSupported", connectorId=9)
        await csms.answered("UnlockConnector", "Unlocked", connectorId=1)
        await csms.got("StopTransaction", reason="UnlockCommand")
        await cp.do("plug_out", connector=1)
        await csms.got("StatusNotification", connectorId=1, status="Unavailable")

        await csms.answered("DataTransfer", "UnknownVendorId", vendorId="org.example", data="ping")
        await cp.do("data_transfer", vendor_id="org.example", message_id="m", data='{"grüße": "中"}')
        sent = await csms.got("DataTransfer")
        assert sent == {"vendorId": "org.example", "messageId": "m", "data": '{"grüße": "中"}'}

    meet(library, tmp_path, story)


def test_it_keeps_a_list_and_reservations(library: Library, tmp_path: Path) -> None:
    """SendLocalList, GetLocalListVersion, ReserveNow, CancelReservation; a reserved connector is used."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        assert await csms.call("GetLocalListVersion") == {"listVersion": 0}
        await csms.answered(
            "SendLocalList",
            "Accepted",
            listVersion=1,
            updateType="Full",
            localAuthorizationList=[
                {"idTag": "KNOWN", "idTagInfo": {"status": "Accepted", "expiryDate": "2027-01-01T00:00:00Z"}},
                {"idTag": "THIEF", "idTagInfo": {"status": "Blocked"}},
            ],
        )
        await csms.answered(
            "SendLocalList",
            "Accepted",
            listVersion=2,
            updateType="Differential",
            localAuthorizationList=[{"idTag": "THIEF"}],
        )
        await csms.answered(
            "SendLocalList",
            "VersionMismatch",
            listVersion=2,
            updateType="Differential",
            localAuthorizationList=[{"idTag": "THIEF"}],
        )
        assert await csms.call("GetLocalListVersion") == {"listVersion": 2}

        reservation: Line = {"connectorId": 1, "idTag": "KNOWN", "expiryDate": "2026-01-01T02:00:00Z"}
        await csms.answered("ReserveNow", "Accepted", reservationId=7, **reservation)
        await csms.got("StatusNotification", connectorId=1, status="Reserved")
        await csms.answered("CancelReservation", "Accepted", reservationId=7)
        await csms.got("StatusNotification", connectorId=1, status="Available")
        await csms.answered("CancelReservation", "Rejected", reservationId=7)

        await csms.answered("ReserveNow", "Accepted", reservationId=8, **reservation)
        await csms.got("StatusNotification", connectorId=1, status="Reserved")
        await here.charge(id_tag="KNOWN")
        start = csms.requests("StartTransaction")[0][1]
        assert (start["idTag"], start["reservationId"]) == ("KNOWN", 8)
        assert csms.requests("Authorize") == []
        await csms.answered("ReserveNow", "Occupied", reservationId=9, **reservation)
        await cp.do("plug_out", connector=1)
        await csms.got("StopTransaction", reason="EVDisconnected")

    meet(library, tmp_path, story, LocalAuthListEnabled="true", LocalPreAuthorize="true")


def test_it_sends_what_is_triggered(library: Library, tmp_path: Path) -> None:
    """TriggerMessage §5.17; BootNotification again on one connection is refused (errata 3.35)."""

    async def story(here: Meeting) -> None:
        csms = here.csms
        await csms.answered("TriggerMessage", "Accepted", requestedMessage="Heartbeat")
        await csms.got("Heartbeat")
        await csms.answered("TriggerMessage", "Accepted", requestedMessage="MeterValues", connectorId=1)
        triggered = await csms.got("MeterValues", connectorId=1)
        contexts = {sample["context"] for sample in triggered["meterValue"][0]["sampledValue"]}
        assert contexts == {"Trigger"}
        await csms.answered(
            "TriggerMessage", "Accepted", requestedMessage="StatusNotification", connectorId=2
        )
        await here.settled()
        assert csms.requests("StatusNotification")[-1][1]["connectorId"] == 2
        await csms.answered("TriggerMessage", "Rejected", requestedMessage="BootNotification")

    meet(library, tmp_path, story)


def test_its_whole_vocabulary_is_understood(library: Library, tmp_path: Path) -> None:
    """Every measurand, error code and status a simulated station can report; stops for its own reasons."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        await here.charge()
        await cp.advance(120)
        _, metered = csms.requests("MeterValues")[-1]
        sampled = {sample["measurand"] for value in metered["meterValue"] for sample in value["sampledValue"]}
        assert sampled == set(MEASURANDS)
        await cp.do("ev", connector=1, draws=False)
        await csms.got("StatusNotification", connectorId=1, status="SuspendedEV")
        await cp.do("fault", connector=1, error_code="EVCommunicationError", blocking=False)
        await csms.got("StatusNotification", status="SuspendedEV", errorCode="EVCommunicationError")
        await cp.do("clear_fault", connector=1)
        await cp.do("ev", connector=1, draws=True)
        await cp.do("emergency_stop", connector=1, pressed=True)
        await csms.got("StopTransaction", reason="EmergencyStop")
        await cp.do("emergency_stop", connector=1, pressed=False)

        for code in ERROR_CODES:
            await cp.do("fault", connector=2, error_code=code, vendor_error_code="E-17", info="grüße")
            faulted = await csms.got(
                "StatusNotification", connectorId=2, status="Faulted", errorCode=code, vendorErrorCode="E-17"
            )
            assert faulted["info"] == "grüße"
            await cp.do("clear_fault", connector=2)
            await csms.got("StatusNotification", connectorId=2, status="Available", errorCode="NoError")

        await here.charge(2)
        await cp.do("power", on=False)
        await csms.got("StopTransaction", reason="PowerLoss")
        await cp.do("power", on=True)
        await cp.advance(10)
        await csms.got("BootNotification")

    meet(library, tmp_path, story, MeterValuesSampledData=",".join(MEASURANDS))


@pytest.mark.parametrize(("kind", "reason"), [("Soft", "SoftReset"), ("Hard", "HardReset")])
def test_it_boots_again_after_a_reset(library: Library, tmp_path: Path, kind: str, reason: str) -> None:
    """Reset §5.14: the transaction ends first, and the process stays."""

    async def story(here: Meeting) -> None:
        cp, csms = here.cp, here.csms
        await here.charge()
        await csms.answered("Reset", "Accepted", type=kind)
        await cp.event("reboot", reason=reason)
        await csms.got("StopTransaction", reason=reason, transactionId=1)
        await csms.event("disconnected", cp="CP001")
        await cp.advance(10)
        await csms.event("connected", cp="CP001")
        await csms.got("BootNotification")
        await csms.got("StatusNotification", connectorId=0, status="Available")

    meet(library, tmp_path, story)


def test_a_session_without_the_central_system_is_delivered_to_the_next(
    library: Library, tmp_path: Path
) -> None:
    """OCPP 1.6 §3.7, §4.8: the server dies, a car charges and leaves, another server takes its place."""

    async def story(here: Meeting) -> None:
        cp, first = here.cp, here.csms
        await here.charge(2)
        await first.kill()
        await cp.event("connection", online=False)
        await cp.do("plug_in", connector=1)
        await cp.do("swipe", id_tag="OFFLINE", connector=1)
        await cp.advance(600)
        await cp.do("plug_out", connector=1)
        await cp.do("plug_out", connector=2)
        await cp.advance(1)
        assert [payload["idTag"] for _, payload in first.requests("StartTransaction")] == ["TAG"]

        async with here.successor():
            csms = here.csms
            await cp.advance(120)
            await csms.event("connected", cp="CP001")
            await here.settled()
            assert csms.requests("BootNotification") == []
            told = [action for action, _ in csms.requests("StartTransaction", "StopTransaction")]
            assert sorted(told) == ["StartTransaction", "StopTransaction", "StopTransaction"]
            start = csms.requests("StartTransaction")[0][1]
            assert (start["connectorId"], start["idTag"]) == (1, "OFFLINE")
            assert len(csms.requests("MeterValues")) == 20
            assert (await cp.do("status"))["queued"] == 0

    meet(library, tmp_path, story, AllowOfflineTxForUnknownId="true")
