"""The JSON Schema by which an editor completes and checks a configuration file while it is written."""

from __future__ import annotations

from typing import Any

from chargepoint.config.keys import key_table, values_of
from chargepoint.config.model import StationConfig

__all__ = ["schema", "take_numbers_for_text"]


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12) of a station's configuration file.

    Looser than `load` in one way: it cannot know that text needs no quotes, so it takes numbers for text.
    """
    found = StationConfig.model_json_schema()
    take_numbers_for_text(found)
    found["$defs"]["ExtraKeyConfig"]["properties"]["value"]["type"] = ["string", "number", "boolean"]
    found["properties"]["ocpp"] = {
        "type": ["object", "null"],
        "description": StationConfig.model_fields["ocpp"].description,
        "additionalProperties": False,
        "properties": {
            key.name: {
                "type": ["string", "number", "boolean"],
                "description": f"{key.description} Write {values_of(key)}.",
            }
            for key in key_table()
        },
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def take_numbers_for_text(node: Any) -> None:
    """Let an editor accept text that needs no quotes."""
    if isinstance(node, dict):
        if node.get("type") == "string" and "enum" not in node and "const" not in node:
            node["type"] = ["string", "number"]
        for part in node.values():
            take_numbers_for_text(part)
    elif isinstance(node, list):
        for part in node:
            take_numbers_for_text(part)
