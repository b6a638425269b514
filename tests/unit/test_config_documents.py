"""What is made from the models: the example, the JSON Schema and the reference agree with what is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from chargepoint.config import StationConfig, parse
from chargepoint.config.example import example
from chargepoint.config.keys import key_table
from chargepoint.config.reference import reference
from chargepoint.config.schema import schema
from chargepoint.config.wording import section_of

ROOT = Path(__file__).parents[2]


def fields(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Every field of a model and of its groups, with its description."""
    for name, field in model.model_fields.items():
        yield name, field.description or ""
        if inner := section_of(field.annotation):
            yield from fields(inner)


def test_the_example_says_nothing_but_the_defaults() -> None:
    assert parse(example()) == StationConfig()


def test_the_example_explains_every_key() -> None:
    text = example()
    for name, description in fields(StationConfig):
        assert re.search(rf"^ *(# )?{name}:|[{{ ]{name}: ", text, re.MULTILINE), name
        assert description, name
    for key in key_table():
        assert f"# {key.name}: " in text


def test_each_commented_key_of_the_example_may_be_taken_in() -> None:
    text = re.sub(r"^  # ([A-Z]\w+: \S+)$", r"  \1", example(), flags=re.MULTILINE)
    assert parse(text).ocpp.keys() == {key.name for key in key_table()}


def test_the_examples_of_single_keys_may_be_written() -> None:
    found = re.findall(r"^ *# for example (.*)$", example(), re.MULTILINE)
    assert len(found) == 6
    for line in found:
        parse(f"csms: {{{line}}}" if line.startswith("url") else line)


def test_the_example_fits_the_schema() -> None:
    jsonschema_rs.meta.validate(schema())
    jsonschema_rs.Draft202012Validator(schema()).validate(YAML(typ="safe", pure=True).load(example()))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("identity: 0123", True),
        ("station: {firmware_version: 1.10}", True),
        ("ocpp: {MessageTimeout: 5, LocalPreAuthorize: true}", True),
        ("vehicle: {kind: city}", True),
        ("connectors: [{evse: {driver: rapi, port: /dev/ttyUSB0}}]", True),
        ("colour: red", False),
        ("ocpp: {Colour: red}", False),
        ("connectors: [{phases: 4}]", False),
        ("compatibility: {allow_unsigned_firmware: perhaps}", False),
        ("behaviour: {reboot_s: soon}", False),
    ],
)
def test_the_schema_agrees_with_the_reading(text: str, fits: bool) -> None:
    assert (
        jsonschema_rs.Draft202012Validator(schema()).is_valid(YAML(typ="safe", pure=True).load(text)) is fits
    )


def test_the_reference_is_current() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_the_reference_has_every_key() -> None:
    text = reference()
    for name in [name for name, _ in fields(StationConfig)] + [key.name for key in key_table()]:
        assert f"| `{name}` |" in text
