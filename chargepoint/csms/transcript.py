"""Events and replies as lines for a person: time, station, direction, action, payload."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

_PAYLOAD_CUT = 160
_UNANSWERED_KEPT = 1000


class Frames:
    """Turns frames into text; remembers CALLs so that answers name their action."""

    __slots__ = ("_actions", "_cut")

    def __init__(self, cut: int = _PAYLOAD_CUT) -> None:
        self._cut = cut
        self._actions: dict[tuple[str, bool, str], str] = {}

    def line(self, cp: str, from_station: bool, frame: Any) -> str:
        """One frame, with an arrow for its direction and without its id; long payloads are cut."""
        return f"{'→' if from_station else '←'} {self._text(cp, from_station, frame)}"

    def _text(self, cp: str, from_station: bool, frame: Any) -> str:
        match frame:
            case [2, unique_id, action, payload, *_]:
                self._remember((cp, from_station, str(unique_id)), str(action))
                return f"{_printable(str(action))} {self._short(payload)}"
            case [3, unique_id, payload, *_]:
                return f"{self._answered(cp, from_station, unique_id)} answer {self._short(payload)}"
            case [4, unique_id, *error]:
                return f"{self._answered(cp, from_station, unique_id)} error {self._short(error)}"
            case other:
                return self._short(other)

    def _remember(self, key: tuple[str, bool, str], action: str) -> None:
        self._actions[key] = action
        if len(self._actions) > _UNANSWERED_KEPT:
            del self._actions[next(iter(self._actions))]

    def _answered(self, cp: str, from_station: bool, unique_id: Any) -> str:
        """The action of the CALL that this frame answers: it went the other way."""
        return _printable(self._actions.pop((cp, not from_station, str(unique_id)), "?"))

    def _short(self, value: Any) -> str:
        text = _compact(value)
        return text if len(text) <= self._cut else text[: self._cut - 1] + "…"


class Transcript:
    """Prints the control protocol's objects as text."""

    __slots__ = ("_frames", "_print")

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print = print_line
        self._frames = Frames()

    def write(self, message: dict[str, Any]) -> None:
        """Print one event or reply."""
        event = message.get("event")
        if event is None:
            self._print(_compact(message))
            return
        clock = message["t"][11:23]
        if event == "ready":
            self._print(f"{clock}  listening, stations connect to {message['url']}/<identity>")
            return
        cp = _printable(message.get("cp", "-"))
        if event == "frame":
            line = self._frames.line(message["cp"], message["dir"] == "rx", message["frame"])
            self._print(f"{clock}  {cp}  {line}")
        else:
            detail = message.get("message") or message.get("reason")
            self._print(f"{clock}  {cp}  {event}" + (f": {_printable(detail)}" if detail else ""))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _printable(text: str) -> str:
    """Text of a station's making, without anything that could steer a terminal."""
    return text if text.isprintable() else _compact(text)
