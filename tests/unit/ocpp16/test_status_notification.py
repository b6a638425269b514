"""What is told of a status, and when (OCPP 1.6 §4.9, §6.47, §9.1.20)."""

from __future__ import annotations

from typing import Any

import pytest

from hal.api import EvseInfo, Fault, FaultKind
from tests.unit.ocpp16.bench import Bench
from tests.unit.ocpp16.witness import WitnessBench


def ready(connectors: int = 1, **options: Any) -> Bench:
    bench = Bench(connectors, **options)
    bench.connect()
    return bench


def last(bench: Bench) -> dict[str, Any]:
    bench.advance(0)
    return bench.sent("StatusNotification")[-1]


# --- MinimumStatusDuration --------------------------------------------------------------------------

SLOW = {"MinimumStatusDuration": "10"}


def test_a_status_must_last_before_it_is_told() -> None:
    bench = ready(ocpp=SLOW)
    bench.plug_in()
    bench.advance(9)
    assert bench.statuses() == ["Available"]
    assert bench.local_status() == "Preparing"
    bench.advance(1)
    assert bench.statuses() == ["Available", "Preparing"]
    assert last(bench)["timestamp"] == "2026-01-01T00:00:00.000Z", "when it changed, not when it was told"


def test_a_status_that_did_not_last_is_left_out() -> None:
    bench = ready(ocpp=SLOW)
    bench.plug_in()
    bench.advance(5)
    bench.swipe("TAG")  # charging two seconds later
    bench.advance(11)
    assert bench.statuses() == ["Available"]
    bench.advance(1)
    assert bench.statuses() == ["Available", "Charging"]


def test_a_status_that_flips_back_is_not_told_at_all() -> None:
    bench = ready(ocpp=SLOW)
    for _ in range(3):
        bench.plug_in()
        bench.advance(5)
        bench.plug_out()
        bench.advance(5)
    bench.advance(60)
    assert bench.statuses() == ["Available"]


@pytest.mark.parametrize("cause", ["fault", "command"])
def test_a_fault_or_a_command_does_not_wait(cause: str) -> None:
    bench = ready(ocpp=SLOW)
    bench.plug_in()
    bench.advance(5)
    bench.plug_out()
    if cause == "fault":
        bench.evses[0].inject(Fault(FaultKind.GROUND))
        assert last(bench)["status"] == "Faulted"
    else:
        bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
        assert last(bench)["status"] == "Unavailable"
    assert len(bench.statuses()) == 2
    bench.advance(60)
    assert len(bench.statuses()) == 2


def test_a_command_taken_back_in_time_is_told_once() -> None:
    bench = ready(ocpp=SLOW)
    for kind in ("Inoperative", "Operative", "Inoperative"):
        bench.call("ChangeAvailability", {"connectorId": 1, "type": kind})
        bench.advance(1)
    bench.advance(60)
    assert bench.statuses() == ["Available", "Unavailable"]


def test_the_key_takes_effect_at_once() -> None:
    bench = ready()
    bench.call("ChangeConfiguration", {"key": "MinimumStatusDuration", "value": "10"})
    bench.plug_in()
    assert bench.statuses() == ["Available"]
    bench.advance(10)
    assert bench.statuses() == ["Available", "Preparing"]


def test_a_link_lost_while_it_waits_tells_what_is_true_later() -> None:
    bench = ready(ocpp=SLOW)
    bench.plug_in()
    bench.advance(5)
    bench.disconnect()
    bench.advance(60)
    bench.connect()
    assert bench.statuses() == ["Available", "Preparing"]
    bench.advance(60)
    assert bench.statuses() == ["Available", "Preparing"]


# --- without a link ---------------------------------------------------------------------------------


def test_only_what_is_true_is_told_after_a_pause() -> None:
    bench = ready(2, ocpp={"AllowOfflineTxForUnknownId": "true"})
    bench.disconnect()
    bench.charge("TAG", 1)
    bench.advance(60)
    bench.swipe("TAG", 1)
    bench.plug_in(2)
    bench.plug_out(2)
    bench.connect()
    bench.advance(1)
    assert bench.statuses(0) == bench.statuses(2) == ["Available"]
    assert bench.statuses(1) == ["Available", "Finishing"]


def test_a_fault_that_came_and_went_is_not_replayed() -> None:
    bench = ready()
    bench.disconnect()
    bench.evses[0].inject(Fault(FaultKind.GROUND))
    bench.advance(10)
    bench.evses[0].clear()
    bench.connect()
    assert bench.statuses() == ["Available"]
    assert [e["status"] for e in bench.events if e["event"] == "status" and e["connector"] == 1] == [
        "Available",
        "Faulted",
        "Available",
    ]


# --- words ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stops", "status"), [("true", "Finishing"), ("false", "SuspendedEV")], ids=["stops", "goes-on"]
)
def test_unplugging_at_the_vehicle_is_said(stops: str, status: str) -> None:
    settings = {"StopTransactionOnEVSideDisconnect": stops, "UnlockConnectorOnEVSideDisconnect": "false"}
    bench = ready(ocpp=settings)
    bench.charge()
    bench.plug_out()
    assert (last(bench)["status"], last(bench)["info"]) == (status, "EV side disconnected")


def test_unplugging_a_vehicle_that_had_paused_is_said_too() -> None:
    bench = ready(ocpp={"StopTransactionOnEVSideDisconnect": "false"})
    bench.charge()
    bench.evses[0].adjust(draws=False)
    assert "info" not in last(bench)
    bench.plug_out()
    assert (last(bench)["status"], last(bench)["info"]) == ("SuspendedEV", "EV side disconnected")


@pytest.mark.parametrize("before", ["Charging", "SuspendedEV", "SuspendedEVSE"])
def test_the_end_of_a_transaction_says_nothing_of_the_way_there(before: str) -> None:
    settings = {"StopTransactionOnInvalidId": "false"}
    bench = WitnessBench([EvseInfo()], lag_s=2.0, meter_lag_s=5.0, ocpp=settings)
    bench.connect()
    status = "Invalid" if before == "SuspendedEVSE" else "Accepted"
    bench.csms.answers["StartTransaction"] = lambda payload: {
        "transactionId": 1,
        "idTagInfo": {"status": status},
    }
    bench.plug_in()
    bench.advance(5)
    bench.swipe("TAG")
    bench.advance(30)
    if before == "SuspendedEV":
        bench.evses[0].adjust(draws=False)
        bench.advance(5)
    assert bench.statuses()[-1] == before
    bench.evses[0].reading()
    bench.advance(1)  # the newest reading is older than the end, and the next comes in four seconds
    bench.swipe("TAG")
    for _ in range(10):
        assert bench.local_status() in (before, "Finishing")
        bench.advance(1)
    assert bench.statuses()[-2:] == [before, "Finishing"]
    assert len(bench.sent("StopTransaction")) == 1
