"""What runs exercised of OCPP 1.6, and what they did not: messages, enumerated values, configuration keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from chargepoint.ocpp16.keys import KEYS
from chargepoint.ocpp16.schema import CP_TO_CSMS, CSMS_TO_CP
from scenarios.history import CSMS, STATION, Exchange
from scenarios.verdict import Outcome

__all__ = ["Covered", "coverage", "section"]

Path = tuple[str, ...]

STATUSES = "StatusNotification.status"


@dataclass(frozen=True, slots=True)
class Covered:
    """One thing that has several values: those that were exercised and those that were not."""

    what: str
    exercised: tuple[str, ...]
    missing: tuple[str, ...]


def coverage(outcomes: Iterable[Outcome]) -> list[Covered]:
    """Messages of both sides, statuses, every enumerated field of the messages that came, configuration keys.

    A message counts once it was sent, whatever its answer; a value once it was in a payload; a key once it
    was asked for by its name or changed. Values of messages that never came are told by the message alone.
    """
    sent: dict[str, set[str]] = {STATION: set(), CSMS: set()}
    seen: dict[tuple[str, Path], set[str]] = {}
    keys: set[str] = set()
    for exchange in _exchanges(outcomes):
        sent[exchange.sender].add(exchange.action)
        request = exchange.request
        _note(exchange.action, request, seen)
        if exchange.reply is not None:
            _note(f"{exchange.action}Response", exchange.response, seen)
        if exchange.sender == CSMS and isinstance(request, dict):
            keys.update(_keys(exchange.action, request))
    found = [
        _covered("messages of the station", sorted(CP_TO_CSMS), sent[STATION]),
        _covered("messages of the central system", sorted(CSMS_TO_CP), sent[CSMS]),
    ]
    fields = [
        _covered(_spelled(message, path), list(_enums(message)[path]), values)
        for (message, path), values in sorted(seen.items())
    ]
    fields.sort(key=lambda covered: covered.what != STATUSES)
    known = {key.lower(): key for key in KEYS}
    named = {known[key.lower()] for key in keys if key.lower() in known}
    return [*found, *fields, _covered("configuration keys", sorted(KEYS), named)]


def section(outcomes: Iterable[Outcome]) -> list[str]:
    """The same in lines: how many of how many, and which were not."""
    found = coverage(outcomes)
    wide = max(len(covered.what) for covered in found)
    lines = ["exercised, and what was not:"]
    for covered in found:
        count = f"{len(covered.exercised)} of {len(covered.exercised) + len(covered.missing)}"
        lines.append(f"  {covered.what:<{wide}}  {count:>8}  {', '.join(covered.missing)}".rstrip())
    return lines


def _exchanges(outcomes: Iterable[Outcome]) -> Iterator[Exchange]:
    for outcome in outcomes:
        for history in outcome.stations.values():
            yield from history.exchanges


def _covered(what: str, every: list[str], seen: set[str]) -> Covered:
    return Covered(
        what,
        tuple(value for value in every if value in seen),
        tuple(value for value in every if value not in seen),
    )


def _keys(action: str, request: Mapping[str, Any]) -> Iterator[str]:
    if action == "ChangeConfiguration":
        yield str(request.get("key"))
    elif action == "GetConfiguration":
        yield from (str(key) for key in request.get("key") or ())


def _note(message: str, payload: Any, seen: dict[tuple[str, Path], set[str]]) -> None:
    """Every enumerated value of a payload, and of its message every field that could have one."""
    for path, values in _enums(message).items():
        noted = seen.setdefault((message, path), set())
        noted.update(value for value in _at(payload, path) if value in values)


def _at(value: Any, path: Path) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _at(item, path)
    elif not path:
        if isinstance(value, str):
            yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _spelled(message: str, path: Path) -> str:
    if message.endswith("Response"):
        return f"{message.removesuffix('Response')} answer.{'.'.join(path)}"
    return f"{message}.{'.'.join(path)}"


@lru_cache
def _enums(message: str) -> Mapping[Path, tuple[str, ...]]:
    """The enumerated fields of a message by their path; nothing for a message OCPP does not know."""
    file = files("ocpp") / "v16" / "schemas" / f"{message}.json"
    if not file.is_file():
        return {}
    schema = json.loads(file.read_text("utf-8-sig"))
    return dict(_fields(schema, schema.get("definitions", {}), ()))


def _fields(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], path: Path
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    if "$ref" in schema:
        schema = definitions[str(schema["$ref"]).rpartition("/")[2]]
    if "enum" in schema:
        yield path, tuple(schema["enum"])
    if "items" in schema:
        yield from _fields(schema["items"], definitions, path)
    for name, inner in schema.get("properties", {}).items():
        yield from _fields(inner, definitions, (*path, name))
