"""Why stations of a fleet cannot connect at the moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """How many stations have one kind of failure, and what the first of them was told."""

    kind: str
    count: int
    stations: int
    """How many there are in all."""
    reason: str

    def __str__(self) -> str:
        return f"{self.count} of {self.stations} stations cannot connect ({self.kind}): {self.reason}"


def as_one(troubles: Iterable[Trouble], stations: int) -> list[Trouble]:
    """Those of several parts of a fleet with so many stations in all; the most frequent kind first."""
    counts: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    for trouble in troubles:
        counts[trouble.kind] += trouble.count
        reasons.setdefault(trouble.kind, trouble.reason)
    return [Trouble(kind, count, stations, reasons[kind]) for kind, count in counts.most_common()]
