"""One shard of a fleet as its leader sees it, whoever runs it, and all of them seen as one fleet."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from distributed import Future

from chargepoint.fleet.cluster.handover import HandedOver
from chargepoint.fleet.cluster.shard import ShardReport, gone, together
from chargepoint.fleet.measures.trouble import Trouble, as_one

SILENT_AFTER_S = 4.0
"""Without a report, which comes each second, a shard counts as not connected."""


@dataclass(slots=True)
class LedShard:
    """One shard: who has the order to run it, and what was heard of it."""

    number: int
    planned: int
    attempt: int = 0
    address: str | None = None
    """The worker that was ordered to run it; None: nobody."""
    task: Future[Any] | None = None
    ordered_at: float = 0.0
    holder: str | None = None
    """Who took the lease of this attempt."""
    report: ShardReport | None = None
    """The newest of this attempt, the last one of a shard that is done."""
    heard_at: float = 0.0
    """When it came."""
    handed_over: HandedOver = field(default_factory=HandedOver)
    """The ledger of this attempt."""
    past: list[ShardReport] = field(default_factory=list)
    """What attempts had counted that are over."""
    failures: int = 0
    """Errors one after the other."""
    given_up: bool = False
    """Nobody tries it any more: its stations are left out."""
    collecting: asyncio.Task[None] | None = None
    """Its result is on the way."""
    done: bool = False
    waits: str | None = None
    """Why nobody runs it, as it was told."""

    def ordered(self, attempt: int, address: str, task: Future[Any]) -> None:
        """A new attempt begins, of which nothing was heard yet."""
        self.attempt, self.address, self.task = attempt, address, task
        self.holder = self.report = self.collecting = self.waits = None
        self.handed_over = HandedOver()
        self.ordered_at = time.monotonic()

    def over(self, lost: int) -> None:
        """This attempt is over; what it counted stays counted, with so many more lost transactions."""
        if self.report is not None:
            report, self.report = self.report, None
            report.snapshot = gone(report.snapshot)
            report.snapshot.lost_transactions += lost
            report.troubles, report.ramp_behind_s, report.ramp_per_s = [], 0.0, None
            self.past.append(report)
        self.task = self.holder = self.address = None


class AsOne:
    """All shards together, as they last were."""

    def __init__(self, shards: Sequence[LedShard]) -> None:
        self._shards = shards

    def past(self) -> Iterable[ShardReport]:
        """What attempts had counted that are over."""
        return (report for shard in self._shards for report in shard.past)

    def present(self) -> Iterator[ShardReport]:
        """The shards as they are; nobody claims that one is connected of which nothing was heard for long."""
        for shard in self._shards:
            if shard.report is None:
                continue
            if shard.done or time.monotonic() < shard.heard_at + SILENT_AFTER_S:
                yield shard.report
            else:
                yield replace(shard.report, snapshot=gone(shard.report.snapshot), troubles=[])

    @property
    def heard(self) -> bool:
        """All have begun: of each that is to run there is a report."""
        return bool(self._shards) and all(shard.report or shard.done for shard in self._shards)

    def report(self) -> ShardReport:
        """Of all of them."""
        return together([*self.present(), *self.past()])

    @property
    def planned(self) -> int:
        """Stations of all shards, whether they run or not."""
        return sum(shard.report.snapshot.planned if shard.report else shard.planned for shard in self._shards)

    @property
    def accepted(self) -> int:
        """Stations that the central system accepted at least once."""
        return sum(
            max((report.accepted for report in (shard.report, *shard.past) if report), default=0)
            for shard in self._shards
        )

    @property
    def skipped(self) -> Counter[str]:
        """Members that could not be assembled, by what was wrong with them."""
        skipped = together([shard.report for shard in self._shards if shard.report is not None]).skipped
        for shard in self._shards:
            if shard.given_up:
                skipped[f"shard {shard.number} could not run"] += shard.planned
        return skipped

    def troubles(self) -> list[Trouble]:
        """Why stations cannot connect now, the most frequent kind first."""
        whole = self.report()
        return as_one(whole.troubles, whole.snapshot.started)
