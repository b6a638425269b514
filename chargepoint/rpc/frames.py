"""Frames of OCPP-J 1.6 §4: from bytes to one of three messages and back."""

from __future__ import annotations

import json
from math import isinf
from typing import Any, NamedTuple

import orjson

CALL, CALL_RESULT, CALL_ERROR = 2, 3, 4
ID_LENGTH = 36
UNKNOWN_ID = "-1"
"""What a CALLERROR answers to when no message id could be read."""

ERROR_CODES = {
    code: code
    for code in (
        "NotImplemented",
        "NotSupported",
        "InternalError",
        "ProtocolError",
        "SecurityError",
        "FormationViolation",
        "PropertyConstraintViolation",
        "OccurenceConstraintViolation",
        "TypeConstraintViolation",
        "GenericError",
    )
} | {
    "FormatViolation": "FormationViolation",
    "OccurrenceConstraintViolation": "OccurenceConstraintViolation",
}
"""Error codes as they may come -> as OCPP-J 1.6 spells them (§4.2.3; errata 5.1, 5.2)."""

_MANY_DIGITS = b"0" * 19
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"0" * 9)


class Rubbish(Exception):
    """Not a frame at all.

    `message_id` is what a CALLERROR answers to; None for a malformed answer of theirs, which gets none.
    """

    def __init__(self, code: str, message: str, message_id: str | None = UNKNOWN_ID) -> None:
        super().__init__(message)
        self.code = code
        self.message_id = message_id


class Call(NamedTuple):
    """A request of the other side."""

    message_id: str
    action: str
    payload: Any


class Result(NamedTuple):
    """The answer to one of our requests."""

    message_id: str
    payload: Any


class Error(NamedTuple):
    """The refusal of one of our requests."""

    message_id: str
    code: str
    description: str


def decode(data: bytes | str) -> Any:
    """JSON from the wire, integers of any size included; raises `Rubbish`.

    NaN and numbers that no float holds are refused; halves of surrogate pairs, which could be neither stored
    nor sent, become question marks.
    """
    try:
        raw = data if isinstance(data, bytes) else data.encode()
        zeros = raw.translate(_DIGITS_AS_ZEROS)  # a quarter of what a regular expression costs
        # orjson makes floats of integers over 64 bits. (`in` would first try whether it looks for a number.)
        if zeros.find(_MANY_DIGITS) < 0:
            try:
                return orjson.loads(raw)
            except orjson.JSONDecodeError:
                pass
        return _decode_exactly(raw)
    except UnicodeError as error:
        raise Rubbish("GenericError", "the frame is not UTF-8") from error
    except RecursionError as error:
        raise Rubbish("GenericError", "the frame is nested too deeply") from error
    except ValueError as error:
        raise Rubbish("GenericError", f"the frame is not JSON: {error}"[:255]) from error


def _decode_exactly(raw: bytes) -> Any:
    value = _load(raw.decode())
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _load(text.encode(errors="replace").decode())
    return value


def _load(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse, parse_float=_finite)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ValueError(f"{text[:20]} is too large")
    return number


def parse(data: bytes | str) -> Call | Result | Error | None:
    """One frame; None for a message type this protocol does not know (§4.1.3). Raises `Rubbish`."""
    frame = decode(data)
    if not isinstance(frame, list) or not frame:
        raise Rubbish("GenericError", "the frame is not a JSON array")
    kind = frame[0]
    if type(kind) is not int and type(kind) is not float:
        raise Rubbish("GenericError", "the message type is not a number")
    if kind not in (CALL, CALL_RESULT, CALL_ERROR):
        return None
    if len(frame) < 2 or not isinstance(frame[1], str):
        answerable = UNKNOWN_ID if kind == CALL else None
        raise Rubbish("GenericError", "the frame has no message id", answerable)
    message_id = frame[1]
    if kind == CALL:
        return _call(message_id, frame)
    if kind == CALL_RESULT:
        payload = frame[2] if len(frame) > 2 else None
        return Result(message_id, {} if payload is None else payload)
    code, description = (text if isinstance(text, str) else "" for text in (*frame[2:4], "", "")[:2])
    return _error(message_id, code, description)


def _call(message_id: str, frame: list[Any]) -> Call:
    if len(message_id) > ID_LENGTH:
        raise Rubbish(
            "FormationViolation", f"the message id has more than {ID_LENGTH} characters", message_id
        )
    if len(frame) != 4 or not isinstance(frame[2], str):
        raise Rubbish("FormationViolation", "a CALL is [2, id, action, payload]", message_id)
    return Call(message_id, frame[2], {} if frame[3] is None else frame[3])


def _error(message_id: str, code: str, description: str) -> Error:
    """A code that is none becomes part of the description, so that it cannot pass for a failure of ours."""
    if code in ERROR_CODES:
        return Error(message_id, ERROR_CODES[code], description)
    return Error(message_id, "GenericError", f"{code}: {description}" if description else code)


def call(message_id: str, action: str, payload: Any) -> bytes:
    """The text of a CALL."""
    return _text([CALL, message_id, action, payload])


def result(message_id: str, payload: Any) -> bytes:
    """The text of a CALLRESULT."""
    return _text([CALL_RESULT, message_id, payload])


def error(message_id: str, code: str, description: str) -> bytes:
    """The text of a CALLERROR; a description has at most 255 characters."""
    return _text([CALL_ERROR, message_id, code, description[:255], {}])


def _text(frame: list[Any]) -> bytes:
    try:
        return orjson.dumps(frame)
    except TypeError:  # integers over 64 bits
        return json.dumps(frame, separators=(",", ":"), ensure_ascii=False).encode()
