"""Frames to try a charge point with: built from the published schemas, then broken in every way there is."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.judge import ACTIONS, BACKWARD, schema

INTEGERS = st.sampled_from(
    (-(10**30), -(2**63), -(2**31), -1, 0, 1, 2, 3, 60, 86400, 2**31, 2**53, 2**64, 10**30)
)
NUMBERS = st.sampled_from((-1e300, -0.1, 0, 0.1, 6, 16.0, 21.4, 1e15, 1e300, 10**40)) | st.integers(
    0, 400
).map(lambda n: n / 10)
MOMENTS = (
    "",
    "x",
    "2026-01-01",
    "1970-01-01T00:00:00Z",
    "2026-01-01T00:05:00Z",
    "2026-01-01T00:00:00.999999999999999999999Z",
    "2026-13-41T25:61:61Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59Z",
    "2038-01-19T03:14:08-00:00",
)
WORDS = st.sampled_from(
    (
        "",
        "TAG",
        "tag",
        "ftp://127.0.0.1:1/x",
        "http://[::1",
        "http://127.0.0.1:1/a b",
        "file:///etc/passwd",
        "AuthorizationKey",
        "HeartbeatInterval",
        "MeterValuesSampledData",
        "-----BEGIN CERTIFICATE-----",
        "\x00",
        "‮ü\U0001f50c",
        "\ud800",
        *MOMENTS,
    )
) | st.text(max_size=30)
ODD: st.SearchStrategy[Any] = st.sampled_from(
    (None, True, False, 0, -1, 1.5, 1e308, 10**400, "", "x", "1", [], [[]], {}, {"x": {}}, [None])
).map(copy.deepcopy)
"""Values of some other type than was asked for."""


def values(part: dict[str, Any], whole: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Anything a part of a schema takes."""
    if "$ref" in part:
        return values(whole["definitions"][part["$ref"].rpartition("/")[2]], whole)
    if "enum" in part:
        return st.sampled_from(part["enum"])
    kind = part.get("type")
    if kind == "object":
        return objects(part, whole)
    if kind == "array":
        return st.lists(values(part["items"], whole), min_size=part.get("minItems", 0), max_size=3)
    if kind == "integer":
        return INTEGERS | st.integers(-5, 5)
    if kind == "number":
        return NUMBERS
    if kind == "boolean":
        return st.booleans()
    longest = part.get("maxLength", 200)
    return WORDS.filter(lambda text: len(text) <= longest) | st.just("x" * longest)


def objects(part: dict[str, Any], whole: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with every required field and some of the others."""
    properties, required = part.get("properties", {}), part.get("required", ())
    return st.fixed_dictionaries(
        {name: values(properties[name], whole) for name in required},
        optional={name: values(inner, whole) for name, inner in properties.items() if name not in required},
    )


@cache
def valid(action: str) -> st.SearchStrategy[dict[str, Any]]:
    """Payloads that keep the schema of an action."""
    return objects(schema(action), schema(action))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside."""
    inner: list[tuple[Any, ...]] = [at]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        inner += places(part, (*at, key))
    return inner


Breaker = Callable[[st.DrawFn, Any], Any]


def _replace(draw: st.DrawFn, value: Any) -> Any:
    return draw(ODD)


def _remove_field(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict) and value:
        value.pop(draw(st.sampled_from(sorted(value))))
    return value


def _add_field(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, dict):
        value[draw(st.sampled_from(("more", "", "connectorid", "__class__", "customData")))] = draw(ODD)
    return value


def _lengthen(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, str):
        return value + "x" * draw(st.sampled_from((1, 20, 256, 10_001)))
    if isinstance(value, list) and value:
        return value * draw(st.sampled_from((2, 50, 1_001)))
    return value


def _misspell(draw: st.DrawFn, value: Any) -> Any:
    if isinstance(value, str):
        return draw(st.sampled_from((value.upper(), value.lower() + " ", value[::-1], value + "\x00")))
    return value


def _nest(draw: st.DrawFn, value: Any) -> Any:
    for _ in range(draw(st.sampled_from((1, 5, 40)))):
        value = draw(st.sampled_from(([value], {"x": value}))) if draw(st.booleans()) else [value]
    return value


BREAKERS: tuple[Breaker, ...] = (_replace, _remove_field, _add_field, _lengthen, _misspell, _nest)


@st.composite
def payloads(draw: st.DrawFn, action: str) -> Any:
    """A valid payload, or one with up to three things broken somewhere inside."""
    payload = draw(valid(action))
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 2, 3)))):
        payload = copy.deepcopy(payload)
        way = draw(st.sampled_from(places(payload)))
        broken = draw(st.sampled_from(BREAKERS))
        if not way:
            payload = broken(draw, payload)
            continue
        holder = payload
        for key in way[:-1]:
            holder = holder[key]
        holder[way[-1]] = broken(draw, holder[way[-1]])
    return payload


IDS = st.uuids(version=4).map(str) | st.sampled_from(("", "-1", "x" * 36, "x" * 37, "\ud83d", "ü"))


@st.composite
def calls(draw: st.DrawFn) -> list[Any]:
    """A CALL of any action of theirs, sometimes of no action at all."""
    action = draw(st.sampled_from(sorted(ACTIONS)))
    payload = draw(payloads(action))
    if draw(st.integers(0, 19)) == 0:
        action = draw(
            st.sampled_from((*sorted(BACKWARD - {"DataTransfer"}), "", "reset", "Nonsense", "x" * 5_000))
        )
    return [2, draw(IDS), action, payload]


@st.composite
def odd_frames(draw: st.DrawFn) -> Any:
    """Frames with a mistake in the frame itself, and answers nobody waits for."""
    frame: Any = draw(calls())
    how = draw(st.integers(0, 7))
    if how == 0:
        frame[0] = draw(st.sampled_from((0, 1, 5, -2, 2.5, 10**30, "2", None, True, [])))
    elif how == 1:
        frame[draw(st.integers(0, 3))] = draw(ODD)
    elif how == 2:
        frame = frame[: draw(st.integers(0, 3))]
    elif how == 3:
        frame.append(draw(ODD))
    elif how == 4:
        frame = [3, frame[1], frame[3]]
    elif how == 5:
        frame = [
            4,
            frame[1],
            draw(st.sampled_from(("GenericError", "FormatViolation", "", 7, None))),
            "x",
            {},
        ]
    elif how == 6:
        frame = draw(ODD)
    else:
        frame = {"messageTypeId": 2, "payload": frame}
    return frame


def encoded(frame: Any) -> bytes:
    """The bytes of a frame; halves of surrogate pairs stay, as escapes."""
    return json.dumps(frame).encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Bytes that were a frame before something happened to them."""
    raw = bytearray(encoded(draw(calls())))
    how = draw(st.integers(0, 6))
    at = draw(st.integers(0, len(raw) - 1))
    if how == 0:
        del raw[at:]
    elif how == 1:
        raw[at] = draw(st.integers(0, 255))
    elif how == 2:
        raw[at:at] = draw(
            st.sampled_from(
                (b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\x00", b"NaN", b"1e999", b"\xef\xbb\xbf")
            )
        )
    elif how == 3:
        raw[:0] = b"\xef\xbb\xbf"
    elif how == 4:
        raw = raw * 2
    elif how == 5:  # deeper than anything written in Python could build
        levels = draw(st.sampled_from((150, 1_000, 10_000)))
        inside = (
            b"[" * levels + b"]" * levels if draw(st.booleans()) else b'{"x":' * levels + b"1" + b"}" * levels
        )
        raw[-2:] = b"" if len(raw) < 2 else b',"deep":' + inside + bytes(raw[-2:])
    else:
        raw = bytearray(draw(st.binary(max_size=60)))
    return bytes(raw)


FRAMES = calls().map(encoded) | calls().map(encoded) | odd_frames().map(encoded) | damaged()
"""Mostly CALLs that come as far as a handler or its validator, then everything else."""
