"""Moments on the wire: RFC 3339 text to seconds since the epoch and back (OCPP 1.6 §3.15)."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1)
_EPOCH_DAY = _EPOCH.toordinal()
_PLAIN = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d):([0-5]\d(?:\.\d{1,9})?)Z", re.ASCII
)  # what most of them write
_TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ]"
    r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d|60)(?:[.,](\d+))?)?"
    r"(?:[Zz]|([+-])([01]\d|2[0-3]):?([0-5]\d)?)?",
    re.ASCII,
)


def parse_time(text: str) -> float:
    """Seconds since the epoch, UTC. Raises `ValueError` for what is no date and time.

    Any number of fractional digits and any offset; without an offset it is UTC. Seconds may be missing, and a
    leap second is the first second of the next minute.
    """
    plain = _PLAIN.fullmatch(text)
    minute_at = None if plain is None else _minute_at(plain[1])
    return _parse(text) if plain is None or minute_at is None else minute_at + float(plain[2])


@lru_cache(maxsize=64)
def _minute_at(text: str) -> float | None:
    """None for a minute that is none: who asked for a whole moment tells which."""
    try:
        return _parse(text)
    except ValueError:
        return None


def _parse(text: str) -> float:
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a date and time such as 2026-03-29T14:05:00Z")
    year, month, day, hour, minute, second, fraction, sign, off_hour, off_minute = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date: {error}") from None
    seconds = days * 86_400 + int(hour) * 3600 + int(minute) * 60 + int(second or 0)
    if sign:
        offset_s = int(off_hour) * 3600 + int(off_minute or 0) * 60
        seconds += offset_s if sign == "-" else -offset_s
    # Digits beyond the ninth are lost in a float anyway.
    return seconds + float(f"0.{fraction[:9]}") if fraction else float(seconds)


def format_time(epoch: float) -> str:
    """UTC with `Z`, to the nearest millisecond, such as 2026-03-29T14:05:00.000Z; for the years 1 to 9999."""
    minute, ms = divmod(round(epoch * 1000), 60_000)
    return f"{_minute(minute)}{ms // 1000:02d}.{ms % 1000:03d}Z"


@lru_cache(maxsize=64)
def _minute(number: int) -> str:
    """The text of a minute up to its seconds; what one fleet says lies in few of them."""
    return f"{(_EPOCH + timedelta(minutes=number)).isoformat(timespec='minutes')}:"
