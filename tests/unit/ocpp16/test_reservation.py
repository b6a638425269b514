"""ReserveNow and CancelReservation (OCPP 1.6 §3.11, §5.1, §5.13; TC_046 to TC_053)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.ocpp16.times import format_time
from hal.api import Fault, FaultKind
from tests.unit.ocpp16.bench import START, Bench

HOT = Fault(FaultKind.OVER_TEMPERATURE)


def ready(connectors: int = 1, **options: Any) -> Bench:
    bench = Bench(connectors, **options)
    bench.connect()
    return bench


def reserve(
    bench: Bench,
    connector: int = 1,
    id_tag: str = "ANN",
    reservation: int = 7,
    seconds: float = 3600.0,
    parent: str | None = None,
) -> Any:
    payload = {
        "connectorId": connector,
        "expiryDate": format_time(bench.clock.now() + seconds),
        "idTag": id_tag,
        "reservationId": reservation,
    }
    answer = bench.call("ReserveNow", payload | ({} if parent is None else {"parentIdTag": parent}))
    return answer["status"] if isinstance(answer, dict) else answer


def cancel(bench: Bench, reservation: int = 7) -> str:
    return str(bench.call("CancelReservation", {"reservationId": reservation})["status"])


def remote(bench: Bench, id_tag: str, connector: int | None = 1) -> str:
    where = {} if connector is None else {"connectorId": connector}
    return str(bench.call("RemoteStartTransaction", {"idTag": id_tag, **where})["status"])


def started(bench: Bench) -> list[tuple[int, str, int | None]]:
    calls = bench.sent("StartTransaction")
    return [(p["connectorId"], p["idTag"], p.get("reservationId")) for p in calls]


def asked(bench: Bench) -> list[str]:
    return [p["idTag"] for p in bench.sent("Authorize")]


def groups(bench: Bench, **parents: str) -> None:
    """The central system knows whose parent is who."""

    def answer(payload: dict[str, Any]) -> dict[str, Any]:
        parent = parents.get(payload["idTag"])
        return {"idTagInfo": {"status": "Accepted"} | ({} if parent is None else {"parentIdTag": parent})}

    bench.csms.answers["Authorize"] = answer


def set_key(bench: Bench, key: str, value: str) -> None:
    assert bench.call("ChangeConfiguration", {"key": key, "value": value}) == {"status": "Accepted"}


def locally(bench: Bench, id_tag: str) -> None:
    bench.swipe(id_tag, 1)


def remotely(bench: Bench, id_tag: str) -> None:
    remote(bench, id_tag)


# --- one connector ----------------------------------------------------------------------------------


def test_046_1_a_reserved_connector_and_a_card() -> None:
    bench = ready()
    assert reserve(bench) == "Accepted"
    assert bench.statuses() == ["Available", "Reserved"]
    bench.swipe("BOB")
    assert asked(bench) == []
    assert bench.local_status() == "Reserved"
    bench.swipe("ann")
    bench.plug_in()
    bench.advance(10)
    assert started(bench) == [(1, "ann", 7)]
    assert bench.statuses() == ["Available", "Reserved", "Preparing", "Charging"]
    assert cancel(bench) == "Rejected"


def test_046_2_a_reserved_connector_and_remote_starts() -> None:
    bench = ready()
    reserve(bench)
    assert remote(bench, "BOB") == "Rejected"
    assert remote(bench, "BOB", None) == "Rejected"
    assert remote(bench, "ANN") == "Accepted"
    bench.plug_in()
    bench.advance(10)
    assert asked(bench) == []
    assert started(bench) == [(1, "ANN", 7)]
    assert bench.statuses() == ["Available", "Reserved", "Preparing", "Charging"]


def test_047_it_expires() -> None:
    bench = ready()
    reserve(bench, seconds=60)
    bench.advance(59)
    assert bench.statuses()[-1] == "Reserved"
    bench.advance(1)
    assert bench.statuses() == ["Available", "Reserved", "Available"]
    assert cancel(bench) == "Rejected"
    bench.charge("BOB")
    assert started(bench) == [(1, "BOB", None)]


def break_it(bench: Bench) -> None:
    bench.evses[0].inject(HOT)
    bench.advance(0)


def plug(bench: Bench) -> None:
    bench.plug_in()


def charge(bench: Bench) -> None:
    bench.charge()


def finish(bench: Bench) -> None:
    bench.charge()
    bench.swipe("TAG")
    bench.advance(10)
    assert bench.local_status() == "Finishing"


def card(bench: Bench) -> None:
    bench.swipe("TAG", 1)


def reserved(bench: Bench) -> None:
    assert reserve(bench, reservation=6) == "Accepted"


def switch_off(bench: Bench) -> None:
    bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})


def switch_all_off(bench: Bench) -> None:
    bench.call("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})


def break_and_switch_off(bench: Bench) -> None:
    switch_off(bench)
    break_it(bench)


@pytest.mark.parametrize("connector", [1, 0], ids=["048-connector", "050-station"])
@pytest.mark.parametrize(
    ("before", "status"),
    [
        (break_it, "Faulted"),
        (break_and_switch_off, "Faulted"),
        (plug, "Occupied"),
        (card, "Occupied"),
        (charge, "Occupied"),
        (finish, "Occupied"),
        (reserved, "Occupied"),
        (switch_off, "Unavailable"),
        (switch_all_off, "Unavailable"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_048_050_what_stands_against_it(before: Any, status: str, connector: int) -> None:
    bench = ready()
    before(bench)
    shown = bench.statuses()[-1]
    assert reserve(bench, connector) == status
    assert reserve(bench, connector, seconds=-1) == status
    assert cancel(bench) == "Rejected"
    assert bench.statuses()[-1] == shown


@pytest.mark.parametrize("connector", [-1, 2, 99])
def test_048_4_an_unknown_connector_is_rejected(connector: int) -> None:
    assert reserve(ready(), connector) == "Rejected"


@pytest.mark.parametrize("connector", [0, 1])
def test_what_has_expired_already_is_rejected(connector: int) -> None:
    bench = ready()
    assert reserve(bench, connector, seconds=0) == "Rejected"
    assert bench.statuses() == ["Available"]


def test_050_4_connector_0_where_it_is_not_supported() -> None:
    bench = ready(ocpp={"ReserveConnectorZeroSupported": "false"})
    assert reserve(bench, 0) == "Rejected"
    assert reserve(bench, 1) == "Accepted"


def test_048_4_without_the_profile() -> None:
    bench = ready(ocpp={"SupportedFeatureProfiles": "Core,SmartCharging"})
    assert reserve(bench) == "Rejected"
    assert cancel(bench) == "Rejected"


def test_051_cancelled() -> None:
    bench = ready()
    reserve(bench)
    n = len(bench.csms.frames)
    assert cancel(bench) == "Accepted"
    said = [frame[2] for way, frame in bench.csms.frames[n:] if way == "tx"]
    assert said == [{"status": "Accepted"}, "StatusNotification"]
    assert bench.statuses()[-1] == "Available"
    bench.swipe("BOB")
    assert asked(bench) == ["BOB"]


def test_052_nothing_to_cancel() -> None:
    bench = ready()
    reserve(bench)
    assert cancel(bench, 8) == "Rejected"
    assert bench.local_status() == "Reserved"


@pytest.mark.parametrize("reservation", [0, -3])
def test_0_is_an_ordinary_id(reservation: int) -> None:
    bench = ready(2)
    assert reserve(bench, 1, reservation=reservation) == "Accepted"
    assert reserve(bench, 2, "BOB", reservation=9) == "Accepted"
    bench.charge("ANN", 1)
    assert started(bench) == [(1, "ANN", reservation)]
    assert reserve(bench, 2, "CID", reservation=reservation) == "Occupied"
    assert cancel(bench, reservation) == "Rejected"
    assert cancel(bench, 9) == "Accepted"


@pytest.mark.parametrize("start", [locally, remotely])
def test_053_a_member_of_the_group(start: Any) -> None:
    bench = ready()
    groups(bench, BOB="GROUP", EVE="OTHERS")
    reserve(bench, parent="group")
    for stranger in ("EVE", "NOBODY"):
        start(bench, stranger)
        assert asked(bench)[-1] == stranger
        assert bench.local_status() == "Reserved"
    start(bench, "BOB")
    assert asked(bench)[-1] == "BOB"
    bench.plug_in()
    bench.advance(10)
    assert started(bench) == [(1, "BOB", 7)]
    assert bench.statuses() == ["Available", "Reserved", "Preparing", "Charging"]


def test_053_2_a_remote_start_whose_parent_is_known() -> None:
    bench = ready()
    groups(bench, BOB="GROUP", EVE="OTHERS")
    for id_tag in ("BOB", "EVE"):
        bench.swipe(id_tag)
        bench.swipe(id_tag)
    reserve(bench, parent="GROUP")
    assert remote(bench, "EVE") == "Rejected"
    assert remote(bench, "EVE", None) == "Rejected"
    assert remote(bench, "NEW") == "Accepted"
    assert remote(bench, "BOB", None) == "Accepted"
    bench.plug_in()
    assert asked(bench) == ["BOB", "EVE", "NEW"]
    assert started(bench) == [(1, "BOB", 7)]


@pytest.mark.parametrize("parent", [None, "GROUP"], ids=["alone", "group"])
def test_a_stranger_offline_is_refused(parent: str | None) -> None:
    bench = ready()
    set_key(bench, "AllowOfflineTxForUnknownId", "true")
    reserve(bench, parent=parent)
    bench.disconnect()
    bench.plug_in()
    bench.swipe("BOB")
    bench.advance(10)
    assert bench.local_status() == "Reserved"
    bench.swipe("ANN")
    bench.advance(10)
    assert bench.local_status() == "Charging"


def test_a_cable_does_not_end_it() -> None:
    bench = ready()
    reserve(bench)
    bench.plug_in()
    bench.advance(1000)
    assert bench.statuses() == ["Available", "Reserved"]
    bench.swipe("ANN")
    bench.advance(10)
    assert bench.statuses() == ["Available", "Reserved", "Preparing", "Charging"]


def test_a_cable_in_when_it_ends() -> None:
    bench = ready()
    reserve(bench, seconds=60)
    bench.plug_in()
    bench.advance(60)
    assert bench.statuses() == ["Available", "Reserved", "Preparing"]


@pytest.mark.parametrize("connector", [1, 0])
@pytest.mark.parametrize("start", [locally, remotely])
def test_nobody_plugs_in_and_it_is_reserved_again(start: Any, connector: int) -> None:
    bench = ready()
    reserve(bench, connector)
    start(bench, "ANN")
    assert bench.local_status() == "Preparing"
    bench.advance(120)
    assert bench.statuses() == ["Available", "Reserved", "Preparing", "Available", "Reserved"]
    start(bench, "ANN")
    bench.plug_in()
    assert started(bench) == [(1, "ANN", 7)]


def test_it_expires_while_its_user_prepares() -> None:
    bench = ready()
    reserve(bench, seconds=30)
    bench.swipe("ANN")
    bench.advance(31)
    assert bench.local_status() == "Preparing"
    bench.plug_in()
    assert started(bench) == [(1, "ANN", None)]


@pytest.mark.parametrize("connector", [1, 0])
@pytest.mark.parametrize(
    ("end", "status"), [(break_it, "Faulted"), (switch_off, "Unavailable"), (switch_all_off, "Unavailable")]
)
@pytest.mark.parametrize("plugged", [False, True], ids=["empty", "plugged"])
def test_a_fault_or_a_command_ends_it(end: Any, status: str, connector: int, plugged: bool) -> None:
    bench = ready()
    reserve(bench, connector)
    if plugged:
        bench.plug_in()
    end(bench)
    assert bench.statuses() == ["Available", "Reserved", status]
    assert cancel(bench) == "Rejected"
    bench.evses[0].clear()
    switch_on = {"connectorId": 0, "type": "Operative"}
    bench.call("ChangeAvailability", switch_on)
    assert bench.statuses()[-1] == ("Preparing" if plugged else "Available")


def test_inoperative_while_its_user_prepares_waits() -> None:
    bench = ready()
    reserve(bench)
    bench.swipe("ANN")
    answer = bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
    assert answer == {"status": "Scheduled"}
    bench.advance(120)
    assert bench.statuses()[-2:] == ["Available", "Unavailable"]
    assert cancel(bench) == "Rejected"


def test_the_same_id_again_takes_its_place() -> None:
    bench = ready(2)
    reserve(bench, 1)
    assert reserve(bench, 2, "BOB", seconds=60) == "Accepted"
    assert (bench.local_status(1), bench.local_status(2)) == ("Available", "Reserved")
    assert reserve(bench, 2, "BOB", seconds=120) == "Accepted"
    bench.plug_in(2)
    assert reserve(bench, 2, "CID", seconds=180) == "Accepted"
    bench.advance(179)
    assert bench.local_status(2) == "Reserved"
    bench.advance(1)
    assert bench.local_status(2) == "Preparing"


def test_the_same_id_again_in_vain() -> None:
    bench = ready(2)
    reserve(bench, 1)
    bench.charge("BOB", 2)
    assert reserve(bench, 2, "CID") == "Occupied"
    assert reserve(bench, 1, "CID", seconds=-5) == "Rejected"
    bench.charge("ANN", 1)
    assert started(bench)[-1] == (1, "ANN", 7)


def test_free_charging_and_somebody_else_s_reservation() -> None:
    bench = ready(behaviour={"free_charging_id_tag": "FREE"})
    reserve(bench, seconds=60)
    bench.plug_in()
    assert started(bench) == []
    bench.advance(60)
    assert started(bench) == [(1, "FREE", None)]


@pytest.mark.parametrize("date", ["", "tomorrow", "2026-13-01T00:00:00Z"])
def test_an_expiry_date_that_is_none(date: str) -> None:
    bench = ready()
    payload = {"connectorId": 1, "expiryDate": date, "idTag": "ANN", "reservationId": 1}
    assert bench.call("ReserveNow", payload) == "PropertyConstraintViolation"
    assert bench.statuses() == ["Available"]


# --- several connectors -----------------------------------------------------------------------------


def test_without_a_connector_it_is_the_reserved_one_or_a_free_one() -> None:
    bench = ready(2)
    reserve(bench, 2)
    assert remote(bench, "BOB", None) == "Accepted"
    assert bench.local_status(1) == "Preparing"
    assert remote(bench, "CID", None) == "Rejected"
    assert remote(bench, "ANN", None) == "Accepted"
    bench.plug_in(2)
    bench.plug_in(1)
    assert started(bench) == [(2, "ANN", 7), (1, "BOB", None)]


def test_a_card_at_the_shared_reader_means_its_reservation() -> None:
    bench = ready(2)
    reserve(bench, 2)
    bench.plug_in(1)
    bench.plug_in(2)
    bench.swipe("ANN")
    assert started(bench) == [(2, "ANN", 7)]
    bench.swipe("BOB")
    assert started(bench)[1:] == [(1, "BOB", None)]


@pytest.mark.parametrize("connector", [1, 2])
def test_049_any_connector_will_do(connector: int) -> None:
    bench = ready(2)
    assert reserve(bench, 0) == "Accepted"
    assert (bench.statuses(1), bench.statuses(2)) == (["Available"], ["Available"])
    bench.plug_in(connector)
    bench.swipe("ANN")
    bench.advance(10)
    assert started(bench) == [(connector, "ANN", 7)]
    assert (bench.local_status(connector), bench.local_status(3 - connector)) == ("Charging", "Available")
    assert cancel(bench) == "Rejected"


def test_049_the_only_connector_is_shown_as_reserved() -> None:
    bench = ready()
    assert reserve(bench, 0) == "Accepted"
    assert bench.statuses() == ["Available", "Reserved"]
    bench.swipe("BOB")
    assert (asked(bench), remote(bench, "BOB")) == ([], "Rejected")
    bench.charge("ANN")
    assert started(bench) == [(1, "ANN", 7)]
    assert bench.statuses() == ["Available", "Reserved", "Preparing", "Charging"]


def test_049_one_stays_free() -> None:
    bench = ready(3)
    reserve(bench, 0, parent="GROUP")
    groups(bench, DAN="GROUP")
    bench.charge("BOB", 1)
    assert [bench.local_status(n) for n in (1, 2, 3)] == ["Charging", "Available", "Available"]
    bench.plug_in(2)
    assert [bench.local_status(n) for n in (2, 3)] == ["Preparing", "Reserved"]
    assert reserve(bench, 3, "EVE", 8) == "Occupied"
    bench.plug_in(3)
    bench.swipe("BOB", 3)
    assert bench.local_status(3) == "Reserved"
    bench.swipe("DAN", 3)
    assert started(bench)[-1] == (3, "DAN", 7)
    bench.plug_out(2)
    assert bench.local_status(2) == "Available"


def test_049_as_many_reservations_as_connectors() -> None:
    bench = ready(2)
    assert [reserve(bench, 0, tag, n) for n, tag in enumerate(("ANN", "BOB", "CID"))] == [
        "Accepted",
        "Accepted",
        "Occupied",
    ]
    assert (bench.local_status(1), bench.local_status(2)) == ("Reserved", "Reserved")
    bench.swipe("BOB")
    bench.plug_in(2)
    assert started(bench) == [(2, "BOB", 1)]
    assert bench.local_status(1) == "Reserved"
    assert cancel(bench, 0) == "Accepted"
    assert bench.local_status(1) == "Available"


def test_049_who_waits_for_a_plug_counts() -> None:
    bench = ready(2)
    bench.swipe("BOB")
    assert reserve(bench, 0) == "Accepted"
    assert reserve(bench, 0, "CID", 8) == "Occupied"
    bench.plug_in(1)
    assert started(bench) == [(1, "BOB", None)]
    assert bench.local_status(2) == "Reserved"


def test_049_a_fault_elsewhere_leaves_the_other_to_the_reservation() -> None:
    bench = ready(2)
    reserve(bench, 0)
    break_it(bench)
    assert (bench.local_status(1), bench.local_status(2)) == ("Faulted", "Reserved")
    bench.evses[0].clear()
    bench.advance(0)
    assert (bench.local_status(1), bench.local_status(2)) == ("Available", "Available")


# --- restarts and failures --------------------------------------------------------------------------


@pytest.mark.parametrize("connector", [1, 0])
@pytest.mark.parametrize("plugged", [False, True], ids=["empty", "plugged"])
def test_it_survives_a_power_cut(connector: int, plugged: bool) -> None:
    bench = ready()
    reserve(bench, connector, parent="GROUP")
    if plugged:
        bench.plug_in()
    bench.restart()
    bench.connect()
    assert bench.statuses()[-1] == "Reserved"
    groups(bench, BOB="GROUP")
    bench.charge("BOB") if not plugged else bench.swipe("BOB")
    assert started(bench) == [(1, "BOB", 7)]
    bench.restart()
    bench.connect()
    assert cancel(bench) == "Rejected"


def test_what_expired_meanwhile_is_gone() -> None:
    bench = ready()
    reserve(bench, seconds=60)
    bench.cp.close()
    bench.clock.advance(60)
    bench.restart()
    bench.connect()
    assert bench.statuses()[-1] == "Available"
    assert list(bench.store.items("reservation")) == []


def test_it_follows_the_station_s_time() -> None:
    bench = ready()
    reserve(bench, seconds=3600)
    bench.csms.answers["Heartbeat"] = lambda payload: {"currentTime": format_time(START + 7200)}
    bench.advance(300)
    assert bench.statuses()[-1] == "Available"


def test_the_status_reply_names_it() -> None:
    bench = ready(3)
    reserve(bench, 2, reservation=5)
    reservations, connectors = bench.cp.connectors.reservations, bench.cp.connectors
    assert [reservations.shown(connector) for connector in connectors.all] == [None, 5, None]
    bench.charge("BOB", 1)
    reserve(bench, 0, "CID", 6)
    assert [reservations.shown(connector) for connector in connectors.all] == [None, 5, 6]
    bench.swipe("CID")
    assert [reservations.shown(connector) for connector in connectors.all] == [None, 5, 6]
    bench.plug_in(3)
    assert bench.cp.connectors[3].transaction is not None
    assert [reservations.shown(connector) for connector in connectors.all] == [None, 5, 6]
