"""Live events: how they are written, and what happens to the stations they concern."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from chargepoint.fleet.events import FORMS, FleetEvent, Happening, parse, perform
from tests.unit.fleet.town import Town

READ = {
    "blackout": FleetEvent("blackout", "blackout"),
    "blackout 5m": FleetEvent("blackout", "blackout 5m", duration_s=300),
    "blackout for 5m": FleetEvent("blackout", "blackout for 5m", duration_s=300),
    "power-out 90s": FleetEvent("blackout", "power-out 90s", duration_s=90),
    "network-out 1h30m share=30%": FleetEvent(
        "network-out", "network-out 1h30m share=30%", duration_s=5400, share=0.3
    ),
    "return group=north": FleetEvent("return", "return group=north", group="north"),
    'return group="the north"': FleetEvent("return", 'return group="the north"', group="the north"),
    "rolling-restart 10/s": FleetEvent("rolling-restart", "rolling-restart 10/s", per_s=10),
    "rolling-restart 600/min": FleetEvent("rolling-restart", "rolling-restart 600/min", per_s=10),
    "surge x3 for 10m": FleetEvent("surge", "surge x3 for 10m", duration_s=600, times=3),
    "surge 0.5 10m": FleetEvent("surge", "surge 0.5 10m", duration_s=600, times=0.5),
    "failover ws://other.example/ocpp": FleetEvent(
        "failover", "failover ws://other.example/ocpp", url="ws://other.example/ocpp"
    ),
    "csms-failover WSS://other.example 5/s": FleetEvent(
        "failover", "csms-failover WSS://other.example 5/s", url="WSS://other.example", per_s=5
    ),
    "firmware 2.1.0 20/s": FleetEvent("firmware", "firmware 2.1.0 20/s", version="2.1.0", per_s=20),
    "fault-storm 5m GroundFailure": FleetEvent(
        "fault-storm", "fault-storm 5m GroundFailure", duration_s=300, error_code="GroundFailure"
    ),
}


@pytest.mark.parametrize("text", READ)
def test_an_event_as_a_person_writes_it(text: str) -> None:
    assert parse(text) == READ[text]


def test_every_form_reads_as_it_is_shown() -> None:
    for kind, form in FORMS.items():
        assert parse(form.replace("[", "").replace("]", "")).kind == kind


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "'nothing' is no event; .*write blackout"),
        ("blackot 5m", "'blackot' is no event; did you mean blackout?"),
        ("blackout soon", r"'soon' is not understood; write blackout \[5m\]"),
        ("blackout 0s", "'0s' is no time at all; write more, such as 5m"),
        ("blackout 5m 6m", "'6m' is one too many; write blackout"),
        ("return now", "'now' is not understood; write return"),
        ("rolling-restart", "how many a second is missing; write rolling-restart 10/s"),
        ("rolling-restart 0/s", "too slow; write at least 1/h"),
        ("rolling-restart fast", "'fast' is not understood"),
        ("surge x3", "how long is missing; write surge x3 for 10m"),
        ("surge for 10m", "how many times as many drivers is missing|'10m' is"),
        ("surge x99999 10m", "too much; write at most x1000"),
        ("surge x0 for 10m", "'x0' is too few; write at least x0.001; below x1 fewer come"),
        ("surge 0.0000001 10m", "too few"),
        ("surge x3 for 0s", "'0s' is no time at all; write more"),
        ("surge x-3 10m", "'x-3' is not understood"),
        ("blackout -5m", r"'-5m' is not understood; write blackout \[5m\]"),
        ("fault-storm 0s", "'0s' is no time at all; write more"),
        ("firmware 2.1.0 0/s", "too slow; write at least 1/h"),
        ("failover", "the other central system's address is missing; write failover ws://host/path"),
        ("failover http://other", "'http://other' is not understood"),
        ("failover ws://", "names no host"),
        ("failover ws://[", "names no host"),
        ("firmware", "the new version is missing"),
        ("firmware \u00fc", "no version for a BootNotification"),
        ("fault-storm 5m GroundFailur", "no ChargePointErrorCode; did you mean GroundFailure?"),
        ("blackout 5m share=0%", "share=0% is no part of the fleet; write share=30%"),
        ("blackout 5m share=many", "write share=30%"),
        ("blackout 5m share=-3%", "write share=30%"),
        ("blackout 5m share=30% share=40%", "'share=40%' is one too many; an event has one share"),
        ("blackout 5m group=a group=b", "'group=b' is one too many; an event has one group"),
        ("blackout 5m group=", "'group=' names nothing; write group=NAME"),
    ],
)
def test_what_is_no_event_says_how_to_write_one(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(text)


def happen(town: Town, text: str, shards: int = 1) -> Happening:
    return perform(parse(text), town.places, town.clock, 1, shards=shards)


def quiet(count: int = 6) -> Town:
    town = Town("idle", count)
    town.advance(10.0)
    return town


def online(town: Town) -> int:
    return sum(place.station.link.online for place in town.places.values())


def boots(town: Town) -> list[int]:
    return [len(place.sent("BootNotification")) for place in town.places.values()]


def test_a_blackout_and_the_return_of_all_at_once() -> None:
    town = quiet()
    town.evse("CP001").plug_in(town.places["CP001"].actions._vehicle)
    town.places["CP001"].station.tag_presented("A", 1)
    town.advance(60.0)
    happen(town, "blackout 5m")
    town.advance(1.0)
    assert online(town) == 0
    assert town.sent("StopTransaction")[0]["reason"] == "PowerLoss"
    town.advance(298.0)
    assert online(town) == 0
    town.advance(1.5)
    assert online(town) == 6
    assert boots(town) == [2] * 6
    moments = {place.csms.calls[-1][0] for place in town.places.values() if place.member.number}
    assert len(moments) == 1
    town.close()


def test_a_blackout_without_an_end_lasts_until_the_return() -> None:
    town = quiet()
    happen(town, "blackout")
    happen(town, "network-out group=town")
    town.advance(7200.0)
    assert online(town) == 0
    happen(town, "return")
    town.advance(1.0)
    assert online(town) == 6
    town.close()


def test_a_network_that_is_out_leaves_the_stations_running() -> None:
    town = quiet()
    happen(town, "network-out 60s")
    town.advance(59.0)
    assert online(town) == 0
    town.advance(2.0)
    assert online(town) == 6
    assert boots(town) == [1] * 6
    town.close()


def test_a_share_is_the_same_stations_in_every_process_and_again() -> None:
    town = quiet(60)
    happen(town, "network-out share=30%")
    town.advance(1.0)
    out = {identity for identity, place in town.places.items() if not place.station.link.online}
    assert 8 <= len(out) <= 28
    happen(town, "return")
    town.advance(1.0)
    half = dict(list(town.places.items())[:30])
    perform(parse("network-out share=30%"), half, town.clock, 1)
    town.advance(1.0)
    again = {identity for identity, place in town.places.items() if not place.station.link.online}
    assert again == out & set(half)
    town.close()


def test_another_group_is_left_alone() -> None:
    town = quiet()
    happen(town, "blackout group=elsewhere")
    town.advance(5.0)
    assert online(town) == 6
    town.close()


@pytest.mark.parametrize("shards", [1, 2])
def test_a_rolling_restart_goes_from_one_to_the_next(shards: int) -> None:
    town = quiet()
    happen(town, "rolling-restart 1/s", shards)
    town.advance(2.5 * shards)
    assert sorted(place.station.silent for place in town.places.values())[:3] == [False] * 3
    town.advance(30.0)
    assert boots(town) == [2] * 6
    seconds = [
        next(at for at, call in reversed(place.csms.calls) if call == "BootNotification")
        for place in town.places.values()
    ]
    gaps = [round(later - earlier, 3) for earlier, later in pairwise(seconds)]
    assert gaps == [shards] * 5
    town.close()


def test_what_was_cancelled_goes_no_further() -> None:
    town = quiet()
    happening = happen(town, "rolling-restart 1/s")
    town.advance(1.5)
    happening.cancel()
    town.advance(60.0)
    assert Counter(boots(town)) == {2: 2, 1: 4}
    town.close()


def came(town: Town) -> int:
    return town.tally["came"]


def test_a_surge_and_its_end() -> None:
    town = Town("steady", 10)
    town.advance(1800.0)
    before = came(town)
    happen(town, "surge x3 for 30m")
    town.advance(1800.0)
    during = came(town) - before
    town.advance(1800.0)
    after = came(town) - before - during
    # 40 in half an hour as usual: four standard deviations to each side.
    assert 76 < during < 164
    assert 15 < after < 65
    town.close()


def test_a_surge_concerns_nobody_where_nobody_comes() -> None:
    town = quiet()
    happen(town, "surge x10 for 10m")
    town.advance(3600.0)
    assert came(town) == 0
    town.close()


def test_a_failover_takes_the_links_to_another_central_system() -> None:
    town = quiet()
    happen(town, "failover ws://other.example/ocpp")
    town.advance(1.0)
    assert online(town) == 6
    for identity, place in town.places.items():
        assert place.link.urls[-1] == f"ws://other.example/ocpp/{identity}"
    assert boots(town) == [1] * 6  # a new connection is no new start
    happen(town, "rolling-restart 10/s")
    town.advance(60.0)
    assert {place.link.settings.url.split("/")[2] for place in town.places.values()} == {"other.example"}
    town.close()


def test_new_firmware_shows_after_a_restart_and_stays() -> None:
    town = quiet()
    happen(town, "firmware 2.1.0 2/s")
    town.advance(60.0)
    for place in town.places.values():
        old, new = place.sent("BootNotification")
        assert old["firmwareVersion"] == "1.0.0"
        assert new["firmwareVersion"] == "2.1.0"
    happen(town, "rolling-restart 10/s")
    town.advance(60.0)
    assert all(
        place.sent("BootNotification")[-1]["firmwareVersion"] == "2.1.0" for place in town.places.values()
    )
    town.close()


@pytest.mark.parametrize("code", ["", "GroundFailure"])
def test_a_fault_storm_passes(code: str) -> None:
    town = quiet()
    happen(town, f"fault-storm 5m {code}")
    town.advance(4000.0)
    statuses = [status for status in town.sent("StatusNotification") if status["errorCode"] != "NoError"]
    assert len(statuses) >= 6
    assert not code or {status["errorCode"] for status in statuses} == {code}
    assert all(not town.evse(identity).faults for identity in town.places)
    town.close()


def test_stations_without_power_miss_what_they_cannot_do() -> None:
    town = quiet()
    happen(town, "blackout")
    town.advance(5.0)
    for text in ("rolling-restart 100/s", "firmware 3 100/s", "surge x2 for 1m", "failover ws://b.example"):
        happen(town, text)
    town.advance(60.0)
    assert online(town) == 0
    happen(town, "return")
    town.advance(5.0)
    assert online(town) == 6
    town.close()


@pytest.mark.search
def test_while_drivers_are_held_nobody_comes_not_even_in_a_surge() -> None:
    town = Town("steady", 20)
    town.advance(3600.0)
    drivers = [place.drivers for place in town.places.values()]
    came = town.tally["came"]
    assert came > 0
    for one in drivers:
        one.hold(True)
    happen(town, "surge x3 for 10m")
    town.advance(24 * 3600.0)
    assert town.tally["came"] == came
    for one in drivers:
        one.hold(False)
    town.advance(3600.0)
    assert town.tally["came"] > came
    town.close()
