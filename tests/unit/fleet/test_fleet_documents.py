"""Example, schema, page and deploy file: what is shown to a person agrees with what is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from chargepoint.cli.fleet_run import fleet_run
from chargepoint.config.section import Section
from chargepoint.config.wording import section_of
from chargepoint.errors import ConfigError
from chargepoint.fleet.events import FORMS
from chargepoint.fleet.plan.connection import FleetCsmsConfig
from chargepoint.fleet.plan.example import example
from chargepoint.fleet.plan.file import EventConfig, FleetConfig, load, parse
from chargepoint.fleet.plan.group import GroupConfig
from chargepoint.fleet.plan.planning import plan_from
from chargepoint.fleet.plan.reference import reference, with_reference
from chargepoint.fleet.plan.schema import schema

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "fleet.md"
OURS: tuple[type[Section], ...] = (FleetConfig, GroupConfig, FleetCsmsConfig, EventConfig)


def keys() -> Iterator[str]:
    """Every key of a fleet's file that is not a station's too."""
    for model in OURS:
        yield from model.model_fields


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those of its groups."""
    yield model
    for field in model.model_fields.values():
        if inner := section_of(field.annotation):
            yield from models(inner)


def test_the_example_has_every_key() -> None:
    for key in keys():
        assert re.search(rf"\b{key}:", example()), key


def test_the_example_is_a_fleet_without_warnings() -> None:
    warnings: list[str] = []
    plan = plan_from(parse(example(), "example", warnings.append))
    assert (plan.count, warnings) == (1000, [])


def test_the_example_fits_the_schema() -> None:
    jsonschema_rs.meta.validate(schema())
    tree = YAML(typ="safe", pure=True).load(example())
    tree["start"] = str(tree["start"])  # no JSON has moments
    jsonschema_rs.Draft202012Validator(schema()).validate(tree)


@pytest.mark.parametrize(
    ("keys", "fits"),
    [
        ("identities: A{n}", True),
        ("id_tags: [0123, A]", True),
        ("id_tags: TAG{n} x 5", True),
        ("vehicles: {city: 2}", True),
        ("vehicles: [city, {kind: van, weight: 2}]", True),
        ("station: {ocpp: {HeartbeatInterval: 5}, station: {firmware_version: 1.10}}", True),
        ("quirks: {late_status_s: 5}", True),
        ("csms: {url: [ws://a, ws://b], url_policy: in_order}", True),
        ("colour: red", False),
        ("first_number: -1", False),
        ("station: {identity: X}", False),
        ("station: {ocpp: {Colour: red}}", False),
        ("quirks: {late: 5}", False),
        ("csms: {url_policy: best}", False),
    ],
)
@pytest.mark.search
def test_the_schema_agrees_with_the_reading(keys: str, fits: bool) -> None:
    text = f"groups:\n- name: a\n  count: 1\n  {keys}\n"
    tree = YAML(typ="safe", pure=True).load(text)
    assert jsonschema_rs.Draft202012Validator(schema()).is_valid(tree) is fits
    try:
        parse(text)
    except ConfigError:
        assert not fits
    else:
        assert fits


def test_every_key_is_explained() -> None:
    for model in OURS:
        for name, field in model.model_fields.items():
            assert field.description, name
            for written in field.examples or ():
                assert written != field.default


def test_the_reference_leaves_no_group_of_keys_out() -> None:
    others = {model.__name__ for model in models(FleetConfig)} - {model.__name__ for model in OURS}
    assert others == {"TlsConfig", "ReconnectConfig", "QuirksConfig"}  # pages of their own explain them
    for key in keys():
        assert f"| `{key}` |" in reference()


def test_the_page_holds_the_reference_of_today() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_reference(page) == page


def test_the_page_names_every_flag_that_the_command_has() -> None:
    named = set(re.findall(r"^\| `(--[a-z-]+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= {option for parameter in fleet_run.params for option in parameter.opts}
    assert {"--csms", "--count", "--template", "--behaviour", "--ramp", "--seed", "--for"} <= named


def test_the_page_lists_every_event() -> None:
    listed = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    assert [re.split(r"\s{2,}", line)[0] for line in listed.splitlines()] == list(FORMS.values())


def test_the_fleet_on_the_page_is_one() -> None:
    (written,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert plan_from(parse(written)).count == 1000


def test_the_fleet_in_deploy_is_ten_thousand_stations() -> None:
    warnings: list[str] = []
    plan = plan_from(load(ROOT / "deploy" / "fleet" / "morning-rush.yaml", warnings.append))
    assert (plan.count, len({member.identity for member in plan.members()}), warnings) == (10_000, 10_000, [])
