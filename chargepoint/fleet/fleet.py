"""A fleet in one process: many stations on one clock, from the ramp to the orderly end."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from chargepoint.actions import Actions
from chargepoint.domain.ports import Store
from chargepoint.errors import ConfigError, StoreError
from chargepoint.fleet import events
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.measures.trouble import Trouble
from chargepoint.fleet.people.behaviour import Behaviour
from chargepoint.fleet.people.drivers import Drivers
from chargepoint.fleet.plan.plan import MOMENTS_S, Group, Member, Plan
from chargepoint.fleet.ramp import Ramp
from chargepoint.fleet.resident import Resident
from chargepoint.station import ORDERLY_END_S, Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore, SqliteStore
from hal.api import Clock, Timer
from hal.clock import BatchedClock, SteppedClock, WallClock
from hal.simulated.vehicle import Vehicle, vehicle_from

log = logging.getLogger("chargepoint.fleet")

MAX_FRAME_BYTES = 2**20
WAVES_S = 5.0
"""Over how long a large fleet is told to end."""

WAVE_EVERY_S = 0.05
SMALLEST_WAVE = 50
COLLECTOR = (10_000, 50, 50)
"""Thresholds of Python's collector: with its own it spends a fifth of a ramp on objects that all stay."""

FREEZE_EVERY = 50
"""So many stations of a ramp leave the sight of Python's collector together: before there is as much of them
as makes it look, since all of it stays."""

MOST_COMPLAINTS = 100
"""Different complaints of stations that are counted apart."""


class Fleet:
    """The stations of one shard of a plan, started by `run`.

    `clock` is every station's, `wire` real time; `url` says where a member connects to. `sources` are local
    addresses to connect from, for more links to one host than it has ports. With `real_time` drivers live by
    the clock, else they begin at the hour at which their behaviour does.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        clock: Clock,
        wire: Clock,
        url: Callable[[Member], str],
        statistics: Statistics,
        ledger: Ledger,
        shard: int = 0,
        shards: int = 1,
        sources: tuple[str, ...] = (),
        real_time: bool = False,
    ) -> None:
        self.plan = plan
        self.clock = clock
        self.wire = wire
        self.statistics = statistics
        self.ledger = ledger
        self.residents: dict[str, Resident] = {}
        self.skipped: Counter[str] = Counter()
        """Members that could not be assembled, by what was wrong with them."""
        self.held = False
        self.accepted = 0
        """Stations that the central system accepted at least once."""
        self.complaints: Counter[str] = Counter()
        """What stations had to say about their central system or themselves, by its words."""
        self.on_notice: Callable[[str], None] = log.warning
        self.on_resident: Callable[[Resident], None] = _nothing
        """Is told of each station before it starts."""
        self._url = url
        self._sources = sources
        self._real_time = real_time
        self.planned = len(range(shard, plan.count, shards))
        self._types: dict[str, StationType | None] = {}
        self._behaviours: dict[str, Behaviour] = {}
        self._vehicles: dict[str, Vehicle] = {}
        self._waiting: set[str] = set()  # on their first attempt to connect
        self._ramp = Ramp(
            plan.members(shard, shards), plan.ramp_per_s, clock, self._start, self._count_waiting
        )
        self._troubles: dict[str, str] = {}  # kinds of failure and what one of them said
        self._timers: list[Timer] = []
        self._happenings: list[events.Happening] = []
        self._shard, self._shards = shard, shards
        self._added = 0
        self.before_end: Snapshot | None = None
        """The moment when the end was called, while everything still ran."""
        self._stopping = asyncio.Event()
        self._abandoned = False
        self._began_at = clock.now()
        self._leaving: list[Resident] = []
        self._ended = 0

    # --- from start to end --------------------------------------------------------------------------

    async def run(self, until_s: float | None) -> None:
        """Start everybody, go on for `until_s` of station time or until `stop`, and end in good order."""
        thresholds = gc.get_threshold()
        gc.set_threshold(*COLLECTOR)
        try:
            await self._run(until_s)
        finally:
            gc.unfreeze()
            gc.set_threshold(*thresholds)
            self.statistics.close()

    async def _run(self, until_s: float | None) -> None:
        self._began_at = self.clock.now()
        self.statistics.lag.judging = not isinstance(self.clock, SteppedClock)
        self.statistics.start()
        self._ramp.begin()
        for after_s, text in self.plan.events:
            self._timers.append(self.clock.call_at(self._began_at + after_s, partial(self._event, text)))
        if isinstance(self.clock, SteppedClock):
            await self._step(self.clock, until_s)
        else:
            if until_s is not None:
                self._timers.append(self.clock.call_at(self._began_at + until_s, self.stop))
            await self._stopping.wait()
        await self._end()

    def stop(self) -> None:
        """End in good order: transactions end and are delivered for up to 5 s, links close with 1001."""
        self._stopping.set()

    def abandon(self) -> None:
        """Drop all links at once and for good, as if the machine had died; `run` returns soon after."""
        self._abandoned = True
        self._ramp.stop()
        residents = (*self.residents.values(), *self._leaving)
        for resident in residents:
            self._guarded(resident, "its network would not go", resident.station.link.cut, True)
        for resident in residents:
            self._guarded(resident, "it would not close", resident.station.close)
        self.stop()

    @property
    def ending(self) -> bool:
        """It was stopped, or its time is over."""
        return self._stopping.is_set()

    async def _step(self, clock: SteppedClock, until_s: float | None) -> None:
        if until_s is None:
            raise ValueError("a stepped clock needs an end")
        stepping = asyncio.ensure_future(clock.run_until(self._began_at + until_s))
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({stepping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not stepping.done():
            stepping.cancel()
        else:
            stepping.result()

    async def _end(self) -> None:
        self.before_end = self.snapshot()
        self.statistics.ending = True
        self._stopping.set()
        self._ramp.stop()
        for timer in (*self._timers, *self._happenings):
            timer.cancel()
        residents = list(self.residents.values())
        for resident in residents:
            self._guarded(resident, "its drivers would not leave", self._leave, resident)
        if self._abandoned:
            return
        away = [one for one in residents if not one.booted and one.trouble is None]
        await self._bring_back([one for one in away if one.owes])
        over = asyncio.Event()
        wave = max(SMALLEST_WAVE, int(len(residents) * WAVE_EVERY_S / WAVES_S))
        for first in range(0, len(residents), wave):
            if first:
                await asyncio.sleep(WAVE_EVERY_S)
            for resident in residents[first : first + wave]:
                self._guarded(resident, "it would not end", self._shut_down, resident, over, len(residents))
        if residents:
            await over.wait()
        for resident in (*residents, *self._leaving):
            await resident.station.link.closed()

    async def _bring_back(self, away: list[Resident]) -> None:
        """End what keeps these from the central system: else they could not deliver their transactions."""
        for resident in away:
            self._guarded(resident, "it would not come back", _come_back, resident.station)
        until = self.wire.now() + ORDERLY_END_S
        while self.wire.now() < until and not all(resident.booted for resident in away):
            await asyncio.sleep(WAVE_EVERY_S)

    def _shut_down(self, resident: Resident, over: asyncio.Event, all_of_them: int) -> None:
        def ended() -> None:
            self._ended += 1
            if self._ended == all_of_them:
                over.set()

        try:
            resident.station.shutdown(ended)
        except Exception:
            resident.station.link.close(1001)
            ended()
            raise

    def _leave(self, resident: Resident) -> None:
        behaviour = self._behaviours.get(resident.member.group.behaviour)
        if behaviour is not None:
            behaviour.leave(resident)

    # --- members ------------------------------------------------------------------------------------

    def _start(self, member: Member) -> None:
        """Make a station of a member and let it connect."""
        try:
            resident = self._assemble(member)
        except (ConfigError, StoreError, ValueError, OSError) as error:
            self._skip(member, str(error))
            return
        if resident is None:
            return
        self.residents[member.identity] = resident
        self.on_resident(resident)
        self._waiting.add(member.identity)
        self._guarded(resident, "it would not start", resident.station.start)
        self._guarded(resident, "its drivers would not come", self._settle_in, resident)
        if self._ramp.over:
            gc.unfreeze()  # stations that restart or leave are its business
        elif len(self.residents) % FREEZE_EVERY == 0:
            gc.freeze()

    def _assemble(self, member: Member) -> Resident | None:
        if member.identity in self.residents:
            raise ValueError(f"{member.identity} is there already")
        type = self._type(member.group)
        if type is None:
            self.skipped[member.group.name] += 1
            return None
        if (password := member.password) is not None:
            type = type.with_key(password)
        station = assemble(
            type,
            _store(member),
            self.clock,
            self.wire,
            url=self._url(member),
            identity=member.identity,
            seed=self.plan.seed,
            number=member.place - member.group.first_number,
        )
        return Resident(member, station, Actions(station, self._vehicle(member.group)))

    def _type(self, group: Group) -> StationType | None:
        """What the stations of a group share; None if nothing can be made of its configuration."""
        if group.name not in self._types:
            try:
                self._vehicle(group)
                self._behaviour(group)
                self._types[group.name] = StationType(
                    group.config,
                    listener=self._heard,
                    observer=self.statistics,
                    max_frame_bytes=MAX_FRAME_BYTES,
                    sources=self._sources,
                )
            except (ConfigError, ValueError) as error:
                self._types[group.name] = None
                self.on_notice(f"the {group.count} stations of group {group.name} are left out: {error}")
        return self._types[group.name]

    def _vehicle(self, group: Group) -> Vehicle:
        if group.name not in self._vehicles:
            vehicle = group.config.vehicle
            self._vehicles[group.name] = vehicle_from(
                {"kind": vehicle} if isinstance(vehicle, str) else vehicle
            )
        return self._vehicles[group.name]

    def _behaviour(self, group: Group) -> Behaviour:
        if group.behaviour not in self._behaviours:
            self._behaviours[group.behaviour] = behaviour = Behaviour.load(
                group.behaviour, seed=self.plan.seed
            )
            behaviour.begin(self._began_at, real_time=self._real_time)
        return self._behaviours[group.behaviour]

    def _settle_in(self, resident: Resident) -> None:
        self._behaviour(resident.member.group).settle_in(resident)
        if self.held and isinstance(resident.drivers, Drivers):
            resident.drivers.hold(True)

    def _skip(self, member: Member, problem: str) -> None:
        """Leave a member out; the same problem is told once."""
        if not self.skipped[problem]:
            self.on_notice(f"{member.identity} is left out: {problem}")
        self.skipped[problem] += 1

    def _guarded(self, resident: Resident, what: str, action: Callable[..., None], *args: Any) -> None:
        """One station's mistake never ends another."""
        try:
            action(*args)
        except Exception as error:
            log.error("%s: %s", resident.member.identity, what, exc_info=error)

    # --- events -------------------------------------------------------------------------------------

    def perform(self, event: events.FleetEvent) -> None:
        """Let something happen to the whole fleet or a part of it."""
        self._note(event.text)
        self._happenings.append(
            events.perform(event, self.residents, self.clock, self.plan.seed, shards=self._shards)
        )

    def _event(self, text: str) -> None:
        try:
            self.perform(events.parse(text))
        except ValueError as error:
            self.on_notice(f"event {text!r}: {error}")

    def hold(self, held: bool) -> None:
        """While it is held no new station starts and no new driver comes."""
        if held == self.held:
            return
        self.held = held
        self._note("new arrivals held" if held else "new arrivals again")
        self._ramp.hold(held)
        for resident in self.residents.values():
            if isinstance(resident.drivers, Drivers):
                resident.drivers.hold(held)

    def ramp_at(self, per_s: float) -> None:
        """From now on so many stations start in a second, in all shards together."""
        self._note(f"ramp {per_s:g}/s")
        self._ramp.go_at(per_s)

    def _note(self, what: str) -> None:
        self.statistics.note(what, self.clock.now() - self._began_at)

    def add(self, count: int) -> None:
        """So many more stations of the last group at once, numbered on behind it."""
        self._note("more stations" if self._shards > 1 else f"{count} more stations")
        group = self.plan.groups[-1]
        for _ in range(count):
            beyond = group.count + self._shard + self._added * self._shards
            self._added += 1
            place = group.first_number + beyond
            number = self.plan.count - group.count + beyond
            self.planned += 1
            identity = group.identities.format(n=place)
            self._start(Member(identity, number, group, place))
            self._waiting.discard(identity)  # not the ramp's

    def remove(self, count: int) -> None:
        """So many stations end in good order and are no longer counted, the newest ones first."""
        self._note("fewer stations" if self._shards > 1 else f"{count} stations fewer")
        for identity in list(self.residents)[::-1][:count]:
            resident = self.residents.pop(identity)
            self.planned -= 1
            self._settled(identity)
            self._leaving.append(resident)
            self._guarded(resident, "its drivers would not leave", self._leave, resident)
            self._guarded(resident, "it would not end", resident.station.shutdown, _nothing)

    def _heard(self, station: Station, event: str, fields: dict[str, Any]) -> None:
        """Everything but frames that happens at any station."""
        resident = self.residents.get(station.identity)
        if resident is None:
            return
        if event == "error":
            known = fields["message"] in self.complaints or len(self.complaints) < MOST_COMPLAINTS
            self.complaints[fields["message"] if known else "others"] += 1
        elif event == "connect_failed":
            resident.trouble = fields["kind"]
            self._troubles.setdefault(fields["kind"], fields["reason"])
            self._settled(station.identity)
            if resident.member.group.url_policy == "in_order":
                self._try_next(resident)
        elif event == "registration" and fields["status"] == "Accepted" and not resident.accepted:
            resident.accepted = True
            self.accepted += 1
        elif event == "connection" and fields["online"]:
            resident.trouble = None
            self._settled(station.identity)

    def _try_next(self, resident: Resident) -> None:
        resident.failures += 1
        if (url := resident.member.url(self.plan.seed, resident.failures)) is not None:
            resident.station.move(url, now=False)

    def _settled(self, identity: str) -> None:
        if identity in self._waiting:
            self._waiting.discard(identity)
            self._ramp.settled()

    def _count_waiting(self) -> int:
        self._waiting = {
            identity
            for identity in self._waiting
            if (resident := self.residents.get(identity)) is not None and resident.station.link.connecting
        }
        return len(self._waiting)

    # --- what is seen of it -------------------------------------------------------------------------

    @property
    def ramp_per_s(self) -> float | None:
        """How many stations start in a second, in all shards together; None: all were started."""
        return None if self._ramp.over else self._ramp.per_s

    @property
    def ramp_behind_s(self) -> float:
        """How late the ramp is because the central system takes its time with connections."""
        return self._ramp.behind_s

    def troubles(self) -> list[Trouble]:
        """Why stations cannot connect now, the most frequent kind first."""
        kinds = Counter(resident.trouble for resident in self.residents.values() if resident.trouble)
        return [
            Trouble(kind, count, len(self.residents), self._troubles[kind])
            for kind, count in kinds.most_common()
        ]

    def snapshot(self) -> Snapshot:
        """The present moment; counted as it happens, so that it costs little at any size."""
        return self.statistics.snapshot(
            planned=self.planned,
            started=len(self.residents),
            queued=sum(resident.station.charge_point.outbox.queued for resident in self.residents.values()),
            released_holds=self.clock.released_holds if isinstance(self.clock, BatchedClock) else 0,
            station_s=self.clock.now() - self._began_at,
        )


def fleet_clock(moments_s: float = MOMENTS_S) -> WallClock:
    """The clock on which a fleet lives in real time, and its wire too."""
    return WallClock(grid_s=moments_s)


def _come_back(station: Station) -> None:
    """Power and network are there, and it connects now; a clock that stands still would end no pause."""
    if station.silent:
        station.power(False)  # it need not wait for the end of its restart
    station.power(True)
    station.link.cut(False)
    if not station.online and not station.link.connecting:
        station.link.reconnect()


def _nothing(*_: object) -> None:
    return


def _store(member: Member) -> Store:
    storage = member.group.config.storage
    return MemoryStore() if storage is None else SqliteStore.open(storage, member.identity)
