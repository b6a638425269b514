"""What a reader found in a file, before anybody knows which side spoke."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from chargepoint.errors import ConfigError
from scenarios.importers.stamps import StampReader, reference


@dataclass(frozen=True, slots=True)
class Found:
    """A frame or an event on a line.

    `outgoing` is what the file says outright. `word` is what it says from its writer's view, who may be
    either side: True for sent, False for received.
    """

    at: float
    line: int
    station: str | None = None
    raw: str | None = None
    outgoing: bool | None = None
    word: bool | None = None
    event: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)


class Source:
    """A file that is being read: its lines, its time stamps, and what was found so far."""

    def __init__(self, name: str, text: str, zone: tzinfo | None) -> None:
        self.name = name
        self.text = text
        self.lines = text.splitlines()
        self.stamps = StampReader(zone, reference(text))
        self.found: list[Found] = []
        self.unknown: list[int] = []
        self.notes: list[str] = []

    def mistake(self, line: int, what: str) -> ConfigError:
        """An error at a line of this file."""
        return ConfigError([f"{self.name}:{line}: {what}"])
