"""Writes what a station says, hears and does as JSON Lines, with secrets masked."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import orjson

from chargepoint.errors import ConfigError

SCHEMA_VERSION = "1.0"
MASK = "***"

_SECRET_KEY = "authorizationkey"
_ESCAPED = re.compile(r"\\+u00([2-7][0-9a-fA-F])")
_REMEMBERED_CALLS = 64

_log = logging.getLogger(__name__)


def json_line(value: dict[str, Any]) -> bytes:
    """One line of JSON Lines, its end included; raises `TypeError` for what JSON has no form for."""
    try:
        return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # integers over 64 bits and lone surrogates, which a frame may well contain
        return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def redact(frame_text: str | bytes) -> str:
    """The text of a frame without the value of AuthorizationKey (OCPP 1.6 security, A01).

    A frame that does not mention that key comes back as it is. One that does is written compactly, with each
    value beside the key masked, and each longer text that mentions the key; if it is not JSON, nothing of it
    is shown.
    """
    text = frame_text if isinstance(frame_text, str) else frame_text.decode("utf-8", "replace")
    if not _mentions_secret(text):
        return text
    try:
        frame = json.loads(text)
        masked = _masked(frame)
    except (ValueError, RecursionError):
        return f"({len(text)} characters that are not JSON and mention AuthorizationKey)"
    return text if masked == frame else json.dumps(masked, separators=(",", ":"))


def _mentions_secret(text: str) -> bool:
    if "\\u00" in text:  # JSON may spell any letter as \\u0041
        text = _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), text)
    return _SECRET_KEY in text.lower()


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        secret = any(_is_key(name, "key") and _is_key(item, _SECRET_KEY) for name, item in value.items())
        return {
            _masked(name): MASK if secret and _is_key(name, "value") else _masked(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, str) and _mentions_secret(value) and not _is_key(value, _SECRET_KEY):
        return MASK
    return value


def _is_key(value: Any, expected: str) -> bool:
    return isinstance(value, str) and value.lower().strip() == expected


class Trace:
    """A trace file of one station: one record per frame, and one per event beside them.

    Frame records follow the Open OCPP Trace format. Lines are appended whole, so several stations may share a
    file. Moments are seconds since the epoch, UTC. Raises `ConfigError` if the file cannot be opened; a disk
    that fills up later costs lines, never the station: it is reported once, and `missed` counts the lines.
    """

    __slots__ = ("_calls", "_file", "_identity", "_warned", "missed")

    def __init__(self, path: Path, identity: str) -> None:
        self._identity = identity
        self._calls: dict[tuple[bool, str], str] = {}
        self._warned = False
        self.missed = 0
        try:
            # Unbuffered: each line reaches the system at once, so a crash loses none.
            self._file = FileIO(path, "ab", opener=_open_private)
        except OSError as error:
            raise ConfigError(
                [f"trace {path}: {error.strerror}; choose a file in a directory this user may write"]
            ) from error

    def frame(self, at: float, outgoing: bool, text: str | bytes) -> None:
        """Record one frame as it went over the wire; `outgoing` means to the central system."""
        raw = redact(text)
        record: dict[str, Any] = {
            "schemaVersion": SCHEMA_VERSION,
            "timestamp": _timestamp(at),
            "ocppVersion": "1.6",
            "transport": "json",
            "chargePointId": self._identity,
            "direction": "cp-to-csms" if outgoing else "csms-to-cp",
            **self._parts(outgoing, raw),
            "raw": raw,
        }
        self._write(record)

    def event(self, at: float, event: str, **fields: Any) -> None:
        """Record something that is no frame: a plug, a limit, a fault, a lost link (docs/replay.md)."""
        self._write(
            {
                "schemaVersion": SCHEMA_VERSION,
                "timestamp": _timestamp(at),
                "chargePointId": self._identity,
                "event": event,
                **{name: _masked(value) for name, value in _masked(fields).items()},
            }
        )

    def close(self) -> None:
        self._file.close()

    def _parts(self, outgoing: bool, raw: str) -> dict[str, Any]:
        try:
            frame = json.loads(raw)
        except (ValueError, RecursionError):
            frame = None
        match frame:
            case [2, str(message_id), str(action), payload, *_]:
                self._remember(outgoing, message_id, action)
                return {"messageType": "CALL", "messageId": message_id, "action": action, "payload": payload}
            case [3, str(message_id), payload, *_]:
                return self._answer("CALLRESULT", outgoing, message_id) | {"payload": payload}
            case [4, str(message_id), *rest]:
                error = dict(zip(("code", "description", "details"), rest, strict=False))
                return self._answer("CALLERROR", outgoing, message_id) | {"error": error}
        return {"messageType": "UNKNOWN"}

    def _remember(self, outgoing: bool, message_id: str, action: str) -> None:
        if len(self._calls) >= _REMEMBERED_CALLS:  # calls that were never answered
            del self._calls[next(iter(self._calls))]
        self._calls[outgoing, message_id] = action

    def _answer(self, message_type: str, outgoing: bool, message_id: str) -> dict[str, Any]:
        action = self._calls.pop((not outgoing, message_id), None)
        known = {} if action is None else {"action": action}
        return {"messageType": message_type, "messageId": message_id, **known}

    def _write(self, record: dict[str, Any]) -> None:
        line = json_line(record)
        try:
            written = self._file.write(line)
        except OSError as error:
            self._miss(error.strerror or str(error))
            return
        if written is not None and written < len(line):
            with contextlib.suppress(OSError):  # half a line would spoil the file for its readers
                self._file.truncate(self._file.seek(0, os.SEEK_END) - written)
            self._miss("no space left")

    def _miss(self, cause: str) -> None:
        self.missed += 1
        if not self._warned:
            self._warned = True
            _log.warning("%s: trace %s: %s; the trace has a gap", self._identity, self._file.name, cause)


def _open_private(path: str, flags: int) -> int:
    """Frames name card holders: the file is for its owner only."""
    return os.open(path, flags, 0o600)


def _timestamp(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
