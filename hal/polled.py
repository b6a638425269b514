"""A controller and a meter on a bus behind the promises of `hal.api.Evse`.

One task speaks to the controller, one to the meter. Every round of the first writes what must be less, asks
how things are, and writes what may be more. Unplugging and everything else a vehicle does is noticed within
one poll; opening the contactor in time is the controller's job (IEC 61851-1), not this program's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Literal

from hal.api import (
    AC_MINIMUM_A,
    CONNECTED,
    Clock,
    DeviceError,
    DeviceTimeout,
    EvseInfo,
    EvseListener,
    Fault,
    FaultKind,
    Limit,
    MeterReading,
    MeterUnavailable,
    PilotState,
    Timer,
)
from hal.device import (
    Capability,
    ControllerStatus,
    DeviceClosed,
    DeviceRefused,
    EnergyMeter,
    EvseController,
)
from hal.patience import ANSWERS_WITHIN_S, answer
from hal.pause import Pause
from hal.polled_lock import PolledLock
from hal.polled_meter import PolledMeter
from hal.polled_offer import PolledOffer
from hal.supervision import LEAKS_A, Supervision
from hal.waking import Waking

log = logging.getLogger(__name__)

HESITANT_AFTER_S = 3.0
"""Nothing is raised while the controller has been silent for that long."""

LOST_AFTER_S = 10.0
"""A controller silent for that long is a fault."""

WAKE_S = 4.0
CLOSES_WITHIN_S = 2.0

_OPENS_WITHIN_S = 8.0
_LETS_GO_WITHIN_S = 0.5
_TRIES_AGAIN_S = 0.05
_LOOKS_EVERY_S = 0.1  # at most so often when a controller asks to be looked at, since one may chatter
_UNCODED_CABLE_A = 13.0  # a plug whose resistor says nothing carries that at most


class PolledEvse:
    """One connector; construct it inside the running loop, on a clock that passes by itself.

    `safe_current_a` is what it leaves behind in `close`, at most 2 s later: the controller's driver has to be
    told as well. `meter_lost`: whether charging ends when the meter has been silent for a minute. `fed` is
    called after every successful round with the controller. Nothing is known before the first round: the
    pilot is E until `opened` says otherwise.
    """

    def __init__(
        self,
        info: EvseInfo,
        controller: EvseController,
        meter: EnergyMeter | None,
        clock: Clock,
        *,
        poll_s: float = 0.5,
        meter_s: float = 1.0,
        safe_current_a: float = 0.0,
        meter_lost: Literal["stop", "continue"] = "stop",
        ventilated: bool = False,
    ) -> None:
        self.listener: EvseListener | None = None
        self.fed: Callable[[], None] = _nobody
        self._info = info
        self._controller = controller
        self._clock = clock
        self._poll_s = poll_s
        self._safe_current_a = safe_current_a
        self._supervision = Supervision(ventilated=ventilated)

        self._permitted_a = 0.0
        self._offer = PolledOffer(controller, self._supervision, clock)
        self._lock = PolledLock(controller, clock)
        self._waking = Waking()

        self._pilot = PilotState.E
        self._plugged = False
        self._closed = False  # as the controller says
        self._flows = False  # as the meter says, where no feedback contact knows better
        self._locked = False
        self._offset_wh = 0.0  # what the meter's register leapt by
        self._cable_max_a: float | None = None
        self._controller_faults: tuple[Fault, ...] = ()
        self._lost: Fault | None = None

        self._is_open = False
        self._heard_at: float | None = None
        self._problem: Exception | None = None
        self._closing = False
        self._obeyed = False  # at the end it is at the safe current
        self._asked = asyncio.Event()
        self._pause = Pause(clock)
        self._began_at = -inf
        self._look: Timer | None = None
        self._meter: PolledMeter | None = None
        if meter is not None:
            self._meter = PolledMeter(meter, info, clock, poll_s=meter_s, lost=meter_lost)
            self._meter.on_reading, self._meter.on_change = self._measured, self._report
        self._reported = self._visible
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._run(), name="controller")]
        if self._meter is not None:
            self._tasks.append(loop.create_task(self._meter.run(), name="meter"))

    # --- hal.api.Evse -------------------------------------------------------------------------------

    @property
    def info(self) -> EvseInfo:
        return self._info

    @property
    def pilot(self) -> PilotState:
        return self._pilot

    @property
    def plugged(self) -> bool:
        return self._plugged

    @property
    def closed(self) -> bool:
        return self._closed or self._flows

    @property
    def locked(self) -> bool:
        return self._locked

    @property
    def faults(self) -> tuple[Fault, ...]:
        own = [fault for fault in (self._lost, self._lock.fault) if fault is not None]
        metered = self._meter.faults if self._meter is not None else ()
        return tuple(dict.fromkeys((*own, *self._controller_faults, *self._supervision.faults, *metered)))

    def permit(self, limit: Limit) -> None:
        permitted_a = 0.0 if limit.zero or limit.current_a < AC_MINIMUM_A else limit.current_a
        if permitted_a != self._permitted_a and not self._closing:
            self._permitted_a = permitted_a
            self._pause.end()

    def lock(self, wanted: bool) -> None:
        if self._info.tethered or not self._info.lockable or self._closing:
            return
        possible = self._plugged if wanted else not self.closed
        if possible and self._lock.wish(wanted):
            self._pause.end()

    def reading(self) -> MeterReading:
        if self._meter is None:
            raise MeterUnavailable("there is no meter")
        return self._meter.reading()

    def close(self) -> None:
        self.listener = None
        if self._closing:
            return
        self._closing = True
        self._permitted_a = 0.0
        with suppress(RuntimeError):  # the loop has ended, and cancelled the tasks, which does the same
            self._pause.end()
            if self._meter is not None:
                self._meter.stop()

    def look_soon(self) -> None:
        """The controller says by itself that something changed: ask it now instead of at the next poll."""
        if self._look is None and not self._closing:
            self._look = self._clock.call_at(self._began_at + _LOOKS_EVERY_S, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        self._pause.end()

    def allowed_a(self) -> float:
        """What a vehicle may draw now as the controller says: 0 while it keeps its contactor open."""
        return self._offer.set_a or 0.0 if self._closed else 0.0

    # --- what a program on the loop can wait for ----------------------------------------------------

    @property
    def closing(self) -> bool:
        """`close` was called."""
        return self._closing

    async def opened(self) -> None:
        """Wait until controller and meter answered, or did not, for the first time."""
        await self._asked.wait()
        if self._meter is not None:
            await self._meter.asked.wait()

    async def released(self) -> None:
        """Wait until `close` has done its work."""
        await asyncio.wait(self._tasks)

    @property
    def left_safe(self) -> bool:
        return self._obeyed and self._let_go()

    # --- the task -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            while not self._closing:
                self._began_at = self._clock.now()
                due = self._began_at + self._poll_s
                try:
                    await self._round()
                except DeviceError as error:
                    self._missed(error)
                except Exception as error:
                    log.exception("the controller's driver failed")
                    self._missed(error)
                self._asked.set()
                self._report()
                await self._pause.until(due)
        finally:
            self._asked.set()
            await self._leave()

    async def _round(self) -> None:
        if not self._is_open:
            await answer(self._controller.open(), _OPENS_WITHIN_S)
            self._is_open = True
            self._offer.opened()
        await self._offer.lower(self._wish_a())
        self._take(await answer(self._controller.status()))
        await self._offer.lower(self._wish_a())
        if await self._lock.move(self._locked, self.closed):
            self._pause.end()
        await self._offer.higher(self._wish_a())
        await self._wake()
        await answer(self._controller.feed_watchdog())
        self.fed()

    def _wish_a(self) -> float:
        """What may be offered now."""
        if self._closing or any(fault.blocking for fault in self.faults):
            return 0.0
        wish_a = min(self._permitted_a, self._info.max_current_a, self._controller.info.max_current_a)
        if self._cable_max_a is not None and not self._info.tethered:
            wish_a = min(wish_a, self._cable_max_a or _UNCODED_CABLE_A)
        return wish_a if wish_a >= AC_MINIMUM_A else 0.0

    def _take(self, status: ControllerStatus) -> None:
        now = self._clock.now()
        if status.pilot is None:
            raise DeviceTimeout("the controller tells no pilot state")
        silent_s = 0.0 if self._heard_at is None else now - self._heard_at
        if silent_s > HESITANT_AFTER_S:
            self._offer.rest()
        self._heard_at, self._problem, self._lost = now, None, None
        self._pilot = status.pilot
        coded = bool(status.cable_max_a) and not self._info.tethered
        if status.pilot in CONNECTED or coded:
            self._plugged = True
        elif status.pilot is PilotState.A:
            self._plugged = False
        asks = status.pilot in (PilotState.C, PilotState.D)
        self._closed = asks and status.offered_a > 0 if status.closed is None else status.closed
        self._flows = self._current_flows()
        self._locked = bool(status.locked)
        self._cable_max_a = status.cable_max_a if self._plugged else None
        self._controller_faults = status.faults
        self._supervision.saw(status, self._has_feedback, now)
        self._offer.compare(status.offered_a, now)

    @property
    def _has_feedback(self) -> bool:
        return self._is_open and Capability.CONTACTOR_FEEDBACK in self._controller.info.capabilities

    def _current_flows(self) -> bool:
        """A vehicle may take seconds to let go: what a controller infers then is not what is."""
        silent_s = inf if self._heard_at is None else self._clock.now() - self._heard_at
        sees = self._has_feedback and silent_s <= HESITANT_AFTER_S
        if sees or self._pilot is PilotState.A or self._meter is None:
            return False
        try:
            return _most_loaded_a(self._meter.reading()) > LEAKS_A
        except MeterUnavailable:
            return False

    def _missed(self, error: Exception) -> None:
        """The controller did not answer, or nothing that makes sense."""
        now = self._clock.now()
        if isinstance(error, DeviceClosed):
            self._is_open = False
        problem = self._problem = self._problem or error  # the first one says most
        if self._heard_at is not None and now - self._heard_at < LOST_AFTER_S:
            return
        self._offer.forget()  # from now on each round begins with 0 A
        if self._lost is None:
            log.warning("controller: %s", problem)
            kind = FaultKind.INTERNAL if isinstance(problem, DeviceRefused) else FaultKind.COMMUNICATION
            self._lost = Fault(kind, info=str(problem) or "no answer from the controller")

    async def _wake(self) -> None:
        """Wake a vehicle that sleeps beside an offer, if the controller can."""
        if Capability.PILOT_INTERRUPT not in self._controller.info.capabilities:
            return
        if self._waking.due(self._pilot, bool(self._offer.asked_a), self._clock.now()):
            await answer(self._controller.interrupt_pilot(WAKE_S), WAKE_S + ANSWERS_WITHIN_S)

    async def _leave(self) -> None:
        """The safe state, as far as that can be had within a moment; then let go."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLOSES_WITHIN_S
        # Told once more, but on a bad line it may not hear that within so short a time.
        self._obeyed = self._safe_current_a == 0.0 and self._offers_nothing()
        with suppress(Exception):
            async with asyncio.timeout_at(deadline):
                while self._is_open and not (await self._withdrawn() and self._let_go()):
                    await asyncio.sleep(_TRIES_AGAIN_S)
            self._flows = False  # nobody reads the meter any more
        with suppress(Exception):
            async with asyncio.timeout_at(max(deadline, loop.time() + _LETS_GO_WITHIN_S)):
                await self._controller.close()

    def _offers_nothing(self) -> bool:
        """So the controller said itself, a moment ago."""
        heard = self._heard_at is not None and self._clock.now() - self._heard_at <= HESITANT_AFTER_S
        return heard and self._offer.asked_a == 0.0 == self._offer.set_a

    def _let_go(self) -> bool:
        """As the controller says; a vehicle may take a moment to stop drawing."""
        return self._safe_current_a > 0 or not self._closed

    async def _withdrawn(self) -> bool:
        """The controller took the safe current; one bad frame is no reason to leave a vehicle charging."""
        try:
            await self._controller.set_limit(self._safe_current_a)
            self._take(await self._controller.status())
        except DeviceError:
            return False
        self._obeyed = True
        return True

    # --- reports ------------------------------------------------------------------------------------

    @property
    def _visible(self) -> tuple[object, ...]:
        return self._pilot, self._plugged, self.closed, self._locked, self.faults, self._offset_wh

    def _measured(self, reading: MeterReading) -> None:
        silent_s = inf if self._heard_at is None else reading.time - self._heard_at
        offered_a = self._offer.asked_a and self._offer.set_a if silent_s < HESITANT_AFTER_S else None
        self._supervision.measured(_most_loaded_a(reading), offered_a, reading.time)
        self._flows = self._current_flows()
        self._offset_wh = reading.offset_wh  # it has to be stored before anything is told that rests on it
        self._report()

    def _report(self) -> None:
        visible = self._visible
        if visible == self._reported:
            return
        self._reported = visible
        self._pause.end()  # a fault may have to be answered with less
        if self.listener is not None:
            try:
                self.listener.evse_changed()
            except Exception:  # the hardware has to be looked after whatever others do
                log.exception("somebody failed at a change of the hardware")


def _most_loaded_a(reading: MeterReading) -> float:
    return max(map(abs, reading.current_a), default=0.0)


def _nobody() -> None: ...
