"""Between the domain's facts and OCPP 1.6's payloads: the only place where `Any` becomes something known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from ocpp.charge_point import camel_to_snake_case, snake_to_camel_case
from ocpp.v16 import call

from chargepoint.domain.authorization import IdTagInfo
from chargepoint.domain.metering import Sample
from chargepoint.domain.transaction import Transaction
from chargepoint.ocpp16.times import format_time, parse_time

UNKNOWN_TRANSACTION_ID = -1
"""What a transaction is called whose StartTransaction was given up (errata 3.18)."""


@lru_cache(maxsize=1024)
def _camel(name: str) -> str:
    return str(next(iter(snake_to_camel_case({name: None}))))


@lru_cache(maxsize=1024)
def _snake(name: str) -> str:
    return str(next(iter(camel_to_snake_case({name: None}))))


def to_wire(value: Any) -> Any:
    """A dataclass of `ocpp.v16`, or what is in it, as JSON values in the wire's spelling, without None."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {_camel(name): to_wire(item) for name, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [to_wire(item) for item in value]
    if is_dataclass(value):
        return {_camel(name): to_wire(item) for name, item in vars(value).items() if item is not None}
    return value


def from_wire(value: Any) -> Any:
    """JSON values with keys in Python's spelling."""
    if isinstance(value, dict):
        return {_snake(name): from_wire(item) for name, item in value.items()}
    if isinstance(value, list):
        return [from_wire(item) for item in value]
    return value


def request(action: str, payload: Mapping[str, Any]) -> Any:
    """The dataclass of `ocpp.v16.call` for a CALL of theirs."""
    return getattr(call, action)(**from_wire(payload))


def id_tag_info(payload: Mapping[str, Any]) -> IdTagInfo | None:
    """The idTagInfo of an answer; None if there is none that can be read."""
    info = payload.get("idTagInfo")
    if not info:
        return None
    try:
        expiry_at = parse_time(info["expiryDate"]) if info.get("expiryDate") else None
    except ValueError:
        expiry_at = None
    return IdTagInfo(info["status"], expiry_at, info.get("parentIdTag"))


def listed(entry: Any) -> tuple[str, IdTagInfo | None]:
    """An entry of SendLocalList, keys in Python's spelling; raises `ValueError` for a date that is none."""
    info = entry.get("id_tag_info")
    if info is None:
        return entry["id_tag"], None
    expiry_at = parse_time(info["expiry_date"]) if info.get("expiry_date") else None
    return entry["id_tag"], IdTagInfo(info["status"], expiry_at, info.get("parent_id_tag"))


def moment(text: Any) -> float | None:
    """A dateTime of theirs; None if it cannot be read."""
    try:
        return parse_time(text)
    except (TypeError, ValueError):
        return None


def meter_value(at: float, context: str, samples: Iterable[Sample]) -> dict[str, Any]:
    """One MeterValue as it is kept and sent: everything of one instant (OCPP 1.6 §7.33)."""
    sampled: list[dict[str, str]] = []
    for measurand, text, unit, phase, location in samples:
        value = {"value": text, "context": context, "measurand": measurand}
        if phase is not None:
            value["phase"] = phase
        if location is not None:
            value["location"] = location
        if unit is not None:
            value["unit"] = unit
        sampled.append(value)
    return {"timestamp": format_time(at), "sampledValue": sampled}


def shifted(facts: Any, by_s: float) -> Any:
    """Facts of a record, or a meter value, with every moment in them `by_s` seconds later."""
    if isinstance(facts, list):
        return [shifted(item, by_s) for item in facts]
    if not isinstance(facts, dict):
        return facts
    later = {name: shifted(item, by_s) for name, item in facts.items()}
    if "at" in later:
        later["at"] += by_s
    if "timestamp" in later:
        later["timestamp"] = format_time(parse_time(later["timestamp"]) + by_s)
    return later


def start_transaction(facts: Mapping[str, Any]) -> dict[str, Any]:
    """StartTransaction.req (OCPP 1.6 §6.45)."""
    payload = {
        "connectorId": facts["connector"],
        "idTag": facts["id_tag"],
        "meterStart": facts["meter_start_wh"],
        "timestamp": format_time(facts["at"]),
    }
    if facts.get("reservation_id") is not None:
        payload["reservationId"] = facts["reservation_id"]
    return payload


def stop_transaction(facts: Mapping[str, Any], transaction: Transaction | None) -> dict[str, Any]:
    """StopTransaction.req (OCPP 1.6 §6.49)."""
    payload = {
        "transactionId": _number(transaction),
        "meterStop": facts["meter_stop_wh"],
        "timestamp": format_time(facts["at"]),
        "reason": facts["reason"],
    }
    if facts.get("id_tag"):
        payload["idTag"] = facts["id_tag"]
    if facts.get("data"):
        payload["transactionData"] = facts["data"]
    return payload


def meter_values(
    facts: Mapping[str, Any], transaction: Transaction | None, in_transaction: bool
) -> dict[str, Any]:
    """MeterValues.req (OCPP 1.6 §6.31)."""
    payload: dict[str, Any] = {"connectorId": facts["connector"]}
    if in_transaction:
        payload["transactionId"] = _number(transaction)
    payload["meterValue"] = facts["values"]
    return payload


def _number(transaction: Transaction | None) -> int:
    if transaction is None or transaction.csms_id is None:
        return UNKNOWN_TRANSACTION_ID
    return transaction.csms_id


RECORDS: dict[str, tuple[str, Callable[[Mapping[str, Any], Transaction | None, bool], dict[str, Any]]]] = {
    "start": ("StartTransaction", lambda facts, transaction, inside: start_transaction(facts)),
    "meter": ("MeterValues", meter_values),
    "stop": ("StopTransaction", lambda facts, transaction, inside: stop_transaction(facts, transaction)),
}
"""Kind of record -> action and how to write it."""
