"""The JSON Schema by which an editor completes and checks a scenario while it is written."""

from __future__ import annotations

from typing import Any

from chargepoint.config.schema import schema as station_schema
from chargepoint.config.schema import take_numbers_for_text
from scenarios.model import ScenarioFile, StationEntry
from scenarios.step import KINDS

__all__ = ["schema"]

_SHORT = {
    "Wait": ["string", "number"],
    "Csms": ["string"],
    "Include": ["string"],
    "LoadEntry": ["string", "array"],
    "LimitEntry": ["number", "string", "array"],
}
"""What may be one word, or a list, instead of a group."""


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12), as loose about text without quotes as that of a station."""
    found = ScenarioFile.model_json_schema()
    take_numbers_for_text(found)
    definitions = found["$defs"]
    for name, kinds in _SHORT.items():
        definitions[name] = {"anyOf": [{"type": kinds}, definitions[name]]}
    step = definitions["Step"]
    alone = [kind for kind in KINDS if not _required(definitions, step["properties"][kind])]
    definitions["Step"] = {"anyOf": [{"enum": alone}, step]}
    station = station_schema()
    definitions |= {name: part for name, part in station["$defs"].items() if name not in definitions}
    definitions["StationEntry"]["properties"]["station"] = {
        "type": ["object", "null"],
        "description": StationEntry.model_fields["station"].description,
        "additionalProperties": False,
        "properties": station["properties"],
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _required(definitions: dict[str, Any], part: dict[str, Any]) -> bool:
    """Whether a step of that kind must say more than its name."""
    for option in part.get("anyOf", [part]):
        reference = option.get("$ref")
        if reference is not None:
            model = definitions[reference.rpartition("/")[2]]
            return bool(model.get("required")) or "anyOf" in model
        if option.get("type") == "array":
            return True
    return False
