"""Which scenarios are meant: files, folders, and those that are shipped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from chargepoint.config.wording import nearest
from chargepoint.errors import ConfigError

__all__ = ["LIBRARY", "collected", "library_file", "library_folder", "library_names"]

LIBRARY = "library:"

_KEY = {key: re.compile(rf'^[{{ ]*"?{key}"?\s*:', re.MULTILINE) for key in ("title", "steps")}
"""At the beginning of a line; to read all of a large folder as YAML would take seconds."""


def library_folder() -> Path:
    """Where the shipped scenarios are."""
    return Path(str(files("scenarios"))) / "library"


def library_names() -> tuple[str, ...]:
    """The shipped scenarios by folder and name: `core/plug-first`."""
    folder = library_folder()
    found = (path.relative_to(folder).with_suffix("").as_posix() for path in _stories(folder))
    return tuple(sorted(found))


def library_file(name: str) -> Path:
    """A shipped file, a part of scenarios too; its folder may be left out. Raises `ConfigError`."""
    folder = library_folder()
    exact = folder / f"{name}.yaml"
    if exact.is_relative_to(folder) and ".." not in Path(name).parts and exact.is_file():
        return exact
    every = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}
    by_end = [path for full, path in every.items() if full.rpartition("/")[2] == name]
    if len(by_end) == 1:
        return by_end[0]
    if by_end:
        raise ConfigError([f"{LIBRARY}{name} is in several folders; write FOLDER/{name}"])
    known = [*every, *(full.rpartition("/")[2] for full in every)]
    raise ConfigError([f"{LIBRARY}{name} is not in the library; {nearest(name, known or [''])}"])


def collected(names: Iterable[str]) -> list[str]:
    """The scenarios that these words mean, each once, in order. Raises `ConfigError` for what is none."""
    found: dict[str, None] = {}
    for name in names:
        found.update(dict.fromkeys(_meant(name)))
    return list(found)


def _meant(name: str) -> Iterator[str]:
    if name.startswith(LIBRARY):
        wanted = name.removeprefix(LIBRARY).rstrip("/")
        group = [full for full in library_names() if not wanted or full.startswith(f"{wanted}/")]
        if group:
            yield from (f"{LIBRARY}{full}" for full in group)
            return
        if not wanted:
            raise ConfigError(["the library is empty"])
        library_file(wanted)
        yield name
        return
    path = Path(name).expanduser()
    if path.is_dir():
        stories = [str(story) for story in _stories(path)]
        if not stories:
            raise ConfigError([f"{name}: holds no scenario; a scenario is a .yaml file with title and steps"])
        yield from stories
    elif not path.exists():
        raise ConfigError([f"{name}: is not there; write a file, a folder or {LIBRARY}NAME"])
    else:
        yield name


def _stories(folder: Path) -> Iterator[Path]:
    """The files below a folder that look like scenarios, right or wrong: they have a title and steps."""
    for path in sorted(folder.rglob("*.yaml")):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if all(_KEY[key].search(text) for key in ("title", "steps")):
            yield path
