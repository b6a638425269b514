"""A fleet's file: everything it may say, and all its mistakes in one go with line, key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from chargepoint.errors import ConfigError
from chargepoint.fleet.plan.file import FleetConfig, load, parse


def problems(text: str) -> list[str]:
    """What `parse` finds wrong with a text."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "fleet.yaml")
    return caught.value.problems


def group(keys: str) -> str:
    """A file with one group of five stations."""
    return f"groups:\n- name: homes\n  count: 5\n  {keys}"


def problem_of(keys: str) -> str:
    """The one thing wrong with a group, without its place in the file."""
    (problem,) = problems(group(keys))
    assert problem.startswith("fleet.yaml:4: groups[0].")
    return problem.removeprefix("fleet.yaml:4: groups[0].")


def test_a_name_and_a_count_are_enough() -> None:
    config = parse(group(""))
    assert (config.groups[0].count, config.groups[0].behaviour, config.ramp_per_s) == (5, "steady", 50.0)


@pytest.mark.parametrize(
    ("written", "per_s"),
    [("50/s", 50), ("3000/min", 50), ("1800/h", 0.5), ("20", 20), ("2.5", 2.5), ("5 / s", 5)],
)
def test_a_ramp_is_a_rate(written: str, per_s: float) -> None:
    assert parse(f"ramp: {written}\n{group('')}").ramp_per_s == per_s


@pytest.mark.parametrize("written", ["0/s", "0", "-5", "50/d", "fast", "50/", "1e999", ".nan"])
def test_what_is_no_rate_is_refused(written: str) -> None:
    (problem,) = problems(f"ramp: {written}\n{group('')}")
    assert problem.startswith("fleet.yaml:1: ramp: ")
    assert "50/s" in problem


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2026-03-02", 1772409600.0),
        ("2026-03-02T06:00:00Z", 1772431200.0),
        ("2026-03-02T07:00:00+01:00", 1772431200.0),
    ],
)
def test_a_start_is_a_moment(written: str, at: float) -> None:
    assert parse(f"start: {written}\n{group('')}").starts_at == at


def test_ten_mistakes_are_listed_in_one_go() -> None:
    found = problems("""\
seed: x
ramp: 50/x
colour: red
csms: {url: "http://host", security_profile: 1}
events: [{at: soon, do: blackout 5m}]
groups:
- name: one
  count: 0
  station: {station: {firmware_versoin: 1}, ocpp: {HeartbeatInterval: often}, identity: CP7}
  vehicles: {compct: 1, city: -1}
  time_zone: Europe/Berln
- name: two
  count: 4
  behaviour: morning-rsh
  quirks: {late_statu_s: 4}
- name: two
  count: 4
  id_tags: [A, a]
""")
    assert [problem.partition(": ")[0::2] for problem in found] == [
        ("fleet.yaml:1", 'seed: is not a whole number (is "x"); write a whole number of at least 0, or null'),
        ("fleet.yaml:2", 'ramp: is no rate (is "50/x"); write a rate such as 50/s or 3000/min'),
        (
            "fleet.yaml:3",
            "colour: is not a known key; there are seed, ramp, start, csms, storage, groups, events",
        ),
        (
            "fleet.yaml:4",
            "csms.url: is not a URL that can be used; write ws://host/path or wss://host/path",
        ),
        (
            "fleet.yaml:4",
            "csms.key_file: or authorization_key is needed by this security_profile; write one of the two",
        ),
        ("fleet.yaml:5", 'events[0].at: is no time (is "soon"); write a time such as 90s, 10m or 1h30m'),
        (
            "fleet.yaml:8",
            "groups[0].count: must be at least 1 (is 0); write a whole number from 1 to 1000000",
        ),
        (
            "fleet.yaml:9",
            "groups[0].station.identity: has a place of its own; write it as `identities` of the group",
        ),
        (
            "fleet.yaml:9",
            "groups[0].station.station.firmware_versoin: is not a known key; did you mean firmware_version?",
        ),
        (
            "fleet.yaml:9",
            "groups[0].station.ocpp.HeartbeatInterval: 'often' is not a whole number without a sign; write a "
            "whole number of at least 0",
        ),
        ("fleet.yaml:10", "groups[0].vehicles.compct: is not a vehicle; did you mean compact?"),
        (
            "fleet.yaml:10",
            "groups[0].vehicles.city: is not a weight; write a number above 0 and up to 1000000",
        ),
        ("fleet.yaml:11", "groups[0].time_zone: is not a time zone; did you mean Europe/Berlin?"),
        ("fleet.yaml:14", "groups[1].behaviour: is not a behaviour; did you mean morning-rush?"),
        ("fleet.yaml:15", "groups[1].quirks.late_statu_s: is not a known key; did you mean late_status_s?"),
        ("fleet.yaml:16", "groups[2].name: two is the name of an earlier group; write another one"),
        (
            "fleet.yaml:16",
            "groups[2].identities: two has CP00001, and so has two; change identities or first_number",
        ),
        ("fleet.yaml:18", 'groups[2].id_tags[1]: is there twice (is "a"); keep one'),
    ]


def test_identities_that_collide_name_both_groups_and_the_first_of_them() -> None:
    found = problems("""\
groups:
- {name: homes, count: 100, identities: "CP{n:d}", first_number: 9950}
- {name: others, count: 3}
- name: offices
  count: 100
  first_number: 10000
  identities: CP{n:05d}
""")
    assert found == [
        "fleet.yaml:7: groups[2].identities: offices has CP10000, and so has homes; change identities or "
        "first_number"
    ]


@pytest.mark.parametrize("text", ["groups: []", "groups:", "{}", "groups: {name: a}", "groups: 3"])
def test_a_fleet_needs_a_group(text: str) -> None:
    (problem,) = problems(text)
    assert problem.startswith("fleet.yaml:1: groups: ")


def test_text_of_a_station_needs_no_quotes() -> None:
    config = parse(group("station: {station: {firmware_version: 1.10, iccid: 0123}}"))
    assert config.groups[0].station["station"] == {"firmware_version": "1.10", "iccid": "0123"}


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("station: 3", "station: is not a group of keys"),
        ("station: {csms: {url: null}}", "station.csms: has a place of its own"),
        ("station: {quirks: {kwh: labelled}}", "station.quirks: has a place of its own"),
        ("station: {connectors: [{max_current_a: 99}]}", "station.connectors[0].max_current_a: must"),
        (
            "station: {connectors: [{evse: {driver: openevse, port: /dev/x}, meter: {driver: controller}}]}",
            "station.connectors: must be simulated in a fleet",
        ),
        ("quirks: {duplicate_start: 2}", "quirks.duplicate_start: must be at most 1"),
        ("behaviour: ./nowhere.yaml", "behaviour: cannot be used (nowhere.yaml"),
        ("vehicles: 5", "vehicles: is not"),
        ("vehicles: [compct]", "vehicles[0]: is not a vehicle; did you mean compact?"),
        ("vehicles: [{kind: citty}]", "vehicles[0].kind: is not a vehicle; did you mean city?"),
        ("vehicles: [{soc_percent: 120}]", "vehicles[0].soc_percent: 120 is not between 0 and 100"),
        ("vehicles: [{soc: 20}]", "vehicles[0].soc: unknown; did you mean soc_percent?"),
        ("vehicles: [{weight: 0}]", "vehicles[0].weight: is not a weight"),
        ("vehicles: [[1]]", "vehicles[0]: is not a vehicle"),
        ("vehicles: {city: often}", "vehicles.city: is not a weight"),
        ("id_tags: []", "id_tags: must not be empty"),
        ("id_tags: TAG{n:04d}", "id_tags: is not a pool"),
        ("id_tags: TAG{n:04d} x 0", "id_tags: is not a pool"),
        ("id_tags: TAG{x} x 5", "id_tags: is not a pattern"),
        ("id_tags: A-TAG-THAT-IS-TOO-LONG{n} x 5", "id_tags: makes 23 characters of number 5; at most 20"),
        ("id_tags: [A-TAG-THAT-IS-TOO-LONG]", "id_tags[0]: must have 1 to 20 characters (has 22)"),
        ('id_tags: [" A"]', "id_tags[0]: has blanks"),
        ("time_zone: Mars", "time_zone: is not a time zone"),
        ("time_zone: ../etc/passwd", "time_zone: is not a time zone"),
        ("time_zone: Europe", "time_zone: is not a time zone"),
        ("csms: {url: []}", "csms.url: must not be empty"),
        ("csms: {url: [ws://a, ftp://b]}", "csms.url: is not a URL that can be used"),
        ("csms: {url: 'ws://u:p@host'}", "csms.url: must not contain a password"),
        ("csms: {url: [wss://a, ws://b], security_profile: 3}", "csms.security_profile: needs a url"),
        ("csms: {security_profile: 2, authorization_key: k}", "csms.security_profile: needs a"),
        ("csms: {url: wss://a, security_profile: 3}", "csms.tls.cert: is needed by security_profile 3"),
        ("csms: {authorization_key: a, key_file: b}", "csms.key_file: is given beside authorization_key"),
        ("csms: {proxy: ftp://x}", "csms.proxy: is not a URL that can be used"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_group_is_told_with_its_key(keys: str, problem: str) -> None:
    assert problem_of(keys).startswith(problem)


def test_an_event_is_for_a_group_there_is() -> None:
    text = (
        group("")
        + "\nevents:\n- {at: 5m, do: blackout 5m group=homes}\n- {at: 5m, do: blackout group=home}\n"
    )
    assert problems(text) == [
        "fleet.yaml:7: events[1].do: is for home, which is not a group; did you mean homes?"
    ]


def test_what_is_no_event_is_refused() -> None:
    (problem,) = problems(group("") + "\nevents: [{at: 5m, do: blakout 5m}]")
    assert problem.startswith("fleet.yaml:5: events[0].do: 'blakout' is no event; did you mean blackout?")


def test_a_password_never_shows() -> None:
    config = parse(f"csms: {{authorization_key: hush}}\n{group('')}")
    assert "hush" not in repr(config)
    assert "hush" not in problem_of("csms: {url: ws://a, authorization_key: [hush]}")


def test_what_only_shows_together_is_told_too() -> None:
    text = group("identities: DE:{n}").replace(
        "groups:", "csms: {security_profile: 1, authorization_key: k}\ngroups:"
    )
    assert problems(text) == [
        "fleet.yaml:3: groups[0].csms.security_profile: cannot be used with a colon in the identity; change "
        "the identity"
    ]


def test_a_name_that_is_cut_is_a_warning_with_its_line() -> None:
    warnings: list[str] = []
    parse(group(f"station: {{station: {{vendor: {'V' * 21}}}}}"), "fleet.yaml", warnings.append)
    assert warnings == [
        f"fleet.yaml:4: groups[0].station.station.vendor: is cut to 20 characters: {'V' * 20}"
    ]


def written(folder: Path, files: dict[str, str]) -> Path:
    """A fleet's file and others beside it."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "fleet.yaml"


def test_the_mistakes_in_other_files_follow(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "fleet.yaml": "groups:\n- {name: a, count: 2, id_tags: tags.txt, csms: {key_file: keys.csv}}\n"
            "- {name: b, count: 2, id_tags: tags.txt}\n",
            "tags.txt": f"TAG1\ntag1\n\n# more\n{'x' * 21}\n",
            "keys.csv": "identity,key\nCP00001,k1\nCP00001,k2\nCP00002\n",
        },
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems] == [
        "fleet.yaml:2: groups[0].id_tags: has 2 mistakes of its own, listed below; correct that file",
        "fleet.yaml:2: groups[0].csms.key_file: has 2 mistakes of its own, listed below; correct that file",
        "fleet.yaml:3: groups[1].id_tags: has 2 mistakes of its own, listed below; correct that file",
        "fleet.yaml:3: groups[1].identities: b has CP00001, and so has a; change identities or first_number",
        'tags.txt:2: is there twice (is "tag1"); keep one',
        "tags.txt:5: must have 1 to 20 characters (has 21); shorten it",
        "keys.csv:3: CP00001 has a key already; keep one",
        "keys.csv:4: is not `identity,key`; write both, with one comma between",
    ]


def test_a_station_without_a_key_is_told(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "fleet.yaml": "csms: {security_profile: 1, key_file: keys.csv}\ngroups:\n- {name: a, count: 4}\n",
            "keys.csv": "CP00002,k2\n",
        },
    )
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.problems == [
        f"{path}:3: groups[0].csms.key_file: has no key for CP00001 and 2 more of a; add `identity,key`"
    ]


@pytest.mark.parametrize("key", ["id_tags: none.txt", "csms: {key_file: none.csv}", "behaviour: none.yaml"])
def test_a_file_that_is_missing_is_told(key: str, tmp_path: Path) -> None:
    path = written(tmp_path, {"fleet.yaml": group(key)})
    with pytest.raises(ConfigError, match="none"):
        load(path)


def test_it_may_be_made_in_python() -> None:
    config = FleetConfig.model_validate({"ramp": 5, "groups": ({"name": "a", "count": 3},)})
    assert config.ramp_per_s == 5
