"""Events of a fleet as a person writes them: `blackout 5m`, `rolling-restart 10/s group=north`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chargepoint import durations
from chargepoint.config.wording import nearest
from chargepoint.ocpp16.firmware_management.job import presentable
from chargepoint.ocpp16.status import KINDS

FORMS: dict[str, str] = {
    "blackout": "blackout [5m]",
    "network-out": "network-out [5m]",
    "return": "return",
    "rolling-restart": "rolling-restart 10/s",
    "surge": "surge x3 for 10m",
    "failover": "failover ws://host/path [50/s]",
    "firmware": "firmware 2.1.0 [20/s]",
    "fault-storm": "fault-storm 5m [GroundFailure]",
}
"""Kind of event -> how it is written. Each may end in `group=NAME`, or `group="A NAME"`, and `share=30%`."""

_CHOICES = {"group": "group=NAME", "share": "share=30%"}
_ALIASES = {"csms-failover": "failover", "power-out": "blackout"}
_WORD = re.compile(r'(?:"[^"]*"|\S)+')
_QUOTED = re.compile('"([^"]*)"')
_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|m|min|h)")
_PER = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0}
_TIMES = re.compile(r"x?(\d+(?:\.\d+)?)")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)%")
_SLOWEST_PER_S = 1 / 3_600.0
_LEAST_TIMES, _MOST_TIMES = 0.001, 1_000.0


@dataclass(frozen=True, slots=True)
class FleetEvent:
    """Something that happens to all stations of a fleet, or to those of a group, or to a share of them."""

    kind: str
    text: str
    duration_s: float | None = None
    per_s: float | None = None
    """Stations a second, one after the other; None: all at once."""
    times: float = 1.0
    url: str = ""
    version: str = ""
    error_code: str = ""
    group: str | None = None
    share: float = 1.0


def parse(text: str) -> FleetEvent:
    """Read an event as a person writes it (`FORMS`). Raises `ValueError` with the remedy."""
    words = [_QUOTED.sub(r"\1", word) for word in _WORD.findall(text)]
    name = words[0].lower() if words else ""
    kind = _ALIASES.get(name, name)
    if kind not in FORMS:
        raise ValueError(f"{name or 'nothing'!r} is no event; {nearest(name, FORMS)}; write {_forms()}")
    given: dict[str, Any] = {}
    plain = []
    for word in words[1:]:
        key, is_choice, value = word.partition("=")
        choice = key.lower()
        if is_choice and choice in ("group", "share"):
            if choice in given:
                raise ValueError(f"{word!r} is one too many; an event has one {choice}")
            if not value:
                raise ValueError(f"{word!r} names nothing; write {_CHOICES[choice]}")
            given[choice] = _share(value) if choice == "share" else value
        elif word.lower() != "for":
            plain.append(word)
    for word in plain:
        field, value = _meaning(kind, word)
        if field in given:
            raise ValueError(f"{word!r} is one too many; write {FORMS[kind]}")
        given[field] = value
    for field in _NEEDS.get(kind, ()):
        if field not in given:
            raise ValueError(f"{kind}: {_NOUNS[field]} is missing; write {FORMS[kind]}")
    return FleetEvent(kind, text.strip(), **given)


_NEEDS: dict[str, tuple[str, ...]] = {
    "rolling-restart": ("per_s",),
    "surge": ("times", "duration_s"),
    "failover": ("url",),
    "firmware": ("version",),
    "fault-storm": ("duration_s",),
}
_TAKES: dict[str, tuple[str, ...]] = {
    "blackout": ("duration_s",),
    "network-out": ("duration_s",),
    "return": (),
    "rolling-restart": ("per_s",),
    "surge": ("times", "duration_s"),
    "failover": ("url", "per_s"),
    "firmware": ("per_s", "version"),
    "fault-storm": ("duration_s", "error_code"),
}
_NOUNS = {
    "duration_s": "how long",
    "per_s": "how many a second",
    "times": "how many times as many drivers",
    "url": "the other central system's address",
    "version": "the new version",
}


def _meaning(kind: str, word: str) -> tuple[str, Any]:
    """Which field of an event of that kind a word fills. Raises `ValueError`."""
    for field in _TAKES[kind]:
        value = _READERS[field](word)
        if value is not None:
            return field, value
    raise ValueError(
        f"{word!r} is not understood; write {FORMS[kind]}, with {' or '.join(_CHOICES.values())} behind it"
    )


def _duration(word: str) -> float | None:
    try:
        duration_s = durations.seconds(word)
    except ValueError:
        return None
    if duration_s <= 0:
        raise ValueError(f"{word!r} is no time at all; write more, such as 5m")
    return duration_s


def _rate(word: str) -> float | None:
    found = _RATE.fullmatch(word.lower())
    if found is None:
        return None
    per_s = float(found[1]) / _PER[found[2]]
    if per_s < _SLOWEST_PER_S:
        raise ValueError(f"{word!r} is too slow; write at least 1/h")
    return per_s


def _factor(word: str) -> float | None:
    found = _TIMES.fullmatch(word.lower())
    if found is None:
        return None
    times = float(found[1])
    if times < _LEAST_TIMES:
        raise ValueError(f"{word!r} is too few; write at least x{_LEAST_TIMES:g}; below x1 fewer come")
    if times > _MOST_TIMES:
        raise ValueError(f"{word!r} is too much; write at most x{_MOST_TIMES:g}")
    return times


def _url(word: str) -> str | None:
    if not word.lower().startswith(("ws://", "wss://")):
        return None
    try:
        host = urlsplit(word).hostname
    except ValueError:
        host = None
    if not host:
        raise ValueError(f"{word!r} names no host; write ws://host/path")
    return word


def _version(word: str) -> str | None:
    if presentable(word) != word:
        raise ValueError(f"{word!r} is no version for a BootNotification; write at most 50 ASCII characters")
    return word


def _code(word: str) -> str | None:
    if word not in KINDS:
        raise ValueError(f"{word!r} is no ChargePointErrorCode; {nearest(word, KINDS)}")
    return word


_READERS: dict[str, Callable[[str], Any]] = {
    "duration_s": _duration,
    "per_s": _rate,
    "times": _factor,
    "url": _url,
    "version": _version,
    "error_code": _code,
}


def _share(text: str) -> float:
    found = _SHARE.fullmatch(text)
    if found is None or not 0.0 < float(found[1]) <= 100.0:
        raise ValueError(f"share={text} is no part of the fleet; write share=30%")
    return float(found[1]) / 100.0


def _forms() -> str:
    return ", ".join(FORMS.values())
