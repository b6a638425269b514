"""Reads JSON Lines: our own traces, and those of other simulators that use the same fields."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from chargepoint.errors import ConfigError
from chargepoint.ocpp16.times import parse_time
from scenarios.importers.found import Found, Source

DIRECTIONS = {"cp-to-csms": True, "csms-to-cp": False}
MAJOR = "1"
_DECODER = json.JSONDecoder()
_ARRAY = re.compile(r"\s*\[\s*\{")
_NEXT = re.compile(r"\s*,\s*(?=\{)")
_END = re.compile(r"\s*,?\s*(?P<closed>\]\s*)?")
_ABOUT = frozenset({"schemaVersion", "timestamp", "chargePointId", "event"})


def recognizes(source: Source) -> bool:
    """The first record is an object with a timestamp, and a frame or an event."""
    first = next((line for line in source.lines if line.strip()), "")
    try:
        record = next(_array(source), (1, None))[1] if _is_array(source) else json.loads(first)
    except (ValueError, RecursionError, ConfigError):
        return False
    return isinstance(record, dict) and "timestamp" in record and ("direction" in record or "event" in record)


def collect(source: Source) -> None:
    """Every record; a last line cut short is counted, anything else that is no record is an error."""
    newer: set[str] = set()
    for number, record in _array(source) if _is_array(source) else _lines(source):
        if not isinstance(record, dict):
            raise source.mistake(number, "is not an object")
        version = str(record.get("schemaVersion", "1.0"))
        if version.partition(".")[0] != MAJOR:
            newer.add(version)
            if len(newer) == 1:
                raise source.mistake(number, f"has schemaVersion {version}; this program reads {MAJOR}.x")
        found = _found(source, number, record)
        if found is None:
            source.unknown.append(number)
        else:
            source.found.append(found)


def _lines(source: Source) -> Iterator[tuple[int, Any]]:
    """A record on each line."""
    for number, line in enumerate(source.lines, 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            if number == len(source.lines):  # the process that wrote it ended within the line
                source.unknown.append(number)
                continue
            raise source.mistake(number, f"is not JSON ({error}); repair or remove the line") from None


def _is_array(source: Source) -> bool:
    return _ARRAY.match(source.text) is not None


def _array(source: Source) -> Iterator[tuple[int, Any]]:
    """The records of one JSON array, each with the line it begins on."""
    text, line, counted = source.text, 1, 0
    opening = _ARRAY.match(text)
    assert opening is not None
    at = opening.end() - 1
    while True:
        line, counted = line + text.count("\n", counted, at), at
        try:
            record, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            raise source.mistake(line, "begins a record that is not JSON; repair or remove it") from None
        yield line, record
        following = _NEXT.match(text, end)
        if following is None:
            break
        at = following.end()
    rest = _END.match(text, end)
    assert rest is not None
    if rest.end() < len(text):
        line += text.count("\n", counted, rest.end())
        found = (
            "something stands behind the array" if rest["closed"] else "neither a record nor the array's end"
        )
        raise source.mistake(line, f"{found}; repair or remove it")


def _found(source: Source, number: int, record: dict[str, Any]) -> Found | None:
    if "direction" not in record and "event" not in record:
        return None
    at = _moment(source, number, record)
    station = record.get("chargePointId")
    station = station if isinstance(station, str) else None
    event = record.get("event")
    if isinstance(event, str):
        fields = {name: value for name, value in record.items() if name not in _ABOUT}
        return Found(at, number, station, event=event, fields=fields)
    direction = record.get("direction")
    if direction not in DIRECTIONS:
        raise source.mistake(number, f"direction is {direction!r}; write {' or '.join(DIRECTIONS)}")
    raw = record.get("raw")
    if isinstance(raw, list):
        raw = json.dumps(raw, separators=(",", ":"))
    if not isinstance(raw, str):
        raw = rebuilt(
            record.get("messageType"), record.get("messageId"), record.get("action"), record.get("payload")
        )
    if raw is None:
        raise source.mistake(number, "has neither raw nor messageType, messageId and payload")
    return Found(at, number, station, raw=raw, outgoing=DIRECTIONS[direction])


def _moment(source: Source, number: int, record: dict[str, Any]) -> float:
    stamp = record.get("timestamp")
    if isinstance(stamp, int | float) and not isinstance(stamp, bool):
        return stamp / 1000 if stamp > 1e11 else float(stamp)
    try:
        return parse_time(str(stamp))
    except ValueError as error:
        raise source.mistake(number, f"timestamp: {error}") from None


def rebuilt(kind: Any, message_id: Any, action: Any, payload: Any) -> str | None:
    """A frame out of its parts, where a file keeps them apart; None if one is missing."""
    number = {
        "2": 2,
        "call": 2,
        "request": 2,
        "req": 2,
        "3": 3,
        "callresult": 3,
        "result": 3,
        "response": 3,
    }.get(str(kind).strip().lower().replace("_", "").replace(" ", ""))
    number = number or {"conf": 3, "4": 4, "callerror": 4, "error": 4}.get(str(kind).strip().lower())
    if number is None or message_id in (None, ""):
        return None
    body = {} if payload is None else payload
    frame: list[Any] = [number, str(message_id), body]
    if number == 2:
        if not action:
            return None
        frame.insert(2, str(action))
    elif number == 4:
        error = body if isinstance(body, dict) else {}
        frame[2:] = [
            str(error.get("code", "GenericError")),
            str(error.get("description", "")),
            error.get("details", {}),
        ]
    return json.dumps(frame, separators=(",", ":"))
