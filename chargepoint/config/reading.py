"""Configuration files into checked models, with all mistakes at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from chargepoint.config.model import StationConfig
from chargepoint.config.problems import explained
from chargepoint.config.section import Context, Section
from chargepoint.config.source import Document, spelled
from chargepoint.config.source import parse as parse_document
from chargepoint.config.source import read as read_document
from chargepoint.errors import ConfigError

__all__ = ["bind", "load", "parse"]

Model = TypeVar("Model", bound=Section)
Warn = Callable[[str], None]

_log = logging.getLogger(__name__)


def load(path: Path | str, warn: Warn = _log.warning) -> StationConfig:
    """Read a station's configuration file; relative paths in it begin at its folder.

    Raises `ConfigError` with every mistake; a syntax error or a duplicate key ends the reading at the first.
    `warn` is told what was changed in order to fit.
    """
    path = Path(path)
    return bind(StationConfig, read_document(path), Context(path.parent, look_for_files=True), warn)


def parse(text: str, name: str = "configuration", warn: Warn = _log.warning) -> StationConfig:
    """The same from YAML text; `name` stands for the file in messages."""
    return bind(StationConfig, parse_document(text, name), Context(), warn)


def bind(model: type[Model], document: Document, context: Context, warn: Warn = _log.warning) -> Model:
    """Check a document of any kind against its model. Raises `ConfigError` with every mistake."""
    try:
        found = model.model_validate(dict(document.tree), context=context)
    except ValidationError as error:
        raise ConfigError(explained(model, error, document)) from None
    for place, text in context.warnings.items():
        warn(f"{document.name}:{document.line(place)}: {spelled(place)}: {text}")
    return found
