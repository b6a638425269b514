"""The JSON Schemas by which an editor completes and checks a fleet's file, or a template's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel

from chargepoint.config.schema import schema as station_schema
from chargepoint.config.schema import take_numbers_for_text
from chargepoint.fleet.plan.file import FleetConfig
from chargepoint.fleet.plan.group import ELSEWHERE, GroupConfig
from chargepoint.fleet.plan.template import MEMBERS_OWN, TemplateFile

__all__ = ["schema", "template_schema"]


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12), as loose about text without quotes as that of a station."""
    found = _of(FleetConfig)
    properties = found["$defs"]["GroupConfig"]["properties"]
    properties["station"] = _station(GroupConfig, ELSEWHERE)
    return found


def template_schema() -> dict[str, Any]:
    """The same of a station type's file."""
    found = _of(TemplateFile)
    found["properties"]["station"] = _station(TemplateFile, MEMBERS_OWN)
    return found


def _of(model: type[BaseModel]) -> dict[str, Any]:
    found = model.model_json_schema()
    take_numbers_for_text(found)
    found["$defs"] |= station_schema()["$defs"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _station(model: type[BaseModel], elsewhere: Collection[str]) -> dict[str, Any]:
    """A station's keys but for those that have their place elsewhere."""
    keys = station_schema()["properties"]
    return {
        "type": ["object", "null"],
        "description": model.model_fields["station"].description,
        "additionalProperties": False,
        "properties": {key: value for key, value in keys.items() if key not in elsewhere},
    }
