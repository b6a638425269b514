"""Mistakes in the files that a fleet's file names: told along with its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from chargepoint.config.section import Context, mistake
from chargepoint.errors import ConfigError

__all__ = ["FleetContext", "in_other_file", "lines_of", "looking", "within"]


@dataclass(frozen=True, slots=True)
class FleetContext(Context):
    """`elsewhere` gathers, once each, the mistakes in templates and other files that are named; `cautions`
    what was changed there in order to fit."""

    elsewhere: dict[str, None] = field(default_factory=dict)
    cautions: dict[str, None] = field(default_factory=dict)

    def caution(self, text: str) -> None:
        """Take note of a warning."""
        self.cautions[text] = None


def in_other_file(error: ConfigError, context: Any) -> PydanticCustomError:
    """What the key that names the file is told; more than one mistake follows behind those of this file."""
    if len(error.problems) == 1 or not isinstance(context, FleetContext):
        return mistake(f"cannot be used ({'; '.join(error.problems)})")
    context.elsewhere.update(dict.fromkeys(error.problems))
    return mistake(f"has {len(error.problems)} mistakes of its own, listed below; correct that file")


def looking(context: Any) -> bool:
    """Whether files must be there."""
    return isinstance(context, Context) and context.look_for_files


def within(context: Any) -> Context | None:
    """The same for a part of the document that is read as a document of its own, with warnings of its own."""
    return Context(context.folder, context.look_for_files) if isinstance(context, Context) else None


def lines_of(path: Path) -> list[str]:
    """The lines of a text file. Raises `ConfigError`."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read ({error.strerror}); check the path"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is not UTF-8 text; save the file in UTF-8"]) from None
