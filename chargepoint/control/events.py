"""Events of the control protocol: their times, and frames without secrets."""

from __future__ import annotations

import time
from typing import Any

import orjson

from chargepoint.ocpp16.times import format_time
from chargepoint.trace import redact


def event_line(at: float, event: str, fields: dict[str, Any], cp: str | None = None) -> dict[str, Any]:
    """What a station tells its watchers, as an event of the control protocol.

    `at` is a moment of station time, the real one stands beside it if they differ; `cp` names the station.
    """
    real = time.time()
    line: dict[str, Any] = {"event": event, "t": format_time(at)}
    if abs(at - real) > 1.0:
        line["real_t"] = format_time(real)
    if cp is not None:
        line["cp"] = cp
    return line | (ocpp_event(fields["dir"], fields["data"]) if event == "ocpp" else fields)


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
