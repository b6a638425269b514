"""Lengths of time as a person writes them: `90s`, `5m`, `1h30m`, `2d`."""

from __future__ import annotations

import re

EXPECTED = "a time such as 90s, 5m or 1h30m"

_PART = re.compile(r"(\d+(?:\.\d+)?)(d|h|m|s)")
_WHOLE = re.compile(rf"(?:{_PART.pattern})+")
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}


def seconds(text: str) -> float:
    """The length in seconds; a number alone means seconds. Raises `ValueError` with the remedy."""
    written = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", written):
        return float(written)
    if _WHOLE.fullmatch(written) is None:
        raise ValueError(f"{text!r} is no length of time; write {EXPECTED}")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(written))
