"""The JSON Schema by which an editor completes and checks a fleet's file while it is written."""

from __future__ import annotations

from typing import Any

from chargepoint.config.schema import schema as station_schema
from chargepoint.config.schema import take_numbers_for_text
from chargepoint.fleet.plan.file import FleetConfig
from chargepoint.fleet.plan.group import ELSEWHERE, GroupConfig

__all__ = ["schema"]


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12), as loose about text without quotes as that of a station."""
    found = FleetConfig.model_json_schema()
    take_numbers_for_text(found)
    station = station_schema()
    keys = {key: value for key, value in station["properties"].items() if key not in ELSEWHERE}
    found["$defs"] |= station["$defs"]
    found["$defs"]["GroupConfig"]["properties"]["station"] = {
        "type": ["object", "null"],
        "description": GroupConfig.model_fields["station"].description,
        "additionalProperties": False,
        "properties": keys,
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}
