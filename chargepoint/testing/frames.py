"""Frames as a test looks at them: CALLs with their answers, and whether a payload is the one meant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from chargepoint.csms.transcript import Frames as Lines

Payload = dict[str, Any]
Kind = Literal["CALL", "CALLRESULT", "CALLERROR", "UNKNOWN"]

_KINDS: Mapping[Any, Kind] = {2: "CALL", 3: "CALLRESULT", 4: "CALLERROR"}
_NONE: Payload = {}


@dataclass(slots=True, eq=False)
class Frame:
    """One frame on the link of station `cp`; `from_station` tells its direction, `at` is the station's time.

    `action` of an answer is that of its CALL. A CALLERROR's payload has `code`, `description` and `details`.
    What is no OCPP-J frame is UNKNOWN, without action and payload.
    """

    at: datetime
    cp: str
    from_station: bool
    kind: Kind
    message_id: str
    action: str
    payload: Payload
    frame: Any = field(repr=False)
    """The JSON array as it was sent, or the text if it was none; values of AuthorizationKey are masked."""
    answer: Frame | None = field(default=None, repr=False)
    """What came back to a CALL, once it has come."""
    taken: bool = field(default=False, repr=False)
    """An expectation has been met by this frame."""

    def __getitem__(self, field: str) -> Any:
        """A field of the payload."""
        return self.payload[field]


class Record:
    """All frames so far, oldest first."""

    __slots__ = ("_by_action", "_unanswered", "frames")

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._by_action: dict[tuple[bool, str], list[Frame]] = {}
        self._unanswered: dict[tuple[str, bool, str], Frame] = {}

    def add(self, at: float, cp: str, from_station: bool, frame: Any) -> None:
        """Note one more; an answer is put to its CALL."""
        moment = datetime.fromtimestamp(at, UTC)
        kind: Kind = "UNKNOWN"
        if isinstance(frame, list) and len(frame) > 2 and isinstance(frame[0], int):
            kind = _KINDS.get(frame[0], "UNKNOWN")
        if kind == "UNKNOWN":
            self.frames.append(Frame(moment, cp, from_station, kind, "", "", _NONE, frame))
            return
        message_id, action, payload = str(frame[1]), "", frame[2]
        call = None
        if kind == "CALL":
            action, payload = str(frame[2]), frame[3] if len(frame) > 3 else _NONE
        else:
            call = self._unanswered.pop((cp, not from_station, message_id), None)
            action = "" if call is None else call.action
        if kind == "CALLERROR":
            payload = dict(zip(("code", "description", "details"), frame[2:], strict=False))
        payload = payload if isinstance(payload, dict) else _NONE
        noted = Frame(moment, cp, from_station, kind, message_id, action, payload, frame)
        if kind == "CALL":
            self._unanswered[cp, from_station, message_id] = noted
            self._by_action.setdefault((from_station, action), []).append(noted)
        elif call is not None:
            call.answer = noted
        self.frames.append(noted)

    def calls(self, from_station: bool, action: str, where: Mapping[str, Any]) -> Iterator[Frame]:
        """The CALLs of that action and direction whose payload is like `where`."""
        for frame in tuple(self._by_action.get((from_station, action), ())):
            if is_like(frame.payload, where):
                yield frame


def is_like(value: Any, wanted: Any) -> bool:
    """Whether `value` has all that `wanted` asks for: of an object some fields, a function's consent, else
    the same value."""
    if isinstance(wanted, Mapping):
        return isinstance(value, dict) and all(
            key in value and is_like(value[key], part) for key, part in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(is_like(*pair) for pair in zip(value, wanted, strict=True))
        )
    if callable(wanted):
        return bool(wanted(value))
    return bool(value == wanted)


def spelled(action: str, where: Mapping[str, Any]) -> str:
    """What is looked for, in words."""
    fields = " and ".join(f"{name} {_shown(value)}" for name, value in where.items())
    return f"{action} with {fields}" if fields else action


def _shown(value: Any) -> str:
    if callable(value):
        return "that fits"
    try:
        return json.dumps(value)
    except TypeError:
        return repr(value)


def lines(frames: Iterable[Frame]) -> Iterator[str]:
    """Frames as text, a line each: time, station, arrow, action, payload."""
    text = Lines()
    for frame in frames:
        line = text.line(frame.cp, frame.from_station, frame.frame)
        yield f"{frame.at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"  {frame.cp}  {line}"
