"""An editor that has the schema takes every scenario that runs, and shows lengths that are none."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from chargepoint.errors import ConfigError
from scenarios.collection import library_file, library_names
from scenarios.model import parse
from scenarios.schema import schema

VALIDATOR = jsonschema_rs.validator_for(schema())


def _plain(value: Any) -> Any:
    """Moments as the text that they are in YAML 1.2."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


@pytest.mark.parametrize("name", library_names())
def test_the_shipped_scenarios_fit(name: str) -> None:
    document = _plain(YAML(typ="safe", pure=True).load(library_file(name).read_text()))
    assert [f"{list(e.instance_path)}: {e.message}" for e in VALIDATOR.iter_errors(document)] == []


@pytest.mark.parametrize(
    ("key", "length", "fits"),
    [
        ("for", "1h30m", True),
        ("for", "200ms", True),
        ("for", 90, True),
        ("for", "-2m", False),
        ("for", "soon", False),
        ("by", "-2h", True),
        ("by", "+1d", True),
        ("by", "2 hours", False),
    ],
)
def test_lengths_of_disturbances(key: str, length: str | float, fits: bool) -> None:
    step = {"disturb": {"clock": "skew", "by": "1h", key: length}}
    assert VALIDATOR.is_valid({"title": "T", "steps": [step]}) is fits


WRITTEN = [
    ({"expect": {"frame": "Authorize"}}, True),
    ({"expect": {"frame": "Authorise"}}, False),
    ({"expect": {"frame": "{action}"}}, True),
    ({"expect_never": {"frame": "Authorise"}}, False),
    ({"expect": {"frames": [{"frame": "Authorize"}, {"frame": "StartTransactoin"}]}}, False),
    ({"wait": {"status": "Charging", "within": "10m"}}, True),
    ({"wait": {"status": "Chargin"}}, False),
    ({"wait": {"status": "{wanted}"}}, True),
    ({"expect": {"status": ["Preparing", "{wanted}"]}}, True),
    ({"expect": {"status": ["Preparing", "Chargin"]}}, False),
    ({"expect": {"online": True, "within": "soon"}}, False),
    ({"expect": {"online": True, "within": "-5m"}}, False),
    ({"expect": {"online": True, "within": "{pause}"}}, True),
    ({"expect": {"online": True, "within": "{n}m"}}, True),
    ({"expect": {"online": True, "within": 90}}, True),
    ({"wait": {"for": "1H30m"}}, True),
    ({"wait": {"for": "30 minutes"}}, False),
    ({"wait": "soon"}, False),
    ({"wait": "{pause}"}, True),
    ({"wait": "200ms"}, True),
    ({"wait": 90}, True),
    ({"expect": {"status": "Charging", "connector": "{n}"}}, True),
    ({"expect": {"status": "Charging", "connector": "one"}}, False),
    ({"plug_out": {"connector": "one"}}, False),
    ({"csms": {"call": "Reset", "payload": {"type": "Soft"}}}, True),
    ({"csms": {"call": "BootNotification", "payload": {}}}, False),
    ({"csms": {"call": "{action}", "payload": {}}}, True),
    ({"csms": "drop"}, True),
    ({"csms": "dropp"}, False),
    ({"csms": {"answer": "Authorise", "silent": True}}, False),
    ({"csms": {"answer": "Authorize", "silent": True}}, True),
]
"""Steps, and whether they are possible: `scenario check` and the schema agree."""


@pytest.mark.parametrize(("step", "fits"), WRITTEN, ids=[str(step) for step, _ in WRITTEN])
def test_words_that_are_known_are_completed_and_checked_as_the_command_checks_them(
    step: dict[str, Any], fits: bool
) -> None:
    assert VALIDATOR.is_valid({"title": "T", "steps": [step]}) is fits
    text = json.dumps({"title": "T", "steps": [step]})  # JSON is YAML
    try:
        parse(text, given=None)
        taken = True
    except ConfigError:
        taken = False
    assert taken is fits


@pytest.mark.parametrize(
    ("step", "fits"),
    [
        ({"fault": {"connector": 1, "error_code": "GroundFailure"}}, True),
        ({"fault": {"connector": 1, "error_code": "GroundFailur"}}, False),
        ({"fault": {"connector": 1, "error_code": "{code}"}}, True),
        ({"override": {"action": "Reset", "error": "InternalError"}}, True),
        ({"override": {"action": "Reset", "error": "Internal"}}, False),
        ({"override": {"action": "Reset", "error": None}}, True),
        ({"config": {"key": "HeartbeatInterval", "value": 60}}, True),
        ({"config": {"key": "OfAVendor", "value": 60}}, True),
    ],
)
def test_words_of_verbs(step: dict[str, Any], fits: bool) -> None:
    assert VALIDATOR.is_valid({"title": "T", "steps": [step]}) is fits


def test_an_editor_has_the_words_where_they_stand() -> None:
    """The whole list, in one place, beside the variable: so that a message can name them."""
    definitions = schema()["$defs"]
    for name, key, word in [
        ("Condition", "frame", "StartTransaction"),
        ("Wait", "status", "SuspendedEVSE"),
        ("Csms", "call", "RemoteStartTransaction"),
        ("Csms", "answer", "Authorize"),
        ("Fault", "error_code", "GroundFailure"),
        ("Config", "key", "MeterValueSampleInterval"),
    ]:
        whole = definitions[name]
        options = whole.get("anyOf", [whole])[-1]["properties"][key]["anyOf"]
        assert word in options[0]["enum"], (name, key)
        assert not [option for option in options if "anyOf" in option]
