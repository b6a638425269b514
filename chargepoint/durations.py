"""Times as a person writes them: lengths such as `90s`, `1h30m` or `2d`, and moments such as `2026-03-02`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from chargepoint.config.section import Expected, mistake
from chargepoint.ocpp16.times import parse_time

__all__ = ["EXPECTED", "Start", "moment", "seconds"]

EXPECTED = "a time such as 90s, 5m or 1h30m"

_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}
_MOST_S = 1e11


def seconds(text: str) -> float:
    """The length in seconds; a number alone means seconds. Raises `ValueError` with the remedy."""
    written = text.strip().lower()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", written):
        length_s = float(written)
    elif _WHOLE.fullmatch(written):
        length_s = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(written))
    else:
        length_s = _MOST_S
    if length_s >= _MOST_S:
        raise ValueError(f"{text!r} is no length of time; write {EXPECTED}")
    return length_s


def moment(text: str) -> float:
    """Seconds since the epoch of RFC 3339; a date alone is its midnight in UTC. Raises `ValueError`."""
    written = text.strip()
    return parse_time(written if len(written) > len("2026-03-02") else f"{written}T00:00:00Z")


def _start(start: str | None) -> str | None:
    try:
        if start is not None:
            moment(start)
    except ValueError:
        raise mistake(f'is no time (is "{start}"); write for example 2026-03-02T06:00:00Z') from None
    return start


Start = Annotated[
    str | None, AfterValidator(_start), Expected("a time such as 2026-03-02T06:00:00Z, or null")
]
"""A key of a file: when its clock begins."""
