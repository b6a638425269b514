"""What a central system tells those who listen, with every secret taken out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Listener = Callable[["Event"], None]
"""Who is told of each event, at once; one that raises is logged and hurts nobody else."""

HIDDEN = "***"
_SECRET_KEY = "authorizationkey"


def timestamp(at: float) -> str:
    """A moment as RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    `name` is one of ready (`url`), connected, disconnected (`reason`), frame (`dir` rx or tx, `frame`) and
    error (`message`). `at` is on the central system's clock.
    """

    name: Literal["ready", "connected", "disconnected", "frame", "error"]
    at: float
    cp: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The event as the control protocol writes it."""
        cp = {} if self.cp is None else {"cp": self.cp}
        return {"event": self.name, "t": timestamp(self.at), **cp, **self.fields}


def frame_of(text: str) -> Any:
    """The JSON value of a frame without secrets, or its text if it is not JSON."""
    try:
        return without_secrets(read_json(text))
    except (ValueError, RecursionError):
        return text_without_secrets(text)


def read_json(text: str | bytes) -> Any:
    """A JSON value that can be written again; raises `ValueError` or `RecursionError`.

    Python reads NaN, Infinity and numbers too great for a float, and writes them as what is no JSON.
    """
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("not a finite number")
    return value


def without_secrets(frame: Any) -> Any:
    """A frame with AuthorizationKey's value hidden: in ChangeConfiguration, GetConfiguration, errors."""
    if not isinstance(frame, list) or len(frame) < 3:
        return frame
    if frame[0] == 2 and len(frame) > 3 and _names_secret(frame[3]) and "value" in frame[3]:
        return [*frame[:3], {**frame[3], "value": HIDDEN}, *frame[4:]]
    if frame[0] == 3:
        return [*frame[:2], result_without_secrets(frame[2]), *frame[3:]]
    if frame[0] == 4:
        # Some implementations repeat the whole request in a CALLERROR, the key included.
        return [*frame[:3], *(_unless_secret(part) for part in frame[3:])]
    return frame


def result_without_secrets(result: Any) -> Any:
    """A GetConfiguration answer's payload with AuthorizationKey's value hidden; any other as it is."""
    keys = result.get("configurationKey") if isinstance(result, dict) else None
    if not isinstance(keys, list):
        return _unless_secret(result)
    hidden = [{**key, "value": HIDDEN} if _names_secret(key) and "value" in key else key for key in keys]
    return {**result, "configurationKey": hidden}


def _names_secret(entry: Any) -> bool:
    return isinstance(entry, dict) and str(entry.get("key")).casefold() == _SECRET_KEY


def _unless_secret(part: Any) -> Any:
    """JSON of unknown shape; if it speaks of an AuthorizationKey it is hidden whole."""
    return HIDDEN if _SECRET_KEY in json.dumps(part).casefold() else part


def text_without_secrets(text: str) -> str:
    """Text of unknown make; if it speaks of an AuthorizationKey it is hidden whole."""
    return HIDDEN if _SECRET_KEY in text.casefold() else text
