"""The model all configuration is made of: strict, frozen, reading source text by each field's type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from chargepoint.config.source import Place, Scalar

__all__ = ["Context", "Expected", "Section", "alternatives", "mistake", "mistakes", "plain"]

_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})(\.[0-9]+)?")
_TRUTH = {word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")}


@dataclass(frozen=True, slots=True)
class Expected:
    """What to write into a field, where its type does not say it all: for messages and the reference."""

    text: str


@dataclass(frozen=True, slots=True)
class Context:
    """What validation knows beside the values: where relative paths begin, and whether files must be there.

    `check_drivers`: their own settings are looked at as well. `warnings` gathers what was changed to fit.
    """

    folder: Path = Path()
    look_for_files: bool = False
    check_drivers: bool = True
    warnings: dict[Place, str] = field(default_factory=dict)


class Section(BaseModel):
    """A group of keys. From a file each scalar comes as its source text and is converted by the field's type.

    From Python plain values are given: `Section(max_current_a=16)`. Raises pydantic's `ValidationError`.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty_groups(cls, value: Any) -> Any:
        """A key with nothing behind it, all its lines being comments, has its default."""
        if not isinstance(value, dict):
            return value
        return {
            key: item
            for key, item in value.items()
            if not (isinstance(item, Scalar) and item.null and item == "" and cls._is_group(key))
        }

    @classmethod
    def _is_group(cls, key: str) -> bool:
        known = cls.model_fields.get(key)
        if known is None:
            return False
        kinds = alternatives(known.annotation)
        return NoneType not in kinds and all(
            get_origin(kind) in (tuple, dict, Mapping) or _is_section(kind) for kind in kinds
        )

    @field_validator("*", mode="before")
    @classmethod
    def _by_type(cls, value: Any, info: ValidationInfo) -> Any:
        found = _converted(value, cls.model_fields[info.field_name or ""].annotation)
        if isinstance(found, Path) and isinstance(info.context, Context):
            return info.context.folder / found
        return found


def mistake(text: str) -> PydanticCustomError:
    """What is wrong with a field and how to put it right, for a validator to raise."""
    return PydanticCustomError("mistake", "{text}", {"text": text})


def mistakes(by_key: Mapping[str, str] | Mapping[tuple[str | int, ...], str]) -> PydanticCustomError:
    """The same for several keys of one group, or for places below it."""
    text = "; ".join(f"{key}: {problem}" for key, problem in by_key.items())
    return PydanticCustomError("mistakes", "{text}", {"text": text, "by_key": dict(by_key)})


def alternatives(kind: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type."""
    return tuple(_flat(kind))


def plain(value: Any) -> Any:
    """The value of a key that no field describes: text, unless it is unmistakably something else.

    Numbers are decimal and have no leading zero and no exponent, so that `04E12345` and `007` stay text.
    """
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if not isinstance(value, Scalar):
        return value
    if value.null:
        return None
    if value in _TRUTH:
        return _TRUTH[value]
    if _DECIMAL.fullmatch(value):
        return float(value) if "." in value else int(value)
    return str(value)


def _flat(kind: Any) -> Iterator[Any]:
    if get_origin(kind) in (Union, UnionType):
        for part in get_args(kind):
            yield from _flat(part)
    elif get_origin(kind) is Annotated:
        yield from _flat(get_args(kind)[0])
    else:
        yield kind


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _converted(value: Any, kind: Any) -> Any:
    kinds = alternatives(kind)
    if isinstance(value, Scalar):
        return _scalar(value, kinds)
    for candidate in kinds:
        origin, arguments = get_origin(candidate), get_args(candidate)
        if origin is tuple and isinstance(value, list):
            return tuple(_converted(item, arguments[0]) for item in value)
        if origin is dict and isinstance(value, dict):
            return {str(key): _converted(item, arguments[1]) for key, item in value.items()}
    return plain(value) if Any in kinds else value


def _scalar(text: Scalar, kinds: tuple[Any, ...]) -> Any:
    if text.null:
        return None
    if Any in kinds:
        return plain(text)
    for option in (option for kind in kinds if get_origin(kind) is Literal for option in get_args(kind)):
        # A bool is an int too: `1` must not be taken for true.
        if isinstance(option, bool):
            if _TRUTH.get(text) is option:
                return option
        elif text == str(option):
            return option
    if bool in kinds and text in _TRUTH:
        return _TRUTH[text]
    if int in kinds and _WHOLE.fullmatch(text):
        return int(text)
    if float in kinds and _NUMBER.fullmatch(text):
        return float(text)
    if SecretStr in kinds:
        return SecretStr(text)
    return Path(text).expanduser() if Path in kinds else str(text)
