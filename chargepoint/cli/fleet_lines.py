"""A fleet in lines of text, for a pipe, a log or somebody who wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.trouble import Trouble

LOOK_EVERY_S = 1.0
LINE_EVERY_S = 5.0

TOLD_AGAIN = 3
"""A trouble is told again when so many times as many stations have it: the first look may see one of many."""


class Troubled(Protocol):
    """A fleet as far as its figures do not say it."""

    @property
    def ramp_behind_s(self) -> float:
        """How late the ramp is because the central system takes its time."""

    def troubles(self) -> list[Trouble]:
        """Why stations cannot connect now, the most frequent kind first."""


class Lines:
    """For a person or a log: figures every few seconds, events, and troubles when they begin or spread."""

    def __init__(self, fleet: Troubled, write: Callable[[str], None], every_s: float = LINE_EVERY_S) -> None:
        self._fleet = fleet
        self._write = write
        self._every_s = every_s
        self._next_s = 0.0
        self._told_at = -1.0
        self._troubles: dict[str, int] = {}  # how many stations had each when it was told

    def __call__(self, snapshot: Snapshot) -> None:
        self._told_at, notes = unheard(snapshot, self._told_at)
        for note in notes:
            self._write(note)
        if snapshot.at_s < self._next_s:
            return
        # Often at first, when somebody waits for a sign of life.
        self._next_s = snapshot.at_s + min(self._every_s, max(LOOK_EVERY_S, snapshot.at_s) - 0.1)
        self._write(progress(snapshot, self._fleet.ramp_behind_s))
        told, self._troubles = self._troubles, {}
        for trouble in self._fleet.troubles():
            before = told.get(trouble.kind, 0)
            news = trouble.count >= TOLD_AGAIN * before
            self._troubles[trouble.kind] = trouble.count if news else before
            if news:
                self._write(str(trouble))


def progress(snapshot: Snapshot, behind_s: float = 0.0) -> str:
    """One line of figures."""
    parts = [
        _moment(snapshot.at_s, snapshot.station_s),
        f"{snapshot.started}/{snapshot.planned} started",
        f"{snapshot.connected} connected",
        f"{snapshot.booted} booted",
        f"{snapshot.charging} charging",
        f"{snapshot.power_w / 1000:.0f} kW",
        f"{snapshot.sent_per_s:.0f} msg/s",
        f"{snapshot.failed} errors",
    ]
    if behind_s > 2:
        why = "" if snapshot.bottleneck else ": the central system takes its time with connections"
        parts.append(f"the ramp is {span(behind_s)} behind{why}")
    if snapshot.bottleneck is not None:
        parts.append(f"THIS MACHINE IS THE BOTTLENECK: {snapshot.bottleneck}")
    return "  ".join(parts)


def unheard(snapshot: Snapshot, told_at: float) -> tuple[float, list[str]]:
    """Up to when events have been told now, and those later than `told_at`, a line each."""
    later = [event for event in snapshot.events if event.at_s > told_at]
    return max([told_at, *(event.at_s for event in later)]), [
        f"{_moment(event.at_s, event.station_s)}  {event.what}" for event in later
    ]


def _moment(at_s: float, station_s: float) -> str:
    """Since the start, and on the stations' clock where that is another time."""
    apart = abs(station_s - at_s) > 5
    return f"{span(at_s)}  station time +{span(station_s)}" if apart else span(at_s)


def span(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
