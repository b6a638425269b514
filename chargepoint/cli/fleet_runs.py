"""One run of a fleet: its clock, the embedded central system if it needs one, and whoever looks on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from chargepoint.cli.fleet_lines import LOOK_EVERY_S
from chargepoint.cli.fleet_processes import Processes
from chargepoint.cli.options import ClockChoice
from chargepoint.cli.running import LINGER_S, say
from chargepoint.csms.central_system import CentralSystem
from chargepoint.errors import ConfigError
from chargepoint.fleet.cluster.shard import shard_fleet
from chargepoint.fleet.descriptors import needed, provide
from chargepoint.fleet.fleet import Fleet, fleet_clock
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.timeline import Timeline
from chargepoint.fleet.people.visits import WRONG_CARD
from chargepoint.fleet.plan.plan import Plan
from chargepoint.fleet.verdict.outcome import Outcome
from chargepoint.ocpp16 import schema
from hal.api import Clock, Timer
from hal.clock import BatchedClock, ScaledClock

if TYPE_CHECKING:
    from chargepoint.fleet.cluster.cluster import ClusterFleet

METER_VALUES_KEPT = 5
"""Per transaction, by the embedded central system of a fleet: nobody looks at them."""

LOOKS_OF_A_STEPPED_RUN = 200
SHORTEST_ROW_S = 0.001
"""Of the timeline of a stepped run, in real time."""

Viewer = Callable[[Snapshot], None]
"""Is shown the fleet once a second, and once more when it has ended. What it raises ends the run."""

SomeFleet = TypeVar("SomeFleet", Fleet, "ClusterFleet")


class Run(Generic[SomeFleet]):
    """A fleet with its clock, the embedded central system if it needs one, and its viewers."""

    fleet: SomeFleet
    shard, shards = 0, 1
    """Which part of the plan it is, of how many."""

    def __init__(
        self,
        plan: Plan,
        *,
        clock: ClockChoice,
        start: float | None = None,
        for_s: float | None = None,
        linger_s: float | None = None,
    ) -> None:
        self.plan = plan
        self.embedded = any(not group.urls for group in plan.groups)
        linger_s = (0.0 if self.embedded else LINGER_S) if linger_s is None else linger_s
        self.clock = _clock(clock, start, linger_s, plan.moments_s)
        self.clock_choice = clock
        self.start = start
        self.for_s = for_s
        self.csms: CentralSystem | None = None
        if self.embedded:
            self.csms = CentralSystem(
                seed=plan.seed,
                clock=self.clock,
                ping_interval_s=None,
                meter_values_kept=METER_VALUES_KEPT,
                quick=True,
                strangers=WRONG_CARD,
            )
        self.timeline = Timeline() if self.looks_each_s is None else Timeline(row_s=SHORTEST_ROW_S)
        self.viewers: list[Viewer] = [self.timeline.add]
        self._looks: Timer | None = None

    @property
    def looks_each_s(self) -> float | None:
        """So often, on a stepped clock, the timeline wants to know more: hours may pass between two views."""
        stepped = self.clock_choice.kind == "stepped" and self.for_s is not None
        return self.for_s / LOOKS_OF_A_STEPPED_RUN if stepped and self.for_s else None

    @property
    def ledger(self) -> Ledger:
        """Every transaction; of several processes when they have ended."""
        return self.fleet.ledger

    def url(self) -> str:
        """Where stations connect that have no central system of their own."""
        return "" if self.csms is None else self.csms.url

    async def run(self) -> Snapshot:
        """From the first start to the last closed link; the last moment."""
        if self.csms is not None:
            await self.csms.start()
        looking = asyncio.ensure_future(self._look())
        looking.add_done_callback(lambda _: self.fleet.stop())
        self._look_later()
        try:
            await self.fleet.run(self.for_s)
        finally:
            if self._looks is not None:
                self._looks.cancel()
            if self.csms is not None:
                await self.csms.stop()
            if not looking.done():
                looking.cancel()
        if not looking.cancelled() and looking.done():
            looking.result()
        snapshot = self.fleet.snapshot()
        self._show(snapshot)
        return snapshot

    def outcome(self, snapshot: Snapshot) -> Outcome:
        """What is left of it, `snapshot` its last moment."""
        choice = self.clock_choice
        return Outcome(
            plan=self.plan,
            snapshot=snapshot,
            before_end=self.fleet.before_end,
            ledger=self.ledger,
            rows=list(self.timeline),
            accepted=self.fleet.accepted,
            skipped=self.fleet.skipped,
            complaints=self.fleet.complaints,
            clock=f"x{choice.factor:g}" if choice.kind == "scaled" else choice.kind,
            start=self.start,
            for_s=self.for_s,
            began_at=time.time() - snapshot.at_s,
            shard=self.shard,
            shards=self.shards,
        )

    async def _look(self) -> None:
        while True:
            self._show(self.fleet.snapshot())
            await asyncio.sleep(LOOK_EVERY_S)

    def _look_later(self) -> None:
        if self.looks_each_s is not None:
            self._looks = self.clock.call_at(self.clock.now() + self.looks_each_s, self._look_by_clock)

    def _look_by_clock(self) -> None:
        self.timeline.add(self.fleet.snapshot())
        self._look_later()

    def _show(self, snapshot: Snapshot) -> None:
        for viewer in self.viewers:
            viewer(snapshot)


class FleetRun(Run[Fleet]):
    """A fleet in this process, or one shard of it."""

    def __init__(
        self,
        plan: Plan,
        *,
        clock: ClockChoice,
        start: float | None = None,
        for_s: float | None = None,
        linger_s: float | None = None,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        super().__init__(plan, clock=clock, start=start, for_s=for_s, linger_s=linger_s)
        self.fleet = shard_fleet(
            plan, clock=self.clock, url=self.url, shard=shard, shards=shards, real_time=start is not None
        )
        self.statistics = self.fleet.statistics
        self.shard, self.shards = shard, shards


class ClusterRun(Run["ClusterFleet"]):
    """A fleet in many processes."""

    def __init__(
        self,
        plan: Plan,
        *,
        clock: ClockChoice,
        processes: Processes,
        start: float | None = None,
        for_s: float | None = None,
    ) -> None:
        super().__init__(plan, clock=clock, start=start, for_s=for_s)
        self.fleet = processes.cluster(plan, clock, start, self.url)


def _clock(choice: ClockChoice, start: float | None, linger_s: float, moments_s: float) -> Clock:
    if choice.kind == "stepped":
        return BatchedClock(time.time() if start is None else start, linger_s)
    if choice.kind == "scaled":
        return ScaledClock(choice.factor, start)
    return fleet_clock(moments_s)


def check_descriptors(run: Run[Any], force: bool) -> None:
    """Enough of them for all links, or a `ConfigError`; with `force` a warning."""
    if isinstance(run, FleetRun):
        count = needed(run.fleet.planned, embedded=run.embedded, stored=run.plan.stored)
    else:  # each worker looks after its own
        count = needed(run.plan.count if run.embedded else 0)
    problem = provide(count)
    if problem is None:
        return
    if not force:
        raise ConfigError([f"{problem}; or start fewer stations, or --force to see how many fit"])
    say(f"warning: {problem}")
    schema.read_all()
