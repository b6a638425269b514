"""Events and replies as lines for a person: time, station, direction, action, payload."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

_PAYLOAD_CUT = 160
_UNANSWERED_KEPT = 1000
_ARROWS = {"rx": "→", "tx": "←"}  # from the station, to the station


class Transcript:
    """Turns the control protocol's objects into text; remembers CALLs so that answers name their action."""

    __slots__ = ("_actions", "_print")

    def __init__(self, print_line: Callable[[str], None]) -> None:
        self._print = print_line
        self._actions: dict[tuple[str, str, str], str] = {}

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
            self._print(f"{clock}  {cp}  {_ARROWS[message['dir']]} {self._frame(message)}")
        else:
            detail = message.get("message") or message.get("reason")
            self._print(f"{clock}  {cp}  {event}" + (f": {_printable(detail)}" if detail else ""))

    def _frame(self, message: dict[str, Any]) -> str:
        match message["frame"]:
            case [2, unique_id, action, payload, *_]:
                self._remember((message["cp"], message["dir"], str(unique_id)), str(action))
                return f"{_printable(str(action))} {_cut(_compact(payload))}"
            case [3, unique_id, payload, *_]:
                return f"{self._answered(message, unique_id)} answer {_cut(_compact(payload))}"
            case [4, unique_id, *error]:
                return f"{self._answered(message, unique_id)} error {_cut(_compact(error))}"
            case other:
                return _cut(_compact(other))

    def _remember(self, key: tuple[str, str, str], action: str) -> None:
        self._actions[key] = action
        if len(self._actions) > _UNANSWERED_KEPT:
            del self._actions[next(iter(self._actions))]

    def _answered(self, message: dict[str, Any], unique_id: Any) -> str:
        """The action of the CALL that this frame answers: it went the other way."""
        asked = "tx" if message["dir"] == "rx" else "rx"
        return _printable(self._actions.pop((message["cp"], asked, str(unique_id)), "?"))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _cut(text: str) -> str:
    return text if len(text) <= _PAYLOAD_CUT else text[: _PAYLOAD_CUT - 1] + "…"


def _printable(text: str) -> str:
    """Text of a station's making, without anything that could steer a terminal."""
    return text if text.isprintable() else _compact(text)
