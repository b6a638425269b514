"""A station's line that can be slow, dead or wrong: where the faults of links and frames take hold.

Whatever is kept back or lost is measured in the station's time: a stepped clock goes on meanwhile, jumping,
and a time-out of the station or of the embedded central system then passes in no time. Only what is really on
its way holds the clock. What the central system calls for and is kept back arrives after `IDLE_S` of real
time at the latest if nobody lets the clock pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import orjson

from chargepoint.csms.central_system import CentralSystem
from chargepoint.rpc import frames
from chargepoint.tamper import Tamper
from hal.api import Timer
from hal.clock import SteppedClock

__all__ = ["FaultyLine", "FrameFault", "Message", "Slowness", "Way"]

Way = Literal["to_csms", "from_csms"]

ANSWER_WITHIN_S = 5.0
"""So long a stepped clock waits, in real time, for the answer to a CALL that left late."""

IDLE_S = 0.25

_FRAMING_BYTES = 8  # head, length and mask of a WebSocket frame of usual length


class Message(NamedTuple):
    """One frame that came to the line. `ours`: it belongs to a CALL of the station."""

    way: Way
    call: bool
    ours: bool
    message_id: str
    action: str


class FrameFault(Protocol):
    """Does something to single messages."""

    def wants(self, message: Message) -> bool:
        """This one suffers; asked once for each."""

    def act(self, line: FaultyLine, message: Message, data: bytes) -> None:
        """Let it suffer: `data` goes nowhere by itself."""


@dataclass(frozen=True, slots=True)
class Slowness:
    """How long a message takes; `jitter` is drawn for each."""

    latency_s: float
    jitter_s: float
    bandwidth_bps: float | None
    draw: Callable[[str], float]

    def sending_s(self, size: int) -> float:
        """How long the line is busy with so many bytes."""
        return (size + _FRAMING_BYTES) * 8 / self.bandwidth_bps if self.bandwidth_bps else 0.0


class FaultyLine(Tamper):
    """Passes everything on at once while it has no faults. A message suffers from the first that wants it.

    `grace_s`: so much real time is given to what may come of a message that was damaged or doubled.
    """

    __slots__ = (
        "_asked",
        "_busy_until",
        "_csms",
        "_grace_s",
        "_holds",
        "_kept",
        "_last_due",
        "_lingering",
        "_queue",
        "_timers",
        "dead",
        "faults",
        "on_link_up",
        "slowness",
    )

    def __init__(self, csms: CentralSystem | None, grace_s: float) -> None:
        self._csms = csms
        self._grace_s = grace_s
        self.faults: list[FrameFault] = []
        self.slowness: list[Slowness] = []
        self.dead = False  # half-open: whatever comes vanishes, until the next connection
        self.on_link_up: list[Callable[[], None]] = []
        self._asked: dict[tuple[bool, str], str] = {}  # by whose CALL and its id: the action
        self._busy_until: dict[Way, float] = {}
        self._last_due: dict[Way, float] = {}
        self._timers: set[Timer] = set()
        self._lingering = 0
        self._holds: dict[str, Timer] = {}  # what the clock waits for on our account
        self._queue: list[tuple[Way, Callable[[], None]]] = []  # on their way, in order
        self._kept: dict[Way, Callable[[], None]] = {}  # waits to be overtaken

    # --- tamper.Tamper ------------------------------------------------------------------------------

    def link_up(self) -> None:
        """Connected anew."""
        for action in tuple(self.on_link_up):
            action()

    def link_down(self) -> None:
        """What was on its way is lost, and so is a dead connection."""
        self.dead = False
        self._asked.clear()
        self._kept.clear()
        self._queue.clear()
        self._busy_until.clear()
        self._last_due.clear()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for hold in tuple(self._holds):
            self._let_go(hold)

    def close(self) -> None:
        """Nothing happens any more."""
        self.link_down()

    def outgoing(self, data: bytes) -> None:
        """The station says something."""
        self._take("to_csms", data)

    def incoming(self, data: bytes) -> None:
        """The central system says something."""
        message = self._take("from_csms", data)
        if message is not None and message.ours:
            self._let_go(message.message_id)

    def unanswered(self, message_id: str) -> None:
        """Nothing comes back for it."""
        self._let_go(message_id)

    def _take(self, way: Way, data: bytes) -> Message | None:
        message = self._read(way, data)
        if message is None:  # no frame at all: only a dead line stops it
            if not self.dead:
                self._depart(way, data)
        elif self.dead:
            self.lose(message)
        else:
            fault = next((fault for fault in tuple(self.faults) if fault.wants(message)), None)
            if fault is None:
                self.pass_on(message, data)
            else:
                fault.act(self, message, data)
        return message

    def _read(self, way: Way, data: bytes) -> Message | None:
        try:
            frame = orjson.loads(data)
        except orjson.JSONDecodeError:
            return None
        match frame:
            case [frames.CALL, str(message_id), str(action), *_]:
                ours = way == "to_csms"
                self._asked[ours, message_id] = action
                return Message(way, True, ours, message_id, action)
            case [frames.CALL_RESULT | frames.CALL_ERROR, str(message_id), *_]:
                ours = way == "from_csms"
                action = self._asked.pop((ours, message_id), "")
                return Message(way, False, ours, message_id, action)
        return None

    # --- what a fault may do ------------------------------------------------------------------------

    def pass_on(self, message: Message, data: bytes, late_s: float = 0.0, *, damaged: bool = False) -> None:
        """Send `data` the way of `message`, as slowly as the line is, and `late_s` later than that.

        `damaged`: perhaps nobody answers it.
        """
        now = self.edge.host.clock.now()
        due = self._due(message.way, len(data), now)
        if due + late_s > now:
            go = self._later(message, data, due + late_s, damaged)
            if not late_s:
                self._queue.append((message.way, go))
        else:
            self._depart(message.way, data)
            if damaged:
                self._doubt(message)
        if (overtaken := self._kept.pop(message.way, None)) is not None:
            overtaken()

    def lose(self, message: Message) -> None:
        """It never arrives: whoever waits for what would have come of it gets nothing."""
        if message.ours:
            self.edge.host.unanswered(message.message_id)
        elif self._csms is not None:
            self._csms.lost_on_the_way(self.edge.host.identity, message.message_id)

    def linger(self) -> None:
        """Something unusual went on: give what comes of it a moment of real time."""
        self._lingering += 1
        self._hold(f"linger {self._lingering}", self._grace_s)

    def keep(self, message: Message, data: bytes, at_most_s: float) -> None:
        """Let the next message of that way overtake this one, if it comes in time."""
        if message.way in self._kept:
            self.pass_on(message, data)
            return
        self._kept[message.way] = self._later(message, data, self.edge.host.clock.now() + at_most_s)

    # --- how it goes on -----------------------------------------------------------------------------

    def _due(self, way: Way, size: int, now: float) -> float:
        """When it arrives: no message overtakes another by itself."""
        due = now
        for slow in self.slowness:
            start = max(self._busy_until.get(way, now), now)
            self._busy_until[way] = end = start + slow.sending_s(size)
            due = max(due, end) + slow.latency_s + slow.jitter_s * slow.draw(way)
        self._last_due[way] = due = max(due, self._last_due.get(way, now))
        return due

    def _later(self, message: Message, data: bytes, due: float, damaged: bool = False) -> Callable[[], None]:
        """Keep it back until `due`, or until what is returned is called."""
        host, csms = self.edge.host, None if message.ours else self._csms
        waits: list[Timer] = []

        def go() -> None:
            if not waits:
                return
            for timer in waits:
                timer.cancel()
                self._timers.discard(timer)
            waits.clear()
            self._queue[:] = [entry for entry in self._queue if entry[1] is not go]
            if self._kept.get(message.way) is go:
                del self._kept[message.way]
            if csms is not None:
                csms.under_way(host.identity, message.message_id, True)
            elif message.ours and message.call and not damaged:
                self._hold(message.message_id, ANSWER_WITHIN_S)
            self._depart(message.way, data)
            if damaged:
                self._doubt(message)

        def idle(seen: float) -> None:
            """Whoever waits for the central system's CALL may forget to let the clock pass."""
            now = host.clock.now()
            if now != seen:
                watch(now)
                return
            ahead = [other for way, other in self._queue if way == message.way]
            for other in ahead[: ahead.index(go) if go in ahead else 0]:
                other()
            go()

        def watch(now: float) -> None:
            timer = self._really_after(IDLE_S, lambda: idle(now))
            waits.append(timer)

        if message.ours:
            host.wait_by_clock(message.message_id)
        elif csms is not None:
            csms.under_way(host.identity, message.message_id, False)
            if isinstance(host.clock, SteppedClock):
                watch(host.clock.now())
        waits.append(self._at(due, go))
        return go

    def _doubt(self, message: Message) -> None:
        """It went on damaged: wait a moment for an answer, but no longer."""
        if message.ours:
            self.edge.host.wait_by_clock(message.message_id)
        elif self._csms is not None and isinstance(self.edge.host.clock, SteppedClock):
            self._really_after(self._grace_s, lambda: self.lose(message))
        self.linger()

    def _depart(self, way: Way, data: bytes) -> None:
        if way == "to_csms":
            self.edge.transmit(data)
        else:
            self.edge.deliver(data)

    # --- time ---------------------------------------------------------------------------------------

    def _at(self, due: float, action: Callable[[], None]) -> Timer:
        """Do something at `due` on the station's clock, unless the link is lost before."""

        def fire() -> None:
            self._timers.discard(timer)
            action()

        timer = self.edge.host.clock.call_at(due, fire)
        self._timers.add(timer)
        return timer

    def _really_after(self, seconds: float, action: Callable[[], None]) -> Timer:
        def fire() -> None:
            self._timers.discard(timer)
            action()

        wire = self.edge.host.wire
        timer = wire.call_at(wire.now() + seconds, fire)
        self._timers.add(timer)
        return timer

    def _hold(self, what: str, at_most_s: float) -> None:
        """Let the clock wait for something real."""
        host = self.edge.host
        self._let_go(what)
        host.clock.hold()
        self._holds[what] = host.wire.call_at(host.wire.now() + at_most_s, lambda: self._let_go(what))

    def _let_go(self, what: str) -> None:
        if (timer := self._holds.pop(what, None)) is not None:
            timer.cancel()
            self.edge.host.clock.release()
