"""Station types as data: what a station of that kind is made of, reports and does wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from pydantic import Field, field_validator

from chargepoint.config import StationConfig
from chargepoint.config.quirks import QuirksConfig
from chargepoint.config.reading import bind
from chargepoint.config.section import Context, Section, mistake
from chargepoint.config.source import Document
from chargepoint.config.source import parse as parse_document
from chargepoint.config.source import read as read_document
from chargepoint.config.wording import nearest
from chargepoint.errors import ConfigError

__all__ = ["MEMBERS_OWN", "Quirks", "Template", "TemplateFile", "load_template", "template_names"]

Quirks = tuple[tuple[str, str | float | bool], ...]
"""The names of quirks that are switched on, and what each is set to."""

_log = logging.getLogger(__name__)

MEMBERS_OWN = {
    "identity": "it is the member's own",
    "quirks": "write it beside `station`",
    "storage": "it is the fleet's",
}
"""Keys of a station's configuration that are none of its type, and where they are written."""


class TemplateFile(Section):
    """The file of one station type."""

    title: str = Field(min_length=1, max_length=60, description="What it is, in a few words.")
    description: str = Field(
        default="", max_length=300, description="What it stands for, in a sentence or two."
    )
    modelled_on: tuple[str, ...] = Field(default=(), description="The public documentation that it follows.")
    station: StationConfig = Field(
        default=StationConfig(), description="Any key of a station's configuration (docs/configuration.md)."
    )
    quirks: QuirksConfig = Field(default=QuirksConfig(), description="Its bad habits.")

    @field_validator("station")
    @classmethod
    def _is_of_a_type(cls, station: StationConfig) -> StationConfig:
        for key, remedy in MEMBERS_OWN.items():
            if key in station.model_fields_set:
                raise mistake(f"must not have {key}: {remedy}")
        return station


@dataclass(frozen=True, slots=True)
class Template:
    """One station type. `config` has its quirks switched on; `quirks` names them."""

    name: str
    title: str
    description: str
    modelled_on: tuple[str, ...]
    config: StationConfig
    quirks: Quirks


def template_names() -> tuple[str, ...]:
    """The shipped station types, in alphabetical order."""
    folder = files("chargepoint.fleet.plan").joinpath("templates")
    return tuple(sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".yaml")))


def load_template(name_or_path: str, warn: Callable[[str], None] = _log.warning) -> Template:
    """The shipped station type of that name, or the one in a file: what has a slash or ends in .yaml.

    Raises `ConfigError` with every mistake.
    """
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
        context = Context(path.parent, look_for_files=True)
        return _template(path.stem, read_document(path), context, warn)
    return _shipped(name_or_path)


@lru_cache
def _shipped(name: str) -> Template:
    if name not in template_names():
        raise ConfigError([f"{name} is not a template; {nearest(name, template_names())}"])
    text = files("chargepoint.fleet.plan").joinpath("templates", f"{name}.yaml").read_text(encoding="utf-8")
    return _template(name, parse_document(text, f"{name}.yaml"), Context(), _log.warning)


def _template(name: str, document: Document, context: Context, warn: Callable[[str], None]) -> Template:
    found = bind(TemplateFile, document, context, warn)
    config = found.station.model_copy(update={"quirks": found.quirks, "storage": None})
    return Template(name, found.title, found.description, found.modelled_on, config, found.quirks.switched_on)
