"""One shard of a fleet: every n-th member of a plan in one process, on its own or as a part of a cluster."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from chargepoint.fleet.fleet import Fleet, fleet_clock
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.measures.trouble import Trouble
from chargepoint.fleet.plan.addresses import sources_for
from chargepoint.fleet.plan.plan import Member, Plan
from hal.api import Clock
from hal.clock import WallClock

INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
"""Set by Kubernetes in each pod of an Indexed Job, from 0."""

COUNT_VARIABLE = "COMPLETIONS"
"""How many pods there are; Kubernetes does not say it, the Job's manifest has to."""

REPORT_EVERY_S = 1.0

_SHARD = re.compile(r"(auto|\d+)/(\d+)", re.ASCII)


@dataclass(slots=True)
class ShardReport:
    """What a shard is at a moment; counters are totals since its start."""

    snapshot: Snapshot
    accepted: int = 0
    """Stations that the central system accepted at least once."""
    ramp_per_s: float | None = None
    ramp_behind_s: float = 0.0
    troubles: list[Trouble] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    complaints: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, fleet: Fleet) -> ShardReport:
        """The present moment of a fleet."""
        return cls(
            fleet.snapshot(),
            fleet.accepted,
            fleet.ramp_per_s,
            fleet.ramp_behind_s,
            fleet.troubles(),
            Counter(fleet.skipped),
            Counter(fleet.complaints),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for another process."""
        return {
            "snapshot": self.snapshot.to_json(),
            "accepted": self.accepted,
            "ramp_per_s": self.ramp_per_s,
            "ramp_behind_s": self.ramp_behind_s,
            "troubles": [asdict(trouble) for trouble in self.troubles],
            "skipped": dict(self.skipped),
            "complaints": dict(self.complaints),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ShardReport:
        """What `to_json` gave."""
        return cls(
            Snapshot.from_json(data["snapshot"]),
            data["accepted"],
            data["ramp_per_s"],
            data["ramp_behind_s"],
            [Trouble(**trouble) for trouble in data["troubles"]],
            Counter(data["skipped"]),
            Counter(data["complaints"]),
        )


def shard_of(text: str | None, environment: Mapping[str, str]) -> tuple[int, int]:
    """Which shard of how many, counted from 0: `2/8` as written, `auto/8` by `JOB_COMPLETION_INDEX`.

    Without `text` both numbers come from the environment; outside of an Indexed Job it is the whole fleet.
    Raises `ValueError`, also for a pod that does not know how many there are: each would be the whole fleet.
    """
    if text is None:
        if INDEX_VARIABLE not in environment:
            return 0, 1
        if COUNT_VARIABLE not in environment:
            raise ValueError(
                f"is not set in a pod of an Indexed Job ({INDEX_VARIABLE} is): every pod would be the whole "
                "fleet; set it to the number of pods, or write --shard auto/4, or --shard 0/1 for all of it"
            )
        text = f"auto/{environment[COUNT_VARIABLE]}"
    found = _SHARD.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} is no shard: write 0/4 for the first of four, or auto/4 in an Indexed Job"
        )
    index, shards = found[1], int(found[2])
    if index == "auto":
        index = environment.get(INDEX_VARIABLE, "")
        if not (index.isascii() and index.isdigit()):
            raise ValueError(
                f"auto/{shards} needs {INDEX_VARIABLE}, which Kubernetes sets in the pods of an Indexed Job; "
                f"it is {f'{index!r}' if index else 'not set'}"
            )
    if int(index) >= shards:
        raise ValueError(f"there is no shard {index} of {shards}: they are 0 to {shards - 1}")
    return int(index), shards


def shard_fleet(
    plan: Plan,
    *,
    clock: Clock,
    url: Callable[[], str],
    shard: int = 0,
    shards: int = 1,
    real_time: bool = False,
) -> Fleet:
    """The stations of one shard with what counts them; `url` is where members connect that have none."""
    ledger = Ledger(one_numbering=plan.one_numbering)
    urls = [url for group in plan.groups for url in group.urls or ("ws://127.0.0.1",)]

    def where(member: Member) -> str:
        return member.url(plan.seed) or url()

    return Fleet(
        plan,
        clock=clock,
        wire=clock if isinstance(clock, WallClock) else fleet_clock(plan.moments_s),
        url=where,
        statistics=Statistics(ledger, shard=shard),
        ledger=ledger,
        shard=shard,
        shards=shards,
        sources=sources_for(urls, plan.count // shards),
        real_time=real_time,
    )


async def run_shard(
    fleet: Fleet, for_s: float | None, report: Callable[[], None], *, every_s: float = REPORT_EVERY_S
) -> None:
    """Run a fleet to its end and call `report` about once a second, and once more after the last link."""

    async def look() -> None:
        while True:
            report()
            await asyncio.sleep(every_s)

    looking = asyncio.ensure_future(look())
    looking.add_done_callback(lambda _: fleet.stop())
    try:
        await fleet.run(for_s)
    finally:
        looking.cancel()
    if looking.done() and not looking.cancelled():
        looking.result()  # what went wrong with the report
    report()


def gone(snapshot: Snapshot) -> Snapshot:
    """What remains of a process that is not there any more: what it counted, and nothing of what it was."""
    past = Snapshot.merged([snapshot])
    past.planned = past.started = past.connected = past.booted = past.charging = past.queued = 0
    past.power_w = past.sent_per_s = past.received_per_s = 0.0
    for simulator in past.simulators:
        simulator.cpu_share = simulator.lag_s = 0.0
        simulator.rss_bytes, simulator.bottleneck = 0, None
    return past


def shared(count: int, shard: int, shards: int) -> int:
    """How many of `count` are this shard's."""
    return len(range(shard, count, shards))


def together(reports: Iterable[ShardReport]) -> ShardReport:
    """Several shards as one."""
    whole = ShardReport(Snapshot())
    parts = list(reports)
    whole.snapshot = Snapshot.merged(part.snapshot for part in parts)
    for part in parts:
        whole.accepted += part.accepted
        whole.ramp_behind_s = max(whole.ramp_behind_s, part.ramp_behind_s)
        whole.ramp_per_s = part.ramp_per_s if whole.ramp_per_s is None else whole.ramp_per_s
        whole.troubles += part.troubles
        whole.skipped.update(part.skipped)
        whole.complaints.update(part.complaints)
    return whole
