"""The `ocpp` group of a configuration: factory values of OCPP keys, checked against their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chargepoint.config.wording import nearest
from chargepoint.ocpp16.configuration import problems
from chargepoint.ocpp16.keys import KEYS, Key
from hal.api import EvseInfo

__all__ = ["key_table", "values_of", "wrong_values"]

_ELSEWHERE = {
    "authorizationkey": "csms.authorization_key",
    "securityprofile": "csms.security_profile",
}


def key_table() -> Sequence[Key]:
    """The keys that a configuration may set, in the table's order."""
    return [key for key in KEYS.values() if key.name.lower() not in _ELSEWHERE]


def wrong_values(values: Mapping[str, str], infos: Sequence[EvseInfo]) -> dict[str, str]:
    """What is wrong with which of `values` on a station with these connectors, and what to write instead."""
    by_lower = {key.name.lower(): key for key in key_table()}
    found: dict[str, str] = {}
    known: dict[str, str] = {}
    for name, value in values.items():
        if place := _ELSEWHERE.get(name.lower()):
            found[name] = f"has a place of its own; write it as {place}"
        elif name.lower() not in by_lower:
            found[name] = f"is not a known key; {nearest(name, KEYS)}"
        else:
            known[name] = value
    for name, problem in problems(known, infos).items():
        found[name] = f"{problem}; write {values_of(by_lower[name.lower()])}"
    return found


def values_of(key: Key) -> str:
    """The values a key takes, in words."""
    if key.kind == "int":
        return f"a whole number of at least {key.minimum}"
    return {"bool": "true or false", "csl": "items separated by commas", "text": "text"}[key.kind]
