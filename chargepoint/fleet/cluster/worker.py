"""What runs on a worker of a Dask cluster: one shard of a fleet, as long as it holds the shard's lease."""

from __future__ import annotations

import asyncio
import platform
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from distributed import Event, Queue, get_client, get_worker
from distributed.worker_state_machine import SecedeEvent

from chargepoint.fleet import events
from chargepoint.fleet.cluster.handover import Outgoing
from chargepoint.fleet.cluster.lease import Tenancy
from chargepoint.fleet.cluster.shard import ShardReport, run_shard, shard_fleet, shared
from chargepoint.fleet.descriptors import in_use, needed, provide
from chargepoint.fleet.fleet import Fleet, fleet_clock
from chargepoint.fleet.plan.plan import Plan
from chargepoint.ocpp16 import schema
from hal.clock import ScaledClock, WallClock

AGAIN_AFTER_S = 1.0
"""Until the scheduler is tried again when it does not answer."""


def version() -> str:
    """Of this package and of Python; two processes of one fleet must have the same."""
    major, minor, _ = platform.python_version_tuple()
    return f"chargepoint {metadata.version('chargepoint')} on Python {major}.{minor}"


@dataclass(frozen=True, slots=True)
class Errand:
    """An order to run one shard once.

    Its text is short: Dask writes it into its logs, and a plan has secrets.
    """

    name: str
    """Of the run, unique on the cluster."""
    key: str
    """Of the task."""
    attempt: int
    """The attempt that the lease was offered for."""
    shard: int
    shards: int
    plan: Plan = field(repr=False)
    url: str | None = field(repr=False)
    """Of the embedded central system."""
    for_s: float | None
    factor: float | None = None
    """Of a clock sped up; None: real time."""
    start: float | None = None


def news_of(name: str) -> str:
    """The queue in which all shards of a run tell how they are."""
    return f"chargepoint-{name}-news"


def orders_for(key: str) -> str:
    """The queue in which one attempt at a shard is told what to do."""
    return f"{key}-orders"


def stop_of(name: str) -> str:
    """The event at which all shards end in good order."""
    return f"chargepoint-{name}-stop"


async def run_errand(errand: Errand) -> dict[str, Any]:
    """Run a shard to its end and give back its ledger, or say why it was not run to its end."""
    worker = get_worker()
    # It lasts for hours and mostly waits: it must not keep the worker's only slot.
    worker.handle_stimulus(
        SecedeEvent(key=errand.key, compute_duration=0.0, stimulus_id=f"secede-{errand.key}")
    )
    return await _Tenant(errand).run()


class _Tenant:
    """One attempt at a shard: its lease, its fleet, and what it says and hears through the scheduler."""

    def __init__(self, errand: Errand) -> None:
        self.errand = errand
        self.holder = uuid.uuid4().hex
        self.lost: str | None = None  # why there is no lease any more
        self.fleet: Fleet | None = None
        self._stopped = False
        self._early: list[dict[str, Any]] = []  # orders before there is a fleet
        self._tasks: set[asyncio.Task[None]] = set()
        self._reporting: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # the lease was granted, or lost

    async def run(self) -> dict[str, Any]:
        errand = self.errand
        client = await get_client()
        self._news = await Queue(news_of(errand.name), client=client)
        self._orders = await Queue(orders_for(errand.key), client=client)
        self._stop = Event(stop_of(errand.name), client=client)
        self.tenancy = Tenancy(WallClock(), self._ask, self._leave)
        listening = [
            asyncio.ensure_future(work) for work in (self._again(self._hear), self._again(self._heed))
        ]
        try:
            self.tenancy.begin()
            await self._settled.wait()
            if self.lost is None:
                await self._run_fleet()
        finally:
            if self.fleet is not None and self.fleet.snapshot().connected:
                self.fleet.abandon()  # it went wrong: nobody may stay connected without a lease
            self.tenancy.close()
            for task in (*listening, *self._tasks):
                task.cancel()
            await asyncio.gather(*listening, *self._tasks, return_exceptions=True)
            for queue in (self._news, self._orders):
                queue.close()
        return self._result()

    async def _run_fleet(self) -> None:
        errand = self.errand
        plan, factor = errand.plan, errand.factor
        clock = fleet_clock(plan.moments_s) if factor is None else ScaledClock(factor, errand.start)
        self.fleet = fleet = shard_fleet(
            plan,
            clock=clock,
            url=lambda: errand.url or "",
            shard=errand.shard,
            shards=errand.shards,
            real_time=errand.start is not None,
        )
        self._outgoing = Outgoing(fleet.ledger)
        fleet.on_notice = self._notice
        # There may be another shard in this process already, when its own worker was lost.
        if (problem := provide(in_use() + needed(fleet.planned, stored=plan.stored))) is not None:
            self._say(notice=problem)
            schema.read_all()
        if self._stopped:
            return
        for order in self._early:
            self._do(fleet, order)
        await run_shard(fleet, errand.for_s, self._report)

    def _result(self) -> dict[str, Any]:
        result: dict[str, Any] = {"holder": self.holder, "lost": self.lost, "ran": self.fleet is not None}
        if self.fleet is not None:
            before = self.fleet.before_end
            result["report"] = ShardReport.of(self.fleet).to_json()
            result["before_end"] = None if before is None else before.to_json()
            result["ledger"] = self.fleet.ledger.to_json()
        return result

    # --- what it says -------------------------------------------------------------------------------

    def _say(self, **words: Any) -> asyncio.Task[None]:
        """Send something off; whatever is lost on the way is lost."""
        of = {"shard": self.errand.shard, "attempt": self.errand.attempt, "holder": self.holder}
        task = asyncio.ensure_future(self._put(of | words))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _put(self, message: dict[str, Any]) -> None:
        with suppress(OSError, TimeoutError):  # CommClosedError is an OSError
            await self._news.put(message)
            if "ledger" in message:
                self._outgoing.sent()

    def _notice(self, text: str) -> None:
        self._say(notice=text)

    def _ask(self, asked_at: float) -> None:
        self._say(asked_at=asked_at)

    def _report(self) -> None:
        if self.fleet is not None and (self._reporting is None or self._reporting.done()):
            report = ShardReport.of(self.fleet).to_json()
            self._reporting = self._say(report=report, ledger=self._outgoing.message())

    # --- what it hears ------------------------------------------------------------------------------

    async def _again(self, listen: Callable[[], Awaitable[None]]) -> None:
        """Listen for ever, also if the scheduler goes away and comes back."""
        while True:
            try:
                await listen()
            except (OSError, TimeoutError):
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _hear(self) -> None:
        order = await self._orders.get()
        if order.get("holder") not in (None, self.holder):
            return
        if "granted" in order:
            self.tenancy.granted(order["granted"])
            self._settled.set()
        elif "refused" in order:
            self.tenancy.refused()
        elif self.fleet is None:
            self._early.append(order)
        else:
            self._do(self.fleet, order)

    def _do(self, fleet: Fleet, order: dict[str, Any]) -> None:
        try:
            self._obey(fleet, order)
        except Exception as error:  # a mistake there must not stop the lease from being renewed
            self._say(notice=f"{order} did not happen: {error}")

    def _obey(self, fleet: Fleet, order: dict[str, Any]) -> None:
        shard, shards = self.errand.shard, self.errand.shards
        match order:
            case {"event": text}:
                fleet.perform(events.parse(text))
            case {"add": count}:
                fleet.add(shared(count, shard, shards))
            case {"remove": count}:
                fleet.remove(shared(count, shard, shards))
            case {"hold": held}:
                fleet.hold(held)
            case {"ramp": per_s}:
                fleet.ramp_at(per_s)

    async def _heed(self) -> None:
        await self._stop.wait()
        self._stopped = True
        if self.fleet is not None:
            self.fleet.stop()
        await asyncio.Event().wait()

    def _leave(self, why: str) -> None:
        self.lost = why
        self._settled.set()
        if self.fleet is not None:
            self.fleet.abandon()
