"""Validation of every payload against the schemas that the `ocpp` package ships, and which error each breach is."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from typing import Any

import jsonschema_rs
from ocpp import exceptions

FORMATION = exceptions.FormationViolationError

KINDS: dict[str, type[exceptions.OCPPError]] = {
    "additionalProperties": FORMATION,
    "minItems": FORMATION,
    "required": exceptions.OccurenceConstraintViolationError,
    "type": exceptions.TypeConstraintViolationError,
    "enum": exceptions.PropertyConstraintViolationError,
    "maxLength": exceptions.PropertyConstraintViolationError,
    "multipleOf": exceptions.PropertyConstraintViolationError,
}
"""Breach of a schema -> CALLERROR (OCPP-J 1.6 §4.2.3); whatever else a schema asks for is FormationViolation."""

PRECEDENCE = tuple(dict.fromkeys(KINDS.values()))
"""Which breach is named when there are several."""

CSMS_TO_CP = frozenset(
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

CP_TO_CSMS = frozenset(
    {
        "Authorize",
        "BootNotification",
        "DataTransfer",
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


@lru_cache(maxsize=256)
def _validator(name: str) -> jsonschema_rs.Draft4Validator:
    """The compiled schema of one file; format checks stay off, they refuse what the field sends."""
    schema = json.loads((files("ocpp") / "v16" / "schemas" / f"{name}.json").read_text("utf-8-sig"))
    return jsonschema_rs.Draft4Validator(schema, validate_formats=False)


def check_request(action: str, payload: Any) -> str | None:
    """What is wrong with the payload of a CALL of ours, or None."""
    return _problem(action, payload)


def check_answer(action: str, payload: Any) -> str | None:
    """What is wrong with the payload of an answer to us, or None."""
    return _problem(f"{action}Response", payload)


def _problem(name: str, payload: Any) -> str | None:
    validator = _validator(name)
    if validator.is_valid(payload):
        return None
    try:
        first = next(iter(validator.iter_errors(payload)))
    except ValueError as error:  # a number the validator cannot hold
        return str(error)
    return _explain(first)


def _explain(error: jsonschema_rs.ValidationError) -> str:
    where = ".".join(map(str, error.instance_path))
    return f"{where}: {error.message}" if where else str(error.message)


def require_valid(action: str, payload: Any, formation_only: bool = False) -> None:
    """Raise the CALLERROR for a payload of theirs that breaks its schema.

    `formation_only` answers every breach with FormationViolation.
    """
    validator = _validator(action)
    if validator.is_valid(payload):
        return
    if not isinstance(payload, dict):
        raise exceptions.FormationViolationError("the payload is not an object")
    breaches = [
        (KINDS.get(error.kind.name, FORMATION) if error.kind else FORMATION, _explain(error))
        for error in validator.iter_errors(payload)
    ]
    breach, text = min(breaches, key=lambda found: PRECEDENCE.index(found[0]))
    raise (FORMATION if formation_only else breach)(text[:255])
