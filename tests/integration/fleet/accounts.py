"""Whether the fleet and its central system have the same transactions, and for each difference a reason.

A record that was refused or left unanswered as often as allowed is given up (OCPP 1.6 §3.7.1). What the
central system then has of it depends on what it did with it before: where only the answer was lost, it has
it. All else must agree to the last Wh.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chargepoint.fleet.measures.entry import Entry
from chargepoint.ocpp16.times import format_time

MOST_TOLD = 20

UNKNOWN = -1
"""The number under which a station tells of a transaction whose start was given up."""


@dataclass(frozen=True, slots=True)
class Booked:
    """A transaction as the central system has it."""

    station: str
    number: int
    started: str | None
    """The timestamp of its start, as it was sent; None: it never came."""
    meter_start_wh: int | None
    meter_stop_wh: int | None
    """What is billed; None: it never ended, or the end was refused."""
    told_wh: tuple[int, ...]
    """Registers of all different ends that came, refused ones included."""

    @classmethod
    def read(cls, fields: list[Any]) -> Booked:
        """As `rude_csms` tells it."""
        station, number, started, meter_start_wh, meter_stop_wh, told_wh = fields
        return cls(station, number, started, meter_start_wh, meter_stop_wh, tuple(told_wh))


def accounts(ours: Iterable[Entry], theirs: Iterable[Booked]) -> list[str]:
    """Where the books differ without a reason that excuses it."""
    booked = list(theirs)
    by_number = {(one.station, one.number): one for one in booked}
    problems = [] if len(by_number) == len(booked) else ["two transactions of one number at one station"]
    claimed: set[tuple[str, int]] = set()
    unnumbered: dict[str, list[Entry]] = defaultdict(list)
    for entry in ours:
        if entry.doubled or not (entry.given_up or entry.verdict == "ok") or entry.ended_first:
            problems.append(f"{_name(entry)}: {entry.verdict} ({entry.note or entry.phase})")
        if entry.transaction_id is None:
            unnumbered[entry.station].append(entry)
            continue
        claimed.add((entry.station, entry.transaction_id))
        problems += _numbered(entry, by_number.get((entry.station, entry.transaction_id)))
    for station, entries in unnumbered.items():
        claimed.add((station, UNKNOWN))
        told = by_number.get((station, UNKNOWN))
        problems += _ends_without_start(station, entries, () if told is None else told.told_wh)
    starts = {(one.station, format_time(one.started_at)): one for some in unnumbered.values() for one in some}
    for name, one in by_number.items():
        if name not in claimed:
            problems += _unacknowledged(one, starts.pop((one.station, one.started or ""), None))
    return problems[:MOST_TOLD]


def _name(entry: Entry) -> str:
    return f"{entry.station}/{entry.key}"


def _numbered(entry: Entry, there: Booked | None) -> Iterator[str]:
    """A transaction whose start was acknowledged."""
    if there is None:
        yield f"{_name(entry)}: unknown to the central system"
        return
    if there.meter_start_wh != entry.meter_start_wh:
        yield f"{_name(entry)}: from {entry.meter_start_wh} Wh, there {there.meter_start_wh}"
    if there.told_wh != (entry.meter_stop_wh,):
        yield f"{_name(entry)}: ends at {entry.meter_stop_wh} Wh, there {there.told_wh}"
    if entry.delivered and there.meter_stop_wh is None:
        yield f"{_name(entry)}: its end was acknowledged, and is not billed there"


def _ends_without_start(station: str, entries: list[Entry], told_wh: tuple[int, ...]) -> Iterator[str]:
    """Transactions without a number have their ends told all the same (OCPP 1.6 errata 3.18)."""
    ends = {entry.meter_stop_wh for entry in entries}
    if ends != set(told_wh):
        yield f"{station}: ends without a number at {sorted(map(str, ends))} Wh, there {told_wh}"


def _unacknowledged(there: Booked, entry: Entry | None) -> Iterator[str]:
    """What the central system has beyond those acknowledged: a start whose answers were lost, not its end."""
    name = f"{there.station} {there.number}"
    if entry is None:
        yield f"{name}: unknown to the fleet"
    elif (there.meter_start_wh, there.told_wh) != (entry.meter_start_wh, ()):
        yield f"{name}: from {there.meter_start_wh} Wh with ends {there.told_wh}, given up as {_name(entry)}"
