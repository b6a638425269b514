"""A fleet in chaos at a rude central system: what it holds meanwhile, and what both sides have in the end."""

from __future__ import annotations

import asyncio
import csv
import gc
import heapq
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import orjson

from chargepoint.fleet.fleet import Fleet
from chargepoint.fleet.measures.entry import Entry
from chargepoint.fleet.measures.lag import rss_bytes
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.plan.planning import plan_of_flags
from chargepoint.station import Station
from hal.api import Clock
from hal.clock import BatchedClock, WallClock
from tests.e2e.shell import ROOT
from tests.integration.fleet.accounts import Booked, accounts

START = 1_772_409_600.0  # 2026-03-02T00:00:00Z, a Monday
MOST_GROWTH = 0.05
MOST_OBJECTS = 1.0
"""More objects than this that stay for each session are a leak; what comes and goes gives noise."""

POLITE_S = 180.0
"""For what was refused or lost last to be said again: the third attempt comes up to 30 s + 2 x 60 s later."""

OFFENCES = "drop,refuse,delay,ignore"


@dataclass(frozen=True, slots=True)
class Look:
    """What the process holds at one moment."""

    sessions: int
    """Transactions made up to then."""
    rss: int
    objects: int
    timers: int
    descriptors: int
    tasks: int
    kinds: dict[str, int]


@dataclass(slots=True)
class Findings:
    """What a soak saw."""

    looks: list[Look] = field(default_factory=list)
    """From the end of the warm-up on."""
    left: dict[str, int] = field(default_factory=dict)
    """What was still there after the end."""
    ours: list[Entry] = field(default_factory=list)
    theirs: list[Booked] = field(default_factory=list)

    @property
    def given_up(self) -> int:
        """Transactions of which a record was refused or not answered as often as allowed."""
        return sum(entry.given_up is not None for entry in self.ours)

    def problems(self, *, memory: bool) -> list[str]:
        """What is wrong, in words; without `memory` resident memory is not judged."""
        return [*self._growth(memory), *self._left_over(), *accounts(self.ours, self.theirs)]

    def ends(self) -> tuple[list[Look], list[Look]]:
        """The first and the last third of all looks."""
        third = max(len(self.looks) // 3, 1)
        return self.looks[:third], self.looks[-third:]

    def figures(self) -> dict[str, tuple[float, float]]:
        """Means of the first and the last third."""
        first, last = self.ends()
        names = ("sessions", "rss", "objects", "timers", "descriptors", "tasks")
        return {name: (average(name, first), average(name, last)) for name in names}

    def _growth(self, memory: bool) -> Iterable[str]:
        figures = self.figures()
        sessions = figures["sessions"][1] - figures["sessions"][0]
        if sessions <= 0:
            yield "nobody came to charge"
        for name in ("rss", "timers", "descriptors", "tasks"):
            before, after = figures[name]
            if after > before * (1 + MOST_GROWTH) + (10 if name != "rss" else 0) and (
                memory or name != "rss"
            ):
                yield f"{name} grew from {before:.0f} to {after:.0f}"
        before, after = figures["objects"]
        if after - before > MOST_OBJECTS * sessions:
            first, last = self.ends()
            grown = (Counter(last[-1].kinds) - Counter(first[0].kinds)).most_common(5)
            yield f"objects grew from {before:.0f} to {after:.0f} in {sessions:.0f} sessions: {grown}"

    def _left_over(self) -> Iterable[str]:
        yield from (f"{count} {what} left after the end" for what, count in self.left.items() if count)


def average(name: str, looks: list[Look]) -> float:
    """Of one quantity."""
    return float(mean(getattr(look, name) for look in looks))


class Rude:
    """The central system's process."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url

    async def ask(self, word: str) -> Any:
        """Its answer to a word."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n".encode())
        return orjson.loads(await self._process.stdout.readline())


@asynccontextmanager
async def rude_central_system(seed: int, every_s: float, offences: str) -> AsyncIterator[Rude]:
    """Up meanwhile."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.fleet.rude_csms", str(seed), str(every_s), offences),
        cwd=ROOT,
        stdin=PIPE,
        stdout=PIPE,
        limit=2**28,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield Rude(process, (await process.stdout.readline()).decode().strip())
    finally:
        process.stdin.close()
        process.kill()
        await process.wait()


class Soak:
    """One run; its times are the fleet's, but for `rude_every_s`. `offences` are those of the central system.

    `plant` gets the fleet before it starts, to make it do something wrong.
    """

    def __init__(
        self,
        folder: Path,
        stations: int,
        *,
        warm_up_s: float,
        lasts_s: float,
        look_every_s: float,
        seed: int = 5,
        behaviour: str = "chaos",
        stepped: bool = False,
        rude_every_s: float = 0.5,
        offences: str = OFFENCES,
        polite_s: float = POLITE_S,
        plant: Callable[[Fleet], None] = lambda fleet: None,
    ) -> None:
        self.plan = plan_of_flags(count=stations, seed=seed, behaviour=behaviour, ramp="100/s")
        self.stepped = stepped
        self.warm_up_s = warm_up_s
        self.lasts_s = lasts_s
        self.look_every_s = look_every_s
        self.rude_every_s = rude_every_s
        self.offences = offences
        self.polite_s = polite_s
        self.plant = plant
        self.findings = Findings()
        self.on_look: Callable[[Look], None] = lambda look: None
        self._old = folder / "transactions.csv"

    async def run(self) -> Findings:
        """From an empty process to an empty process."""
        async with rude_central_system(self.plan.seed, self.rude_every_s, self.offences) as csms:
            before = held()
            await self._live(csms)
            await asyncio.sleep(0.2)  # transports end a turn of the loop after their links
            after = held()
            self.findings.left |= {what: after[what] - count for what, count in before.items()}
            self.findings.theirs = [Booked.read(fields) for fields in await csms.ask("transactions")]
        return self.findings

    async def _live(self, csms: Rude) -> None:
        with self._old.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            few = self.plan.count  # the first look finds it full
            ledger = Ledger(most_kept=few, most_messages=few, leaves=_gone(writer))
            wire = WallClock()
            clock: Clock = BatchedClock(START) if self.stepped else wire
            fleet = Fleet(
                self.plan,
                clock=clock,
                wire=wire,
                url=lambda member: csms.url,
                statistics=Statistics(ledger),
                ledger=ledger,
            )
            self.plant(fleet)
            began_at, look_until = clock.now(), clock.now() + self.warm_up_s + self.lasts_s

            def look() -> None:
                self.findings.looks.append(_look(fleet, clock, wire))
                self.on_look(self.findings.looks[-1])
                again_at = clock.now() + self.look_every_s
                if again_at <= look_until:
                    clock.call_at(again_at, look)
                else:
                    tasks.add(asyncio.create_task(make_polite()))

            async def make_polite() -> None:
                clock.hold()
                await csms.ask("polite")
                clock.release()

            tasks: set[asyncio.Task[None]] = set()
            clock.call_at(began_at + self.warm_up_s, look)
            await fleet.run(self.warm_up_s + self.lasts_s + self.polite_s)
            await asyncio.gather(*tasks)
            self.findings.left["timers"] = timers(clock) + timers(wire)
        self.findings.ours = [*_read(self._old), *ledger]


def _look(fleet: Fleet, clock: Any, wire: Any) -> Look:
    for one in (clock, wire):
        _forget_cancelled(one._timers)
    gc.collect()
    kinds = Counter(type(thing).__name__ for thing in gc.get_objects())
    return Look(
        sessions=fleet.ledger.totals().made,
        rss=rss_bytes(),
        objects=kinds.total(),
        timers=timers(clock),
        descriptors=len(os.listdir("/proc/self/fd")),
        tasks=len(asyncio.all_tasks()),
        kinds=dict(kinds),  # which the collector does not follow, unlike a Counter
    )


def _forget_cancelled(timers: Any) -> None:
    """Clocks keep up to a thousand timers that were cancelled, which would come and go in what is counted."""
    timers._heap = [item for item in timers._heap if item[2].action is not None]
    heapq.heapify(timers._heap)
    timers.cancelled = 0


def timers(clock: Any) -> int:
    """Those that are still to fire."""
    return sum(entry.action is not None for _, _, entry in clock._timers._heap)


def held() -> dict[str, int]:
    """What must be as it was when everything is over."""
    gc.collect()
    return {
        "stations": sum(isinstance(thing, Station) for thing in gc.get_objects()),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
    }


def _gone(writer: Any) -> Callable[[Entry], None]:
    def write(entry: Entry) -> None:
        writer.writerow(getattr(entry, name) for name in KEPT)

    return write


KEPT = (
    "station",
    "key",
    "connector",
    "id_tag",
    "started_at",
    "transaction_id",
    "meter_start_wh",
    "meter_stop_wh",
    "stopped_at",
)


def _read(path: Path) -> Iterable[Entry]:
    """What left the ledger: nothing was wrong with it."""
    with path.open(newline="", encoding="utf-8") as file:
        for station, key, connector, id_tag, started_at, number, begin, end, stopped_at in csv.reader(file):
            yield Entry(
                station,
                int(connector),
                key,
                id_tag,
                float(started_at),
                int(begin),
                transaction_id=int(number),
                meter_stop_wh=int(end),
                stopped_at=float(stopped_at),
                delivered=True,
            )
