"""Events of the control protocol that need more than their fields: frames without secrets."""

from __future__ import annotations

from typing import Any

import orjson

from chargepoint.trace import redact


def ocpp_event(direction: str, data: bytes) -> dict[str, Any]:
    """`dir`, `frame` and, only where compact JSON of `frame` would read differently, `raw`."""
    text = redact(data)
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {"dir": direction, "frame": text}
    if not isinstance(frame, list):
        return {"dir": direction, "frame": text}
    event: dict[str, Any] = {"dir": direction, "frame": frame}
    if orjson.dumps(frame).decode() != text:
        event["raw"] = text
    return event
