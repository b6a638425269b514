"""What one charge point said, heard and did, read back from a trace or a log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Frame", "Happening", "Kind", "Recorded"]

Kind = Literal["CALL", "CALLRESULT", "CALLERROR", "UNKNOWN"]


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was on the wire, without secrets; `outgoing` means to the central system.

    `at` are seconds since the epoch; `line` rises with time, so it is below 0 in a file that has the newest
    on top; `action` of an answer is that of its CALL, None where that is unknown.
    """

    at: float
    line: int
    outgoing: bool
    raw: str
    kind: Kind
    message_id: str | None = None
    action: str | None = None
    payload: Any = None  # of a CALLERROR: [code, description, details]


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that is no frame: a connection, a plug, a card, a verb."""

    at: float
    line: int
    event: str
    fields: dict[str, Any]


@dataclass(slots=True)
class Recorded:
    """The records of one station, in the order of the file; moments never go back."""

    source: str
    format: str
    station: str | None
    records: list[Frame | Happening]
    lines: int = 0  # of the file
    unknown: list[int] = field(default_factory=list)  # the numbers of the lines nothing could be made of
    notes: list[str] = field(default_factory=list)  # what a person should know about the reading

    @property
    def frames(self) -> Iterator[Frame]:
        """The frames alone."""
        return (record for record in self.records if isinstance(record, Frame))

    @property
    def interval_s(self) -> int | None:
        """The heartbeat interval that the first BootNotification was answered with."""
        for frame in self.frames:
            if (
                frame.action == "BootNotification"
                and frame.kind == "CALLRESULT"
                and isinstance(frame.payload, dict)
            ):
                interval = frame.payload.get("interval")
                return interval if isinstance(interval, int) and interval > 0 else None
        return None

    def happenings(self, *events: str) -> Iterator[Happening]:
        """The events of these names, all of them without a name."""
        for record in self.records:
            if isinstance(record, Happening) and (not events or record.event in events):
                yield record
