"""What all links of one central system share: its time, its answers, its memory, and who listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from ocpp.v16.enums import AuthorizationStatus

from chargepoint.csms.answers import Answers
from chargepoint.csms.events import Event, Listener, frame_of
from chargepoint.csms.ledger import Ledger, Request
from hal.api import Clock, Timer
from hal.clock import WallClock

_LOGGER = logging.getLogger("chargepoint.csms")

Reaction = Callable[[str, Request], Awaitable[None]]
"""Called with the station's identity and the request, after that request was answered."""


@dataclass(slots=True, eq=False)
class Station:
    """What is known of one identity, over all its connections."""

    identity: str
    ledger: Ledger
    connected: bool = False
    connections: int = 0
    calls: int = 0  # CALLs sent so far; numbers their message ids
    boot: Request | None = None  # the newest BootNotification
    statuses: dict[int, str] = field(default_factory=dict)  # the newest status by connector
    heard_at: float = 0.0  # when the newest frame came, on the central system's clock


class BackOffice:
    """Shared state and shared duties; a stepped clock is held for as long as anything here is under way."""

    __slots__ = (
        "_clock",
        "_listeners",
        "_reactions",
        "_tasks",
        "_timers",
        "answers",
        "interval_s",
        "on_withheld",
        "stations",
        "strangers",
    )

    def __init__(self, clock: Clock | None, answers: Answers, interval_s: int) -> None:
        self._clock = clock
        self.answers = answers
        self.interval_s = interval_s
        self.stations: dict[str, Station] = {}
        self._listeners: list[Listener] = []
        self._reactions: dict[str, list[Reaction]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timers: set[Timer] = set()
        self.on_withheld: Callable[[str, str], None] | None = None
        self.strangers: str | None = None  # cards that begin so are unknown; None: all are welcome

    def judged(self, id_tag: str) -> AuthorizationStatus:
        """Whether a card is known here (OCPP 1.6 §7.2)."""
        stranger = self.strangers is not None and id_tag.startswith(self.strangers)
        return AuthorizationStatus.invalid if stranger else AuthorizationStatus.accepted

    @property
    def clock(self) -> Clock:
        """The clock given, else real time."""
        if self._clock is None:
            self._clock = WallClock()  # not before there is a loop
        return self._clock

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the clock meanwhile."""
        self.clock.hold()
        try:
            yield
        finally:
            self.clock.release()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that holds the clock from now until it is done; what it raises is logged."""
        self.clock.hold()
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def after(self, seconds: float, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start such a task when so much time of the clock has passed, which is not held until then."""

        def start() -> None:
            self._timers.discard(timer)
            self.spawn(work())

        timer = self.clock.call_at(self.clock.now() + seconds, start)
        self._timers.add(timer)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.clock.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOGGER.error("a task of the central system failed", exc_info=error)

    async def cancel_tasks(self) -> None:
        """Give up what is still under way or to come, and wait until it is."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of every event from now on; returns how to end that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def react(self, action: str, reaction: Reaction) -> Callable[[], None]:
        """Run `reaction` after every CALLRESULT to `action`; returns how to end that."""
        reactions = self._reactions.setdefault(action, [])
        reactions.append(reaction)
        return lambda: reactions.remove(reaction)

    def answered(self, cp: str, action: str, request: Request) -> None:
        """A CALLRESULT to this request went out: start what shall follow it."""
        for reaction in tuple(self._reactions.get(action, ())):
            self.spawn(_run(reaction, cp, request))

    def emit(
        self,
        name: Literal["ready", "connected", "disconnected", "error"],
        cp: str | None = None,
        **fields: Any,
    ) -> None:
        """Tell all listeners of an event."""
        if self._listeners:
            self._tell(Event(name, self.clock.now(), cp, fields))

    def emit_frame(self, cp: str, direction: Literal["rx", "tx"], text: str) -> None:
        """Tell all listeners of a frame; costs nothing while there are none."""
        if self._listeners:
            fields = {"dir": direction, "frame": frame_of(text)}
            self._tell(Event("frame", self.clock.now(), cp, fields))

    def _tell(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                _LOGGER.exception("a listener failed on a %s event", event.name)


async def _run(reaction: Reaction, cp: str, request: Request) -> None:
    """A coroutine around any awaitable, for a task."""
    await reaction(cp, request)
