"""One transaction of a fleet: how far it came, and what is wrong with it; and such counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ENDED_FIRST = "the run ended first"

KEPT_BACK = "StopTransaction was kept back by the station, a quirk"

COLUMNS = (
    "station",
    "connector",
    "key",
    "transaction_id",
    "id_tag",
    "phase",
    "verdict",
    "started_at",
    "stopped_at",
    "meter_start_wh",
    "meter_stop_wh",
    "reason",
    "start_attempts",
    "stop_attempts",
    "other_ids",
    "note",
)
"""The columns of a ledger's table; moments are seconds since the epoch, UTC."""


@dataclass(slots=True)
class Entry:
    """One transaction of one station."""

    station: str
    connector: int
    key: str
    """The station's own name of it, unique at the station."""
    id_tag: str
    started_at: float
    meter_start_wh: int
    phase: str = "started"
    """How far it came: started, confirmed, stopped, delivered."""
    transaction_id: int | None = None
    """The central system's number, None until it acknowledged the start."""
    stopped_at: float | None = None
    meter_stop_wh: int | None = None
    reason: str | None = None
    start_attempts: int = 0
    """Transmissions of StartTransaction up to its answer."""
    stop_attempts: int = 0
    delivered: bool = False
    """The central system acknowledged the stop."""
    given_up: str | None = None
    """Which message of it was refused as often as allowed, and how."""
    ended_first: bool = False
    """The run was over before what it still had to tell was acknowledged, or refused as often as allowed."""
    other_ids: list[int] | None = None
    """Further numbers under which the central system acknowledged the same transaction."""
    accepted: bool = False
    """The central system accepted the identifier of at least one of these."""
    shared_with: str | None = None
    """Another transaction that the central system gave the same number, as STATION/KEY."""
    lost_with: str | None = None
    """The worker whose end cut it off: nobody knows what became of it."""

    @property
    def missing(self) -> bool:
        """Made, and its start or end not acknowledged, whatever still may come."""
        if self.lost_with is not None:
            return False
        return self.transaction_id is None or (self.stopped_at is not None and not self.delivered)

    @property
    def lost(self) -> bool:
        """Its worker was lost or a message of it given up: the central system will never have all of it."""
        return self.lost_with is not None or (self.given_up is not None and self.missing)

    @property
    def doubled(self) -> bool:
        """The central system has it twice, or has one number for two."""
        return bool(self.other_ids) or self.shared_with is not None

    @property
    def verdict(self) -> str:
        """ok, running, missing, doubled or both, or lost with a worker."""
        if self.lost_with is not None:
            return "lost with a worker"
        if self.missing and self.doubled:
            return "missing and doubled"
        if self.missing:
            return "missing"
        if self.doubled:
            return "doubled"
        return "ok" if self.delivered else "running"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def note(self) -> str:
        """What became of it besides, in words."""
        notes = []
        if self.given_up is not None:
            notes.append(self.given_up)
        if self.ended_first:
            notes.append(ENDED_FIRST)
        if self.shared_with is not None:
            notes.append(f"same id as {self.shared_with}")
        if self.lost_with is not None:
            notes.append(f"worker {self.lost_with} was lost")
        return "; ".join(notes)

    def row(self) -> list[Any]:
        """The values of `COLUMNS`."""
        derived = {"other_ids": " ".join(map(str, self.other_ids or ())), "note": self.note}
        values = (derived[name] if name in derived else getattr(self, name) for name in COLUMNS)
        return ["" if value is None else value for value in values]


@dataclass(slots=True)
class Totals:
    """How many transactions there were of each kind, those no longer kept included."""

    made: int = 0
    confirmed: int = 0
    stopped: int = 0
    delivered: int = 0
    missing: int = 0
    lost: int = 0
    """Given up, lost with a worker, or missing when the run was over."""
    lost_with_worker: int = 0
    """Those of them whose worker was lost; none of these is missing."""
    doubled: int = 0


def count(totals: Totals, entry: Entry, by: int = 1) -> None:
    """Count a transaction as it is now; `by` -1 before it changes."""
    totals.made += by
    totals.confirmed += by * (entry.transaction_id is not None)
    totals.stopped += by * (entry.stopped_at is not None)
    totals.delivered += by * entry.delivered
    totals.missing += by * entry.missing
    totals.lost += by * entry.lost
    totals.lost_with_worker += by * (entry.lost_with is not None)
    totals.doubled += by * entry.doubled
