"""A connector made of a bare pilot board and a contactor: carries out what `hal.board_rules` orders.

Small tasks: one drives the outputs, one measures the pilot, one reads the contacts, one moves the lock.
Opening waits for none of them where the relay can `drop`: it happens in the measurement that asks for it.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from math import inf
from typing import Literal, Protocol, TypeVar

from hal.api import (
    NOTHING,
    Clock,
    EvseInfo,
    EvseListener,
    Fault,
    Limit,
    MeterReading,
    MeterUnavailable,
    PilotState,
)
from hal.board_rules import BoardRules, Orders
from hal.device import (
    DeviceError,
    EnergyMeter,
    FastRelay,
    PilotBoard,
    PilotSample,
    Relay,
    SamplingBoard,
    TripLine,
    Unsupported,
)
from hal.pause import Pause
from hal.polled_meter import PolledMeter

_log = logging.getLogger(__name__)

_ANSWERS_S = 1.0  # real seconds; parts on a board are quick
_OPENS_S = 3.0
_TRIES_AGAIN_S = 1.0
_LOCK_MOVES_S = 0.5
_LOCK_MOVES, _LOCK_RESTS_S = 10, 60.0  # so many moves in that time, or its motor overheats
_OPENING_S = 0.1
_LOOKS = 5  # at the mirror contact of a contactor that is on its way

T = TypeVar("T")


class _Part(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...


class BoardEvse:
    """A connector over `PilotBoard`, `Relay` and, where there are, meter, plug lock and trip contact.

    The lock is a `Relay` too: switched on it locks, its feedback tells. `fixed_current_a`: the board offers
    that or nothing, so a lower limit is nothing. Construct it inside the running loop. `fed` is called after
    every measured pilot while the coil obeys: a watchdog fed by it lives on work and not on a timer.
    """

    def __init__(
        self,
        info: EvseInfo,
        clock: Clock,
        board: PilotBoard,
        relay: Relay,
        *,
        meter: EnergyMeter | None = None,
        lock: Relay | None = None,
        trip: TripLine | None = None,
        ventilated: bool = False,
        fixed_current_a: float | None = None,
        poll_s: float = 0.02,
        contacts_s: float = 0.1,
        meter_s: float = 1.0,
        meter_lost: Literal["stop", "continue"] = "stop",
    ) -> None:
        self.listener: EvseListener | None = None
        self.fed: Callable[[], None] = _nobody
        self._info = info
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._board, self._relay, self._lock, self._trip = board, relay, lock, trip
        self._fast = relay if isinstance(relay, FastRelay) else None
        self._rules = BoardRules(clock.now(), ventilated=ventilated)
        self._poll_s, self._contacts_s = poll_s, contacts_s
        self._fixed_current_a = fixed_current_a
        self._limit = NOTHING
        self._lock_wish = self._locked = False
        self._lock_moved: deque[float] = deque(maxlen=_LOCK_MOVES)
        self._orders = self._rules.orders  # the newest ones that were noticed
        self._coil: bool | None = None  # as last switched; None: unknown
        self._shown: Orders | None = None  # whose pilot is on the line; None: unknown
        self._drops = 0  # how often the contactor was dropped outside of the driving task
        self._open: set[str] = set()
        self._told: set[str] = set()  # the parts whose silence was told to whoever runs the station
        self._shut = False
        self._tried = asyncio.Event()  # to open relay and board
        self._meter: PolledMeter | None = None
        if meter is not None:
            self._meter = PolledMeter(meter, info, clock, poll_s=meter_s, lost=meter_lost)
            self._meter.on_reading, self._meter.on_change = self._measured, self._wish
        self._offset_wh = 0.0  # what the meter's register leapt by
        self._reading_due = self._was_closed = False
        self._opened_at = -inf  # when the contacts were last seen to open
        self._seen = self._visible()
        if isinstance(board, SamplingBoard):
            board.on_sample = self._from_thread
        self._driving, self._locking = Pause(clock), Pause(clock)
        self._watching = [self._loop.create_task(self._repeat(self._measure, Pause(clock)))]
        self._watching.append(self._loop.create_task(self._repeat(self._read_contacts, Pause(clock))))
        if lock is not None:
            self._watching.append(self._loop.create_task(self._repeat(self._keep_lock, self._locking)))
        self._tasks = [*self._watching, self._loop.create_task(self._live())]
        if self._meter is not None:
            self._tasks.append(self._loop.create_task(self._meter.run()))

    @property
    def info(self) -> EvseInfo:
        return self._info

    @property
    def pilot(self) -> PilotState:
        return self._rules.pilot

    @property
    def plugged(self) -> bool:
        """Without a proximity contact: the vehicle is seen at the pilot, or the plug is still locked."""
        return self._rules.connected or self._locked

    @property
    def closed(self) -> bool:
        return self._rules.closed

    @property
    def locked(self) -> bool:
        return self._locked

    @property
    def faults(self) -> tuple[Fault, ...]:
        return (*self._rules.faults, *self._meter_faults)

    @property
    def open_because(self) -> str | None:
        """The first interlock that keeps the contactor from closing; None if nothing does."""
        return self._rules.may_close(self._clock.now())

    def permit(self, limit: Limit) -> None:
        self._limit = limit
        self._wish()

    def lock(self, wanted: bool) -> None:
        if self._lock is None or (not self.plugged if wanted else not self._rules.confirmed_open):
            return
        self._lock_wish = wanted
        self._locking.end()

    def reading(self) -> MeterReading:
        """The newest reading; after the contactor opened only one taken after that."""
        if self._meter is None:
            raise MeterUnavailable("there is no meter")
        reading = self._meter.reading()
        if not self.closed and reading.time <= self._opened_at:
            raise MeterUnavailable("the meter was not read since the contactor opened")
        return reading

    def close(self) -> None:
        if self._shut:
            return
        self._shut = True
        self.listener = None
        self._rules.shut_down(self._clock.now())
        self._notice()
        with suppress(RuntimeError):  # the loop has ended, and cancelled the tasks, which does the same
            self._driving.end()
            if self._meter is not None:
                self._meter.stop()

    @property
    def closing(self) -> bool:
        """`close` was called."""
        return self._shut

    async def opened(self) -> None:
        """Wait until relay, board and meter answered, or did not, for the first time."""
        await self._tried.wait()
        if self._meter is not None:
            await self._meter.asked.wait()

    async def released(self) -> None:
        """Wait until `close` has done its work."""
        await asyncio.wait(self._tasks)

    @property
    def left_safe(self) -> bool:
        return self._coil is False and not self.closed

    def _wish(self) -> None:
        blocked = any(fault.blocking for fault in self._meter_faults)
        current_a = min(self._limit.current_a, self._info.max_current_a)
        if self._fixed_current_a is not None:
            current_a = self._fixed_current_a if current_a >= self._fixed_current_a else 0.0
        self._rules.permit(0.0 if blocked or self._limit.zero else current_a, self._clock.now())
        self._notice()

    def _measured(self, reading: MeterReading) -> None:
        if reading.current_a:
            self._rules.measured(max(reading.current_a), self._clock.now())
        self._offset_wh = reading.offset_wh  # it has to be stored before anything is told that rests on it
        self._notice()
        if self._reading_due and reading.time > self._opened_at:
            self._reading_due = False
            self._report()

    @property
    def _meter_faults(self) -> tuple[Fault, ...]:
        return () if self._meter is None else self._meter.faults

    def _visible(self) -> tuple[object, ...]:
        return self.pilot, self.plugged, self.closed, self._locked, self.faults, self._offset_wh

    def _notice(self) -> None:
        """See to it that new orders are carried out, and that whoever listens learns what changed."""
        before, self._orders = self._orders, self._rules.orders
        if self._orders != before:
            if before.closed and not self._orders.closed:
                self._drop()
            self._driving.end()
        was_closed, self._was_closed = self._was_closed, self.closed
        if was_closed and not self.closed and self._meter is not None:
            self._opened_at = self._clock.now()
            self._reading_due = True
            self._meter.read_soon()
        visible = self._visible()
        if visible != self._seen:
            self._seen = visible
            self._report()

    def _report(self) -> None:
        if self.listener is not None:
            self.listener.evse_changed()

    def _drop(self) -> None:
        if self._fast is not None and self._coil is not False:
            self._drops += 1
            self._fast.drop()

    def _from_thread(self, sample: PilotSample) -> None:
        """A measurement of the board's own thread: the contactor opens here, the loop learns of it after."""
        if self._rules.drops(sample):
            self._drop()
        now = self._clock.now()
        if threading.get_ident() == self._thread:
            self._sampled(sample, now)
            return
        try:
            self._loop.call_soon_threadsafe(self._sampled, sample, now)
        except RuntimeError:  # the loop is closed: nobody will ever judge what comes
            self._drop()

    def _sampled(self, sample: PilotSample, now: float) -> None:
        self._rules.sampled(sample, now)
        self._notice()

    async def _live(self) -> None:
        """Drive the outputs until `close`, then let go of everything, whatever happened."""
        try:
            await self._repeat(self._drive, self._driving)
        finally:
            self._tried.set()
            self._drop()
            for task in self._watching:
                task.cancel()
            await self._leave_off()

    async def _leave_off(self) -> None:
        if "relay" in self._open:
            await self._switch(False)
            for _ in range(_LOOKS):
                await self._driving.until(self._clock.now() + _OPENING_S)
                await self._read_contact()
                if not self.closed:
                    break
        parts: list[tuple[str, _Part | None]] = [("relay", self._relay), ("board", self._board)]
        for name, part in (*parts, ("trip", self._trip), ("lock", self._lock)):
            if part is not None:
                await self._asked(name, part.close())

    async def _repeat(self, work: Callable[[], Coroutine[None, None, float]], pause: Pause) -> None:
        """Work, rest as long as that says, work again; a driver's mistake is a fault that opens."""
        part = f"driver ({work.__name__.lstrip('_')})"
        while not self._shut:
            try:
                rest_s = await work()
            except Exception as error:
                _log.exception("a driver failed")
                self._rules.broke(part, repr(error), self._clock.now())
                rest_s = _TRIES_AGAIN_S
            else:
                self._rules.works(part, self._clock.now())
            self._notice()
            if not self._shut:
                await pause.until(self._clock.now() + rest_s)

    async def _asked(self, part: str, answer: Awaitable[T], within_s: float = _ANSWERS_S) -> T | None:
        """What a part answers; None, and a fault, if it does not."""
        try:
            async with asyncio.timeout(within_s):
                got = await answer
        except (DeviceError, TimeoutError) as error:
            problem = str(error) or "no answer"
            if part not in self._told:
                self._told.add(part)
                _log.warning("controller: %s: %s", part, problem)
            self._rules.broke(part, problem, self._clock.now())
            return None
        self._told.discard(part)
        self._rules.works(part, self._clock.now())
        return got

    async def _drive(self) -> float:
        """Open first, then the pilot, close last, each only as long as that is still what is ordered."""
        relay_is_open = await self._ready("relay", self._relay)
        board_is_open = await self._ready("board", self._board)
        self._tried.set()
        if relay_is_open and self._coil is not False and not self._rules.orders.closed:
            await self._switch(False)
        orders = self._rules.orders
        if board_is_open and not _same_pilot(orders, self._shown):
            await self._asked("pilot", self._show(orders))
        if relay_is_open and not self._coil and self._may_switch_on():
            drops = self._drops
            await self._switch(True)
            if drops != self._drops or not self._may_switch_on():
                await self._switch(False)
        done = self._coil is self._rules.orders.closed and _same_pilot(self._rules.orders, self._shown)
        return 3600.0 if done else _TRIES_AGAIN_S

    def _may_switch_on(self) -> bool:
        return not self._shut and self._rules.orders.closed and _same_pilot(self._rules.orders, self._shown)

    async def _ready(self, name: str, part: _Part) -> bool:
        """True if the part is open, now or already."""
        if name not in self._open:
            await self._asked(name, self._opened(name, part), _OPENS_S)
        return name in self._open

    async def _opened(self, name: str, part: _Part) -> None:
        await part.open()
        self._open.add(name)

    async def _switch(self, on: bool) -> None:
        self._coil = None
        await self._asked("coil", self._switched(on))

    async def _switched(self, on: bool) -> None:
        await self._relay.switch(on)
        self._coil = on

    async def _show(self, orders: Orders) -> None:
        self._shown = None
        if orders.refuse:
            try:
                await self._board.refuse()
            except Unsupported:
                await self._board.steady()
        elif orders.duty_percent is None:
            await self._board.steady()
        else:
            await self._board.signal(orders.duty_percent)
        self._shown = orders

    async def _measure(self) -> float:
        if "board" not in self._open:
            self._rules.tick(self._clock.now())
            return self._poll_s
        sample = await self._asked("board", self._board.sample())
        if sample is not None:
            if self._rules.drops(sample):
                self._drop()
            self._sampled(sample, self._clock.now())
            if self._coil is not None:
                self.fed()
        else:
            self._rules.tick(self._clock.now())
        return self._poll_s

    async def _read_contacts(self) -> float:
        if "relay" in self._open:
            await self._read_contact()
        if self._trip is not None and await self._ready("trip", self._trip):
            tripped = await self._asked("trip", self._trip.tripped())
            if tripped is not None:
                self._rules.tripped(tripped, self._clock.now())
        return self._contacts_s

    async def _read_contact(self) -> None:
        async def feedback() -> tuple[bool | None]:
            return (await self._relay.feedback(),)

        answer = await self._asked("mirror contact", feedback())
        if answer is not None:
            self._rules.fed_back(answer[0], self._clock.now())
            self._notice()

    async def _keep_lock(self) -> float:
        """Move the plug's lock if it is not where it was wished; the pins may be live, so it opens last."""
        assert self._lock is not None
        if "lock" not in self._open:
            if not await self._ready("lock", self._lock):
                return _TRIES_AGAIN_S
            self._locked = self._lock_wish = bool(await self._asked("lock", self._lock.feedback()))
        if self._lock_wish is self._locked:
            return 3600.0
        wanted = self._lock_wish
        if not wanted and not self._rules.confirmed_open:
            return self._contacts_s
        now = self._clock.now()
        if len(self._lock_moved) == _LOCK_MOVES and now < self._lock_moved[0] + _LOCK_RESTS_S:
            return self._lock_moved[0] + _LOCK_RESTS_S - now
        self._lock_moved.append(now)
        await self._asked("lock", self._lock.switch(wanted))
        await self._locking.until(self._clock.now() + _LOCK_MOVES_S)
        locked = await self._asked("lock", self._lock.feedback())
        self._locked = self._locked if locked is None else locked
        if self._locked is not wanted:
            self._lock_wish = self._locked
            self._rules.broke("lock", f"did not {'lock' if wanted else 'unlock'}", self._clock.now())
        return 0.0


def _same_pilot(orders: Orders, shown: Orders | None) -> bool:
    return shown is not None and (orders.duty_percent, orders.refuse) == (shown.duty_percent, shown.refuse)


def _nobody() -> None: ...
