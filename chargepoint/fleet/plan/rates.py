"""Rates as a person writes them: `50/s`, `3000/min`, `50`."""

from __future__ import annotations

import re

__all__ = ["EXPECTED_RATE", "rate_per_s"]

EXPECTED_RATE = "a rate such as 50/s or 3000/min"

_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(?:\s*/\s*(s|min|m|h))?", re.ASCII)
_PER = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def rate_per_s(text: str) -> float:
    """How many per second; a number alone means that. Raises `ValueError` with the remedy."""
    found = _RATE.fullmatch(text.strip().lower())
    rate = float(found[1]) / _PER[found[2] or "s"] if found else 0.0
    if rate <= 0:
        raise ValueError(f'is no rate (is "{text}"); write {EXPECTED_RATE}')
    return rate
