"""The commented configuration: every key with its default, written from the models themselves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from pydantic import BaseModel

from chargepoint.config.hardware import DriverConfig
from chargepoint.config.keys import key_table
from chargepoint.config.model import StationConfig
from chargepoint.config.section import Section
from chargepoint.config.wording import expected, rendered, section_of

__all__ = ["example"]

_WIDTH = 110

_HEAD = """\
# The configuration of one station. Every key is here with its default, so any line may be left out.
# Text needs no quotes: 04E12345, 1.10 and 0123 stay what they are. Relative paths begin at the folder of this
# file. Values that the central system changes are kept under `storage` and win over this file from then on.
"""


def example() -> str:
    """A configuration file that says nothing but the defaults, each key explained in front of it."""
    return _HEAD + "\n".join(_group(StationConfig(), 0)) + "\n"


def _group(section: Section, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in type(section).model_fields.items():
        if depth == 0:
            yield ""
        yield from _comment(field.description or "", indent)
        value = getattr(section, name)
        for other in field.examples or ():
            yield f"{indent}# for example {name}: {rendered([other] if isinstance(value, tuple) else other)}"
        first, *rest = _value(name, value, depth)
        yield first if rest or section_of(field.annotation) else f"{first}  # {expected(name, field)}"
        yield from rest
        absent = section_of(field.annotation)
        if value is None and absent is not None and not issubclass(absent, DriverConfig):
            yield from _absent(absent, indent + "  ")


def _absent(section: type[BaseModel], indent: str) -> Iterator[str]:
    """The keys of a group that is not there by default, with values that show what they take."""
    for name, field in section.model_fields.items():
        yield from _comment(field.description or "", indent)
        value = field.default
        if field.examples:
            value = [field.examples[0]] if isinstance(value, tuple) else field.examples[0]
        shown = dict(value) if isinstance(value, DriverConfig) else value
        yield f"{indent}# {name}: {rendered(shown)}"


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - len(indent) - 2, break_long_words=False, break_on_hyphens=False):
        yield f"{indent}# {line}"


def _value(name: str, value: object, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if isinstance(value, DriverConfig):
        yield f"{indent}{name}: {rendered(dict(value))}"
    elif isinstance(value, Section):
        yield f"{indent}{name}:"
        yield from _group(value, depth + 1)
    elif isinstance(value, tuple) and value and isinstance(value[0], Section):
        yield f"{indent}{name}:"
        for item in value:
            yield f"{indent}  -"
            yield from _group(item, depth + 2)
    elif name == "ocpp":
        yield f"{indent}{name}:"
        for key in key_table():
            yield from _comment(key.description, indent + "  ")
            yield f"{indent}  # {key.name}: {rendered(key.default or '')}"
    else:
        yield f"{indent}{name}: {rendered(value)}"
