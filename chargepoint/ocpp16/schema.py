"""Validation of every payload against the schemas of the `ocpp` package, and which error each breach is."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib.resources import files
from itertools import islice
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
"""Breach of a schema -> CALLERROR (OCPP-J 1.6 §4.2.3); whatever else there may be is FormationViolation."""

MOST_ITEMS, MOST_LEVELS = 100, 8
"""Of a wrong payload no more is looked at: it may hold hundreds of thousands of breaches."""

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


OPEN = {"ExtendedTriggerMessage": "requestedMessage", "TriggerMessage": "requestedMessage"}
"""Fields whose handler answers an unknown word itself, by a status (OCPP 1.6 §5.17)."""


@lru_cache(maxsize=256)
def _validator(name: str) -> jsonschema_rs.Draft4Validator:
    """The compiled schema of one file, whose complaints repeat no value: it may be long, or a secret.

    Format checks stay off, they refuse what the field sends.
    """
    schema = json.loads((files("ocpp") / "v16" / "schemas" / f"{name}.json").read_text("utf-8-sig"))
    if name in OPEN:
        schema["properties"][OPEN[name]] = {"type": "string"}
    return jsonschema_rs.Draft4Validator(schema, validate_formats=False, mask="the value")


def read_all() -> None:
    """Read every schema now, in case no open file is left for it later."""
    for action in CP_TO_CSMS | CSMS_TO_CP:
        _validator(action)
        _validator(f"{action}Response")


def _problem(name: str, payload: Any) -> str | None:
    """What the schema of this name finds wrong, or None."""
    validator = _validator(name)
    try:
        if validator.is_valid(payload):
            return None
        return _explain(next(iter(validator.iter_errors(payload))))
    except ValueError as error:  # nested deeper than the validator goes
        return str(error)


check_request = _problem
"""What is wrong with the payload of a CALL of ours (its action), or None."""


def check_answer(action: str, payload: Any) -> str | None:
    """What is wrong with the payload of an answer to us, or None."""
    return _problem(f"{action}Response", payload)


def _explain(error: jsonschema_rs.ValidationError) -> str:
    where = ".".join(map(str, error.instance_path))
    return f"{where}: {error.message}" if where else str(error.message)


def require_valid(action: str, payload: Any, formation_only: bool = False) -> None:
    """Raise the CALLERROR for a payload of theirs that breaks its schema.

    `formation_only` answers every breach with FormationViolation.
    """
    if not isinstance(payload, dict):
        raise FORMATION("the payload is not an object")
    validator = _validator(action)
    try:
        if validator.is_valid(payload):
            return
        breaches = [
            (KINDS.get(error.kind.name, FORMATION) if error.kind else FORMATION, _explain(error))
            for error in _errors(validator, payload)
        ]
    except ValueError as error:  # nested deeper than the validator goes
        raise FORMATION(str(error)) from error
    breach, text = min(breaches, key=lambda found: PRECEDENCE.index(found[0]))
    raise (FORMATION if formation_only else breach)(text[:255])


def _errors(validator: jsonschema_rs.Draft4Validator, payload: Any) -> list[jsonschema_rs.ValidationError]:
    """The breaches at the beginning of a payload, or at least the first one."""
    found = list(validator.iter_errors(_beginning(payload, MOST_LEVELS)))
    if not found:
        try:
            validator.validate(payload)
        except jsonschema_rs.ValidationError as error:
            found = [error]
    return found


def _beginning(payload: Any, levels: int) -> Any:
    if not levels:
        return payload
    if isinstance(payload, list):
        return [_beginning(item, levels - 1) for item in payload[:MOST_ITEMS]]
    if isinstance(payload, dict):
        # No object of OCPP 1.6 has so many fields: a larger one is a FormationViolation, which comes first.
        return {name: _beginning(item, levels - 1) for name, item in islice(payload.items(), MOST_ITEMS)}
    return payload
