"""What a field takes, in words; for messages, the reference and the example alike."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from chargepoint.config.section import Expected, alternatives

__all__ = [
    "expected",
    "expected_item",
    "field_at",
    "keys_of",
    "listed",
    "nearest",
    "rendered",
    "section_of",
]

_UNITS = {
    "a": "amperes",
    "w": "watts",
    "wh": "watt-hours",
    "s": "seconds",
    "v": "volts",
    "percent": "percent",
}

_FEW = 12


def expected(name: str, field: FieldInfo) -> str:
    """What may be written into a field: `a number of amperes from 6 to 80, or null`."""
    for rule in field.metadata:
        if isinstance(rule, Expected):
            return rule.text
    kinds = alternatives(field.annotation)
    text = " or ".join(_kind(kind, name, field) for kind in kinds if kind is not NoneType)
    if NoneType not in kinds:
        return text
    return f"{text}, or null" if text else "null"


def expected_item(name: str, field: FieldInfo) -> str:
    """What may be written as one item of a list: `a group of keys`."""
    items = [get_args(kind)[0] for kind in alternatives(field.annotation) if get_origin(kind) is tuple]
    return _kind(items[0], name, field) if items else expected(name, field)


def section_of(kind: Any) -> type[BaseModel] | None:
    """The model that a group or the items of a list follow, if it is one."""
    for candidate in alternatives(kind):
        inner = candidate
        while get_origin(inner) is tuple:
            inner = get_args(inner)[0]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            return inner
    return None


def keys_of(section: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a group by the keys that a file spells them with."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def field_at(model: type[BaseModel], place: tuple[str | int, ...]) -> tuple[str, FieldInfo] | None:
    """The name and field that a place belongs to; None where no field is."""
    found = None
    section: type[BaseModel] | None = model
    for step in place:
        if isinstance(step, int):
            continue
        if section is None or (field := keys_of(section).get(step)) is None:
            return None
        found = step, field
        section = section_of(found[1].annotation)
    return found


def listed(words: Iterable[str]) -> str:
    """`a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean X?`; where nothing is near, the words there are, if they are few."""
    by_folded = {name.casefold(): name for name in known}
    close = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_folded[close[0]]}?"
    if len(by_folded) <= _FEW:
        return f"there are {', '.join(by_folded.values())}"
    furthest = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.0)
    return f"the nearest is {by_folded[furthest[0]]}"


def rendered(value: Any) -> str:
    """A simple value as YAML writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float | int):
        return f"{value:.12g}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(rendered(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {rendered(item)}" for key, item in value.items()) + "}"
    text = str(value)
    return f'"{text}"' if not text or text[0] in "{[*&!|>%@`#,?:-\"'" or ": " in text else text


def _kind(kind: Any, name: str, field: FieldInfo) -> str:
    if get_origin(kind) is Literal:
        return listed(rendered(option) for option in get_args(kind))
    if get_origin(kind) is tuple:
        item = get_args(kind)[0]
        return "a list of groups" if section_of(item) else f"a list of {_kind(item, name, field)}"
    if get_origin(kind) is dict or section_of(kind):
        return "a group of keys"
    if kind in (int, float):
        unit = _UNITS.get(name.rpartition("_")[2], "") if "_" in name else ""
        noun = "a whole number" if kind is int else "a number"
        return noun + (f" of {unit}" if unit else "") + _bounds(field)
    if kind in (str, SecretStr):
        most = _rule(field, "max_length")
        return "text" + (f" of at most {most} characters" if most else "")
    return {bool: "true or false", Path: "a path"}.get(kind, "a value")


def _bounds(field: FieldInfo) -> str:
    least, above, most = (_rule(field, rule) for rule in ("ge", "gt", "le"))
    low = f" from {least:g}" if least is not None else f" above {above:g}" if above is not None else ""
    if most is None:
        return low.replace(" from", " of at least")
    return f"{low} to {most:.12g}" if least is not None else f"{low}{' and' if low else ''} up to {most:.12g}"


def _rule(field: FieldInfo, name: str) -> Any:
    return next(
        (getattr(rule, name) for rule in field.metadata if getattr(rule, name, None) is not None), None
    )
