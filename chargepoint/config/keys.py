"""The `ocpp` group of a configuration: factory values of OCPP keys, checked against their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field, field_validator

from chargepoint.config.section import Section, mistake
from chargepoint.config.wording import nearest
from chargepoint.ocpp16.configuration import problems
from chargepoint.ocpp16.keys import KEYS, MAX_VALUE_LENGTH, Key
from hal.api import EvseInfo

__all__ = [
    "ExtraKeyConfig",
    "extra_key_problem",
    "key_table",
    "keys_of",
    "missing_key_problem",
    "values_of",
    "wrong_values",
]

_VENDOR = "Vendor"
"""No feature profile: what belongs to it is always there."""

_ELSEWHERE = {
    "authorizationkey": "csms.authorization_key",
    "securityprofile": "csms.security_profile",
}


class ExtraKeyConfig(Section):
    """A configuration key of the maker's own: it is reported and, if it may be, changed; no more."""

    name: str = Field(min_length=1, max_length=50, description="The key, as it is reported.")
    value: str = Field(default="", max_length=MAX_VALUE_LENGTH, description="Its factory value.")
    readonly: bool = Field(default=False, description="The central system cannot change it.")
    reboot: bool = Field(
        default=False, description="A change is answered RebootRequired instead of Accepted."
    )

    @field_validator("name")
    @classmethod
    def _is_not_taken(cls, name: str) -> str:
        if name.lower() in {known.lower() for known in KEYS}:
            raise mistake("is a key of OCPP; write it under `ocpp`")
        return name


def extra_key_problem(keys: Sequence[ExtraKeyConfig]) -> str | None:
    """What is wrong with the makers' own keys together; None if nothing is."""
    names = [key.name.lower() for key in keys]
    twice = next((key.name for key in keys if names.count(key.name.lower()) > 1), None)
    return None if twice is None else f"has {twice} twice; keep one of them"


def missing_key_problem(names: Sequence[str]) -> str | None:
    """Why a station cannot do without these keys; None if it can."""
    optional = {name.lower(): name for name, key in KEYS.items() if not key.required}
    for name in names:
        if name.lower() in optional:
            continue
        if name.lower() in {known.lower() for known in KEYS}:
            return f"names {name}, which OCPP 1.6 requires; remove it"
        return f"names {name}, which is not a known key; {nearest(name, optional.values())}"
    return None


def keys_of(extra: Sequence[ExtraKeyConfig]) -> Mapping[str, Key]:
    """The table of keys of a station whose maker added some."""
    if not extra:
        return KEYS
    own = {
        key.name: Key(
            key.name,
            "text",
            key.value,
            "R" if key.readonly else "RW",
            _VENDOR,
            False,
            "A key of the maker's own.",
            maximum=MAX_VALUE_LENGTH,
            reboot=key.reboot,
        )
        for key in extra
    }
    return {**KEYS, **own}


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
