"""What is wrong with a configuration, one line each: file, line, key, fault and remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_origin

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from chargepoint.config.section import alternatives
from chargepoint.config.source import Document, Place, spelled
from chargepoint.config.wording import (
    expected,
    expected_item,
    field_at,
    keys_of,
    nearest,
    rendered,
    section_of,
)

__all__ = ["explained", "explained_flags", "in_order", "places"]

_NOUNS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "model_type": "a group of keys",
    "dict_type": "a group of keys",
    "mapping_type": "a group of keys",
    "is_instance_of": "a path",
}


class _Problem(NamedTuple):
    place: Place
    text: str


def explained(model: type[BaseModel], error: ValidationError, document: Document) -> list[str]:
    """Every mistake in `document`, in the order of its lines."""
    return in_order(places(model, error), document)


def places(model: type[BaseModel], error: ValidationError) -> dict[Place, str]:
    """What is wrong where, for a model that is a part of another one's document."""
    return dict(_problems(model, error))


def in_order(found: Mapping[Place, str], document: Document, *, columns: bool = False) -> list[str]:
    """One line for each place of `document` that is wrong, in the order of its lines; or with `columns`."""

    def where(place: Place) -> tuple[int, ...]:
        return (document.line(place), *((document.column(place),) if columns else ()))

    return [
        f"{document.name}:{':'.join(map(str, where(place)))}: {spelled(place)}: {text}"
        for place, text in sorted(found.items(), key=lambda item: where(item[0]))
    ]


def explained_flags(model: type[BaseModel], error: ValidationError, flags: Mapping[Place, str]) -> list[str]:
    """The same where some values came from the command line: `flags` names the flag of each such place."""
    return [f"{flags.get(place, spelled(place))}: {text}" for place, text in _problems(model, error)]


def _problems(model: type[BaseModel], error: ValidationError) -> list[_Problem]:
    found: dict[Place, _Problem] = {}
    for details in error.errors(include_url=False):
        for problem in _of(model, details):
            # A union reports each of its branches: the first one is enough.
            found.setdefault(problem.place, problem)
    return list(found.values())


def _of(model: type[BaseModel], details: Any) -> Iterator[_Problem]:
    kind, place, context = details["type"], _known(model, details["loc"]), details.get("ctx", {})
    if kind == "mistakes":
        for key, text in context["by_key"].items():
            yield _Problem((*place, *((key,) if isinstance(key, str) else key)), text)
    elif kind == "mistake":
        yield _Problem(place, context["text"])
    elif kind == "extra_forbidden":
        yield _Problem(place, f"is not a known key; {nearest(str(place[-1]), _siblings(model, place))}")
    elif kind == "too_short" and len(details["input"]) >= context["min_length"]:
        return  # pydantic counts the items that are right; those that are wrong have told already
    else:
        yield _Problem(place, _fault(model, place, details))


def _fault(model: type[BaseModel], place: Place, details: Any) -> str:
    known = field_at(model, place)
    shown = _shown(details["input"], known[1] if known else None)
    remedy = "write text"
    if known:
        remedy = f"write {expected_item(*known) if isinstance(place[-1], int) else expected(*known)}"
    context, kind = details.get("ctx", {}), details["type"]
    if kind == "missing":
        return f"is missing; {remedy}"
    for rule, text in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if rule in context:
            return f"must be {text} {context[rule]:.12g}{shown}; {remedy}"
    if "min_length" in context and context["min_length"] == 1:
        return f"must not be empty; {remedy}"
    if "max_length" in context:
        return f"must not be longer than {context['max_length']}{_size(details['input'])}; {remedy}"
    if kind == "literal_error":
        return f"does not have this choice{shown}; {remedy}"
    return f"is not {_NOUNS.get(kind, 'possible')}{shown}; {remedy}"


def _size(value: Any) -> str:
    return f" (is {len(value)})" if hasattr(value, "__len__") else ""


def _shown(value: Any, field: FieldInfo | None) -> str:
    """The value at fault, unless it is a secret or too big to be shown."""
    if field is None or SecretStr in alternatives(field.annotation) or not field.repr:
        return ""
    if value is None or isinstance(value, bool | int | float):
        return f" (is {rendered(value)})"
    if isinstance(value, dict):
        return " (is a group of keys)"
    if isinstance(value, list | tuple):
        return " (is a list)"
    text = str(value)
    return f' (is "{text if len(text) <= 60 else text[:60] + "..."}")'


def _known(model: type[BaseModel], location: Place) -> Place:
    """The location without what pydantic adds about the branches of a union."""
    known: list[str | int] = []
    section: type[BaseModel] | None = model
    kind: Any = model
    for step in location:
        if isinstance(step, int):
            known.append(step)
        elif section is not None:
            known.append(step)
            field = keys_of(section).get(step)
            kind = field.annotation if field else None
            section = section_of(kind) if field else None
        elif get_origin(kind) is dict:
            known.append(step)
            kind = None
        else:
            break
    return tuple(known)


def _siblings(model: type[BaseModel], place: Place) -> list[str]:
    section: type[BaseModel] | None = model
    for step in place[:-1]:
        if isinstance(step, str) and section is not None:
            section = section_of(keys_of(section)[step].annotation)
    return list(keys_of(section)) if section else []
