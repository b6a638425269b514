"""A fleet in many processes, seen, steered and ended as one."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from distributed import Client

from chargepoint.errors import ConfigError
from chargepoint.fleet.cluster.dask_cluster import connected
from chargepoint.fleet.cluster.handover import without_resumed
from chargepoint.fleet.cluster.leader import LOOK_EVERY_S, Course, Leader
from chargepoint.fleet.cluster.led_shard import AsOne, LedShard
from chargepoint.fleet.cluster.post import Post
from chargepoint.fleet.cluster.shard import shared
from chargepoint.fleet.cluster.workers import Workers
from chargepoint.fleet.events import FleetEvent
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.trouble import Trouble
from chargepoint.fleet.plan.plan import Plan

log = logging.getLogger("chargepoint.fleet")

FIRST_WORKER_WITHIN_S = 30.0
"""How long a cluster without workers is waited for."""


class ClusterFleet:
    """All shards of a plan as one fleet.

    With `scheduler` on a cluster that is there, else on `workers` processes of this machine; `workers` is
    also the number of shards, by default one for each worker there is at the beginning. `url` is that of the
    embedded central system, if it is needed. `factor` and `start` are of a clock sped up.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        workers: int | None,
        scheduler: str | None = None,
        url: Callable[[], str | None] = lambda: None,
        factor: float | None = None,
        start: float | None = None,
    ) -> None:
        self.plan = plan
        self.held = False
        self.on_notice: Callable[[str], None] = log.warning
        self.before_end: Snapshot | None = None
        self.ledger = Ledger(one_numbering=plan.one_numbering)
        self._workers = workers
        self._scheduler = scheduler
        self._url = url
        self._course = Course(None, factor, start, time.monotonic())
        self._shards: list[LedShard] = []
        self._all = AsOne(self._shards)
        self._leader: Leader | None = None
        self._post: Post | None = None
        self._stopping = asyncio.Event()
        self._over = False

    # --- from start to end --------------------------------------------------------------------------

    async def run(self, until_s: float | None) -> None:
        """Run all shards for `until_s` of station time or until `stop`, and end in good order.

        Raises `ConfigError` if there is no such cluster, or none of its workers can run a fleet.
        """
        self._course.until_s = until_s
        async with connected(self._workers, self._scheduler) as client:
            name = uuid.uuid4().hex[:8]
            workers = Workers(client, self._notice)
            post = Post(client, name)
            await post.open()
            self._post = post
            try:
                await self._first_workers(workers)
                await self._run_shards(client, name, workers, post)
            finally:
                self._post = None
                workers.close()
                post.close()
        self._over = True

    def stop(self) -> None:
        """All shards end in good order."""
        if not self._stopping.is_set():
            self._stopping.set()
            if self._leader is not None:
                self._leader.stopping = True
            if self._post is not None:
                self._post.stop()

    def _notice(self, text: str) -> None:
        self.on_notice(text)

    async def _first_workers(self, workers: Workers) -> None:
        await workers.check_scheduler()
        until = time.monotonic() + FIRST_WORKER_WITHIN_S
        while not workers.usable and not self._stopping.is_set():
            await workers.look()
            await workers.probed()
            if workers.useless:
                raise ConfigError(["no worker of the cluster can run a fleet"])
            if time.monotonic() > until:
                start_some = f"start some with `dask worker {self._scheduler}`"
                raise ConfigError([f"the cluster at {self._scheduler} has no workers: {start_some}"])
            if not workers.usable:
                await asyncio.sleep(LOOK_EVERY_S)
        count = min(self._workers or max(len(workers.usable), 1), self.plan.count)
        self._shards += [LedShard(n, shared(self.plan.count, n, count)) for n in range(count)]

    async def _run_shards(self, client: Client, name: str, workers: Workers, post: Post) -> None:
        self._course.began_at = time.monotonic()
        if self._stopping.is_set():
            return
        leader = self._leader = Leader(
            client,
            name,
            self.plan,
            self._shards,
            workers=workers,
            post=post,
            course=self._course,
            url=self._url,
            notice=self._notice,
        )
        leader.held = self.held
        await leader.run()
        ledgers = without_resumed(leader.ledgers)
        self.ledger = Ledger.merged(ledgers, one_numbering=self.ledger.one_numbering)
        if leader.ends:
            past = (report.snapshot for report in self._all.past())
            self.before_end = Snapshot.merged([*leader.ends, *past])

    # --- seen as one fleet ----------------------------------------------------------------------------

    @property
    def planned(self) -> int:
        """Stations of all shards, whether they run or not."""
        return self._all.planned if self._shards else self.plan.count

    def snapshot(self) -> Snapshot:
        """All shards as they last were; what lost ones had counted is in it."""
        snapshot = self._all.report().snapshot
        snapshot.planned = self.planned
        if not self._over:
            snapshot.at_s = max(snapshot.at_s, time.monotonic() - self._course.began_at)
            snapshot.station_s = max(snapshot.station_s, self._course.passed_s)
        else:
            totals = self.ledger.totals()  # numbers were compared across all shards
            snapshot.lost_transactions, snapshot.doubled_transactions = totals.lost, totals.doubled
        return snapshot

    @property
    def unaccounted(self) -> int:
        """Transactions of lost workers that were counted but are not in the ledger."""
        return 0 if self._leader is None else self._leader.unaccounted

    @property
    def accepted(self) -> int:
        """Stations that the central system accepted at least once."""
        return self._all.accepted

    @property
    def skipped(self) -> Counter[str]:
        """Members that could not be assembled, by what was wrong with them."""
        return self._all.skipped

    @property
    def complaints(self) -> Counter[str]:
        """What stations had to say about their central system or themselves."""
        return self._all.report().complaints

    @property
    def ramp_per_s(self) -> float | None:
        """How many stations start in a second, in all shards together; None: all were started."""
        return self._all.report().ramp_per_s if self._all.heard else self.plan.ramp_per_s

    @property
    def ramp_behind_s(self) -> float:
        """How late the ramp is in the shard where it is latest."""
        return self._all.report().ramp_behind_s

    def troubles(self) -> list[Trouble]:
        """Why stations cannot connect now, the most frequent kind first."""
        return self._all.troubles()

    # --- steered as one fleet -------------------------------------------------------------------------

    def perform(self, event: FleetEvent) -> None:
        """Let something happen in all shards."""
        self._tell_all({"event": event.text})

    def add(self, count: int) -> None:
        """So many more stations."""
        self._tell_all({"add": count})

    def remove(self, count: int) -> None:
        """So many fewer."""
        self._tell_all({"remove": count})

    def hold(self, held: bool) -> None:
        """While it is held no new station starts and no new driver comes."""
        self.held = held
        if self._leader is not None:
            self._leader.held = held
        self._tell_all({"hold": held})

    def ramp_at(self, per_s: float) -> None:
        """So many stations start in a second."""
        self._tell_all({"ramp": per_s})

    def _tell_all(self, order: dict[str, Any]) -> None:
        if self._leader is not None and not self._over:
            self._leader.tell_all(order)
