"""Payloads as a person writes them: what the protocol wants as text need not be quoted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

__all__ = ["answer_payload", "as_text", "call_payload"]


def call_payload(action: str, payload: Any) -> Any:
    """The payload of a CALL; numbers, true and false become text where the schema says text."""
    return _fitted(payload, _schema(action))


def answer_payload(action: str, payload: Any) -> Any:
    """The same of the answer to `action`."""
    return _fitted(payload, _schema(f"{action}Response"))


def as_text(value: Any) -> Any:
    """A simple value as YAML writes it; anything else as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


@lru_cache
def _schema(name: str) -> Mapping[str, Any]:
    file = files("ocpp") / "v16" / "schemas" / f"{name}.json"
    found: Mapping[str, Any] = json.loads(file.read_text("utf-8-sig")) if file.is_file() else {}
    return found


def _fitted(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return {key: _fitted(item, properties.get(key, {})) for key, item in value.items()}
    if isinstance(value, list):
        return [_fitted(item, schema.get("items", {})) for item in value]
    return as_text(value) if schema.get("type") == "string" else value
