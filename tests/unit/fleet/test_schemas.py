"""The JSON Schemas of behaviours and templates: what is shipped fits, and they agree with the reading."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from chargepoint.cli.fleet import fleet
from chargepoint.errors import ConfigError
from chargepoint.fleet.people.behaviour_file import load_config
from chargepoint.fleet.people.schema import schema as behaviour_schema
from chargepoint.fleet.plan.schema import template_schema
from chargepoint.fleet.plan.template import load_template

PACKAGE = Path(__file__).parents[3] / "chargepoint" / "fleet"
EXAMPLE = Path(__file__).parents[3] / "chargepoint" / "fleet" / "plan" / "example.yaml"
SHIPPED = {
    "fleet": [EXAMPLE],
    "behaviour": sorted((PACKAGE / "people" / "behaviours").glob("*.yaml")),
    "template": sorted((PACKAGE / "plan" / "templates").glob("*.yaml")),
}


@pytest.mark.parametrize("of", SHIPPED)
@pytest.mark.search
def test_what_is_shipped_fits(of: str, tmp_path: Path) -> None:
    """By another program than the one that reads it."""
    printed = CliRunner().invoke(fleet, ["schema", "--of", of], catch_exceptions=False).output
    (tmp_path / "schema.json").write_text(printed)
    jsonschema_rs.meta.validate(json.loads(printed))
    program = Path(sys.executable).parent / "check-jsonschema"
    files = SHIPPED[of]
    assert files
    done = subprocess.run(
        [program, "--schemafile", tmp_path / "schema.json", *files],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_word_it_is_that_of_a_fleet() -> None:
    runner = CliRunner()
    plain = runner.invoke(fleet, ["schema"]).output
    assert plain == runner.invoke(fleet, ["schema", "--of", "fleet"]).output
    assert "groups" in json.loads(plain)["properties"]


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        ("busier: 2", True),
        ("begins_at: tue 07:30", True),
        ("begins_at: null", True),
        ("sites: {work: 80, ./bays.yaml: 20}", True),
        ("arrivals: {per_day: 3, first_within: 30s}", True),
        ("drivers: {stay: {median: 1h30m, least: 60, most: 2d}, vehicles: {bus: 1, van: 0.5}}", True),
        ("troubles: {faults: {per_month: 3, codes: {GroundFailure: 1}, lasts: {median: 5m}}}", True),
        ("drivers: {stay: {most: 2D}}", True),
        ("title: 7", True),
        ("colour: red", False),
        ("busier: much", False),
        ("begins_at: tue 25:30", False),
        ("begins_at: soon", False),
        ("arrivals: {hours: [1, 2]}", False),
        ("arrivals: {days: [1, 1, 1, 1, 1, 1, -1]}", False),
        ("drivers: {wrong_card: 3}", False),
        ("drivers: {stay: {median: soon}}", False),
        ("drivers: {vehicles: {compct: 1}}", False),
        ("troubles: {faults: {codes: {GroundFailur: 1}}}", False),
        ("sites: {work: -1}", False),
    ],
)
def test_a_behaviours_schema_agrees_with_the_reading(keys: str, fits: bool, tmp_path: Path) -> None:
    text = keys if keys.startswith("title") else f"title: Own\n{keys}\n"
    tree = YAML(typ="safe", pure=True).load(text)
    assert jsonschema_rs.Draft202012Validator(behaviour_schema()).is_valid(tree) is fits
    file = tmp_path / "own.yaml"
    file.write_text(text)
    try:
        load_config(file)
    except ConfigError:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        ("station: {station: {vendor: Ours, model: W1}, vehicle: bus}", True),
        ("station: {ocpp: {HeartbeatInterval: 900}}", True),
        ("station: {extra_keys: [{name: LedBrightness, value: 80}]}", True),
        ("quirks: {late_status_s: 20}", True),
        ("modelled_on: [its data sheet]", True),
        ("station: {identity: X}", False),
        ("station: {quirks: {late_status_s: 20}}", False),
        ("station: {ocpp: {Colour: red}}", False),
        ("quirks: {late: 5}", False),
        ("colour: red", False),
    ],
)
def test_a_templates_schema_agrees_with_the_reading(keys: str, fits: bool, tmp_path: Path) -> None:
    text = f"title: Own\n{keys}\n"
    tree = YAML(typ="safe", pure=True).load(text)
    assert jsonschema_rs.Draft202012Validator(template_schema()).is_valid(tree) is fits
    file = tmp_path / "own.yaml"
    file.write_text(text)
    try:
        load_template(str(file))
    except ConfigError:
        assert not fits
    else:
        assert fits
