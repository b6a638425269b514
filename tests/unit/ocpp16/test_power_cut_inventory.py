"""Everything a charge point must still know after a power cut, item by item, over a real SQLite file.

OCPP 1.6 §3.5, §3.7, §4.2, §4.9, §5.2, §5.19, §9; OCPP-J 1.6 §5.4; whitepaper A01, A02, A04, A05, L01.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chargepoint.domain.authorization import IdTagInfo
from chargepoint.ocpp16.times import format_time
from chargepoint.store import SqliteStore
from tests.unit.ocpp16.bench import START, Bench

LOCAL = {"AllowOfflineTxForUnknownId": "true", "MeterValueSampleInterval": "60"}


class Station(Bench):
    """A bench over a file; a power cut leaves nothing but that file."""

    def __init__(
        self, path: Path, *, connectors: int = 1, ocpp: dict[str, str] | None = None, **options: Any
    ) -> None:
        self.path = path / "CP001.sqlite3"
        super().__init__(connectors, store=SqliteStore(self.path), ocpp=LOCAL | (ocpp or {}), **options)
        self.connect()

    def power_cut(self, online: bool = True) -> None:
        """The process is gone without a word; another one starts a minute later."""
        self.disconnect()
        self.cp.close()
        self.store.close()
        self.reports.clear()
        for evse in self.evses:
            if evse.plugged:
                evse.plug_out()
        self.advance(60)
        self.store = SqliteStore(self.path)
        self.make()
        if online:
            self.connect()

    def value(self, key: str) -> str:
        """A configuration value as the central system sees it."""
        return str(self.call("GetConfiguration", {"key": [key]})["configurationKey"][0].get("value"))

    def change(self, key: str, value: str) -> None:
        """Change a configuration key."""
        assert self.call("ChangeConfiguration", {"key": key, "value": value}) == {"status": "Accepted"}


@pytest.fixture
def station(tmp_path: Path) -> Station:
    """One connector, connected and accepted."""
    return Station(tmp_path)


def test_configuration_values_survive(station: Station) -> None:
    station.change("MeterValueSampleInterval", "17")
    station.change("MeterValuesSampledData", "SoC,Voltage")
    station.power_cut()
    assert station.value("MeterValueSampleInterval") == "17"
    assert station.value("MeterValuesSampledData") == "SoC,Voltage"


def test_the_heartbeat_interval_of_the_boot_answer_survives(station: Station) -> None:
    station.csms.answers["BootNotification"] = lambda payload: {
        "status": "Accepted",
        "currentTime": format_time(station.clock.now()),
        "interval": 77,
    }
    station.power_cut()
    station.power_cut(online=False)
    assert station.cp.configuration.get("HeartbeatInterval") == "77"


@pytest.mark.parametrize("connector", [0, 1])
def test_commanded_availability_survives(station: Station, connector: int) -> None:
    inoperative = {"connectorId": connector, "type": "Inoperative"}
    assert station.call("ChangeAvailability", inoperative) == {"status": "Accepted"}
    station.power_cut()
    assert station.statuses(connector)[-1] == "Unavailable"
    assert station.call("ChangeAvailability", inoperative | {"type": "Operative"}) == {"status": "Accepted"}
    station.power_cut()
    assert station.statuses(connector)[-1] == "Available"


def test_scheduled_availability_survives(station: Station) -> None:
    station.charge()
    assert station.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"}) == {
        "status": "Scheduled"
    }
    station.power_cut()
    assert station.statuses()[-1] == "Unavailable"


def test_the_authorization_cache_survives(station: Station) -> None:
    with station.cp.turn:
        station.cp.transactions.authorizer.learn("GOOD", IdTagInfo("Accepted"))
        station.cp.transactions.authorizer.learn("BAD", IdTagInfo("Blocked"))
    station.power_cut(online=False)
    station.plug_in()
    station.swipe("BAD")
    assert station.cp.connectors[1].transaction is None
    station.swipe("GOOD")
    assert station.cp.connectors[1].transaction is not None


def test_the_local_list_and_its_version_survive(station: Station) -> None:
    entry = {"idTag": "ANN", "idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}}
    sent = {"listVersion": 12, "updateType": "Full", "localAuthorizationList": [entry]}
    assert station.call("SendLocalList", sent) == {"status": "Accepted"}
    station.power_cut()
    assert station.call("GetLocalListVersion", {}) == {"listVersion": 12}
    found = station.cp.local_auth_list.lookup("ANN")
    assert found is not None
    assert found.parent == "FAMILY"


def test_reservations_with_their_expiry_survive(station: Station) -> None:
    reservation = {
        "connectorId": 1,
        "expiryDate": format_time(START + 600),
        "idTag": "ANN",
        "reservationId": 7,
    }
    assert station.call("ReserveNow", reservation) == {"status": "Accepted"}
    station.power_cut()
    assert station.statuses()[-1] == "Reserved"
    station.advance(600)
    assert station.statuses()[-1] == "Available"


@pytest.mark.parametrize("connector", [0, 1])
def test_charging_profiles_survive_with_the_connector_they_were_sent_to(
    station: Station, connector: int
) -> None:
    limited = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 9.5}],
        },
    }
    sent = {"connectorId": connector, "csChargingProfiles": limited}
    assert station.call("SetChargingProfile", sent) == {"status": "Accepted"}
    station.power_cut()
    station.charge()
    assert station.cp.connectors[1].permitted().current_a == 9.5
    assert station.call("ClearChargingProfile", {"connectorId": 1 - connector}) == {"status": "Unknown"}
    assert station.call("ClearChargingProfile", {"connectorId": connector}) == {"status": "Accepted"}


@pytest.mark.parametrize("confirmed", [True, False], ids=["id known", "id unknown"])
def test_an_open_transaction_survives_with_everything_its_stop_needs(tmp_path: Path, confirmed: bool) -> None:
    station = Station(tmp_path, ocpp={"StopTxnSampledData": "Energy.Active.Import.Register"})
    if not confirmed:
        station.disconnect()
    station.charge("ANN")
    station.advance(200)
    started = station.cp.connectors[1].transaction
    assert started is not None
    last_wh = round(station.evses[0].reading().energy_wh)
    station.power_cut()
    station.advance(1)
    start, stop = station.sent("StartTransaction")[-1], station.sent("StopTransaction")[0]
    assert len(station.sent("StartTransaction")) == 1
    assert start["idTag"] == "ANN"
    assert stop["reason"] == "PowerLoss"
    assert stop["transactionId"] == 1
    assert start["meterStart"] < stop["meterStop"] <= last_wh
    contexts = [m["sampledValue"][0]["context"] for m in stop["transactionData"]]
    assert contexts[0] == "Transaction.Begin"
    assert "Sample.Periodic" in contexts


def test_a_parent_learnt_at_the_start_survives(tmp_path: Path) -> None:
    station = Station(tmp_path, behaviour={"resume_tx_after_power_loss": True})
    station.csms.answers["StartTransaction"] = lambda payload: {
        "transactionId": 1,
        "idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"},
    }
    station.charge("ANN")
    document = dict(station.store.items("transaction"))
    assert [one["parent"] for one in document.values()] == ["FAMILY"]
    station.power_cut(online=False)
    assert [one["parent"] for _, one in station.store.items("transaction")] == ["FAMILY"]


def test_a_pending_stop_survives_with_its_own_reason(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.charge("ANN")
    station.disconnect()
    station.swipe("ANN")
    station.power_cut()
    assert [p["reason"] for p in station.sent("StopTransaction")] in ([None], ["Local"])


def test_the_queue_survives_in_its_order_with_its_attempts(tmp_path: Path) -> None:
    station = Station(
        tmp_path, ocpp={"TransactionMessageAttempts": "2", "TransactionMessageRetryInterval": "300"}
    )
    station.csms.answers["StartTransaction"] = lambda payload: "InternalError"
    station.charge("ANN")
    station.advance(130)
    station.swipe("ANN")
    assert len(station.sent("StartTransaction")) == 1
    queued = station.cp.outbox.queued
    station.power_cut(online=False)
    assert station.cp.outbox.queued == queued == 4
    station.connect()
    station.advance(400)
    assert len(station.sent("StartTransaction")) == 2  # the second and last attempt, over both lives
    assert {p["transactionId"] for p in station.sent("MeterValues")} == {-1}
    assert [p["transactionId"] for p in station.sent("StopTransaction")] == [-1]


def test_a_late_answer_to_a_sending_before_the_cut_is_not_needed(tmp_path: Path) -> None:
    """Ids used are forgotten with the process: the record is sent again under a new one."""
    station = Station(tmp_path)
    station.csms.answers["StartTransaction"] = lambda payload: None
    station.charge("ANN")
    ids = [f[1] for way, f in station.csms.frames if way == "tx" and f[0] == 2 and f[2] == "StartTransaction"]
    del station.csms.answers["StartTransaction"]
    station.power_cut()
    again = [
        f[1] for way, f in station.csms.frames if way == "tx" and f[0] == 2 and f[2] == "StartTransaction"
    ]
    assert len(again) == 2
    assert again[0] == ids[0] != again[1]
    assert station.sent("StartTransaction")[0] == station.sent("StartTransaction")[1]


def test_message_ids_are_unique_over_power_cuts(station: Station) -> None:
    for _ in range(3):
        station.power_cut()
        station.charge()
        station.swipe("TAG")
    ids = [frame[1] for way, frame in station.csms.frames if way == "tx" and frame[0] == 2]
    assert len(ids) == len(set(ids)) > 20


def test_whether_it_was_ever_accepted_survives(tmp_path: Path) -> None:
    station = Station(tmp_path)
    station.power_cut(online=False)
    station.charge("ANN")
    assert station.cp.connectors[1].transaction is not None
    (tmp_path / "new").mkdir()
    fresh = Station.__new__(Station)
    fresh.path = tmp_path / "new" / "CP002.sqlite3"
    Bench.__init__(fresh, 1, store=SqliteStore(fresh.path), ocpp=LOCAL)
    fresh.charge("ANN")
    assert fresh.cp.connectors[1].transaction is None


def test_all_statuses_are_told_again_after_a_power_cut(station: Station) -> None:
    """What was acknowledged last does not matter: after a boot everything is reported (errata 3.22)."""
    before = len(station.sent("StatusNotification"))
    station.power_cut()
    told = station.sent("StatusNotification")[before:]
    assert [p["connectorId"] for p in told] == [0, 1]


def test_a_boot_notification_follows_every_power_cut(station: Station) -> None:
    station.power_cut()
    station.power_cut()
    assert len(station.sent("BootNotification")) == 3


def test_the_security_settings_survive(station: Station) -> None:
    station.change("AuthorizationKey", "0123456789abcdef0123456789abcdef")
    station.change("SecurityProfile", "1")
    station.connect()
    station.advance(30)
    station.power_cut()
    assert station.value("SecurityProfile") == "1"
    whole = b"".join(file.read_bytes() for file in station.path.parent.iterdir())
    assert b"0123456789abcdef0123456789abcdef" in whole
    assert {file.stat().st_mode & 0o777 for file in station.path.parent.iterdir()} == {0o600}
