"""RemoteStartTransaction and RemoteStopTransaction (OCPP 1.6 §5.11, §5.12)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hal.api import Fault, FaultKind
from tests.unit.ocpp16.bench import Bench

HOT = Fault(FaultKind.OVER_TEMPERATURE)
NOBODY = {"idTagInfo": {"status": "Invalid"}}


def ready(connectors: int = 1, **options: Any) -> Bench:
    bench = Bench(connectors, **options)
    bench.connect()
    return bench


def start(bench: Bench, connector: int | None = 1, id_tag: str = "TAG", **more: Any) -> str:
    where = {} if connector is None else {"connectorId": connector}
    return str(bench.call("RemoteStartTransaction", {"idTag": id_tag, **where, **more})["status"])


def stop(bench: Bench, transaction_id: int) -> str:
    return str(bench.call("RemoteStopTransaction", {"transactionId": transaction_id})["status"])


def started(bench: Bench) -> list[tuple[int, str]]:
    return [(p["connectorId"], p["idTag"]) for p in bench.sent("StartTransaction")]


@pytest.mark.parametrize("asks", [False, True], ids=["not-authorized", "authorized"])
@pytest.mark.parametrize("plug_first", [False, True], ids=["remote-first", "plug-first"])
def test_a_remote_start_charges_in_either_order(plug_first: bool, asks: bool) -> None:
    bench = ready(ocpp={"AuthorizeRemoteTxRequests": str(asks).lower()})
    if plug_first:
        bench.plug_in()
    assert start(bench) == "Accepted"
    if not plug_first:
        assert bench.local_status() == "Preparing"
        bench.plug_in()
    bench.advance(10)
    assert bench.statuses() == ["Available", "Preparing", "Charging"]
    assert started(bench) == [(1, "TAG")]
    assert bench.sent("Authorize") == ([{"idTag": "TAG"}] if asks else [])


def test_the_answer_goes_out_before_what_it_causes() -> None:
    bench = ready()
    bench.plug_in()
    n = len(bench.csms.frames)
    start(bench)
    said = [frame[2] if frame[0] == 2 else "conf" for way, frame in bench.csms.frames[n:] if way == "tx"]
    assert said == ["conf", "StartTransaction"]


def test_who_is_not_authorized_was_accepted_all_the_same() -> None:
    bench = ready(ocpp={"AuthorizeRemoteTxRequests": "true"})
    bench.csms.answers["Authorize"] = lambda payload: NOBODY
    assert start(bench) == "Accepted"
    bench.plug_in()
    bench.advance(10)
    assert bench.statuses() == ["Available", "Preparing"]
    assert started(bench) == []


def test_nobody_plugs_in() -> None:
    bench = ready(ocpp={"ConnectionTimeOut": "60"})
    start(bench)
    bench.advance(59)
    assert bench.local_status() == "Preparing"
    bench.advance(1)
    assert bench.statuses() == ["Available", "Preparing", "Available"]
    bench.plug_in()
    bench.advance(10)
    assert started(bench) == []


# --- when it is rejected ----------------------------------------------------------------------------


def charging(bench: Bench) -> None:
    bench.charge("OTHER")


def finishing(bench: Bench) -> None:
    bench.charge("OTHER")
    bench.swipe("OTHER")


def faulted(bench: Bench) -> None:
    bench.evses[0].inject(HOT)


def station_faulted(bench: Bench) -> None:
    with bench.cp.turn as turn:
        bench.cp.connectors.faults = (HOT,)
        turn.settle_all()


def unavailable(bench: Bench) -> None:
    bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})


def station_unavailable(bench: Bench) -> None:
    bench.call("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})


def scheduled(bench: Bench) -> None:
    bench.plug_in()
    unavailable(bench)
    assert bench.local_status() == "Preparing"


def claimed(bench: Bench) -> None:
    assert start(bench, 1, "OTHER") == "Accepted"


def being_authorized(bench: Bench) -> None:
    bench.call("ChangeConfiguration", {"key": "AuthorizeRemoteTxRequests", "value": "true"})
    bench.csms.answers["Authorize"] = lambda payload: None
    assert start(bench, 1, "OTHER") == "Accepted"


def held(bench: Bench) -> None:
    bench.csms.answers["StartTransaction"] = lambda payload: {"transactionId": 1, **NOBODY}
    bench.charge("OTHER")


TAKEN: list[Callable[[Bench], None]] = [
    charging,
    finishing,
    faulted,
    station_faulted,
    unavailable,
    station_unavailable,
    scheduled,
    claimed,
    being_authorized,
    held,
]


@pytest.mark.parametrize("where", [1, None], ids=["connector-1", "anywhere"])
@pytest.mark.parametrize("state", TAKEN, ids=lambda state: state.__name__)
def test_what_is_taken_is_not_given_again(state: Callable[[Bench], None], where: int | None) -> None:
    bench = ready()
    state(bench)
    before = started(bench)
    assert start(bench, where) == "Rejected"
    bench.advance(10)
    assert started(bench) == before


@pytest.mark.parametrize("connector", [0, -1, 3])
def test_there_is_no_such_connector(connector: int) -> None:
    assert start(ready(2), connector) == "Rejected"


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_an_unregistered_station_starts_nothing(status: str) -> None:
    bench = Bench()
    boot = bench.csms.usual("BootNotification")({})
    assert isinstance(boot, dict)
    bench.csms.answers["BootNotification"] = lambda payload: boot | {"status": status}
    bench.connect()
    answer = bench.call("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1})
    assert answer == ({"status": "Rejected"} if status == "Pending" else None)


def test_a_fault_while_it_waits_ends_the_waiting() -> None:
    bench = ready()
    start(bench)
    faulted(bench)
    bench.evses[0].clear()
    bench.plug_in()
    bench.advance(10)
    assert bench.statuses() == ["Available", "Preparing", "Faulted", "Available", "Preparing"]


# --- without a connector ----------------------------------------------------------------------------


def test_two_in_sequence_serve_two_connectors_and_a_third_none() -> None:
    bench = ready(2)
    assert [start(bench, None, tag) for tag in ("ANN", "BOB", "CAT")] == ["Accepted", "Accepted", "Rejected"]
    assert bench.statuses(1) == bench.statuses(2) == ["Available"], "no connector is known yet"
    bench.plug_in(2)
    bench.plug_in(1)
    assert started(bench) == [(2, "ANN"), (1, "BOB")]


def test_two_in_sequence_are_counted_while_they_are_authorized() -> None:
    bench = ready(2, ocpp={"AuthorizeRemoteTxRequests": "true"})
    bench.csms.answers["Authorize"] = lambda payload: None
    assert [start(bench, None, tag) for tag in ("ANN", "BOB", "CAT")] == ["Accepted", "Accepted", "Rejected"]


def test_the_one_that_is_plugged_in_takes_it() -> None:
    bench = ready(2)
    bench.plug_in(2)
    assert start(bench, None) == "Accepted"
    assert started(bench) == [(2, "TAG")]


def test_the_only_free_one_takes_it() -> None:
    bench = ready(2)
    bench.charge("OTHER", 1)
    assert start(bench, None) == "Accepted"
    assert bench.statuses(2)[-1] == "Preparing"
    assert start(bench, None) == "Rejected"


def test_waiting_without_a_connector_ends_as_well() -> None:
    bench = ready(2, ocpp={"ConnectionTimeOut": "60"})
    start(bench, None)
    bench.advance(60)
    bench.plug_in(1)
    assert started(bench) == []
    assert bench.statuses(1) == ["Available", "Preparing"]


def test_a_connector_may_be_demanded() -> None:
    bench = ready(compatibility={"remote_start_without_connector": "reject"})
    assert start(bench, None) == "Rejected"
    assert start(bench, 1) == "Accepted"


# --- F2: a vehicle that waited for too long ---------------------------------------------------------


def test_a_vehicle_that_waited_for_too_long_is_started_by_name_only() -> None:
    bench = ready(2)
    bench.plug_in(1)
    bench.advance(120)
    assert bench.statuses(1)[-1] == "Finishing"
    start(bench, None, "OTHER")
    bench.advance(10)
    assert started(bench) == []
    assert start(bench, 1) == "Accepted"
    bench.advance(10)
    assert bench.statuses(1)[-3:] == ["Finishing", "Preparing", "Charging"]


# --- RemoteStopTransaction --------------------------------------------------------------------------


def test_remote_stop() -> None:
    bench = ready()
    bench.charge()
    n = len(bench.csms.frames)
    assert stop(bench, 1) == "Accepted"
    said = [frame[2] if frame[0] == 2 else "conf" for way, frame in bench.csms.frames[n:] if way == "tx"]
    assert said == ["conf", "StopTransaction", "StatusNotification"]
    stopped = bench.sent("StopTransaction")[0]
    assert stopped["reason"] == "Remote"
    assert "idTag" not in stopped
    assert bench.statuses()[-1] == "Finishing"
    assert not bench.evses[0].locked
    assert stop(bench, 1) == "Rejected"


@pytest.mark.parametrize("number", [0, -5])
def test_any_number_is_a_transaction_id(number: int) -> None:
    bench = ready()
    bench.csms.answers["StartTransaction"] = lambda payload: {
        "transactionId": number,
        "idTagInfo": {"status": "Accepted"},
    }
    bench.charge()
    assert stop(bench, 1) == "Rejected"
    assert stop(bench, number) == "Accepted"
    assert bench.sent("StopTransaction")[0]["transactionId"] == number


def test_a_transaction_without_a_number_cannot_be_meant() -> None:
    bench = ready()
    bench.csms.answers["StartTransaction"] = lambda payload: None
    bench.charge()
    assert stop(bench, 0) == "Rejected"
    assert bench.local_status() == "Charging"


def test_a_suspended_transaction_stops_too() -> None:
    bench = ready(ocpp={"StopTransactionOnEVSideDisconnect": "false"})
    bench.charge()
    bench.plug_out()
    assert bench.statuses()[-1] == "SuspendedEV"
    assert stop(bench, 1) == "Accepted"
    assert [p["reason"] for p in bench.sent("StopTransaction")] == ["Remote"]
    assert not bench.evses[0].locked
    assert bench.statuses()[-2:] == ["Finishing", "Available"]
