"""Partial matches: what a scenario wrote down against what really came."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from chargepoint.ocpp16.times import parse_time
from scenarios.expressions import ExpressionError

__all__ = ["described", "mismatch"]

_COMPARISON = re.compile(r"(>=|<=|!=|>|<)\s*(.+)")
_NEAR = re.compile(r"~\s*(\S+)\s*\+-\s*(\S+)")
_REGEX = re.compile(r"/(.+)/")
_MISSING = object()


def mismatch(wanted: Any, came: Any, place: str = "") -> str | None:
    """Why `came` does not match `wanted`; None if it does. Raises `ExpressionError` for a bad pattern."""
    if isinstance(wanted, Mapping):
        if set(wanted) == {"any_of"}:
            return _none_of(wanted["any_of"], came, place)
        if not isinstance(came, Mapping):
            return f"{place or 'it'} is {_shown(came)}"
        for key, item in wanted.items():
            if wrong := mismatch(item, came.get(key, _MISSING), f"{place}.{key}" if place else str(key)):
                return wrong
        return None
    if isinstance(wanted, list | tuple):
        return _missing_item(wanted, came, place)
    if _same(wanted, came):
        return None
    return f"{place or 'it'} is {_shown(came)}, not {described(wanted)}"


def described(wanted: Any) -> str:
    """What is wanted, in a few words."""
    if isinstance(wanted, Mapping):
        if set(wanted) == {"any_of"}:
            return "any of " + ", ".join(described(item) for item in wanted["any_of"])
        return ", ".join(f"{key} {described(item)}" for key, item in wanted.items())
    if isinstance(wanted, list | tuple):
        return "[" + ", ".join(described(item) for item in wanted) + "]"
    if wanted is None or wanted == "*":
        return "missing" if wanted is None else "there"
    return _text(wanted)


def _none_of(choices: Any, came: Any, place: str) -> str | None:
    items = choices if isinstance(choices, list | tuple) else [choices]
    if any(mismatch(choice, came) is None for choice in items):
        return None
    return f"{place or 'it'} is {_shown(came)}, not {described({'any_of': items})}"


def _missing_item(wanted: Any, came: Any, place: str) -> str | None:
    if not isinstance(came, list | tuple):
        return f"{place or 'it'} is {_shown(came)}, not a list"
    rest = iter(came)
    for n, item in enumerate(wanted):
        if not any(mismatch(item, other) is None for other in rest):
            return f"{place}[{n}] ({described(item)}) is not there"
    return None


def _same(wanted: Any, came: Any) -> bool:
    if wanted is None:
        return came is _MISSING or came is None
    if came is _MISSING:
        return False
    if isinstance(wanted, str):
        if wanted == "*":
            return True
        if regex := _REGEX.fullmatch(wanted):
            return _found(regex[1], _text(came))
        if near := _NEAR.fullmatch(wanted):
            return _near(came, near[1], near[2])
        if comparison := _COMPARISON.fullmatch(wanted):
            return _compared(came, comparison[1], comparison[2])
    return _equal(wanted, came)


def _found(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        raise ExpressionError(f"/{pattern}/ is no regular expression ({error})") from None


def _equal(wanted: Any, came: Any) -> bool:
    if isinstance(wanted, bool) or isinstance(came, bool):
        return _text(wanted) == _text(came)
    left, right = _number(wanted), _number(came)
    # A number that both wrote as text must be the same text: 007 is not 7.
    if left is not None and right is not None and not (isinstance(wanted, str) and isinstance(came, str)):
        return left == right
    return _text(wanted) == _text(came)


def _compared(came: Any, sign: str, wanted: str) -> bool:
    if sign == "!=":
        return not _equal(wanted, came)
    left, right = _size(came), _size(wanted)
    if left is None or right is None:
        return False
    return {">": left > right, ">=": left >= right, "<": left < right, "<=": left <= right}[sign]


def _near(came: Any, middle: str, by: str) -> bool:
    left, right, most = _size(came), _size(middle), _number(by)
    return left is not None and right is not None and most is not None and abs(left - right) <= most


def _size(value: Any) -> float | None:
    number = _number(value)
    if number is not None or not isinstance(value, str):
        return number
    try:
        return parse_time(value)
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _shown(value: Any) -> str:
    if value is _MISSING:
        return "missing"
    text = _text(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
