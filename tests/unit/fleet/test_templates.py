"""Every shipped station type loads, boots and charges, and says nothing that is not valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from chargepoint.errors import ConfigError
from chargepoint.fleet.plan.template import load_template, template_names
from docs.template_tables import page
from tests.unit.fleet.memory_station import Rig

PAGE = Path(__file__).parents[3] / "docs" / "templates.md"

REQUIRED_KINDS = {
    "bus-depot",
    "core-only",
    "dc-fast-dual",
    "dc-high-power-dual",
    "dc-motorway-triple",
    "home-one-phase",
    "home-three-phase",
    "lamp-post",
    "modem-rural",
    "open-firmware",
    "street-post-dual",
    "truck-depot",
    "wallbox-one-phase",
    "wallbox-three-phase",
    "workplace-load-managed",
}


def test_there_are_the_types_that_fleets_are_made_of() -> None:
    assert set(template_names()) >= REQUIRED_KINDS


@pytest.mark.parametrize("name", template_names())
def test_a_template_says_what_it_is_and_what_it_follows(name: str) -> None:
    template = load_template(name)
    assert template.name == name
    assert template.title
    assert template.description
    assert template.modelled_on
    assert template.config.storage is None
    assert template.config.quirks.switched_on == template.quirks


def test_a_shipped_template_is_read_once() -> None:
    assert load_template("lamp-post").config is load_template("lamp-post").config


@pytest.mark.parametrize("name", template_names())
def test_a_station_of_it_boots_and_charges_at_every_outlet(name: str) -> None:
    config = load_template(name).config
    rig = Rig(config).start()
    assert rig.station.accepted
    for connector in range(1, len(config.connectors) + 1):
        rig.do("plug_in", connector=connector)
        if config.behaviour.free_charging_id_tag is None:
            rig.do("swipe", id_tag="TAG", connector=connector)
    rig.clock.advance(1800)
    for connector, evse in enumerate(rig.station.evses, 1):
        assert evse.reading().energy_wh > 500, connector
    for connector in range(1, len(config.connectors) + 1):
        rig.do("plug_out", connector=connector)
    rig.clock.advance(60)
    assert len(rig.sent("StartTransaction")) >= len(config.connectors)
    assert len(rig.sent("StopTransaction")) == len(config.connectors)
    assert rig.invalid() == []
    assert not [fields for event, fields in rig.events if event == "error"]
    rig.end()


@pytest.mark.parametrize("name", template_names())
def test_a_station_of_it_reports_its_own_keys_and_hides_what_it_does_not_know(name: str) -> None:
    config = load_template(name).config
    rig = Rig(config).start()
    answer = rig.call("GetConfiguration", {})
    assert answer is not None
    found = {entry["key"]: entry for entry in answer[2]["configurationKey"]}
    for key in config.extra_keys:
        assert (found[key.name]["value"], found[key.name]["readonly"]) == (key.value, key.readonly)
    assert not found.keys() & set(config.missing_keys)
    assert "NumberOfConnectors" in found
    rig.end()


@pytest.mark.parametrize("name", template_names())
def test_only_dc_outlets_know_how_full_the_battery_is(name: str) -> None:
    config = load_template(name).config
    rig = Rig(config).start()
    for connector in range(1, len(config.connectors) + 1):
        rig.do("plug_in", connector=connector)
        if config.behaviour.free_charging_id_tag is None:
            rig.do("swipe", id_tag="TAG", connector=connector)
    rig.clock.advance(1800)
    told = {
        payload["connectorId"]
        for payload in rig.sent("MeterValues")
        for value in payload["meterValue"]
        for sampled in value["sampledValue"]
        if sampled.get("measurand") == "SoC"
    }
    dc = {number for number, outlet in enumerate(config.connectors, 1) if outlet.current == "dc"}
    asked = "SoC" in config.ocpp.get("MeterValuesSampledData", "")
    assert told == (dc if asked else set())
    rig.end()


def test_the_modem_s_numbers_are_told() -> None:
    boot = Rig(load_template("modem-rural").config).start().sent("BootNotification")[0]
    assert boot["iccid"] == "8988303000012345001"
    assert boot["imsi"] == "901288001234567"


def test_a_core_only_station_knows_no_smart_charging() -> None:
    rig = Rig(load_template("core-only").config).start()
    answer = rig.call("ClearChargingProfile", {})
    assert answer is not None
    assert answer[:1] == [4]


def test_the_tables_of_the_page_are_those_of_the_templates() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run `make docs`"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"lamppost is not a template; did you mean lamp-post\?"):
        load_template("lamppost")


def test_all_mistakes_of_a_template_are_listed_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "title: Mine\n"
        "stations: {}\n"
        "station:\n"
        "  connectors:\n"
        "    - {current: ac, max_current_a: 100}\n"
        "quirks:\n"
        "  late_statuses: 3\n"
        "  loses_stop: 7\n"
    )
    with pytest.raises(ConfigError) as refused:
        load_template(str(path))
    problems = refused.value.problems
    assert [problem.split(": ")[0] for problem in problems] == [f"{path}:{line}" for line in (2, 5, 7, 8)]
    assert "stations: is not a known key; did you mean station?" in problems[0]
    assert "must be at most 80 (is 100)" in problems[1]
    assert "is not a known key; the nearest is" in problems[2] or "did you mean" in problems[2]
    assert "must be at most 1 (is 7); write a number above 0 and up to 1" in problems[3]


@pytest.mark.parametrize("key", ["identity: CP1", "storage: null", "quirks: {kwh: labelled}"])
def test_what_belongs_to_the_member_has_no_place_in_a_template(key: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"title: Mine\nstation:\n  {key}\n")
    with pytest.raises(ConfigError, match=f"must not have {key.split(':')[0]}"):
        load_template(str(path))


def test_a_template_of_one_s_own_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("title: Mine\nstation:\n  station: {vendor: Me}\nquirks: {duplicate_start: 1}\n")
    template = load_template(str(path))
    assert (template.name, template.config.station.vendor) == ("mine", "Me")
    assert template.quirks == (("duplicate_start", 1.0),)
