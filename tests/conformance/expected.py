"""What a central system should hear: CALLs as a case writes them down, and how they are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Payload = dict[str, Any]

ABSENT: Any = object()
"""A field that must not be there."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A CALL of the station as it arrived; `at` in seconds since the beginning."""

    at: float
    action: str
    payload: Payload
    connection: int  # on which connection, counted from 1

    def __str__(self) -> str:
        return f"at {self.at:g} s {self.action} {self.payload}"


@dataclass(frozen=True, slots=True)
class Expected:
    """A CALL that should come: fields it must have, and `ABSENT` ones; others may be there.

    A value that can be called is a question about the field. A timestamp must be that of the arrival or, if
    given, `at` seconds after the beginning.
    """

    action: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None

    def __str__(self) -> str:
        fields = {
            name: value for name, value in self.fields.items() if not callable(value) and value is not ABSENT
        }
        return f"{self.action} {fields}" + ("" if self.at is None else f" of {self.at:g} s")


def mismatch(expected: Expected, heard: Heard, start: float) -> str | None:
    """In what a CALL is not the one expected; None if it is."""
    if heard.action != expected.action:
        return f"{heard.action} is not {expected.action}"
    for name, value in expected.fields.items():
        there = heard.payload.get(name, ABSENT)
        right = value(there) if callable(value) else there == value
        if not right:
            return f"{expected.action}: {name} is {'absent' if there is ABSENT else repr(there)}"
    if "timestamp" in heard.payload:
        at = seconds(heard.payload["timestamp"], start)
        if abs(at - (heard.at if expected.at is None else expected.at)) > 0.001:
            return f"{expected.action}: its timestamp is that of {at:g} s"
    return None


def seconds(timestamp: str, start: float) -> float:
    """A moment on the wire, in seconds after `start`; it must name its offset."""
    moment = datetime.fromisoformat(timestamp)
    assert moment.tzinfo is not None, timestamp
    return moment.timestamp() - start


def call(action: str, /, at: float | None = None, **fields: Any) -> Expected:
    """Any CALL."""
    return Expected(action, fields, at)


def status(
    connector: int, state: str, error_code: str = "NoError", at: float | None = None, **more: Any
) -> Expected:
    """StatusNotification, with its time."""
    fields = {"connectorId": connector, "status": state, "errorCode": error_code, "timestamp": _text}
    return Expected("StatusNotification", {**fields, **more}, at)


def authorize(id_tag: str) -> Expected:
    """Authorize."""
    return Expected("Authorize", {"idTag": id_tag})


def start(id_tag: str, connector: int = 1, reservation_id: Any = ABSENT, at: float | None = None) -> Expected:
    """StartTransaction."""
    fields = {"connectorId": connector, "idTag": id_tag, "reservationId": reservation_id}
    return Expected("StartTransaction", fields | {"meterStart": _whole}, at)


def stop(
    reason: str, transaction_id: int, id_tag: Any = ABSENT, at: float | None = None, **more: Any
) -> Expected:
    """StopTransaction; `id_tag` only if somebody presented one to stop."""
    fields = {"transactionId": transaction_id, "reason": reason, "idTag": id_tag, "meterStop": _whole}
    return Expected("StopTransaction", fields | more, at)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return isinstance(value, int)
