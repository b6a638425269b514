"""A scenario's file: every mistake at once, with line, column and the nearest word."""

from __future__ import annotations

from pathlib import Path

import pytest

from chargepoint.actions import VERBS
from chargepoint.errors import ConfigError
from scenarios.model import load, parse
from scenarios.schema import schema
from scenarios.step import KINDS, NO_STEPS

TEN = """\
title: Ten mistakes
tagz: [a]
stations:
  - {id: A, template: wallbox-three-fase}
steps:
  - plug_inn: {connector: 1}
  - plug_in: {conector: 1, connector: 1}
  - wait: 30 minutes
  - expect: {frame: StartTransactoin}
  - expect: {status: Chargin}
  - wait: 1s
    expect: {status: Charging}
  - repeat: {times: 2, steps: [{plug_out: {connector: one}}]}
  - parallel: [[{wiat: 3}], [{expect: {that: "a +"}}]]
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        parse(text, "story.yaml")
    return raised.value.problems


def test_ten_mistakes_are_all_listed_in_their_places() -> None:
    assert problems(TEN) == [
        "story.yaml:2:1: tagz: is not a known key; did you mean tags?",
        "story.yaml:4:13: stations[0].template: is not a template; did you mean wallbox-three-phase?",
        "story.yaml:6:5: steps[0].plug_inn: is not a known key; did you mean plug_in?",
        "story.yaml:7:15: steps[1].plug_in.conector: is not a known key; did you mean connector?",
        "story.yaml:8:5: steps[2].wait.for: is no length of time (is \"30 minutes\"); "
        "write a time such as 90s, 5m or 1h30m",
        "story.yaml:9:14: steps[3].expect.frame: is not an action (is \"StartTransactoin\"); "
        "did you mean StartTransaction?",
        "story.yaml:10:14: steps[4].expect.status: Chargin is not a status; did you mean Charging?",
        "story.yaml:11:5: steps[5]: does wait and expect at once; begin a new line with a dash for each",
        "story.yaml:13:44: steps[6].repeat.steps[0].plug_out.connector: is not a whole number (is \"one\"); "
        "write a whole number, or a variable in braces",
        "story.yaml:14:18: steps[7].parallel[0][0].wiat: is not a known key; did you mean wait?",
        "story.yaml:14:40: steps[7].parallel[1][0].expect.that: 'a +' is no expression (invalid syntax)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("expect: {}", "says nothing to look for"),
        ("expect: {frame: Heartbeat, status: Charging}", "speaks of frame and status"),
        ("expect: {status: Charging, times: 2}", "goes with `frame` only"),
        ("expect: {frame: Heartbeat, path: 'a['}", "is no JMESPath"),
        ("expect: {frame: Heartbeat, save: {1a: request}}", "is no name for a variable"),
        ("csms: {}", "does one thing"),
        ("csms: {call: Resett}", "did you mean Reset?"),
        ("csms: {answer: Authorise, payload: {}}", "did you mean Authorize?"),
        ("csms: {answer: Authorize}", "says not how"),
        ("csms: dropp", "did you mean drop?"),
        ("repeat: {steps: [{wait: 1s}]}", "ends in one way"),
        ("repeat: {for_each: {a: [1], b: [2]}, steps: [{wait: 1s}]}", "must be one variable"),
        ("if: {that: 'true'}", "has neither `then` nor `else`"),
        ("swipe: {id_tag: '{tag'}", "brace that is not closed"),
        ("wait: {until: noon}", "is no time"),
        ("wait: {until: '12:00', zone: Europe/Berln}", "did you mean Europe/Berlin?"),
        ("disturb: {link: half_opn}", "half_open"),
        ("note: only this", "says nothing to do"),
    ],
)
def test_mistakes_in_steps(step: str, why: str) -> None:
    (problem, *_) = problems(f"title: T\nsteps:\n  - {step}\n")
    assert why in problem


def test_every_verb_of_the_control_protocol_is_a_step() -> None:
    assert set(VERBS) - set(NO_STEPS) <= set(KINDS)


def test_mistakes_of_included_files_and_circles(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "title: A\nsteps:\n  - include: b.yaml\n  - include: {file: gone.yaml}\n"
    )
    (tmp_path / "b.yaml").write_text("steps:\n  - include: a.yaml\n  - wiat: 1s\n")
    with pytest.raises(ConfigError) as raised:
        load(tmp_path / "a.yaml")
    text = "\n".join(raised.value.problems)
    assert "includes a.yaml, which includes this again" in text
    assert "b.yaml:3:5: steps[1].wiat: is not a known key; did you mean wait?" in text
    assert "gone.yaml: cannot be read" in text


def test_needs_show_in_the_steps() -> None:
    story = parse(
        "title: T\nneeds: [stepped clock]\nsteps: [{csms: {call: Reset}}, {group: {steps: [{csms: drop}]}}]"
    )
    assert story.needs == ("stepped clock", "csms commands", "own csms")


def test_station_keys_are_checked_as_in_a_configuration() -> None:
    stations = "stations:\n  - {id: A, station: {identity: B, ocpp: {HeartbeatIntervl: 3}}}\n"
    text = f"title: T\n{stations}steps: [{{wait: 1s}}]\n"
    assert problems(text) == [
        "story.yaml:3:23: stations[0].station.identity: has a place of its own; write it as `id`",
        "story.yaml:3:43: stations[0].station.ocpp.HeartbeatIntervl: is not a known key; "
        "did you mean HeartbeatInterval?",
    ]


def test_two_stations_of_one_identity() -> None:
    assert problems("title: T\nstations: [{id: A}, {id: A}]\nsteps: [{wait: 1s}]") == [
        "story.yaml:2:22: stations[1].id: A is the id of an earlier station; write another one"
    ]


GOOD = """\
title: Short forms
stations: [{id: A, station: {ocpp: {HeartbeatInterval: 300}}}]
steps:
  - reboot
  - reboot:
  - wait: 30
  - csms: drop
  - csms: {call: Reset, payload: {type: Soft}}
  - include: other.yaml
  - if: {status: Charging}
    then: [{wait: 1s}]
  - repeat: {times: "{n}", steps: [{plug_out: {connector: 1}}]}
"""


def test_schema_takes_what_is_right_and_refuses_what_is_not() -> None:
    import jsonschema_rs
    from ruamel.yaml import YAML

    validator = jsonschema_rs.validator_for(schema())
    good = YAML(typ="safe", pure=True).load(GOOD)
    assert [error.message for error in validator.iter_errors(good)] == []
    for step in ({"wiat": "3s"}, {"plug_in": {"conector": 1}}, "plug_in"):
        assert not validator.is_valid({**good, "steps": [step]}), step


def test_a_step_at_a_station_that_is_not_there() -> None:
    assert problems(
        """\
title: T
stations: [{id: A1}, {}]
variables: {any: A1}
steps:
  - {at: CP001, wait: 1s}
  - {at: "{any}", wait: 1s}
  - parallel: [[{at: A2, wait: 1s}], [{if: {online: true}, then: [{at: CP01, wait: 1s}]}]]
"""
    ) == [
        "story.yaml:7:18: steps[2].parallel[0][0].at: there is no station A2; there are A1, CP001",
        "story.yaml:7:68: steps[2].parallel[1][0].then[0].at: there is no station CP01; did you mean CP001?",
    ]


NAMES = """\
title: T
variables: {tag: TAG1, whole: "{tagg}-{seed}", later: "{tag}"}
steps:
  - swipe: {id_tag: "{tga}"}
  - expect: {frame: Authorize, where: {idTag: "{tag}"}, save: {seen: request.idTag}}
  - if: {online: true}
    then: [{set: {chosen: "= soc_percent"}}]
    else: [{wait: "{chosen}"}]
  - data_transfer: {vendor_id: "{chosen} {seen}", data: "{min(later, 3) if cp else none}"}
  - repeat: {times: 2, as: i, steps: [{swipe: {id_tag: "{i}{n}{late}"}}, {set: {late: cp}}]}
  - repeat: {for_each: {card: [A]}, steps: [{swipe: {id_tag: "{card}"}}]}
  - swipe: {id_tag: "{card}"}
  - set: {x: "= nothing + request.a + now_s", y: "{a: request}"}
  - include: {file: common.yaml, with: {who: "{whoever}"}}
  - csms: {call: Reset, payload: {type: "{outside}"}, expect: {status: "{made_there}"}}
  - parallel: [[{wait: "{other}"}], [{set: {other: "= 1"}}]]
  - {at: "{cpp}", note: "{anything}", wait: 1s}
"""

COMMON = """\
variables: {pause: 1s}
steps:
  - swipe: {id_tag: "{who}{tag}"}
  - wait: "{pauze}"
  - set: {made_there: "= pause"}
"""


def test_names_that_nobody_gave_a_value(tmp_path: Path) -> None:
    (tmp_path / "common.yaml").write_text(COMMON)
    with pytest.raises(ConfigError) as caught:
        parse(NAMES, "story.yaml", folder=tmp_path, given=["outside"])
    found = [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert [(*problem.split(": ")[:2], problem.split("; ")[1]) for problem in found] == [
        ("story.yaml:2:24", "variables.whole", "did you mean tag?"),
        ("story.yaml:4:13", "steps[0].swipe.id_tag", "did you mean tag?"),
        ("story.yaml:12:13", "steps[6].swipe.id_tag", found[2].split("; ")[1]),
        ("story.yaml:13:11", "steps[7].set.x", found[3].split("; ")[1]),
        ("story.yaml:14:41", "steps[8].include.with.who", found[4].split("; ")[1]),
        ("common.yaml:4:5", "steps[1].wait", "did you mean pause?"),
        ("story.yaml:17:6", "steps[11].at", "did you mean cp?"),
    ]
    assert " card is not known here" in found[2]
    assert " nothing is not known here" in found[3]
    (missing,) = [line for line in _problems_without(tmp_path) if "outside" in line]
    assert missing.startswith("story.yaml:15:35: steps[9].csms.payload.type: outside is not known here")
    parse(NAMES, "story.yaml", folder=tmp_path, given=None)


def _problems_without(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(NAMES, "story.yaml", folder=folder)
    return caught.value.problems


def test_behind_an_include_that_cannot_be_read_no_name_is_judged() -> None:
    text = "title: T\nsteps:\n  - include: gone.yaml\n  - wait: '{set_there}'\n"
    assert len(problems(text)) == 1


def test_mistakes_are_told_in_the_order_of_the_file_whatever_finds_them() -> None:
    """A strange station, an unknown key, an unknown name and a file that is not there."""
    text = """\
title: T
steps:
  - {at: CP009, wait: 1s}
  - swipe: {idtag: A}
  - swipe: {id_tag: "{tga}"}
  - include: gone.yaml
  - expect: {status: Chargin}
"""
    lines = [int(problem.split(":")[1]) for problem in problems(text)]
    assert lines == [3, 4, 4, 5, 6, 7]


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("that: 'seconds(timestamp) <'", "frames[0].that: 'seconds(timestamp) <' is no expression"),
        ("path: 'a[['", "frames[0].path: is no JMESPath"),
        ("thta: now_s", "frames[0].thta: is not a known key; did you mean that?"),
        ("where: {timestamp: '~ {moment(since)} +- 5'}", "where.timestamp: since is not known here; did you"),
        ("error: '{whch}'", "frames[0].error: whch is not known here"),
    ],
)
def test_mistakes_in_a_frame_of_a_sequence(item: str, says: str) -> None:
    (problem,) = problems(f"title: T\nsteps:\n  - expect: {{frames: [{{frame: Authorize, {item}}}]}}\n")
    assert problem.startswith("story.yaml:3:")
    assert says in problem


@pytest.mark.parametrize(
    "item",
    [
        "that: seconds(timestamp) < since_s + 5",
        "where: {timestamp: '~ {moment(began_s + 60)} +- 5'}",
        "path: '{a: request}'",
        "error: '*', from: csms",
    ],
)
def test_what_a_frame_of_a_sequence_may_say(item: str) -> None:
    text = f"title: T\nsteps:\n  - expect: {{frames: [{{frame: Reset, {item}}}]}}\n"
    parse(text, "story.yaml")
