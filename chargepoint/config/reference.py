"""The reference of all configuration keys as Markdown; `make docs` writes it to docs/configuration.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from chargepoint.config.hardware import DriverConfig
from chargepoint.config.keys import key_table, values_of
from chargepoint.config.model import StationConfig
from chargepoint.config.wording import expected, rendered, section_of

__all__ = ["reference", "table"]

_HEAD = """\
# Configuration

One station is described by one YAML 1.2 file (JSON is YAML too). Everything has a default.
`chargepoint config example` prints a file with every key, `chargepoint config check FILE` lists all mistakes
in yours, and `chargepoint config schema` prints a JSON Schema for editors.

- Text needs no quotes: a value is read as it is written and understood by its key, so `04E12345` is a card
  and `1.10` a version. An unquoted `null` or `~` is nothing.
- Relative paths begin at the folder of the file they are written in.
- What the central system changes is kept under `storage` and from then on wins over the file, which holds the
  factory values.

This page is generated from the models (`make docs`).
"""


def reference() -> str:
    """Every key with what it takes, its default and its meaning."""
    return "\n".join([_HEAD, *_tables(StationConfig, ""), *_ocpp(), ""])


def table(model: type[BaseModel], heading: str) -> Iterator[str]:
    """One group of keys, each with what it takes, its default and its meaning."""
    yield f"## {heading}"
    yield ""
    yield " ".join((model.__doc__ or "").split())
    yield ""
    yield "| key | takes | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in model.model_fields.items():
        yield _row(f"`{name}`", expected(name, field), _default(field), field.description or "")
    yield ""


def _tables(model: type[BaseModel], prefix: str) -> Iterator[str]:
    yield from table(model, f"`{prefix}`" if prefix else "Top level")
    if issubclass(model, DriverConfig):
        return
    for name, field in model.model_fields.items():
        inner = section_of(field.annotation)
        if inner is not None and not issubclass(inner, DriverConfig):
            yield from _tables(inner, f"{prefix}.{name}".removeprefix("."))
    if model is StationConfig:
        yield from _tables(
            DriverConfig, "connectors[].evse, connectors[].meter, connectors[].reader, readers[], site.meter"
        )


def _ocpp() -> Iterator[str]:
    yield "## `ocpp`"
    yield ""
    yield "Factory values of OCPP configuration keys, in upper or lower case. R: read-only over OCPP."
    yield ""
    yield "| key | takes | default | access | profile | meaning |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for key in key_table():
        default = "" if key.default is None else f"`{rendered(key.default)}`"
        yield _row(f"`{key.name}`", values_of(key), default, key.access, key.profile, key.description)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if section_of(field.annotation) is None or field.default is None:
        return f"`{rendered(field.default)}`"
    if field.default == ():
        return "none"
    return f"`{rendered(dict(field.default))}`" if isinstance(field.default, DriverConfig) else "see below"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference(), encoding="utf-8")
