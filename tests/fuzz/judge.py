"""What a charge point may answer to a frame, judged by plain `jsonschema` and OCPP-J 1.6 §4.2.

The table of error codes is written down here once more on purpose, so that a mistake in the station's own
table cannot hide itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema

ACTIONS = frozenset(
    {
        "CancelReservation",
        "CertificateSigned",
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "ClearChargingProfile",
        "DataTransfer",
        "DeleteCertificate",
        "ExtendedTriggerMessage",
        "GetCompositeSchedule",
        "GetConfiguration",
        "GetDiagnostics",
        "GetInstalledCertificateIds",
        "GetLocalListVersion",
        "GetLog",
        "InstallCertificate",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "ReserveNow",
        "Reset",
        "SendLocalList",
        "SetChargingProfile",
        "SignedUpdateFirmware",
        "TriggerMessage",
        "UnlockConnector",
        "UpdateFirmware",
    }
)
"""What a central system may ask for."""

BACKWARD = frozenset(
    {
        "Authorize",
        "BootNotification",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "LogStatusNotification",
        "MeterValues",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    }
)
"""What only a charge point may ask for."""

CODES = {
    "additionalProperties": "FormationViolation",
    "minItems": "FormationViolation",
    "required": "OccurenceConstraintViolation",
    "type": "TypeConstraintViolation",
    "enum": "PropertyConstraintViolation",
    "maxLength": "PropertyConstraintViolation",
    "multipleOf": "PropertyConstraintViolation",
}
"""Breach of a schema -> the code of OCPP-J 1.6 §4.2.3."""

BY_RULE = {
    "SetChargingProfile": {"PropertyConstraintViolation", "NotSupported"},  # errata 3.24, 3.39
    "UpdateFirmware": {"NotSupported"},  # whitepaper L01.FR.20
}
"""Codes a valid payload may get because of what it asks for."""

OPEN = {"TriggerMessage": "requestedMessage", "ExtendedTriggerMessage": "requestedMessage"}
"""Fields whose unknown values get a status instead of an error (OCPP 1.6 §5.17)."""

DEEP = 200
"""From this nesting on a frame may also count as unreadable."""


@dataclass(frozen=True)
class Verdict:
    """What is allowed: an answer to `message_id` (None: to no one) with a result, or with one of `codes`."""

    message_id: str | None
    result: bool
    codes: frozenset[str]
    silence: bool = False


SILENCE = Verdict(None, False, frozenset(), True)
UNREADABLE = Verdict("-1", False, frozenset({"GenericError", "FormationViolation"}))


def _multiple_of(validator: Any, step: float, instance: Any, schema: Any) -> Any:
    """As the standard means it: `jsonschema` divides floats, and takes 21.4 for no multiple of 0.1."""
    number = validator.is_type(instance, "number")
    if number and Fraction(repr(instance)) % Fraction(repr(step)):
        yield jsonschema.ValidationError(f"{instance} is not a multiple of {step}")


_Validator: Any = jsonschema.validators.extend(jsonschema.Draft4Validator, {"multipleOf": _multiple_of})


@cache
def schema(name: str) -> Any:
    """The published schema of a message, read anew."""
    document = json.loads((files("ocpp") / "v16" / "schemas" / f"{name}.json").read_text("utf-8-sig"))
    if name in OPEN:
        document["properties"][OPEN[name]] = {"type": "string"}
    return document


@cache
def _validator(name: str) -> Any:
    return _Validator(schema(name))


def breaches(name: str, payload: Any) -> frozenset[str]:
    """The codes of everything that is wrong with a payload; none if it is valid."""
    if not isinstance(payload, dict):
        return frozenset({"FormationViolation"})
    errors = _validator(name).iter_errors(payload)
    return frozenset(CODES.get(error.validator, "FormationViolation") for error in errors)


def judge(raw: bytes) -> Verdict:
    """What a station that listens may answer to these bytes."""
    try:
        frame = json.loads(raw.decode(), parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(frame, list) or not frame:
        return UNREADABLE
    kind = frame[0]
    if isinstance(kind, bool) or not isinstance(kind, int | float):
        return UNREADABLE
    if kind != 2:
        return SILENCE  # results and errors are never answered, and unknown kinds are ignored
    if len(frame) < 2 or not isinstance(frame[1], str):
        return UNREADABLE
    message_id = frame[1].encode(errors="replace").decode()
    if len(message_id) > 36 or len(frame) != 4 or not isinstance(frame[2], str):
        return Verdict(message_id, False, frozenset({"FormationViolation"}))
    return _call(message_id, frame[2], {} if frame[3] is None else frame[3])


def _call(message_id: str, action: str, payload: Any) -> Verdict:
    if action not in ACTIONS:
        code = "NotSupported" if action in BACKWARD else "NotImplemented"
        return Verdict(message_id, False, frozenset({code}))
    wrong = breaches(action, payload)
    if wrong:
        return Verdict(message_id, False, wrong)
    by_rule = frozenset(BY_RULE.get(action, ()))
    if _unreadable_moment(schema(action), schema(action), payload):
        by_rule |= {"PropertyConstraintViolation"}
    return Verdict(message_id, True, by_rule)


def _unreadable_moment(part: Any, whole: Any, value: Any) -> bool:
    """Some dateTime in a valid payload is none: the schemas do not look, and a station may refuse it."""
    if "$ref" in part:
        part = whole["definitions"][part["$ref"].rpartition("/")[2]]
    if isinstance(value, dict):
        inner = part.get("properties", {})
        return any(
            _unreadable_moment(inner[name], whole, item) for name, item in value.items() if name in inner
        )
    if isinstance(value, list):
        return any(_unreadable_moment(part["items"], whole, item) for item in value)
    return part.get("format") == "date-time" and not _moment(value)


def _moment(text: str) -> bool:
    if "T" not in text or not text.isprintable():  # a date is no dateTime; Python overlooks a NUL at the end
        return False
    try:
        return datetime.fromisoformat(text).year >= 1
    except ValueError:
        return False


def _no_constant(constant: str) -> Any:
    raise ValueError(constant)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(text)
    return number


def problem(raw: bytes, answers: list[Any]) -> str | None:
    """What is wrong with the station's answers to a frame; None if nothing is."""
    verdict = judge(raw)
    if len(answers) > 1:
        return f"{len(answers)} answers"
    if not answers:
        return None if verdict.silence else "no answer"
    if verdict.silence:
        return "an answer to what gets none"
    kind, message_id, *rest = answers[0]
    deep = _depth(raw) > DEEP
    if message_id != verdict.message_id and not (deep and message_id == "-1"):
        return f"an answer to {message_id!r} instead of {verdict.message_id!r}"
    if kind == 3:
        return _wrong_result(raw, verdict, rest[0])
    if kind != 4 or len(rest) != 3 or rest[2] != {} or not isinstance(rest[1], str) or len(rest[1]) > 255:
        return "an answer that is no CALLRESULT and no CALLERROR"
    if rest[0] in verdict.codes or (deep and rest[0] in ("GenericError", "FormationViolation")):
        return None
    return f"{rest[0]} instead of {sorted(verdict.codes) or 'a result'}"


def _wrong_result(raw: bytes, verdict: Verdict, payload: Any) -> str | None:
    if not verdict.result:
        return f"a result instead of {sorted(verdict.codes)}"
    action = json.loads(raw)[2]
    wrong = breaches(f"{action}Response", payload)
    return f"a result that breaks its schema: {sorted(wrong)}" if wrong else None


def wrong_call(frame: list[Any]) -> str | None:
    """What is wrong with a CALL of the station; None if nothing is."""
    _, _, action, payload = frame
    if action not in BACKWARD | {"DataTransfer"}:
        return f"{action} is nothing a charge point asks for"
    wrong = breaches(action, payload)
    return f"{action} breaks its schema: {sorted(wrong)}" if wrong else None


def _depth(raw: bytes) -> int:
    depth = deepest = 0
    for byte in raw:
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
