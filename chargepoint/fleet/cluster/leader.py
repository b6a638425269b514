"""Leads the shards of a fleet to their end: orders them, grants their leases, puts a lost one elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distributed import Client, KilledWorker

from chargepoint.fleet.cluster.handover import cut_off, open_in
from chargepoint.fleet.cluster.lease import FREE_AFTER_S, Leases
from chargepoint.fleet.cluster.led_shard import LedShard
from chargepoint.fleet.cluster.post import Post
from chargepoint.fleet.cluster.shard import ShardReport
from chargepoint.fleet.cluster.worker import Errand, run_errand
from chargepoint.fleet.cluster.workers import Workers, in_a_line
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.plan.plan import Plan

LOOK_EVERY_S = 0.25
BEGIN_WITHIN_S = 30.0
"""How long a worker has from the order to the first question for the lease."""

ANSWER_WITHIN_S = 10.0
"""How long the scheduler has for an answer."""

GONE_AFTER_S = 2 * FREE_AFTER_S
"""When a scheduler that does not answer is given up; all leases are over then."""

MOST_FAILURES = 3
"""Errors of a shard one after the other after which it is given up."""


@dataclass(slots=True)
class Course:
    """What all shards are told about time: until when, and on which clock."""

    until_s: float | None
    factor: float | None = None
    """Of a clock sped up; None: real time."""
    start: float | None = None
    began_at: float = 0.0

    @property
    def passed_s(self) -> float:
        """Station time since the beginning."""
        return (time.monotonic() - self.began_at) * (self.factor or 1.0)

    @property
    def remaining_s(self) -> float | None:
        """How long it goes on."""
        return None if self.until_s is None else max(0.0, self.until_s - self.passed_s)


class Leader:
    """One run of all shards on the workers of a cluster."""

    def __init__(
        self,
        client: Client,
        name: str,
        plan: Plan,
        shards: Sequence[LedShard],
        *,
        workers: Workers,
        post: Post,
        course: Course,
        url: Callable[[], str | None],
        notice: Callable[[str], None],
    ) -> None:
        self._client = client
        self._name = name
        self._plan = plan
        self._shards = shards
        self._workers = workers
        self._post = post
        self._course = course
        self._url = url
        self._notice = notice
        self._leases = Leases(time.monotonic)
        self.stopping = False
        self.held = False
        self.ledgers: list[dict[str, Any]] = []
        """Of all attempts that are over, in their order."""
        self.ends: list[Snapshot] = []
        """Of the shards that ended well, when the end was called."""
        self.unaccounted = 0
        """Transactions of lost workers that were counted but not handed over."""

    async def run(self) -> None:
        """Until all shards are done."""
        hearing = self._post.later(self._post.hear(self._heard))
        answered_at = time.monotonic()
        while not all(shard.done for shard in self._shards):
            if self._post.cut:
                self._abandon("was lost with the scheduler")
                return
            if hearing.done() and not self._post.cut:
                hearing.result()  # a mistake of ours: nobody would renew a lease any more
            try:
                await asyncio.wait_for(self._look(), ANSWER_WITHIN_S)
                answered_at = time.monotonic()
            except (OSError, TimeoutError) as error:  # it does not answer; leases run out by themselves
                if time.monotonic() > answered_at + GONE_AFTER_S:
                    self._abandon(f"was lost with the scheduler: {in_a_line(error)}")
                    return
            await asyncio.sleep(LOOK_EVERY_S)

    def tell_all(self, order: dict[str, Any]) -> None:
        """An order to all shards that somebody runs."""
        for shard in self._shards:
            if shard.task is not None:
                self._post.tell(str(shard.task.key), order)

    async def _look(self) -> None:
        for address in await self._workers.look():
            lost = [shard for shard in self._shards if shard.address == address and not shard.done]
            if lost:
                names = ", ".join(str(shard.number) for shard in lost)
                soonest = max(self._leases.free_in_s(shard.number) for shard in lost)
                self._notice(
                    f"worker {address} is gone; shard {names} comes back elsewhere when its lease is over, "
                    f"in {soonest:.0f} s"
                )
        for shard in self._shards:
            if not shard.done:
                await self._look_after(shard)

    async def _look_after(self, shard: LedShard) -> None:
        if shard.task is None:
            if self.stopping or self._course.remaining_s == 0:
                shard.done = True
            elif not self._leases.held(shard.number):
                await self._order(shard)
        elif shard.task.done():
            if shard.collecting is None:  # a large ledger takes its time
                shard.collecting = self._post.later(self._ended(shard))
            elif shard.collecting.done():
                shard.collecting.result()
        elif shard.holder is not None and not self._leases.held(shard.number):
            self._give_up(shard, "was not heard of until its lease was over")
        elif shard.holder is None:
            late = time.monotonic() > shard.ordered_at + BEGIN_WITHIN_S
            if late or shard.address not in self._workers.usable:
                self._give_up(shard, "was never begun")

    # --- a shard begins -----------------------------------------------------------------------------

    async def _order(self, shard: LedShard) -> None:
        busy = Counter(other.address for other in self._shards if other.task is not None)
        address = min(sorted(self._workers.usable), key=lambda address: busy[address], default=None)
        if address is None:
            why = f"shard {shard.number} waits for a worker"
            if shard.waits != why:
                shard.waits = why
                self._notice(why)
            return
        attempt = self._leases.offer(shard.number)
        key = self._key(shard.number, attempt)
        await self._post.address(key)
        if self.held:
            self._post.tell(key, {"hold": True})
        course = self._course
        errand = Errand(
            name=self._name,
            key=key,
            attempt=attempt,
            shard=shard.number,
            shards=len(self._shards),
            plan=self._plan,
            url=self._url(),
            for_s=course.remaining_s,
            factor=course.factor,
            start=None if course.start is None else course.start + course.passed_s,
        )
        task = self._client.submit(
            run_errand, errand, key=key, workers=[address], allow_other_workers=False, retries=0, pure=False
        )
        shard.ordered(attempt, address, task)
        if attempt > 1:
            self._notice(f"shard {shard.number} is started again on worker {address}")

    def _key(self, number: int, attempt: int) -> str:
        return f"chargepoint-{self._name}-shard-{number}-{attempt}"

    # --- a shard tells how it is --------------------------------------------------------------------

    def _heard(self, message: dict[str, Any]) -> None:
        shard, attempt, holder = self._shards[message["shard"]], message["attempt"], message["holder"]
        if (asked_at := message.get("asked_at")) is not None:
            granted = self._leases.ask(shard.number, attempt, holder)
            if granted:
                shard.holder = holder
            answer = {"holder": holder, ("granted" if granted else "refused"): asked_at}
            self._post.tell(self._key(shard.number, attempt), answer)
        if (notice := message.get("notice")) is not None:
            self._notice(f"shard {shard.number}: {notice}")
        if (report := message.get("report")) is not None and not shard.done and holder == shard.holder:
            shard.report, shard.heard_at = ShardReport.from_json(report), time.monotonic()
            shard.handed_over.take(message["ledger"])

    # --- a shard ends -------------------------------------------------------------------------------

    async def _ended(self, shard: LedShard) -> None:
        """Its task has a result, or an error."""
        assert shard.task is not None
        if shard.task.cancelled():
            self._give_up(shard, "was cancelled at the scheduler")
            return
        try:
            result = await shard.task
        except KilledWorker:
            self._give_up(shard, "was lost with its worker")
        except Exception as error:
            shard.failures += 1
            self._give_up(shard, f"failed: {in_a_line(error)}")
            if shard.failures >= MOST_FAILURES:
                shard.done = shard.given_up = True
                self._notice(f"shard {shard.number} is given up, its {shard.planned} stations are left out")
        else:
            self._leases.end(shard.number, result["holder"])
            if not result["ran"]:
                self._give_up(shard, f"did not begin: {result['lost'] or 'the end came first'}")
                return
            shard.failures = 0
            shard.report = ShardReport.from_json(result["report"])
            if result["lost"] is None:
                self.ledgers.append(result["ledger"])
                shard.task, shard.done = None, True
                if result["before_end"] is not None:
                    self.ends.append(Snapshot.from_json(result["before_end"]))
            else:
                why = f"dropped its links, for its lease is over: {result['lost']}"
                self._give_up(shard, why, result["ledger"])

    def _give_up(self, shard: LedShard, why: str, ledger: dict[str, Any] | None = None) -> None:
        """This attempt is over; its ledger is as far as it was handed over, unless it gave it at its end."""
        if not self.stopping or shard.holder is not None:
            self._notice(f"shard {shard.number} on worker {shard.address} {why}")
        if shard.task is not None and not shard.task.done():
            self._post.later(shard.task.cancel())  # if it runs already, only its lease can end it
        self._leases.withdraw(shard.number)
        lost = 0
        if shard.report is not None:
            known = shard.handed_over.ledger() if ledger is None else ledger
            ended = cut_off(known, shard.address or "unknown")
            lost = open_in(ended)
            self.ledgers.append(ended)
            if lost:
                self._notice(
                    f"{lost} transactions of shard {shard.number} were open and are lost with its worker"
                )
            if ledger is None:
                self._count_unknown(shard, shard.report.snapshot.transactions - len(shard.handed_over))
        shard.over(lost)

    def _count_unknown(self, shard: LedShard, count: int) -> None:
        if count > 0:
            self.unaccounted += count
            self._notice(f"{count} transactions of shard {shard.number} were not handed over before that")

    def _abandon(self, why: str) -> None:
        """All that are left are left out."""
        for shard in self._shards:
            if not shard.done:
                self._give_up(shard, why)
                shard.done = shard.given_up = True
