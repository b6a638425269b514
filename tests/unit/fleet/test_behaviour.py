"""Drivers and troubles at stations in memory: what they do, and that the same seed gives the same day."""

from __future__ import annotations

import gc
import math
import tracemalloc
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chargepoint.fleet.people.behaviour import Behaviour, behaviour_names, sessions_per_day
from chargepoint.fleet.plan.plan import Plan
from hal.clock import SteppedClock
from hal.simulated.vehicle import load_vehicle
from tests.unit.fleet.town import DAY_S, Town
from tests.unit.ocpp16.bench import START, MemoryCsms

pytestmark = pytest.mark.search

FAST = {"steady": 4 * 3600.0, "chaos": 4 * 3600.0}
CHECKED = ("Local", "EVDisconnected", "Reboot", "PowerLoss", "EmergencyStop", "Other", "DeAuthorized", None)


class Diary(Counter[str]):
    """A tally that notes when each thing happened."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__()
        self.clock = clock
        self.lines: list[tuple[float, str]] = []

    def __setitem__(self, what: str, count: int) -> None:
        self.lines.append((self.clock.now(), what))
        super().__setitem__(what, count)

    def when(self, what: str) -> list[float]:
        return [at for at, happened in self.lines if happened == what]


def diary_of(town: Town) -> Diary:
    """Write down what happens from now on; before anybody settles in."""
    town.behaviour.tally = diary = Diary(town.clock)
    for place in town.places.values():
        town.behaviour.settle_in(place)
    return diary


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "own.yaml"
    file.write_text("title: Own\n" + text)
    return str(file)


ONE_DRIVER = """
arrivals: {per_day: 0.001, first_within: 30s}
drivers:
  leave_when_charged: 0
  card_first: 0
  card_after: {median: 10s, spread: 1}
  patience: {median: 30s, spread: 1}
  stay: {median: 1h, spread: 1}
  wrong_card: 0
  swipe_to_stop: 0
  unplug_early: 0
  suspend: 0
  forget: 0
"""


def one_driver(tmp_path: Path, change: str = "", **town: Any) -> Town:
    """A town where one driver comes to each station, within half a minute; `change` replaces a line."""
    text = ONE_DRIVER
    if change:
        key = change.split(":")[0]
        lines = text.splitlines()
        known = [n for n, line in enumerate(lines) if line.strip().startswith(f"{key}:")]
        if known:
            lines[known[0]] = f"  {change}"
        else:
            lines.append(f"  {change}")
        text = "\n".join(lines)
    return Town(written(tmp_path, text), **({"count": 1} | town))


# --- whole days -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", behaviour_names())
def test_a_day_of_every_behaviour(name: str) -> None:
    town = Town(name, 3, connectors=2, dc=name == "motorway")
    town.advance(FAST.get(name, DAY_S))
    tally, starts, stops = town.tally, town.sent("StartTransaction"), town.sent("StopTransaction")
    # Everybody who came is accounted for.
    queueing = tally["queued"] - tally["gave_up_queueing"]
    arrived = tally["were_here"] + tally["came"] - tally["went_away"] - queueing
    assert tally["plugged_in"] <= tally["were_here"] + tally["came"]
    assert arrived - queueing - 6 <= tally["plugged_in"] <= arrived + queueing
    assert tally["plugged_in"] - tally["left"] <= 6  # at most one at each connector
    # And so is every transaction.
    assert abs(len(starts) - tally["started"]) <= 0.05 * len(starts) + 3
    assert 0 <= len(starts) - len(stops) <= 6
    assert {stop.get("reason") for stop in stops} <= set(CHECKED)
    meters: dict[int, int] = {}
    for place in town.places.values():
        for start in place.sent("StartTransaction"):
            connector = start["connectorId"]
            assert start["meterStart"] >= meters.get(connector, 0)
            meters[connector] = start["meterStart"]
        meters.clear()
    if name == "idle":
        assert not tally
    else:
        assert len(starts) > 2
    town.close()


def as_expected(town: Town, behaviour: str, hours: float) -> bool:
    """Whether as many came as the closed form says, within four standard deviations."""
    connectors = sum(len(place.station.evses) for place in town.places.values())
    week = Behaviour.load(behaviour).sites[0][0].week
    expected = week.total / 168 * hours * connectors
    return abs(town.tally["came"] - expected) < 4 * math.sqrt(expected)


def test_as_many_come_as_the_rates_say() -> None:
    town = Town("steady", 12)
    town.advance(4 * 3600.0)
    assert as_expected(town, "steady", 4)
    # Who finds the connector taken is lost, as in Erlang's formula.
    expected = sessions_per_day(town.behaviour, 1) / 6 * 12
    assert town.tally["plugged_in"] == pytest.approx(expected, rel=0.15)
    town.close()


@pytest.mark.search
@pytest.mark.parametrize(
    "planted", ["busier: 1.5", "arrivals: {per_day: 140}", "arrivals: {days: [0,1,1,0.5,1,1,1]}"]
)
def test_the_check_finds_wrong_rates(tmp_path: Path, planted: str) -> None:
    town = Town(written(tmp_path, f"sites: {{steady: 1}}\n{planted}\n"), 12)
    town.advance(4 * 3600.0)
    assert not as_expected(town, "steady", 4)
    town.close()


def test_the_same_seed_gives_the_same_day_frame_by_frame() -> None:
    def day(seed: int) -> dict[str, list[tuple[float, str]]]:
        town = Town("chaos", 3, seed=seed)
        town.advance(2 * 3600.0)
        frames = town.frames()
        town.close()
        return frames

    assert day(1) == day(1)
    assert day(1) != day(2)


def test_who_comes_does_not_depend_on_the_central_system() -> None:
    """A slow one, one that refuses everybody and one that never answers see the same drivers come."""

    def come(tune: Any) -> list[float]:
        town = Town("chaos", 3, settle=False, tune=tune)
        diary = diary_of(town)
        town.advance(2 * 3600.0)
        town.close()
        return diary.when("came")

    def slow(csms: MemoryCsms) -> None:
        csms.say = lambda frame: csms.clock.call_at(  # type: ignore[method-assign, assignment]  # one central system that is slow
            csms.clock.now() + 7.0, lambda: MemoryCsms.say(csms, frame)
        )

    def refusing(csms: MemoryCsms) -> None:
        csms.answers["Authorize"] = lambda payload: {"idTagInfo": {"status": "Invalid"}}

    def silent(csms: MemoryCsms) -> None:
        csms.answers["Authorize"] = lambda payload: None

    usual = come(lambda csms: None)
    assert len(usual) > 20
    assert come(slow) == come(refusing) == come(silent) == usual


def test_a_station_started_late_has_the_same_day_from_then_on() -> None:
    def come(late_s: float) -> list[float]:
        town = Town("work", 30, settle=False, start=START + 6 * 3600.0)
        town.behaviour.begin(START + 6 * 3600.0)
        town.advance(late_s)
        diary = diary_of(town)
        town.advance(4 * 3600.0 - late_s)
        town.close()
        return diary.when("came")

    early = come(0)
    assert len(early) > 10
    assert come(3600.0) == [at for at in early if at >= START + 7 * 3600.0]


# --- the day and its hours --------------------------------------------------------------------------


def test_the_morning_rush_begins_with_the_run_whatever_time_it_is() -> None:
    """At midnight of a Thursday, and yet drivers come at once; by the clock nobody would."""
    rush, night = Town("morning-rush", 60), Town("morning-rush", 60, settle=False)
    night.behaviour.begin(START, real_time=True)
    for place in night.places.values():
        night.behaviour.settle_in(place)
    for town in (rush, night):
        town.advance(3600.0)
    assert rush.tally["came"] > 12
    assert rush.tally["came"] > 4 * night.tally["came"]
    assert night.tally["were_here"] > 2  # who came in the evening
    rush.close()
    night.close()


def test_the_hours_are_those_of_the_groups_time_zone() -> None:
    """A working day begins at 7 in Tokyo, which is 22 o'clock UTC of the day before."""
    town = Town("work", 60, time_zone="Asia/Tokyo", start=START + 22 * 3600.0)
    town.advance(3 * 3600.0)
    tokyo = town.tally["came"]
    town.close()
    town = Town("work", 60, start=START + 22 * 3600.0)
    town.advance(3 * 3600.0)
    assert tokyo > 10 * max(town.tally["came"], 1)
    town.close()


def test_steady_traffic_is_there_within_a_minute() -> None:
    town = Town("steady", 10)
    town.advance(90.0)
    assert town.tally["plugged_in"] == 10
    assert len(town.sent("StartTransaction")) >= 8
    town.close()


def test_who_came_before_the_run_has_charged_since_then() -> None:
    town = Town("home", 60, start=START + 22 * 3600.0)
    town.advance(120.0)
    assert town.tally["were_here"] > 15
    assert town.tally["plugged_in"] == town.tally["were_here"] + town.tally["came"] - town.tally["went_away"]
    charged = [
        town.evse(identity).soc_percent or 0 for identity in town.places if town.evse(identity).vehicle
    ]
    assert sum(charged) / len(charged) > 70  # they arrived with 55 on average
    town.close()


@pytest.mark.parametrize(
    ("name", "dc"), [("depot", True), ("depot", False), ("home", False), ("street", False)]
)
def test_hardly_a_session_of_a_day_from_midnight_is_empty(name: str, dc: bool) -> None:
    """Whoever is there at midnight came in the evening, and charges on."""
    town = Town(name, 25, dc=dc)
    town.advance(DAY_S)
    assert town.tally["were_here"] > 3
    charged = []
    for place in town.places.values():
        starts = [start["meterStart"] for start in place.sent("StartTransaction")]
        stops = [stop["meterStop"] for stop in place.sent("StopTransaction")]
        charged += [stop - start for start, stop in zip(starts, stops, strict=False)]
    assert len(charged) > 10
    assert sum(energy_wh < 100 for energy_wh in charged) < 0.05 * len(charged)
    town.close()


# --- one driver -------------------------------------------------------------------------------------


def test_a_visit(tmp_path: Path) -> None:
    town = one_driver(tmp_path, id_tags=("CARD1",), vehicles=((load_vehicle("city"), 1.0),))
    town.advance(DAY_S / 2)
    (start,), (stop,) = town.sent("StartTransaction"), town.sent("StopTransaction")
    assert start["idTag"] == "CARD1"
    assert stop["reason"] == "EVDisconnected"
    assert stop["meterStop"] > 2000
    assert town.sent("Authorize") == [{"idTag": "CARD1"}]
    assert town.tally == {"came": 1, "plugged_in": 1, "started": 1, "left": 1}
    assert not town.evse("CP001").plugged
    town.close()


def test_ends_by_card(tmp_path: Path) -> None:
    town = one_driver(tmp_path, "swipe_to_stop: 1")
    town.advance(DAY_S / 2)
    (stop,) = town.sent("StopTransaction")
    assert stop["reason"] == "Local"
    assert town.sent("StartTransaction")[0]["idTag"] == stop["idTag"]
    assert stop["idTag"] in {f"TAG{n}" for n in range(1, 9)}
    town.close()


def test_card_before_plug(tmp_path: Path) -> None:
    town = one_driver(tmp_path, "card_first: 1")
    town.advance(DAY_S / 2)
    calls = [call for _, call in town.places["CP001"].csms.calls]
    authorize = calls.index("Authorize")
    plugged = calls.index("StatusNotification", authorize)
    assert plugged < calls.index("StartTransaction")
    assert len(town.sent("StopTransaction")) == 1
    town.close()


def test_a_wrong_card_then_the_right_one(tmp_path: Path) -> None:
    def knows(csms: MemoryCsms) -> None:
        def answer(payload: dict[str, Any]) -> dict[str, Any]:
            known = payload["idTag"].startswith("TAG")
            return {"idTagInfo": {"status": "Accepted" if known else "Invalid"}}

        csms.answers["Authorize"] = answer

    town = one_driver(tmp_path, "wrong_card: 1", tune=knows)
    town.advance(DAY_S / 2)
    wrong, right = town.sent("Authorize")
    assert wrong["idTag"].startswith("UNKNOWN")
    assert town.sent("StartTransaction")[0]["idTag"] == right["idTag"]
    town.close()


@pytest.mark.parametrize("answer", [{"idTagInfo": {"status": "Invalid"}}, None], ids=["refused", "silent"])
def test_patience_ends(tmp_path: Path, answer: dict[str, Any] | None) -> None:
    """Three cards at most, then they drive away, and the connector is free again."""

    def unfriendly(csms: MemoryCsms) -> None:
        csms.answers["Authorize"] = lambda payload: answer

    town = one_driver(tmp_path, "swipes: 3", tune=unfriendly)
    town.advance(600.0)
    assert town.tally["gave_up"] == 1
    assert town.tally["left"] == 1
    assert not town.sent("StartTransaction")
    assert 1 <= len(town.sent("Authorize")) <= 3
    assert not town.evse("CP001").plugged
    assert town.places["CP001"].drivers.busy == 0
    town.close()


def test_who_uses_an_app_waits_for_the_central_system(tmp_path: Path) -> None:
    town = one_driver(tmp_path, "app: 1")
    place = town.places["CP001"]
    town.advance(30.0)
    assert town.evse("CP001").vehicle is not None
    place.csms.say([2, "1", "RemoteStartTransaction", {"idTag": "APP", "connectorId": 1}])
    town.advance(DAY_S / 2)
    assert place.sent("StartTransaction")[0]["idTag"] == "APP"
    assert place.sent("StopTransaction")[0]["reason"] == "EVDisconnected"
    town.close()
    town = one_driver(tmp_path, "app: 1")
    town.advance(DAY_S / 2)
    assert town.tally["gave_up"] == 1
    assert not town.sent("Authorize")
    town.close()


def test_a_vehicle_that_pauses(tmp_path: Path) -> None:
    town = one_driver(tmp_path, "suspend: 1", vehicles=((load_vehicle("compact"), 1.0),))
    town.advance(DAY_S / 2)
    statuses = [status["status"] for status in town.sent("StatusNotification")]
    assert town.tally["suspends"] == 1
    first = statuses.index("Charging")
    assert statuses[first : first + 3] == ["Charging", "SuspendedEV", "Charging"]
    town.close()


@pytest.mark.parametrize(
    ("change", "least_s", "most_s"),
    [
        ("stay: {median: 2h, spread: 1}", 7100, 7230),
        ("unplug_early: 1", 300, 2200),
        ("forget: 1", 5400, 60_000),
    ],
    ids=["parks", "leaves early", "forgets"],
)
def test_how_long_they_stay(tmp_path: Path, change: str, least_s: float, most_s: float) -> None:
    town = one_driver(tmp_path, change, settle=False)
    diary = diary_of(town)
    town.advance(DAY_S)
    (came,), (left,) = diary.when("came"), diary.when("left")
    assert least_s <= left - came <= most_s
    town.close()


def test_who_waits_for_the_car_leaves_soon_after_it_is_done(tmp_path: Path) -> None:
    town = one_driver(
        tmp_path, "leave_when_charged: 1", dc=True, settle=False, vehicles=((load_vehicle("family"), 1.0),)
    )
    diary = diary_of(town)
    town.advance(DAY_S / 2)
    statuses = [(status["status"], status["timestamp"]) for status in town.sent("StatusNotification")]
    assert "SuspendedEV" in [status for status, _ in statuses]  # the car was done by itself
    (came,), (left,) = diary.when("came"), diary.when("left")
    assert left - came < 3600.0
    town.close()


def test_a_cable_that_stays_locked_is_released_by_the_card(tmp_path: Path) -> None:
    keys = {"StopTransactionOnEVSideDisconnect": "false", "UnlockConnectorOnEVSideDisconnect": "false"}
    town = one_driver(tmp_path, station={"ocpp": keys})
    town.advance(DAY_S / 2)
    assert town.sent("StopTransaction")[0]["reason"] == "Local"
    assert not town.evse("CP001").plugged
    town.close()


def test_a_station_that_charges_freely_needs_no_card(tmp_path: Path) -> None:
    town = one_driver(tmp_path, station={"behaviour": {"free_charging_id_tag": "FREE"}})
    town.advance(DAY_S / 2)
    assert [start["idTag"] for start in town.sent("StartTransaction")] == ["FREE"]
    assert town.tally["left"] == 1
    town.close()


# --- many drivers -----------------------------------------------------------------------------------


def test_at_a_taken_connector_some_wait_and_some_go_away() -> None:
    town = Town("motorway", 4, dc=True, settle=False)
    town.behaviour.sites[0][0].week = Behaviour.load("steady").sites[0][0].week
    diary_of(town)
    town.advance(4 * 3600.0)
    tally = town.tally
    assert tally["queued"] > 5
    assert tally["went_away"] > 5
    assert tally["gave_up_queueing"] > 0
    assert tally["plugged_in"] > 12
    town.close()


def test_only_what_can_charge_there_comes_to_a_dc_outlet() -> None:
    mix = ((load_vehicle("plug-in-hybrid"), 9.0), (load_vehicle("van"), 1.0))
    town = Town("steady", 3, dc=True, vehicles=mix)
    seen = set()
    for _ in range(60):
        town.advance(60.0)
        seen |= {vehicle.name for identity in town.places if (vehicle := town.evse(identity).vehicle)}
    assert seen == {"van"}
    assert town.tally["plugged_in"] > 10  # nobody else tried, and drove away
    town.close()


@pytest.mark.parametrize(
    ("dc", "kinds"), [(True, {"bus", "van", "truck"}), (False, {"van"})], ids=["dc", "ac"]
)
def test_at_night_buses_fill_the_dc_outlets_of_a_depot(dc: bool, kinds: set[str]) -> None:
    town = Town("depot-night", 60, dc=dc, start=1_772_474_400.0)
    town.advance(3 * 3600.0)
    vehicles = [vehicle for identity in town.places if (vehicle := town.evse(identity).vehicle)]
    assert {vehicle.name for vehicle in vehicles} == kinds
    if dc:
        assert Counter(vehicle.name for vehicle in vehicles).most_common(1)[0][0] == "bus"
        assert sum(town.evse(identity).reading().power_w or 0 for identity in town.places) > 1e6
    town.close()


@pytest.mark.parametrize("dc", [True, False])
def test_no_bus_comes_where_all_kinds_of_car_do(dc: bool) -> None:
    town = Town("steady", 20, dc=dc)
    seen = set()
    for _ in range(60):
        town.advance(60.0)
        seen |= {vehicle.name for identity in town.places if (vehicle := town.evse(identity).vehicle)}
    assert len(seen) > 6
    assert not seen & {"bus", "truck"}
    town.close()


def test_cards_come_from_the_group_or_are_the_stations_own() -> None:
    town = Town("steady", 3, id_tags=("A", "B", "C"))
    town.advance(3600.0)
    assert {start["idTag"] for start in town.sent("StartTransaction")} - {"A", "B", "C"} <= {
        tag for start in town.sent("StartTransaction") if (tag := start["idTag"]).startswith("UNKNOWN")
    }
    town.close()
    town = Town("steady", 3)
    town.advance(3600.0)
    own = [{tag["idTag"] for tag in place.sent("StartTransaction")} for place in town.places.values()]
    for one, other in pairwise(own):
        assert not {tag for tag in one & other if tag.startswith("TAG")}
    town.close()


def test_an_inoperative_or_dead_station_is_left_alone(tmp_path: Path) -> None:
    town = Town("steady", 2)
    town.places["CP001"].actions.perform({"cmd": "availability", "connector": 1, "operative": False})
    town.places["CP002"].actions.perform({"cmd": "power", "on": False})
    town.advance(1800.0)
    assert town.tally["plugged_in"] == 0
    assert town.tally["went_away"] == town.tally["came"] > 2
    town.close()


TROUBLES = {
    "fault": "faults: {per_month: 3000, codes: {GroundFailure: 1}}",
    "reboot": "reboots_per_month: 3000",
    "offline": "offline: {per_month: 3000}",
    "power_cut": "power_cuts: {per_month: 3000}",
    "emergency_stop": "emergency_stops: {per_month: 3000}",
}


@pytest.mark.parametrize("kind", TROUBLES)
def test_troubles_begin_and_end(tmp_path: Path, kind: str) -> None:
    town = Town(written(tmp_path, f"troubles:\n  {TROUBLES[kind]}\n"), 4)
    town.advance(DAY_S / 2)
    expected = 3000 / 60 * 4  # those that come while one lasts do not count
    assert 0.4 * expected < town.tally[kind] < expected + 4 * math.sqrt(expected)
    statuses = Counter(status["errorCode"] for status in town.sent("StatusNotification"))
    boots = len(town.sent("BootNotification"))
    if kind == "fault":
        assert statuses["GroundFailure"] > 50
    elif kind in ("reboot", "power_cut"):
        assert boots > 50
    for place in town.places.values():
        town.behaviour.leave(place)
    assert boots == 4 or kind in ("reboot", "power_cut")
    town.close()


def test_leaving_leaves_no_timer() -> None:
    town = Town("chaos", 5, connectors=2)
    town.advance(1800.0)
    assert sum(place.drivers.busy for place in town.places.values()) > 0
    for place in town.places.values():
        town.behaviour.leave(place)
        assert place.drivers is None
    before = dict(town.tally)
    town.advance(3600.0)
    assert dict(town.tally) == before
    town.close()
    assert town.clock.next_at() is None


# --- price ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "most"), [("idle", 160), ("steady", 520)])
def test_what_an_unused_station_costs(name: str, most: float) -> None:
    """Bytes for each: the object, and the one timer where somebody will come."""
    town = Town(name, 200, settle=False)
    first, *others = town.places.values()
    town.behaviour.settle_in(first)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for place in others:
        town.behaviour.settle_in(place)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    town.close()
    assert (after - before) / len(others) < most


def test_members_of_one_plan_differ_from_each_other() -> None:
    town = Town("steady", 50)
    firsts = {place.drivers._next_at for place in town.places.values()}
    assert len(firsts) == 50
    assert len(list(Plan((town.group,), 1).members())) == 50
    town.close()
