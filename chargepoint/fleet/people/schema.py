"""The JSON Schema by which an editor completes and checks a behaviour's file while it is written."""

from __future__ import annotations

from typing import Any

from chargepoint.config.schema import take_numbers_for_text
from chargepoint.fleet.people.behaviour_file import BehaviourConfig
from chargepoint.ocpp16.status import KINDS
from hal.simulated.vehicle import vehicle_names

__all__ = ["schema"]

_WEIGHT = {"type": "number", "minimum": 0}


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 2020-12), as loose about text without quotes as that of a station."""
    found = BehaviourConfig.model_json_schema()
    take_numbers_for_text(found)
    parts = found["$defs"]
    found["properties"]["sites"]["additionalProperties"] = _WEIGHT
    _weighted(parts["Drivers"]["properties"]["vehicles"], vehicle_names())
    _weighted(parts["Faults"]["properties"]["codes"], sorted(KINDS))
    arrivals = parts["Arrivals"]["properties"]
    _lists(arrivals["hours"], 24)
    _lists(arrivals["weekend_hours"]["anyOf"][0], 24)
    _lists(arrivals["days"], 7)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def _weighted(node: dict[str, Any], names: tuple[str, ...] | list[str]) -> None:
    """Only these names, each with a weight."""
    node["additionalProperties"] = False
    node["properties"] = dict.fromkeys(names, _WEIGHT)


def _lists(node: dict[str, Any], count: int) -> None:
    node |= {"items": _WEIGHT, "minItems": count, "maxItems": count}
