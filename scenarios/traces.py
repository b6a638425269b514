"""Where the traces of a run go: one file, or a folder with one for each story and station."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from chargepoint.errors import ConfigError
from chargepoint.trace import Trace
from scenarios.model import load

__all__ = ["Traces"]

_PLAIN = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Traces:
    """`stems`: what the files of each story in the folder `path` begin with; None: `path` is the one file."""

    path: Path
    stems: dict[str, str] | None = None

    @classmethod
    def planned(cls, path: Path, names: Sequence[str]) -> Traces:
        """For these scenarios: a file for a single one with a single station, unless a folder is there.

        Makes the folder. Raises `ConfigError` if it cannot be had.
        """
        if not path.is_dir() and len(names) == 1 and _stations(names[0]) <= 1:
            return cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                [f"--trace {path}: {error.strerror}; for several stories or stations name a folder"]
            ) from None
        stems: dict[str, str] = {}
        for name in names:
            stem = stem_ = _PLAIN.sub("-", name.removesuffix(".yaml").rpartition(":")[2]).strip("-.")
            n = 1
            while stem in stems.values():
                stem = f"{stem_}-{(n := n + 1)}"
            stems[name] = stem
        return cls(path, stems)

    def open(self, scenario: str, station: str) -> Trace:
        """An empty trace of one station of a story. Raises `ConfigError`."""
        path = self.path
        if self.stems is not None:
            path = self.path / f"{self.stems.get(scenario, 'story')}.{_PLAIN.sub('-', station)}.jsonl"
        try:
            path.unlink(missing_ok=True)  # one story is one recording: nothing of an earlier run before it
        except OSError as error:
            raise ConfigError([f"trace {path}: {error.strerror}; choose another file"]) from None
        return Trace(path, station)


def _stations(name: str) -> int:
    """How many a scenario has; 0 if it has mistakes, which are told elsewhere."""
    try:
        return len(load(name, given=None).file.stations)
    except ConfigError:
        return 0
