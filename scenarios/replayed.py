"""How a recording is played again, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from chargepoint.link import LinkSettings
from chargepoint.trace import Trace
from scenarios.differences import Difference

__all__ = ["Options", "Outcome"]

VERSION = 1
"""Of the JSON a run is written as (docs/replay.md)."""


@dataclass(frozen=True, slots=True)
class Options:
    """How to play. Patience is in real seconds; `settings` say where, and must be there in the end."""

    settings: LinkSettings | None = None
    seed: int = 0
    answer_within_s: float = 30.0
    call_within_s: float = 2.0  # for a CALL that came before the next frame of the recording
    quiet_s: float = 1.0  # of station time, at the end
    ignore: tuple[str, ...] = ()
    compare: bool = True
    trace: Trace | None = None


@dataclass(slots=True)
class Outcome:
    """What came of a replay."""

    source: str
    station: str
    verdict: Literal["same", "differs"] = "same"
    differences: list[Difference] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    calls: int = 0  # of the charge point
    csms_calls: int = 0
    station_s: float = 0.0
    real_s: float = 0.0
    transactions: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def frames_per_s(self) -> float:
        """Frames of both directions in a real second."""
        return (self.sent + self.received) / self.real_s if self.real_s else 0.0

    @property
    def matters(self) -> list[Difference]:
        """The differences that matter."""
        return [difference for difference in self.differences if difference.matters]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "schemaVersion": VERSION,
            "source": self.source,
            "station": self.station,
            "verdict": self.verdict,
            "matter": len(self.matters),
            "do_not_matter": len(self.differences) - len(self.matters),
            "frames": {"sent": self.sent, "received": self.received},
            "calls": {"station": self.calls, "csms": self.csms_calls},
            "transactions": {str(old): new for old, new in self.transactions.items()},
            "station_s": round(self.station_s, 3),
            "real_s": round(self.real_s, 3),
            "notes": self.notes,
            "differences": [difference.as_dict() for difference in self.differences],
        }
