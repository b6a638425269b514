"""An editor that has the schema takes every scenario that runs, and shows lengths that are none."""

from __future__ import annotations

from datetime import date
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from scenarios.collection import library_file, library_names
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
