"""Frames of OCPP-J 1.6 §4: from bytes to one of three messages and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
ID_LENGTH = 36


class Rubbish(Exception):
    """Not a frame at all; `message_id` is what can be answered to, "-1" if none could be read."""

    def __init__(self, code: str, message: str, message_id: str = "-1") -> None:
        super().__init__(message)
        self.code = code
        self.message_id = message_id


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the other side."""

    message_id: str
    action: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one of our requests."""

    message_id: str
    payload: Any


@dataclass(frozen=True, slots=True)
class Error:
    """The refusal of one of our requests."""

    message_id: str
    code: str
    description: str


def decode(data: bytes | str, *, exact: bool = False) -> Any:
    """JSON from the wire; raises `Rubbish`.

    orjson first; what it refuses or rounds (integers over 64 bits, with `exact`) goes to the standard
    library. NaN and infinities are refused by both.
    """
    if not exact:
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        return json.loads(text, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise Rubbish("GenericError", "the frame is not UTF-8") from error
    except RecursionError as error:
        raise Rubbish("GenericError", "the frame is nested too deeply") from error
    except ValueError as error:
        raise Rubbish("GenericError", f"the frame is not JSON: {error}"[:255]) from error


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def parse(data: bytes | str, *, exact: bool = False) -> Call | Result | Error | None:
    """One frame; None for a message type this protocol does not know (§4.1.3). Raises `Rubbish`."""
    frame = decode(data, exact=exact)
    if not isinstance(frame, list) or not frame:
        raise Rubbish("GenericError", "the frame is not a JSON array")
    kind = frame[0]
    if isinstance(kind, bool) or not isinstance(kind, int | float):
        raise Rubbish("GenericError", "the message type is not a number")
    if kind not in (CALL, CALL_RESULT, CALL_ERROR):
        return None
    if len(frame) < 2 or not isinstance(frame[1], str):
        raise Rubbish("GenericError", "the frame has no message id")
    message_id = frame[1]
    if kind == CALL:
        return _call(message_id, frame)
    if kind == CALL_RESULT:
        payload = frame[2] if len(frame) > 2 else None
        return Result(message_id, {} if payload is None else payload)
    code, description = (*frame[2:4], "", "")[:2]
    return Error(message_id, str(code), str(description))


def _call(message_id: str, frame: list[Any]) -> Call:
    if len(message_id) > ID_LENGTH:
        raise Rubbish(
            "FormationViolation", f"the message id has more than {ID_LENGTH} characters", message_id
        )
    if len(frame) != 4 or not isinstance(frame[2], str):
        raise Rubbish("FormationViolation", "a CALL is [2, id, action, payload]", message_id)
    return Call(message_id, frame[2], {} if frame[3] is None else frame[3])


def call(message_id: str, action: str, payload: Any) -> bytes:
    """The text of a CALL."""
    return orjson.dumps([CALL, message_id, action, payload])


def result(message_id: str, payload: Any) -> bytes:
    """The text of a CALLRESULT; numbers beyond 64 bits pass through the standard library."""
    try:
        return orjson.dumps([CALL_RESULT, message_id, payload])
    except TypeError:
        return json.dumps([CALL_RESULT, message_id, payload], separators=(",", ":")).encode()


def error(message_id: str, code: str, description: str) -> bytes:
    """The text of a CALLERROR; a description has at most 255 characters."""
    return orjson.dumps([CALL_ERROR, message_id, code, description[:255], {}])
