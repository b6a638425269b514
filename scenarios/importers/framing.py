"""Finds the JSON array of an OCPP-J frame in a line of text, and takes it apart."""

from __future__ import annotations

import json
import re
from typing import Any

from scenarios.recorded import Kind

_BEGIN = re.compile(r"\[\s*[234]\s*,\s*(?:\"|\\+\")")
_DECODER = json.JSONDecoder()

Parts = tuple[Kind, str | None, str | None, Any]
"""Kind, message id, action of a CALL, payload."""

NO_FRAME: Parts = ("UNKNOWN", None, None, None)


def begin(line: str) -> int | None:
    """Where a frame begins in the line, whole or not."""
    match = _BEGIN.search(line)
    return None if match is None else match.start()


def whole(text: str) -> tuple[str, int] | None:
    """The frame at the beginning of `text`, verbatim, and where it ends; None if it is not complete.

    A frame that stands in its line as a JSON string (`[2,\\"id\\",...`) comes back unescaped.
    """
    try:
        _, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return _unescaped(text)
    return text[:end], end


def _unescaped(text: str) -> tuple[str, int] | None:
    if '\\"' not in text:
        return None
    try:
        inner, end = _DECODER.raw_decode('"' + text)
        return (whole(inner) or ("", 0))[0] or None, end - 1  # type: ignore[return-value]  # text, where there is any
    except (ValueError, RecursionError):
        return None


def parts(raw: str) -> Parts:
    """What the frame is, or `NO_FRAME`."""
    try:
        frame = json.loads(raw)
    except (ValueError, RecursionError):
        return NO_FRAME
    match frame:
        case [2, str(message_id), str(action), payload, *_]:
            return "CALL", message_id, action, payload
        case [3, str(message_id), payload, *_]:
            return "CALLRESULT", message_id, None, payload
        case [4, str(message_id), *rest]:
            return "CALLERROR", message_id, None, [*rest, "", "", {}][: max(3, len(rest))]
    return NO_FRAME
