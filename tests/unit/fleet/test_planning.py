"""Plans: what a fleet's file and the flags of the one-line form become."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pytest

from chargepoint.errors import ConfigError
from chargepoint.fleet.plan.file import load, parse
from chargepoint.fleet.plan.plan import Group, Plan
from chargepoint.fleet.plan.planning import plan_from, plan_of_flags
from chargepoint.fleet.plan.template import load_template


def plan(text: str) -> Plan:
    """The plan of a file."""
    return plan_from(parse(text))


def the_group(keys: str) -> Group:
    """The one group of a file."""
    (group,) = plan(f"seed: 7\ngroups: [{{name: a, count: 12, {keys}}}]").groups
    return group


def test_a_file_becomes_a_plan() -> None:
    made = plan("""\
seed: 7
ramp: 3000/min
start: 2026-03-02T06:00:00Z
groups:
- {name: a, count: 3}
- {name: b, count: 2, identities: "B{n}", first_number: 9}
events: [{at: 1h30m, do: blackout 5m}]
""")
    assert (made.seed, made.ramp_per_s, made.starts_at, made.count) == (7, 50.0, 1772431200.0, 5)
    assert made.events == ((5400.0, "blackout 5m"),)
    assert [(member.identity, member.number, member.place) for member in made.members()] == [
        ("CP00001", 0, 1),
        ("CP00002", 1, 2),
        ("CP00003", 2, 3),
        ("B9", 3, 9),
        ("B10", 4, 10),
    ]


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_shards_share_the_members_among_them(shards: int) -> None:
    made = plan(
        "groups: [{name: a, count: 5}, {name: b, count: 1, identities: X}, "
        '{name: c, count: 8, identities: "C{n}"}]'
    )
    whole = {member.number: member.identity for member in made.members()}
    parts = [list(made.members(shard, shards)) for shard in range(shards)]
    assert sorted(member.number for part in parts for member in part) == list(range(14))
    for shard, part in enumerate(parts):
        assert all(member.number % shards == shard for member in part)
        assert all(whole[member.number] == member.identity for member in part)


def test_a_plan_travels_to_another_process() -> None:
    made = plan("groups: [{name: a, count: 3, template: dc-fast-dual, vehicles: {city: 1}, id_tags: [A]}]")
    assert pickle.loads(pickle.dumps(made)) == made


def test_without_a_seed_each_plan_has_its_own() -> None:
    assert len({plan("groups: [{name: a, count: 1}]").seed for _ in range(5)}) > 1


def test_a_template_is_what_the_station_is_made_of() -> None:
    group = the_group("template: dc-fast-dual")
    like = load_template("dc-fast-dual").config
    assert (group.config.connectors, group.config.station) == (like.connectors, like.station)
    assert (group.config.identity, group.config.storage, group.template) == ("CP00001", None, "dc-fast-dual")


def test_keys_of_the_file_go_before_those_of_the_template() -> None:
    like = load_template("home-three-phase").config
    group = the_group(
        "template: home-three-phase, station: {station: {firmware_version: 1.10}, "
        "ocpp: {heartbeatinterval: 77}, connectors: [{max_current_a: 20}]}"
    )
    assert group.config.station == like.station.model_copy(update={"firmware_version": "1.10"})
    assert len(group.config.connectors) == 1
    assert group.config.connectors[0].max_current_a == 20
    assert {key: value for key, value in group.config.ocpp.items() if key != "heartbeatinterval"} == {
        key: value for key, value in like.ocpp.items() if key != "HeartbeatInterval"
    }
    assert group.config.ocpp["heartbeatinterval"] == "77"


def test_quirks_are_switched_on_and_off_over_the_template(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: Mine\nquirks: {late_status_s: 5, boots_on_reconnect: true}\n")
    (tmp_path / "fleet.yaml").write_text(
        "groups: [{name: a, count: 1, template: mine.yaml, "
        "quirks: {boots_on_reconnect: false, kwh: labelled}}]"
    )
    (group,) = plan_from(load(tmp_path / "fleet.yaml")).groups
    assert dict(group.config.quirks.switched_on) == {"late_status_s": 5, "kwh": "labelled"}


def test_a_template_with_mistakes_tells_them_all(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("title: Mine\nstation: {ocpp: {HeartbeatIntervall: 5}}\nquirk: {}\n")
    (tmp_path / "fleet.yaml").write_text("ramp: x\ngroups: [{name: a, count: 1, template: ./mine.yaml}]")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "fleet.yaml")
    assert [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [
        'fleet.yaml:1: ramp: is no rate (is "x"); write a rate such as 50/s or 3000/min',
        "fleet.yaml:2: groups[0].template: has 2 mistakes of its own, listed below; correct that file",
        "mine.yaml:2: station.ocpp.HeartbeatIntervall: is not a known key; did you mean HeartbeatInterval?",
        "mine.yaml:3: quirk: is not a known key; did you mean quirks?",
    ]


def test_what_a_template_cuts_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"title: Mine\nstation: {{station: {{vendor: {'V' * 21}}}}}\n")
    (tmp_path / "fleet.yaml").write_text("groups: [{name: a, count: 1, template: mine.yaml}]")
    warnings: list[str] = []
    plan_from(load(tmp_path / "fleet.yaml", warnings.append))
    assert [warning.partition("mine.yaml")[2][:3] for warning in warnings] == [":2:"]


@pytest.mark.parametrize(
    ("policy", "urls"),
    [
        ("round_robin", ["ws://a", "ws://b", "ws://a", "ws://b"]),
        ("in_order", ["ws://a", "ws://a", "ws://a", "ws://a"]),
    ],
)
def test_a_policy_spreads_the_stations(policy: str, urls: list[str]) -> None:
    made = plan(f"csms: {{url: [ws://a, ws://b], url_policy: {policy}}}\ngroups: [{{name: a, count: 4}}]")
    assert [member.url(made.seed) for member in made.members()] == urls


def test_in_order_goes_to_the_next_url_when_a_connection_fails() -> None:
    made = plan("csms: {url: [ws://a, ws://b], url_policy: in_order}\ngroups: [{name: a, count: 1}]")
    (member,) = made.members()
    assert [member.url(7, failures) for failures in range(4)] == ["ws://a", "ws://b", "ws://a", "ws://b"]


def test_by_station_is_a_draw_that_stays() -> None:
    text = (
        "seed: 7\ncsms: {{url: [ws://a, ws://b], url_policy: by_station}}\ngroups: [{{name: a, count: {}}}]"
    )
    few, many = plan(text.format(100)), plan(text.format(1000))
    urls = [member.url(many.seed) for member in many.members()]
    assert [member.url(few.seed) for member in few.members()] == urls[:100]
    assert 400 < Counter(urls)["ws://a"] < 600


def test_without_a_url_the_embedded_central_system_is_meant() -> None:
    made = plan("groups: [{name: a, count: 1}]")
    assert [member.url(7) for member in made.members()] == [None]


def test_a_group_may_have_a_central_system_of_its_own() -> None:
    made = plan(
        "csms: {url: ws://a, security_profile: 1, authorization_key: k}\n"
        'groups: [{name: a, count: 1}, {name: b, count: 1, identities: X, csms: {url: "ws://b"}}]'
    )
    assert [(member.url(7), member.password) for member in made.members()] == [
        ("ws://a", "k"),
        ("ws://b", None),
    ]
    assert [group.config.csms.security_profile for group in made.groups] == [1, 0]


def test_passwords_follow_a_pattern() -> None:
    made = plan(
        "csms: {security_profile: 1, authorization_key: 'k-{identity}-{n:03d}'}\n"
        "groups: [{name: a, count: 2}]"
    )
    assert [member.password for member in made.members()] == ["k-CP00001-001", "k-CP00002-002"]
    assert "k-" not in repr(made)


def test_passwords_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text('identity,key\nCP00001,"a,b"\n\nCP00002, c\nOTHER,d\n')
    (tmp_path / "fleet.yaml").write_text(
        "csms: {security_profile: 1, key_file: keys.csv}\ngroups: [{name: a, count: 2}]"
    )
    made = plan_from(load(tmp_path / "fleet.yaml"))
    assert [member.password for member in made.members()] == ["a,b", "c"]


def test_vehicles_have_weights() -> None:
    assert [
        (vehicle.name, weight) for vehicle, weight in the_group("vehicles: {compact: 3, city: 0.5}").vehicles
    ] == [
        ("compact", 3),
        ("city", 0.5),
    ]
    (one, two) = the_group("vehicles: [van, {kind: city, soc_percent: 80, weight: 2}]").vehicles
    assert (one[0].name, one[1], two[0].soc_percent, two[1]) == ("van", 1, 80, 2)


def test_cards_are_a_list_a_pool_or_a_file(tmp_path: Path) -> None:
    assert the_group("id_tags: [04E12345, 0123]").id_tags == ("04E12345", "0123")
    assert the_group('id_tags: "TAG{n:04d} x 3"').id_tags == ("TAG0001", "TAG0002", "TAG0003")
    assert the_group("time_zone: UTC").id_tags == ()
    (tmp_path / "tags.txt").write_text("# ours\n04E1\n\n 04E2 \n")
    (tmp_path / "fleet.yaml").write_text("groups: [{name: a, count: 1, id_tags: tags.txt}]")
    assert plan_from(load(tmp_path / "fleet.yaml")).groups[0].id_tags == ("04E1", "04E2")


def test_flags_make_a_fleet_of_one_group() -> None:
    made = plan_of_flags(
        url="ws://a",
        count=1000,
        template="dc-wallbox",
        behaviour="idle",
        ramp="3000/min",
        seed=7,
        identities="X{n}",
    )
    (group,) = made.groups
    assert (made.count, made.ramp_per_s, made.seed, group.urls, group.behaviour) == (
        1000,
        50,
        7,
        ("ws://a",),
        "idle",
    )
    assert next(iter(made.members())).identity == "X1"
    assert group.config.connectors == load_template("dc-wallbox").config.connectors


def test_flags_at_fault_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        plan_of_flags(
            url="http://a",
            count=5,
            template="dc-walbox",
            behaviour="idel",
            ramp="fast",
            seed=-1,
            identities="X",
        )
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "--seed",
        "--ramp",
        "--csms",
        "--identities",
        "--template",
        "--behaviour",
    ]
    assert "--template: is not a template; did you mean dc-wallbox?" in caught.value.problems


def test_a_url_given_beside_a_file_is_that_of_all_groups() -> None:
    config = parse(
        "csms: {security_profile: 1, authorization_key: k}\n"
        'groups: [{name: a, count: 1}, {name: b, count: 1, identities: X, csms: {url: "ws://b"}}]'
    )
    made = plan_from(config, url="ws://c", seed=9)
    assert made.seed == 9
    assert [(member.url(9), member.password) for member in made.members()] == [
        ("ws://c", "k"),
        ("ws://c", None),
    ]
    with pytest.raises(ConfigError, match="--csms"):
        plan_from(config, url="http://c")
