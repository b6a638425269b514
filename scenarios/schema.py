"""The JSON Schema by which an editor completes and checks a scenario while it is written."""

from __future__ import annotations

from typing import Any

from chargepoint.actions import CALLERROR_CODES
from chargepoint.config.keys import key_table
from chargepoint.config.schema import schema as station_schema
from chargepoint.config.schema import take_numbers_for_text
from chargepoint.ocpp16.status import KINDS as KINDS_OF_FAULTS
from scenarios.condition import LENGTH, WITH_VARIABLE
from scenarios.model import ScenarioFile, StationEntry
from scenarios.step import KINDS

__all__ = ["schema"]

_SHORT = {
    "Wait": LENGTH,
    "Csms": {"enum": ["drop", "stop", "start"]},
    "Include": {"type": ["string"]},
    "LoadEntry": {"type": ["string", "array"]},
    "LimitEntry": {"type": ["number", "string", "array"]},
}
"""What may be one word, or a list, instead of a group."""

_WORDS = {
    ("Fault", "error_code"): sorted(KINDS_OF_FAULTS),
    ("Override", "error"): sorted(CALLERROR_CODES),
}
"""What arguments of verbs can be, beside a variable: elsewhere they are any text."""


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12), as loose about text without quotes as that of a station."""
    found = ScenarioFile.model_json_schema()
    take_numbers_for_text(found)
    definitions = found["$defs"]
    for name, short in _SHORT.items():
        definitions[name] = {"anyOf": [short, definitions[name]]}
    for (verb, argument), words in _WORDS.items():
        _complete(definitions[verb]["properties"][argument], words, WITH_VARIABLE)
    _complete(
        definitions["Config"]["properties"]["key"], [key.name for key in key_table()], {"type": "string"}
    )
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


def _complete(part: dict[str, Any], words: list[str], otherwise: dict[str, Any]) -> None:
    """In place of any text: one of these words, or what else there is."""
    may_be_null = {"type": "null"} in part.get("anyOf", ())
    part.pop("type", None)
    part["anyOf"] = [{"enum": words}, otherwise, *([{"type": "null"}] if may_be_null else [])]


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
