"""Which status follows which: the table, the way over it, a story for each edge (OCPP 1.6 §4.9)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise, product

import pytest

from chargepoint.ocpp16.status import LEGAL, Status, path
from hal.api import EvseInfo, Fault, FaultKind
from tests.status_pairs import EDGES, illegal, legal
from tests.unit.ocpp16.bench import Bench

TETHERED = EvseInfo(tethered=True, lockable=False)
HOT = Fault(FaultKind.OVER_TEMPERATURE)


def test_the_table_is_the_specification_s() -> None:
    assert {(before.value, after.value) for before in LEGAL for after in LEGAL[before]} == set(EDGES)


@pytest.mark.parametrize(("last", "now"), list(product(Status, Status)), ids=lambda status: status.value)
def test_every_way_is_legal_and_no_longer_than_needed(last: Status, now: Status) -> None:
    way = (last, *path(last, now))
    assert way[-1] is now
    assert len(way) <= (1 if last is now else 2 if now in LEGAL[last] else 4)
    assert all(legal(1, before.value, after.value) for before, after in pairwise(way))
    assert Status.FAULTED not in way[1:-1]
    assert Status.RESERVED not in way[1:-1]


@pytest.mark.parametrize(
    ("last", "now", "way"),
    [
        ("Preparing", "Unavailable", ["Available", "Unavailable"]),
        ("Preparing", "Reserved", ["Available", "Reserved"]),
        ("Reserved", "Charging", ["Preparing", "Charging"]),
        ("Charging", "Preparing", ["Available", "Preparing"]),
        ("Unavailable", "Finishing", ["Preparing", "Finishing"]),
    ],
)
def test_the_steps_people_miss(last: str, now: str, way: list[str]) -> None:
    assert [step.value for step in path(Status(last), Status(now))] == way


# --- a story for each edge this station takes -------------------------------------------------------


def ready(info: EvseInfo | None = None, connectors: int = 1, **options: object) -> Bench:
    bench = Bench(connectors, info, **options)  # type: ignore[arg-type]  # options of one test each
    bench.connect()
    return bench


def limit(bench: Bench, amperes: float | None) -> None:
    """Set or lift a limit for connector 1."""
    if amperes is None:
        assert bench.call("ClearChargingProfile", {"id": 1}) == {"status": "Accepted"}
        return
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": amperes}]}
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    }
    answer = bench.call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})
    assert answer == {"status": "Accepted"}


def inoperative(bench: Bench) -> str:
    return str(bench.call("ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})["status"])


def operative(bench: Bench) -> None:
    assert bench.call("ChangeAvailability", {"connectorId": 1, "type": "Operative"})["status"] == "Accepted"


def charging(info: EvseInfo | None = None) -> Bench:
    bench = ready(info)
    bench.charge()
    return bench


def suspended_ev(info: EvseInfo | None = None) -> Bench:
    bench = charging(info)
    bench.evses[0].adjust(draws=False)
    return bench


def suspended_evse(info: EvseInfo | None = None) -> Bench:
    bench = charging(info)
    limit(bench, 0.0)
    return bench


def finishing() -> Bench:
    bench = charging()
    bench.swipe("TAG")
    return bench


def faulted(bench: Bench) -> Bench:
    bench.evses[0].inject(HOT)
    return bench


def a2_plugged_in() -> Bench:
    bench = ready()
    bench.plug_in()
    return bench


def a2_tag_presented() -> Bench:
    bench = ready()
    bench.swipe("TAG")
    return bench


def a2_remote_start() -> Bench:
    bench = ready()
    bench.call("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1})
    return bench


def a5_free_charging_without_energy() -> Bench:
    bench = ready(behaviour={"free_charging_id_tag": "FREE"})
    limit(bench, 0.0)
    bench.plug_in()
    return bench


def a8_inoperative() -> Bench:
    bench = ready()
    assert inoperative(bench) == "Accepted"
    return bench


def a9_fault() -> Bench:
    return faulted(ready())


def b1_unplugged() -> Bench:
    bench = a2_plugged_in()
    bench.plug_out()
    return bench


def b1_tag_presented_again() -> Bench:
    bench = a2_tag_presented()
    bench.swipe("tag")
    return bench


def b1_nobody_plugged_in() -> Bench:
    bench = a2_tag_presented()
    bench.advance(120)
    return bench


def b3_vehicle_takes() -> Bench:
    return charging()


def b4_vehicle_does_not_take() -> Bench:
    bench = ready()
    bench.plug_in(soc_percent=100)
    bench.swipe("TAG")
    bench.advance(10)
    return bench


def b5_nothing_to_offer() -> Bench:
    bench = ready()
    limit(bench, 0.0)
    bench.plug_in()
    bench.swipe("TAG")
    return bench


def b6_nobody_authorised() -> Bench:
    bench = ready(connectors=2)
    bench.plug_in()
    bench.advance(120)
    return bench


def b9_fault() -> Bench:
    return faulted(a2_plugged_in())


def c1_tethered_cable_pulled() -> Bench:
    bench = charging(TETHERED)
    bench.plug_out()
    return bench


def c4_vehicle_stops_asking() -> Bench:
    return suspended_ev()


def c5_limit_zero() -> Bench:
    return suspended_evse()


def c6_stopped() -> Bench:
    return finishing()


def c8_tethered_cable_pulled_and_scheduled() -> Bench:
    bench = charging(TETHERED)
    assert inoperative(bench) == "Scheduled"
    bench.plug_out()
    return bench


def c9_fault() -> Bench:
    return faulted(charging())


def d1_tethered_cable_pulled() -> Bench:
    bench = suspended_ev(TETHERED)
    bench.plug_out()
    return bench


def d3_vehicle_asks_again() -> Bench:
    bench = suspended_ev()
    bench.evses[0].adjust(draws=True)
    bench.advance(10)
    return bench


def d5_limit_zero() -> Bench:
    bench = suspended_ev()
    limit(bench, 0.0)
    return bench


def d6_stopped() -> Bench:
    bench = suspended_ev()
    bench.swipe("TAG")
    return bench


def d8_tethered_cable_pulled_and_scheduled() -> Bench:
    bench = suspended_ev(TETHERED)
    assert inoperative(bench) == "Scheduled"
    bench.plug_out()
    return bench


def d9_fault() -> Bench:
    return faulted(suspended_ev())


def e1_tethered_cable_pulled() -> Bench:
    bench = suspended_evse(TETHERED)
    bench.plug_out()
    return bench


def e3_limit_lifted() -> Bench:
    bench = suspended_evse()
    limit(bench, None)
    bench.advance(10)
    return bench


def e4_limit_lifted_but_vehicle_does_not_take() -> Bench:
    bench = suspended_evse()
    bench.evses[0].adjust(draws=False)
    limit(bench, None)
    bench.advance(10)
    return bench


def e6_stopped() -> Bench:
    bench = suspended_evse()
    bench.swipe("TAG")
    return bench


def e8_tethered_cable_pulled_and_scheduled() -> Bench:
    bench = suspended_evse(TETHERED)
    assert inoperative(bench) == "Scheduled"
    bench.plug_out()
    return bench


def e9_fault() -> Bench:
    return faulted(suspended_evse())


def f1_unplugged() -> Bench:
    bench = finishing()
    bench.plug_out()
    return bench


def f2_started_again_remotely() -> Bench:
    bench = b6_nobody_authorised()
    bench.call("RemoteStartTransaction", {"idTag": "TAG", "connectorId": 1})
    return bench


def f8_inoperative() -> Bench:
    bench = finishing()
    assert inoperative(bench) == "Accepted"
    return bench


def f8_unplugged_and_scheduled() -> Bench:
    bench = charging()
    assert inoperative(bench) == "Scheduled"
    bench.swipe("TAG")
    bench.plug_out()
    return bench


def f9_fault() -> Bench:
    return faulted(finishing())


def h1_operative() -> Bench:
    bench = a8_inoperative()
    operative(bench)
    return bench


def h2_operative_with_a_cable_in() -> Bench:
    bench = a8_inoperative()
    bench.plug_in()
    operative(bench)
    return bench


def h5_operative_with_everything_but_energy() -> Bench:
    bench = ready(behaviour={"free_charging_id_tag": "FREE"})
    limit(bench, 0.0)
    inoperative(bench)
    bench.plug_in()
    operative(bench)
    return bench


def h9_fault() -> Bench:
    return faulted(a8_inoperative())


def cleared(bench: Bench) -> Bench:
    bench.evses[0].clear()
    return bench


def i1_cleared() -> Bench:
    return cleared(a9_fault())


def i2_cleared_with_a_cable_in() -> Bench:
    return cleared(b9_fault())


def i5_cleared_in_time() -> Bench:
    bench = c9_fault()
    bench.advance(30)
    return cleared(bench)


def i6_cleared_too_late() -> Bench:
    bench = c9_fault()
    bench.advance(60)
    return cleared(bench)


def i8_cleared_but_inoperative() -> Bench:
    bench = b9_fault()
    assert inoperative(bench) == "Accepted"
    assert bench.local_status() == "Faulted"
    return cleared(bench)


def a7_reserved() -> Bench:
    bench = ready()
    payload = {"connectorId": 1, "expiryDate": "2026-01-01T01:00:00Z", "idTag": "TAG", "reservationId": 1}
    assert bench.call("ReserveNow", payload) == {"status": "Accepted"}
    return bench


def g1_cancelled() -> Bench:
    bench = a7_reserved()
    assert bench.call("CancelReservation", {"reservationId": 1}) == {"status": "Accepted"}
    return bench


def g2_the_reserved_card() -> Bench:
    bench = a7_reserved()
    bench.swipe("TAG")
    return bench


def g8_inoperative_while_reserved() -> Bench:
    bench = a7_reserved()
    assert inoperative(bench) == "Accepted"
    return bench


def g9_fault_while_reserved() -> Bench:
    bench = a7_reserved()
    bench.evses[0].inject(HOT)
    return bench


STORIES: list[Callable[[], Bench]] = [
    story for name, story in list(globals().items()) if name[:1] in "abcdefghi" and name[1:2].isdigit()
]

ANOTHER_WAY = {
    "A3": "what starts without a card is Preparing until the vehicle has reacted",
    "A4": "the same",
    "H3": "the same",
    "H4": "the same",
    "I3": "what was interrupted is SuspendedEVSE until the vehicle has reacted",
    "I4": "the same",
    "I7": "a fault ends the reservation",
}
"""Edges this station does not take, or that are told elsewhere."""


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_each_edge_has_its_story(story: Callable[[], Bench]) -> None:
    bench = story()
    bench.advance(0)
    here = [e["status"] for e in bench.events if e["event"] == "status" and e["connector"] == 1]
    edge = {name: pair for pair, name in EDGES.items()}[story.__name__[:2].upper()]
    assert tuple(here[-2:]) == edge
    assert tuple(bench.statuses()[-2:]) == edge


def test_no_edge_is_forgotten() -> None:
    told = {story.__name__[:2].upper() for story in STORIES}
    assert sorted(told | set(ANOTHER_WAY)) == sorted(EDGES.values())
    assert not told & set(ANOTHER_WAY)


# --- connector 0, and the check itself --------------------------------------------------------------


def test_connector_0_has_three_statuses_of_its_own() -> None:
    bench = ready()
    bench.charge()
    for faults in ((HOT,), ()):
        with bench.cp.turn as turn:
            bench.cp.connectors.faults = faults
            bench.cp.statuses.refresh(0)
            turn.settle_all()
        bench.advance(0)
    bench.call("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})
    assert bench.statuses(0) == ["Available", "Faulted", "Available", "Unavailable"]
    assert bench.statuses(1) == ["Available", "Preparing", "Charging"]


@pytest.mark.parametrize("pair", sorted(set(product(map(str, Status), repeat=2)) - set(EDGES)))
def test_the_check_of_whole_runs_finds_each_illegal_pair(pair: tuple[str, str]) -> None:
    events = [{"event": "status", "connector": 1, "status": status} for status in pair]
    frames = [[2, "1", "StatusNotification", {"connectorId": 1, "status": status}] for status in pair]
    told: list[dict[str, object]] = [{"event": "ocpp", "dir": "tx", "frame": frame} for frame in frames]
    assert len(illegal([*events, *told])) == (0 if pair[0] == pair[1] else 2)
    assert illegal([told[0], {"event": "connection", "online": True}, told[1]]) == []


def test_the_check_of_whole_runs_knows_connector_0() -> None:
    events = [{"event": "status", "connector": 0, "status": status} for status in ("Available", "Charging")]
    assert illegal(events) == ["status event: connector 0 goes from Available to Charging"]
