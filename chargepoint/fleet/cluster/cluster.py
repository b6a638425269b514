"""A fleet in many processes: shards on the workers of a Dask cluster, watched, steered and led to one end."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from distributed import Client, Event, Future, KilledWorker, Queue

from chargepoint.errors import ConfigError
from chargepoint.fleet.cluster.dask_cluster import connected
from chargepoint.fleet.cluster.lease import FREE_AFTER_S, Leases
from chargepoint.fleet.cluster.shard import ShardReport, gone, shared, together
from chargepoint.fleet.cluster.worker import Errand, news_of, orders_for, run_errand, stop_of, version
from chargepoint.fleet.events import FleetEvent
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.plan.plan import Plan

log = logging.getLogger("chargepoint.fleet")

LOOK_EVERY_S = 0.25
FIRST_WORKER_WITHIN_S = 30.0
"""How long a cluster without workers is waited for."""

BEGIN_WITHIN_S = 30.0
"""How long a worker has from the order to the first question for the lease."""

PROBE_WITHIN_S = 20.0
ANSWER_WITHIN_S = 10.0
"""How long the scheduler has for an answer."""

SILENT_AFTER_S = 4.0
"""Without a report, which comes each second, a shard counts as not connected."""

GONE_AFTER_S = 2 * FREE_AFTER_S
"""When a scheduler that does not answer is given up; all leases are over then."""

MOST_FAILURES = 3
"""Errors of a shard one after the other after which it is given up."""

# As text: code of ours would already need the package, or the same Python, over there.
_PROBE = (
    "'chargepoint {} on Python {}.{}'.format("
    "__import__('importlib.metadata').metadata.version('chargepoint'), *__import__('sys').version_info[:2])"
)


@dataclass(slots=True)
class _Shard:
    """One shard of the fleet, whoever runs it."""

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
    past: list[ShardReport] = field(default_factory=list)
    """What attempts had counted that are over."""
    failures: int = 0
    collecting: asyncio.Task[None] | None = None
    """Its result is on the way."""
    done: bool = False
    waits: str | None = None
    """Why nobody runs it, as it was told."""


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
        self.unaccounted = 0
        """Transactions of workers that were lost with their ledgers."""
        self.ledger = Ledger(one_numbering=plan.one_numbering)
        self._workers = workers
        self._scheduler = scheduler
        self._url = url
        self._factor, self._start = factor, start
        self._name = uuid.uuid4().hex[:8]
        self._shards: list[_Shard] = []
        self._usable: set[str] = set()
        self._known: set[str] = set()
        self._probing: set[str] = set()
        self._leases = Leases(time.monotonic)
        self._ledgers: list[dict[str, Any]] = []
        self._ends: list[Snapshot] = []
        self._orders: dict[str, Queue] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = asyncio.Event()
        self._began_at = time.monotonic()
        self._until_s: float | None = None
        self._over = False
        self._client: Client | None = None

    # --- from start to end --------------------------------------------------------------------------

    async def run(self, until_s: float | None) -> None:
        """Run all shards for `until_s` of station time or until `stop`, and end in good order.

        Raises `ConfigError` if there is no such cluster, or none of its workers can run a fleet.
        """
        self._until_s = until_s
        async with connected(self._workers, self._scheduler) as client:
            self._client = client
            self._news = await Queue(news_of(self._name), client=client)
            self._stop = Event(stop_of(self._name), client=client)
            try:
                await self._first_workers()
                await self._run_shards()
            finally:
                for task in self._tasks:
                    task.cancel()
                for queue in (self._news, *self._orders.values()):
                    queue.close()
                self._client = None
        self.ledger = Ledger.merged(self._ledgers, one_numbering=self.ledger.one_numbering)
        self._over = True
        if self._ends:
            self.before_end = Snapshot.merged([*self._ends, *(one.snapshot for one in self._past())])

    def stop(self) -> None:
        """All shards end in good order."""
        if not self._stopping.is_set():
            self._stopping.set()
            if self._client is not None:
                self._later(self._stop.set())

    async def _first_workers(self) -> None:
        until = time.monotonic() + FIRST_WORKER_WITHIN_S
        while not self._usable and not self._stopping.is_set():
            await self._look_at_workers()
            await self._probed()
            if self._known and not self._usable:
                raise ConfigError(["no worker of the cluster can run a fleet"])
            if time.monotonic() > until:
                start_some = f"start some with `dask worker {self._scheduler}`"
                raise ConfigError([f"the cluster at {self._scheduler} has no workers: {start_some}"])
            if not self._usable:
                await asyncio.sleep(LOOK_EVERY_S)
        count = min(self._workers or max(len(self._usable), 1), self.plan.count)
        self._shards = [_Shard(n, shared(self.plan.count, n, count)) for n in range(count)]

    async def _run_shards(self) -> None:
        self._began_at = time.monotonic()
        if self._stopping.is_set():
            return
        assert self._client is not None
        hearing = self._later(self._hear())
        answered_at = time.monotonic()
        while not all(shard.done for shard in self._shards):
            if self._client.scheduler is None:  # Dask itself has given up
                self._abandon("was lost with the scheduler")
                return
            if hearing.done() and self._client.scheduler is not None:
                hearing.result()  # a mistake of ours: nobody would renew a lease any more
            try:
                await asyncio.wait_for(self._look(), ANSWER_WITHIN_S)
                answered_at = time.monotonic()
            except (OSError, TimeoutError) as error:  # it does not answer; leases run out by themselves
                if time.monotonic() > answered_at + GONE_AFTER_S:
                    self._abandon(f"was lost with the scheduler: {type(error).__name__} {error}")
                    return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> None:
        await self._look_at_workers()
        for shard in self._shards:
            if not shard.done:
                await self._look_after(shard)

    def _later(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- workers ------------------------------------------------------------------------------------

    async def _look_at_workers(self) -> None:
        assert self._client is not None
        there = set(await self._client.nthreads())
        for address in self._usable - there:
            lost = [shard for shard in self._shards if shard.address == address and not shard.done]
            if lost:
                names = ", ".join(str(shard.number) for shard in lost)
                soonest = max(self._leases.free_in_s(shard.number) for shard in lost)
                self.on_notice(
                    f"worker {address} is gone; shard {names} comes back elsewhere when its lease is over, "
                    f"in {soonest:.0f} s"
                )
        self._usable &= there
        self._known &= there
        for address in there - self._known - self._probing:
            self._probing.add(address)
            self._later(self._probe(address))

    async def _probed(self) -> None:
        while self._probing:
            await asyncio.sleep(0.01)

    async def _probe(self, address: str) -> None:
        """Whether a worker has what it takes."""
        assert self._client is not None
        try:
            found = await asyncio.wait_for(
                self._client.run(eval, _PROBE, workers=[address], on_error="return"), PROBE_WITHIN_S
            )
            answer: object = found.get(address, "it is gone")
        except (OSError, TimeoutError, ValueError) as error:
            answer = error
        finally:
            self._probing.discard(address)
        self._known.add(address)
        if answer == version():
            self._usable.add(address)
        elif isinstance(answer, ModuleNotFoundError):
            self.on_notice(f"worker {address} is not used: it has no chargepoint; install {version()} there")
        elif isinstance(answer, str):
            self.on_notice(f"worker {address} is not used: it has {answer}, here it is {version()}")
        else:
            self.on_notice(
                f"worker {address} is not used: it does not answer ({type(answer).__name__}: {answer})"
            )

    def _least_busy(self) -> str | None:
        """Where the next shard goes."""
        busy = Counter(shard.address for shard in self._shards if shard.task is not None)
        return min(sorted(self._usable), key=lambda address: busy[address], default=None)

    # --- shards -------------------------------------------------------------------------------------

    async def _look_after(self, shard: _Shard) -> None:
        if shard.task is None:
            if self._stopping.is_set() or self._remaining_s() == 0:
                shard.done = True
            elif not self._leases.held(shard.number):
                await self._order(shard)
        elif shard.task.done():
            if shard.collecting is None:  # a large ledger takes its time
                shard.collecting = self._later(self._ended(shard))
            elif shard.collecting.done():
                shard.collecting.result()
        elif shard.holder is not None and not self._leases.held(shard.number):
            self._give_up(shard, "was not heard of until its lease was over")
        elif shard.holder is None:
            late = time.monotonic() > shard.ordered_at + BEGIN_WITHIN_S
            if late or shard.address not in self._usable:
                self._give_up(shard, "was never begun")

    async def _order(self, shard: _Shard) -> None:
        address = self._least_busy()
        if address is None:
            self._waits(shard, f"shard {shard.number} waits for a worker")
            return
        assert self._client is not None
        shard.waits = None
        shard.attempt = self._leases.offer(shard.number)
        key = f"chargepoint-{self._name}-shard-{shard.number}-{shard.attempt}"
        self._orders[key] = await Queue(orders_for(key), client=self._client)
        errand = Errand(
            name=self._name,
            key=key,
            attempt=shard.attempt,
            shard=shard.number,
            shards=len(self._shards),
            plan=self.plan,
            url=self._url(),
            for_s=self._remaining_s(),
            factor=self._factor,
            start=None if self._start is None else self._start + self._passed_s(),
        )
        shard.address, shard.holder, shard.report, shard.collecting = address, None, None, None
        shard.ordered_at = time.monotonic()
        if self.held:
            await self._orders[key].put({"hold": True})
        shard.task = self._client.submit(
            run_errand, errand, key=key, workers=[address], allow_other_workers=False, retries=0, pure=False
        )
        if shard.attempt > 1:
            self.on_notice(f"shard {shard.number} is started again on worker {address}")

    def _waits(self, shard: _Shard, why: str) -> None:
        if shard.waits != why:
            shard.waits = why
            self.on_notice(why)

    async def _ended(self, shard: _Shard) -> None:
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
            self._give_up(shard, f"failed: {type(error).__name__}: {error}")
            if shard.failures >= MOST_FAILURES:
                shard.done = True
                self.on_notice(f"shard {shard.number} is given up, its {shard.planned} stations are left out")
        else:
            self._leases.end(shard.number, result["holder"])
            if not result["ran"]:
                self._give_up(shard, f"did not begin: {result['lost'] or 'the end came first'}")
                return
            shard.failures = 0
            shard.report = ShardReport.from_json(result["report"])
            self._ledgers.append(result["ledger"])
            if result["lost"] is None:
                shard.task, shard.done = None, True
                if result["before_end"] is not None:
                    self._ends.append(Snapshot.from_json(result["before_end"]))
            else:
                self._give_up(
                    shard, f"dropped its links, for its lease is over: {result['lost']}", accounted=True
                )

    def _give_up(self, shard: _Shard, why: str, *, accounted: bool = False) -> None:
        """This attempt is over; what it counted stays counted."""
        if not self._stopping.is_set() or shard.holder is not None:
            self.on_notice(f"shard {shard.number} on worker {shard.address} {why}")
        if shard.task is not None and not shard.task.done():
            self._later(shard.task.cancel())  # if it runs already, only its lease can end it
        self._leases.withdraw(shard.number)
        if shard.report is not None:
            shard.report.snapshot = gone(shard.report.snapshot)
            shard.report.troubles, shard.report.ramp_behind_s, shard.report.ramp_per_s = [], 0.0, None
            shard.past.append(shard.report)
            if not accounted and shard.report.snapshot.transactions:
                self.unaccounted += shard.report.snapshot.transactions
                self.on_notice(
                    f"the ledger of shard {shard.number} is lost with its worker: "
                    f"{shard.report.snapshot.transactions} transactions are not accounted for"
                )
        shard.task = shard.report = shard.holder = shard.address = None

    def _abandon(self, why: str) -> None:
        """All that are left are left out."""
        for shard in self._shards:
            if not shard.done:
                self._give_up(shard, why)
                shard.failures += 1
                shard.done = True

    def _passed_s(self) -> float:
        return (time.monotonic() - self._began_at) * (self._factor or 1.0)

    def _remaining_s(self) -> float | None:
        return None if self._until_s is None else max(0.0, self._until_s - self._passed_s())

    # --- what shards say ----------------------------------------------------------------------------

    async def _hear(self) -> None:
        assert self._client is not None
        while self._client.scheduler is not None:
            try:
                first = await self._news.get()
                rest = await self._news.get(batch=True)
            except (OSError, TimeoutError, AttributeError):
                if self._client.scheduler is None:
                    return
                await asyncio.sleep(LOOK_EVERY_S)
                continue
            for message in (first, *rest):
                self._heard(message)

    def _heard(self, message: dict[str, Any]) -> None:
        shard, attempt, holder = self._shards[message["shard"]], message["attempt"], message["holder"]
        if (asked_at := message.get("asked_at")) is not None:
            granted = self._leases.ask(shard.number, attempt, holder)
            if granted:
                shard.holder = holder
            self._tell(
                f"chargepoint-{self._name}-shard-{shard.number}-{attempt}",
                {"holder": holder, ("granted" if granted else "refused"): asked_at},
            )
        if (notice := message.get("notice")) is not None:
            self.on_notice(f"shard {shard.number}: {notice}")
        if (report := message.get("report")) is not None and not shard.done and holder == shard.holder:
            shard.report, shard.heard_at = ShardReport.from_json(report), time.monotonic()

    def _tell(self, key: str, order: dict[str, Any]) -> None:
        async def put() -> None:
            with suppress(OSError, TimeoutError):
                await self._orders[key].put(order)

        self._later(put())

    def _tell_all(self, order: dict[str, Any]) -> None:
        for shard in self._shards:
            if shard.task is not None:
                self._tell(str(shard.task.key), order)

    # --- seen and steered as one fleet ----------------------------------------------------------------

    @property
    def planned(self) -> int:
        """Stations of all shards, whether they run or not."""
        shards = self._shards
        if not shards:
            return self.plan.count
        return sum(shard.report.snapshot.planned if shard.report else shard.planned for shard in shards)

    def _past(self) -> Iterable[ShardReport]:
        return (report for shard in self._shards for report in shard.past)

    def _present(self) -> Iterator[ShardReport]:
        """The shards as they are; nobody claims that one is connected of which nothing was heard for long."""
        for shard in self._shards:
            if shard.report is None:
                continue
            if shard.done or time.monotonic() < shard.heard_at + SILENT_AFTER_S:
                yield shard.report
            else:
                yield replace(shard.report, snapshot=gone(shard.report.snapshot))

    def _together(self) -> ShardReport:
        return together([*self._present(), *self._past()])

    def snapshot(self) -> Snapshot:
        """All shards as they last were; what lost ones had counted is in it."""
        snapshot = self._together().snapshot
        snapshot.planned = self.planned
        if not self._over:
            snapshot.at_s = max(snapshot.at_s, time.monotonic() - self._began_at)
            snapshot.station_s = max(snapshot.station_s, self._passed_s())
        else:
            totals = self.ledger.totals()  # numbers were compared across all shards
            snapshot.lost_transactions, snapshot.doubled_transactions = totals.lost, totals.doubled
        return snapshot

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
            if shard.done and shard.report is None and shard.failures:
                skipped[f"shard {shard.number} could not run"] += shard.planned
        return skipped

    @property
    def complaints(self) -> Counter[str]:
        """What stations had to say about their central system or themselves."""
        return self._together().complaints

    @property
    def ramp_per_s(self) -> float | None:
        """How many stations start in a second, in all shards together; None: all were started."""
        return self._together().ramp_per_s

    @property
    def ramp_behind_s(self) -> float:
        """How late the ramp is in the shard where it is latest."""
        return self._together().ramp_behind_s

    def troubles(self) -> list[str]:
        """Why stations cannot connect now, a line for each reason and shard."""
        several = len(self._shards) > 1
        return [
            f"shard {shard.number}: {line}" if several else line
            for shard in self._shards
            if shard.report is not None
            for line in shard.report.troubles
        ]

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
        self._tell_all({"hold": held})

    def ramp_at(self, per_s: float) -> None:
        """So many stations start in a second."""
        self._tell_all({"ramp": per_s})
