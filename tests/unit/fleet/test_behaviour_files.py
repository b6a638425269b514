"""Behaviours as files: the shipped ones are sound, own ones can be mixed, mistakes name line, key, remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from chargepoint import durations
from chargepoint.errors import ConfigError
from chargepoint.fleet.events import FORMS
from chargepoint.fleet.people.behaviour import Behaviour, behaviour_names, sessions_per_day
from chargepoint.fleet.people.behaviour_file import Arrivals, Drivers, Troubles, load_sites
from hal.simulated.vehicle import load_vehicle, vehicle_names

ASKED = {"idle", "steady", "morning-rush", "evening-peak", "depot-night", "chaos"}
SITES = {"home", "work", "street", "motorway", "depot"}


@pytest.mark.search
def test_the_presets_and_kinds_of_site_are_there() -> None:
    assert set(behaviour_names()) == ASKED | SITES
    for name in behaviour_names():
        behaviour = Behaviour.load(name)
        assert behaviour.title
        assert behaviour.description
        assert sum(share for _, share in behaviour.sites) == pytest.approx(1)


MISTAKES = {
    "unknown key": ("title: x\narrivalz: {}", ":2: arrivalz: is not a known key; did you mean arrivals?"),
    "no title": ("busier: 1", ":1: title: is missing; write text of at most 60 characters"),
    "hours": (
        "title: x\narrivals:\n  per_day: 1\n  hours: [1, 2]",
        ":4: arrivals.hours: has 2 numbers; write 24",
    ),
    "no weights": (
        f"title: x\narrivals:\n  hours: {[0] * 24}",
        ":3: arrivals.hours: must not be below 0, nor all be 0; correct them",
    ),
    "time": (
        "title: x\ndrivers:\n  stay: {median: soon}",
        ":3: drivers.stay.median: is not a length of time: 'soon' is no length of time; write a time such as "
        "90s, 5m or 1h30m",
    ),
    "range": (
        "title: x\ndrivers:\n  stay: {median: 5m, most: 1m}",
        ":3: drivers.stay.median: must lie between least and most; change one of them",
    ),
    "percents": (
        "title: x\ndrivers:\n  arrive_with: {least: 90, most: 80}",
        ":3: drivers.arrive_with.most: must be above least (90); raise it or lower least",
    ),
    "share": (
        "title: x\ndrivers:\n  wrong_card: 3",
        ":3: drivers.wrong_card: must be at most 1 (is 3); write a number from 0 to 1",
    ),
    "code": (
        "title: x\ntroubles:\n  faults:\n    codes: {GroundFailur: 1}",
        ':4: troubles.faults.codes: has "GroundFailur", which is not known; did you mean GroundFailure?',
    ),
    "vehicle": (
        "title: x\ndrivers:\n  vehicles: {compct: 1}",
        ':3: drivers.vehicles: has "compct", which is not known; did you mean compact?',
    ),
    "weight": (
        "title: x\ndrivers:\n  vehicles: {compact: much}",
        ':3: drivers.vehicles: has a weight for "compact" that is no number of at least 0; write one',
    ),
    "begins": (
        "title: x\nbegins_at: at dawn",
        ':2: begins_at: is no moment of a week (is "at dawn"); write a day and a time such as tue 07:30',
    ),
}


@pytest.mark.parametrize(("text", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_names_file_line_key_and_remedy(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Behaviour.load(file)
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(str(file))
    assert caught.value.problems[0].endswith(problem)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("title: x\nbusier: -1\ndrivers: {swipes: 0, queue: 2}\n")
    with pytest.raises(ConfigError) as caught:
        Behaviour.load(file)
    assert [problem.split(": ")[1] for problem in caught.value.problems] == [
        "busier",
        "drivers.swipes",
        "drivers.queue",
    ]


def test_a_name_that_is_not_there_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"morning_rush: is no behaviour; did you mean morning-rush\?"):
        Behaviour.load("morning_rush")
    with pytest.raises(ConfigError, match="cannot be read"):
        Behaviour.load("nowhere.yaml")


def test_a_mixture_replaces_what_it_writes_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("title: Own site\nbusier: 2\narrivals: {per_day: 5}\n")
    file = tmp_path / "mine.yaml"
    file.write_text(
        "title: Mine\nbegins_at: fri 16:00\nsites: {work: 3, ./own.yaml: 1}\nbusier: 1.5\n"
        "drivers: {wrong_card: 0.5, stay: {most: 20h}}\n"
    )
    (work, three), (own, one) = load_sites(file)
    assert (three, one) == (3, 1)
    assert work.drivers.wrong_card == own.drivers.wrong_card == 0.5
    assert work.drivers.stay.most == 72_000
    assert work.drivers.stay.median == 25_200  # as the kind of site has it
    assert work.arrivals.hours[8] == 78
    assert (work.busier, own.busier) == (1.5, 3)
    behaviour = Behaviour.load("mine.yaml", folder=tmp_path)
    assert behaviour.begins_at == 4 * 86_400 + 16 * 3_600
    assert behaviour.title == "Mine"


def test_a_mixture_of_mixtures_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("title: Mine\nsites: {evening-peak: 1}\n")
    with pytest.raises(ConfigError, match="evening-peak is a mixture itself; name the sites it consists of"):
        Behaviour.load(file)


def test_the_page_shows_what_there_is(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "behaviours.md").read_text(encoding="utf-8")
    (tmp_path / "bays.yaml").write_text("title: Bays\ncurrent: dc\n")
    (tmp_path / "mine.yaml").write_text(page.split("```yaml")[1].split("```")[0])
    behaviour = Behaviour.load("mine.yaml", folder=tmp_path)
    assert behaviour.begins_at == 6.5 * 3_600
    assert [site.config.title for site, _ in behaviour.sites] == ["Places of work", "Bays"]
    for name in (*behaviour_names(), *FORMS.values()):
        assert f"`{name}`" in page
    for section in (Arrivals, Drivers, Troubles):
        for key in section.model_fields:
            assert key in page


def test_the_page_lists_the_vehicles_there_are() -> None:
    page = (Path(__file__).parents[3] / "docs" / "behaviours.md").read_text(encoding="utf-8")
    for name in vehicle_names():
        one = load_vehicle(name)
        ac = f"{one.ac_phases} x {one.ac_max_current_a:g} A, {one.ac_max_power_w / 1000:g} kW"
        dc = f"{one.dc_max_power_w / 1000:g} kW" if one.dc_max_power_w else "none"
        assert f"| `{name}` | {one.battery_wh / 1000:g} kWh | {ac} | {dc} |" in page


@pytest.mark.search
def test_expected_sessions() -> None:
    expected = {name: sessions_per_day(Behaviour.load(name), 2) for name in behaviour_names()}
    assert expected["idle"] == 0
    assert 0.8 < expected["home"] < 1.5
    assert 11 < expected["motorway"] < 14
    assert 200 < expected["steady"] < 384  # a third finds both connectors taken
    assert sessions_per_day(Behaviour.load("steady"), 1) * 2 < expected["steady"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("1.5h", 5400), ("2D", 172_800)]
)
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5m", "5 m", "h", "5x", "1e3", "inf"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="write a time such as"):
        durations.seconds(text)
