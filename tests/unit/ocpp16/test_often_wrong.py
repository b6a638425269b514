"""The details of OCPP 1.6 that implementations most often get wrong, one test each.

The wider tests of each subject stand in the modules named after it; these name the trap.
"""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.domain.authorization import IdTagInfo
from chargepoint.ocpp16.times import format_time, parse_time
from hal.api import EvseInfo, Fault, FaultKind
from tests.unit.ocpp16.bench import START, Answer, Bench
from tests.unit.ocpp16.test_power_loss import Disk, power_cut

SOCKET_1P = EvseInfo(phases=1)
KEPT_CABLE = {"UnlockConnectorOnEVSideDisconnect": "false"}


def online(connectors: int = 1, **options: Any) -> Bench:
    bench = Bench(connectors, **options)
    bench.connect()
    return bench


def boot_answer(status: str, interval: int) -> dict[str, Any]:
    return {"status": status, "currentTime": format_time(START), "interval": interval}


def info(status: str = "Accepted", parent: str | None = None) -> dict[str, Any]:
    return {"idTagInfo": {"status": status} | ({"parentIdTag": parent} if parent else {})}


def configured(bench: Bench, key: str) -> str:
    return str(bench.call("GetConfiguration", {"key": [key]})["configurationKey"][0]["value"])


def change(bench: Bench, key: str, value: str) -> str:
    return str(bench.call("ChangeConfiguration", {"key": key, "value": value})["status"])


def profile(purpose: str, limit: float, periods: Any = None, **more: Any) -> dict[str, Any]:
    schedule = {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": periods or [{"startPeriod": 0, "limit": limit}],
        **more.pop("schedule", {}),
    }
    return {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
        **more,
    }


def set_profile(bench: Bench, connector: int, csms_profile: dict[str, Any]) -> Any:
    return bench.call("SetChargingProfile", {"connectorId": connector, "csChargingProfiles": csms_profile})


def offered(bench: Bench, connector: int = 1) -> float:
    return bench.cp.connectors[connector].permitted().current_a


def reserve(bench: Bench, connector: int, id_tag: str, parent: str | None = None) -> Any:
    payload = {
        "connectorId": connector,
        "expiryDate": format_time(bench.clock.now() + 3600),
        "idTag": id_tag,
        "reservationId": 7,
    }
    return bench.call("ReserveNow", payload | ({} if parent is None else {"parentIdTag": parent}))


def test_01_nothing_is_said_before_acceptance_and_nothing_answered_while_rejected() -> None:
    bench = Bench(store=Disk(), ocpp={"AllowOfflineTxForUnknownId": "true"})
    bench.connect()
    bench.disconnect()
    bench.charge()
    bench.swipe("TAG")
    bench.restart()
    bench.csms.answers["BootNotification"] = lambda payload: boot_answer("Rejected", 60)
    first = len(bench.csms.calls)
    bench.connect()
    assert bench.call("GetConfiguration", {}) is None
    bench.csms.answers["BootNotification"] = lambda payload: boot_answer("Pending", 60)
    bench.advance(60)
    assert "configurationKey" in bench.call("GetConfiguration", {"key": ["HeartbeatInterval"]})
    assert bench.call("RemoteStartTransaction", {"idTag": "TAG"}) == {"status": "Rejected"}
    assert {action for _, action in bench.csms.calls[first:]} == {"BootNotification"}
    del bench.csms.answers["BootNotification"]
    bench.advance(60)
    after = [action for _, action in bench.csms.calls[first:]]
    assert (
        after.index("StatusNotification") < after.index("StartTransaction") < after.index("StopTransaction")
    )


def test_02_no_boot_notification_on_a_mere_reconnection() -> None:
    bench = online()
    bench.disconnect()
    bench.connect()
    bench.advance(600)
    assert len(bench.sent("BootNotification")) == 1


def test_03_the_interval_of_a_pending_answer_is_no_heartbeat_interval() -> None:
    bench = Bench()
    bench.csms.answers["BootNotification"] = lambda payload: boot_answer("Pending", 17)
    bench.connect()
    assert configured(bench, "HeartbeatInterval") == "300"
    bench.csms.answers["BootNotification"] = lambda payload: boot_answer("Accepted", 77)
    bench.advance(17)
    assert bench.times("BootNotification") == [0, 17]
    assert configured(bench, "HeartbeatInterval") == "77"
    bench.advance(80)
    assert len(bench.sent("Heartbeat")) == 1


def test_04_connector_0_and_all_others_are_reported_after_acceptance() -> None:
    bench = online(connectors=3)
    assert [p["connectorId"] for p in bench.sent("StatusNotification")] == [0, 1, 2, 3]


def test_05_calls_are_answered_while_ours_waits_and_only_one_of_ours_is_out() -> None:
    bench = online(connectors=2)
    bench.csms.answers["StatusNotification"] = lambda payload: None
    bench.plug_in(1)
    bench.plug_in(2)
    before = len(bench.csms.calls)
    assert bench.call("ClearCache", {}) == {"status": "Accepted"}
    assert bench.call("TriggerMessage", {"requestedMessage": "Heartbeat"}) == {"status": "Accepted"}
    assert len(bench.csms.calls) == before
    assert bench.cp.session.outstanding is not None
    bench.advance(31)
    assert len(bench.csms.calls) == before + 1


def test_06_the_odd_spellings_of_the_standard_are_kept() -> None:
    bench = online(ocpp={"MeterValuesSampledData": "Temperature"})
    assert bench.call("ChangeConfiguration", {"key": "HeartbeatInterval"}) == "OccurenceConstraintViolation"
    assert bench.call("ChangeConfiguration", {"key": "a", "value": "b", "c": 1}) == "FormationViolation"
    bench.charge()
    bench.advance(120)
    units = {v["unit"] for p in bench.sent("MeterValues") for m in p["meterValue"] for v in m["sampledValue"]}
    assert units == {"Celcius"}


def test_07_an_unknown_trigger_is_a_status_and_what_is_triggered_comes_after_the_answer() -> None:
    bench = online()
    unknown = bench.call("TriggerMessage", {"requestedMessage": "Nonsense"})
    assert unknown == {"status": "NotImplemented"}
    before = len(bench.csms.frames)
    assert bench.call("TriggerMessage", {"requestedMessage": "Heartbeat"}) == {"status": "Accepted"}
    sent = [frame for way, frame in bench.csms.frames[before:] if way == "tx"]
    assert [frame[0] for frame in sent] == [3, 2]


def test_08_the_same_tag_stops_unasked_and_parents_are_compared_with_parents() -> None:
    bench = online()
    bench.csms.answers["Authorize"] = lambda payload: info()
    bench.csms.answers["StartTransaction"] = lambda payload: {"transactionId": 7, **info(parent="FAMILY")}
    bench.charge("ANN")
    bench.swipe("FAMILY")  # an identifier that is spelled like the parent is no member
    assert bench.sent("StopTransaction") == []
    bench.csms.answers["Authorize"] = lambda payload: info(parent="FAMILY")
    bench.swipe("BEN")
    assert [p["idTag"] for p in bench.sent("Authorize")] == ["ANN", "FAMILY", "BEN"]
    assert [p["idTag"] for p in bench.sent("StopTransaction")] == ["BEN"]
    bench.plug_out()
    bench.charge("ANN")
    asked = len(bench.sent("Authorize"))
    bench.swipe("ANN")
    assert len(bench.sent("Authorize")) == asked
    assert len(bench.sent("StopTransaction")) == 2


@pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid"])
def test_09_offline_only_unknown_tags_are_let_in_not_those_known_as_bad(status: str) -> None:
    bench = online(ocpp={"AllowOfflineTxForUnknownId": "true"})
    with bench.cp.turn:
        bench.cp.transactions.authorizer.learn("BAD", IdTagInfo(status))
    bench.disconnect()
    bench.charge("BAD")
    assert bench.cp.connectors[1].transaction is None
    bench.charge("NEW") if not bench.evses[0].plugged else bench.swipe("NEW")
    assert bench.cp.connectors[1].transaction is not None


def test_10_listed_tags_are_not_cached_and_a_stop_answer_is() -> None:
    bench = online(ocpp={"LocalPreAuthorize": "true"})
    listed = {
        "listVersion": 1,
        "updateType": "Full",
        "localAuthorizationList": [{"idTag": "LISTED", "idTagInfo": {"status": "Accepted"}}],
    }
    assert bench.call("SendLocalList", listed) == {"status": "Accepted"}
    bench.charge("LISTED")
    bench.swipe("LISTED")
    bench.plug_out()
    emptied = {"listVersion": 2, "updateType": "Full"}
    assert bench.call("SendLocalList", emptied) == {"status": "Accepted"}
    bench.csms.answers["StopTransaction"] = lambda payload: info("Blocked")
    bench.charge("LISTED")
    assert [p["idTag"] for p in bench.sent("Authorize")] == ["LISTED"]  # nothing was cached meanwhile
    bench.swipe("LISTED")
    bench.plug_out()
    bench.disconnect()
    bench.charge("LISTED")
    assert bench.cp.connectors[1].transaction is None  # the answer to the stop was learnt


def test_11_a_full_list_of_any_version_is_taken_and_a_failed_one_changes_nothing() -> None:
    bench = online()

    def send(version: int, update: str, *entries: dict[str, Any]) -> Any:
        payload = {"listVersion": version, "updateType": update}
        return bench.call(
            "SendLocalList", payload | ({"localAuthorizationList": list(entries)} if entries else {})
        )

    def version() -> int:
        return int(bench.call("GetLocalListVersion", {})["listVersion"])

    ann = {"idTag": "ANN", "idTagInfo": {"status": "Accepted"}}
    assert send(9, "Full", ann) == {"status": "Accepted"}
    assert send(4, "Full", ann) == {"status": "Accepted"}
    assert version() == 4
    assert send(4, "Differential", ann) == {"status": "VersionMismatch"}
    ben = {"idTag": "BEN", "idTagInfo": {"status": "Accepted"}}
    assert send(5, "Full", ben, {"idTag": "CAT"}) == {"status": "Failed"}
    assert version() == 4
    assert bench.cp.local_auth_list.lookup("ANN") is not None
    assert bench.cp.local_auth_list.lookup("BEN") is None
    assert send(12, "Full") == {"status": "Accepted"}
    assert version() == 0


def test_12_a_cable_nobody_paid_for_ends_in_finishing_counted_from_preparing() -> None:
    bench = online(connectors=2, ocpp={"ConnectionTimeOut": "60"})
    bench.plug_in(1)
    bench.advance(59)
    assert bench.statuses(1)[-1] == "Preparing"
    bench.advance(1)
    assert bench.statuses(1)[-1] == "Finishing"
    bench.plug_out(1)
    assert bench.statuses(1)[-1] == "Available"
    bench.csms.answers["Authorize"] = lambda payload: None  # the card is presented, the answer takes its time
    bench.swipe("ANN", 2)
    asked_at = bench.clock.now()
    bench.advance(20)
    bench.csms.say([3, bench.csms.frames[-1][1][1], info()])
    bench.advance(0)
    bench.advance(60 - (bench.clock.now() - asked_at) + 20)
    assert bench.statuses(2)[-1] == "Available"


def test_13_the_edges_that_do_not_exist_are_avoided() -> None:
    bench = online()
    bench.plug_in()
    inoperative = {"connectorId": 1, "type": "Inoperative"}
    assert bench.call("ChangeAvailability", inoperative) == {"status": "Scheduled"}
    assert bench.statuses()[-1] == "Preparing"
    bench.plug_out()
    assert bench.statuses()[-3:] == ["Preparing", "Available", "Unavailable"]
    assert bench.call("ChangeAvailability", {"connectorId": 1, "type": "Operative"}) == {"status": "Accepted"}
    assert reserve(bench, 1, "ANN") == {"status": "Accepted"}
    bench.charge("ANN")
    at = bench.statuses().index("Reserved")
    assert bench.statuses()[at:] == ["Reserved", "Preparing", "Charging"]
    assert bench.illegal_statuses() == []


def test_14_suspended_evse_wins_and_a_closed_contactor_is_charging() -> None:
    bench = online(info=SOCKET_1P)
    bench.charge()
    bench.evses[0].adjust(draws=False)
    bench.advance(1)
    assert bench.statuses()[-1] == "SuspendedEV"
    assert set_profile(bench, 1, profile("TxDefaultProfile", 0)) == {"status": "Accepted"}
    bench.advance(1)
    assert bench.statuses()[-1] == "SuspendedEVSE"
    bench.call("ClearChargingProfile", {"id": 1})
    bench.evses[0].adjust(draws=True, max_current_a=0.01)
    bench.advance(10)
    assert bench.evses[0].closed
    assert bench.evses[0].reading().power_w < 10
    assert bench.statuses()[-1] == "Charging"


def test_15_availability_of_0_is_scheduled_where_one_charges_and_outlives_a_power_cut() -> None:
    bench = online(connectors=2, store=Disk())
    bench.charge(connector=1)
    everything = {"connectorId": 0, "type": "Inoperative"}
    assert bench.call("ChangeAvailability", everything) == {"status": "Scheduled"}
    assert bench.statuses(2)[-1] == "Unavailable"
    assert bench.statuses(1)[-1] == "Charging"
    bench.plug_out(1)
    power_cut(bench)
    last = {p["connectorId"]: p["status"] for p in bench.sent("StatusNotification")}
    assert last == {0: "Unavailable", 1: "Unavailable", 2: "Unavailable"}


def test_16_the_retry_waits_interval_times_sendings_and_an_unknown_transaction_is_minus_1() -> None:
    bench = online(ocpp={"TransactionMessageAttempts": "3", "TransactionMessageRetryInterval": "10"})
    bench.csms.answers["StartTransaction"] = lambda payload: "InternalError"
    bench.charge()
    bench.advance(100)
    first, *later = bench.times("StartTransaction")
    assert [at - first for at in later] == [10, 30]
    bench.swipe("TAG")
    bench.advance(1)
    assert [p["transactionId"] for p in bench.sent("StopTransaction")] == [-1]


def test_17_one_queue_in_order_with_the_id_filled_in_and_the_time_of_the_event() -> None:
    bench = online(connectors=2, ocpp={"AllowOfflineTxForUnknownId": "true", "MeterValueSampleInterval": "0"})
    bench.disconnect()
    bench.charge("ANN", 1)
    bench.advance(100)
    bench.charge("BEN", 2)
    bench.advance(100)
    bench.swipe("ANN", 1)
    bench.advance(1000)
    bench.csms.transactions = 40
    bench.connect()
    related = [a for a in bench.actions() if a.endswith("Transaction")]
    assert related == ["StartTransaction", "StartTransaction", "StopTransaction"]
    assert [p["idTag"] for p in bench.sent("StartTransaction")] == ["ANN", "BEN"]
    stop = bench.sent("StopTransaction")[0]
    assert stop["transactionId"] == 41
    assert parse_time(stop["timestamp"]) < bench.clock.now() - 900


def test_18_meter_values_default_to_energy_are_texts_and_lie_on_the_grid() -> None:
    bench = online(ocpp={"MeterValuesSampledData": "", "ClockAlignedDataInterval": "900"})
    bench.advance(123)
    bench.charge()
    bench.advance(1800)
    values = bench.sent("MeterValues")
    sampled = [v for p in values for m in p["meterValue"] for v in m["sampledValue"]]
    assert {v.get("measurand", "Energy.Active.Import.Register") for v in sampled} == {
        "Energy.Active.Import.Register"
    }
    assert all(isinstance(v["value"], str) for v in sampled)
    aligned = [
        m["timestamp"]
        for p in values
        for m in p["meterValue"]
        if m["sampledValue"][0].get("context") == "Sample.Clock"
    ]
    assert aligned
    assert all(parse_time(moment) % 900 == 0 for moment in aligned)
    assert not [p for p in values if p["connectorId"] == 0 and "transactionId" in p]
    bench.swipe("TAG")
    assert "transactionData" not in bench.sent("StopTransaction")[0]


def test_19_one_unsupported_measurand_refuses_the_whole_list() -> None:
    bench = online()
    before = configured(bench, "MeterValuesSampledData")
    assert change(bench, "MeterValuesSampledData", "Energy.Active.Import.Register,Nonsense") == "Rejected"
    assert configured(bench, "MeterValuesSampledData") == before


def test_20_an_ended_tx_profile_falls_back_to_the_next_one() -> None:
    bench = online(info=SOCKET_1P)
    assert set_profile(bench, 1, profile("TxDefaultProfile", 20.0)) == {"status": "Accepted"}
    bench.charge()
    low = profile("TxProfile", 10.0, chargingProfileId=2, stackLevel=0, schedule={"duration": 600})
    high = profile("TxProfile", 16.0, chargingProfileId=3, stackLevel=1, schedule={"duration": 300})
    for one in (low, high):
        assert set_profile(bench, 1, one | {"transactionId": 1}) == {"status": "Accepted"}
    bench.advance(1)
    assert offered(bench) == 16.0
    bench.advance(300)
    assert offered(bench) == 10.0
    bench.advance(300)
    assert offered(bench) == 20.0
    assert bench.cp.connectors[1].transaction is not None


def test_21_the_station_s_maximum_is_a_sum_days_begin_at_the_start_and_relative_at_the_transaction() -> None:
    bench = online(connectors=2, info=SOCKET_1P)
    bench.charge("ANN", 1)
    bench.charge("BEN", 2)
    maximum = profile("ChargePointMaxProfile", 20.0, chargingProfileKind="Absolute")
    maximum["chargingSchedule"]["startSchedule"] = format_time(START)
    assert set_profile(bench, 0, maximum) == {"status": "Accepted"}
    bench.advance(30)
    assert offered(bench, 1) + offered(bench, 2) <= 20.0
    bench.call("ClearChargingProfile", {})
    bench.plug_out(2)
    steps = [{"startPeriod": 0, "limit": 10.0}, {"startPeriod": 3600, "limit": 20.0}]
    daily = profile("TxDefaultProfile", 0, steps, chargingProfileKind="Recurring", recurrencyKind="Daily")
    daily["chargingSchedule"]["startSchedule"] = format_time(START - 86_400 - 1800)
    assert set_profile(bench, 1, daily) == {"status": "Accepted"}
    bench.advance(10)
    assert offered(bench, 1) == 10.0  # half an hour into the day that began at 23:30
    bench.advance(1800)
    assert offered(bench, 1) == 20.0
    since = bench.clock.now() - bench.cp.connectors[1].transaction.started_at  # type: ignore[union-attr]  # one is running
    steps = [{"startPeriod": 0, "limit": 8.0}, {"startPeriod": int(since) + 60, "limit": 24.0}]
    assert set_profile(bench, 1, profile("TxDefaultProfile", 0, steps)) == {"status": "Accepted"}
    bench.advance(30)
    assert offered(bench, 1) == 8.0
    bench.advance(61)
    assert offered(bench, 1) == 24.0


def test_22_a_replacement_counts_once_profiles_are_kept_and_a_bad_enum_is_an_error() -> None:
    bench = online(store=Disk(), ocpp={"MaxChargingProfilesInstalled": "1"})
    for _ in range(2):
        assert set_profile(bench, 1, profile("TxDefaultProfile", 10.0)) == {"status": "Accepted"}
    full = profile("TxDefaultProfile", 10.0, chargingProfileId=2, stackLevel=1)
    assert set_profile(bench, 1, full) == {"status": "Rejected"}
    odd = profile("TxDefaultProfile", 10.0)
    odd["chargingSchedule"]["chargingRateUnit"] = "kW"
    assert set_profile(bench, 1, odd) == "PropertyConstraintViolation"
    assert configured(bench, "ChargingScheduleAllowedChargingRateUnit") == "Current,Power"
    power_cut(bench)
    bench.charge()
    assert offered(bench) == 10.0


def test_23_clearing_by_id_ignores_the_rest_and_0_is_not_everything() -> None:
    bench = online(connectors=2)
    assert set_profile(bench, 1, profile("TxDefaultProfile", 10.0)) == {"status": "Accepted"}
    assert bench.call("ClearChargingProfile", {"connectorId": 0}) == {"status": "Unknown"}
    assert bench.call("ClearChargingProfile", {"id": 2}) == {"status": "Unknown"}
    other = {"id": 1, "connectorId": 2, "chargingProfilePurpose": "TxProfile", "stackLevel": 5}
    assert bench.call("ClearChargingProfile", other) == {"status": "Accepted"}
    assert bench.call("ClearChargingProfile", {}) == {"status": "Unknown"}


def test_24_reservations_foreign_tags_members_and_connector_0() -> None:
    bench = online()
    assert reserve(bench, 1, "ANN") == {"status": "Accepted"}
    bench.swipe("BEN")
    assert bench.sent("Authorize") == []  # without a parent nobody else can be meant
    bench.call("CancelReservation", {"reservationId": 7})
    bench.csms.answers["Authorize"] = lambda payload: info(parent="FAMILY")
    assert reserve(bench, 1, "ANN", parent="FAMILY") == {"status": "Accepted"}
    bench.charge("BEN")
    assert [p["reservationId"] for p in bench.sent("StartTransaction")] == [7]
    bench.swipe("BEN")
    bench.plug_out()
    assert reserve(bench, 0, "ANN") == {"status": "Accepted"}
    assert bench.statuses(1)[-1] == "Reserved"  # the only connector there is


def test_25_the_last_ones() -> None:
    bench = online(store=Disk())
    assert bench.call("UnlockConnector", {"connectorId": 9}) == {"status": "NotSupported"}
    update: Answer = bench.call(
        "UpdateFirmware", {"location": "http://127.0.0.1:1/a.bin", "retrieveDate": format_time(START + 9e6)}
    )
    assert update == {}
    assert change(bench, "AuthorizationKey", "0123456789abcdef0123456789abcdef") == "Accepted"
    whole = bench.call("GetConfiguration", {})["configurationKey"]
    assert "AuthorizationKey" not in [entry["key"] for entry in whole]
    asked = bench.call("GetConfiguration", {"key": ["AuthorizationKey"]})
    assert "0123456789" not in str(asked)
    assert change(bench, "SecurityProfile", "1") == "Accepted"
    bench.connect()
    bench.advance(1)
    assert bench.call("Reset", {"type": "Soft"}) in ({"status": "Accepted"}, {"status": "Rejected"})
    assert change(bench, "SecurityProfile", "0") == "Rejected"


def test_a_fault_while_preparing_is_no_way_round() -> None:
    bench = online()
    bench.plug_in()
    bench.evses[0].inject(Fault(FaultKind.OVER_TEMPERATURE))
    bench.advance(1)
    bench.swipe("TAG")
    assert bench.statuses()[-1] == "Faulted"
    assert bench.sent("StartTransaction") == []
