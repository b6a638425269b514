"""The link's edge of a station with bad habits: asks each of them about every message.

The protocol part behind it knows nothing of them. What it must not notice is hidden from it: a message kept
back is answered at once in the central system's place, the answer to a message it never sent is swallowed,
and there is one CALL outstanding at a time, its own and the made-up ones together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from chargepoint.domain import chance
from chargepoint.quirks.quirk import Call, Quirk
from chargepoint.rpc import frames
from chargepoint.rpc.session import CUT, LINK_LOST, TIMEOUT
from chargepoint.tamper import Tamper
from hal.api import Timer

__all__ = ["QuirkyLine"]

PATIENCE_S = 30.0
"""So long a made-up CALL keeps the line while its answer does not come, in real time; in the station's own
where it is known to be late."""

LOOKS_EACH_S = 1.0
"""So often, in the station's time, a made-up CALL looks whether the station has given up one of its own."""

MOST_EXTRA = 100
"""So many made-up CALLs wait for the line; what comes on top is lost."""

MOST_PAST = 8
"""Of so many of them a late answer is still known as one to a CALL of its own."""

_NO_BOOT = -1  # no start of a station has this number, so no message id of its own is ever met


class QuirkyLine(Tamper):
    """The bad habits of one station. `seed` decides where chance does."""

    __slots__ = (
        "_busy",
        "_connections",
        "_counts",
        "_extra",
        "_holding",
        "_made_up",
        "_past",
        "_patience",
        "_pumping",
        "_real_id",
        "_seed",
        "_timers",
        "_waiting",
        "_watching",
        "quirks",
    )

    def __init__(self, quirks: Iterable[Quirk], seed: int) -> None:
        self.quirks = tuple(quirks)
        self._seed = seed
        self._counts: dict[str, int] = {}  # how often chance decided about what
        self._busy: str | None = None  # the message id on the wire that an answer is awaited for
        self._real_id: str | None = None  # what the station itself calls that; None: it knows nothing of it
        self._waiting: tuple[Call, bytes] | None = None  # the station's own CALL, until the line is free
        self._extra: list[Call] = []
        self._made_up: Call | None = None  # what is on the wire, if the station knows nothing of it
        self._past: tuple[str, ...] = ()  # the newest made-up CALLs whose answer is not waited for any more
        self._timers: set[Timer] = set()
        self._patience: Timer | None = None
        self._holding = False
        self._pumping = False
        self._watching = False
        self._connections = 0

    # --- what a quirk may do ------------------------------------------------------------------------

    def chance(self, purpose: str) -> float:
        """The next draw about `purpose`, in [0, 1)."""
        n = self._counts[purpose] = self._counts.get(purpose, 0) + 1
        return chance.draw(self._seed, self.edge.host.identity, f"quirk {purpose}", n)

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later on the station's clock, unless the station ends before."""
        clock = self.edge.host.clock

        def fire() -> None:
            self._timers.discard(timer)
            action()

        timer = clock.call_at(clock.now() + seconds, fire)
        self._timers.add(timer)

    def call(self, action: str, payload: Any, repeats: str | None = None) -> None:
        """Send a CALL the station knows nothing of, once the line is free; without a link it is forgotten."""
        host = self.edge.host
        if host.online and len(self._extra) < MOST_EXTRA:
            n = self._counts[""] = self._counts.get("", 0) + 1
            made_up = chance.message_id(self._seed, host.identity, _NO_BOOT, n)
            self._extra.append(Call(made_up, action, payload, wanted_at=host.wire.now(), repeats=repeats))
            self._pump()

    # --- tamper.Tamper ------------------------------------------------------------------------------

    def attached(self) -> None:
        """Every quirk learns where it is."""
        for quirk in self.quirks:
            quirk.settle_in(self)

    def link_up(self) -> None:
        """Connected."""
        self._connections += 1
        for quirk in self.quirks:
            quirk.link_up()

    def link_down(self) -> None:
        """Nothing is on its way any more."""
        self._lose(LINK_LOST)

    def _lose(self, problem: str) -> None:
        self._waiting = None
        self._extra.clear()
        self._count_answer(problem)
        self._free()

    def close(self) -> None:
        """Nothing happens any more."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._lose(CUT)

    def outgoing(self, data: bytes) -> None:
        """The station says something."""
        frame = frames.decode(data)
        if frame[0] == frames.CALL:
            self._leave(Call(frame[1], frame[2], frame[3]), data)
        else:
            self.edge.transmit(data)

    def incoming(self, data: bytes) -> None:
        """The central system says something."""
        try:
            frame = frames.parse(data)
        except frames.Rubbish:
            frame = None
        if isinstance(frame, frames.Call):
            self._serve(frame, data)
        elif frame is not None and frame.message_id == self._busy:
            self._answered(frame, data)
        elif frame is None or frame.message_id not in self._past:
            self.edge.deliver(data)

    def name_above(self, message_id: str) -> str:
        """What the station itself calls what is on the wire."""
        return self._real_id or message_id if message_id == self._busy else message_id

    def wait_by_clock(self, message_id: str) -> None:
        """A CALL of its own: its patience is the station's time from now on."""
        if message_id == self._busy and self._holding and self._patience is not None:
            self._holding = False
            self._patience.cancel()
            clock = self.edge.host.clock
            self._patience = clock.call_at(clock.now() + PATIENCE_S, self._given_up)
            clock.release()

    def unanswered(self, message_id: str) -> None:
        """A CALL of its own: on with what waits behind it."""
        if message_id == self._busy and self._real_id is None:
            self._count_answer(TIMEOUT)
            self._forget()
            self._pump()

    # --- the station's CALLs ------------------------------------------------------------------------

    def _leave(self, call: Call, data: bytes) -> None:
        for quirk in self.quirks:
            quirk.on_call(call)
        if call.swallowed is not None or call.delay_s:
            self.edge.host.keep_back(call.message_id)
            self.edge.deliver(frames.result(call.message_id, call.swallowed or {}))
            if call.swallowed is None:
                self.after(call.delay_s, lambda: self.call(call.action, call.payload))
            return
        self._waiting = (call, data)
        if self._real_id is not None:
            self._free()  # a CALL of its own that it has given up waiting for
        if call.twice:
            self._pump()
            self.call(call.action, call.payload, repeats=call.message_id)
        self._pump()

    def _pump(self) -> None:
        """Send the next CALL, if none is outstanding; and the one after it, if that one is lost at once."""
        if self._pumping:
            return
        self._pumping = True
        try:
            if self._real_id is not None and not self.edge.host.awaits(self._real_id):
                self._free()  # a CALL of its own that it has given up waiting for
            while self._busy is None and (self._waiting is not None or self._extra):
                self._send_next()
        finally:
            self._pumping = False
        if self._extra and self._real_id is not None and not self._watching:
            self._watching = True
            self.after(LOOKS_EACH_S, self._look_again)

    def _look_again(self) -> None:
        """Nobody tells when the station gives up waiting for a CALL of its own."""
        self._watching = False
        self._pump()

    def _send_next(self) -> None:
        if self._waiting is not None:
            call, data = self._waiting
            self._waiting = None
            self._busy, self._real_id = self._id_of(call), call.message_id
            renamed = self._busy != call.message_id
            if renamed or call.changed:
                data = frames.call(self._busy, call.action, call.payload)
            self.edge.transmit(data)
        else:
            call = self._made_up = self._extra.pop(0)
            self._busy = self._id_of(call)
            host = self.edge.host
            call.sent_at = host.wire.now()
            if host.observer is not None:
                host.observer.called(call.action)
            host.clock.hold()
            self._holding = True
            self._patience = host.wire.call_at(host.wire.now() + PATIENCE_S, self._given_up)
            self.edge.transmit(frames.call(self._busy, call.action, call.payload))

    def _id_of(self, call: Call) -> str:
        message_id = call.message_id
        for quirk in self.quirks:
            message_id = quirk.rename(call.action, message_id)
        return message_id

    def _given_up(self) -> None:
        self._count_answer(TIMEOUT)
        self._forget(PATIENCE_S)
        self._pump()

    def _forget(self, lost_s: float = 0.0) -> None:
        """Wait no more for the answer to a CALL of its own; if it comes all the same it is nobody's."""
        if self._busy is not None:
            self._past = (*self._past[1 - MOST_PAST :], self._busy)
        self._free(lost_s)

    def _free(self, lost_s: float = 0.0) -> None:
        """The line is free again."""
        self._busy = self._real_id = self._made_up = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        if self._holding:
            self._holding = False
            self.edge.host.clock.release(lost_s)

    def _count_answer(self, problem: str | None, payload: Any = None) -> None:
        """Tell who counts what became of the CALL on the wire, if the station knows nothing of it."""
        call, host = self._made_up, self.edge.host
        if call is None or host.observer is None:
            return
        now = host.wire.now()
        host.observer.answered(call.action, now - call.wanted_at, now - call.sent_at, problem)
        if problem is None and call.repeats is not None:
            host.observer.answered_late(host.identity, call.repeats, payload)

    def _answered(self, answer: frames.Result | frames.Error, data: bytes) -> None:
        real_id = self._real_id
        if isinstance(answer, frames.Result):
            self._count_answer(None, answer.payload)
        else:
            self._count_answer(answer.code)
        self._free()
        self._pump()  # what is said twice is said twice in a row
        if real_id is None:
            return
        if real_id == answer.message_id:
            self.edge.deliver(data)
        elif isinstance(answer, frames.Result):
            self.edge.deliver(frames.result(real_id, answer.payload))
        else:
            self.edge.deliver(frames.error(real_id, answer.code, answer.description))

    # --- their CALLs --------------------------------------------------------------------------------

    def _serve(self, call: frames.Call, data: bytes) -> None:
        if self.edge.host.accepted:
            for quirk in self.quirks:
                reply = quirk.on_request(call.action, call.payload)
                if isinstance(reply, str):
                    self.edge.transmit(frames.error(call.message_id, reply, ""))
                    return
                if reply is not None:
                    self.edge.transmit(frames.result(call.message_id, reply))
                    return
                if delay_s := quirk.thinks_s(call.action):
                    self._deliver_after(delay_s, data)
                    return
        self.edge.deliver(data)

    def _deliver_after(self, delay_s: float, data: bytes) -> None:
        """Unless its connection is gone by then: nobody waits for the answer any more."""
        asked_on = self._connections

        def deliver() -> None:
            if self._connections == asked_on:
                self.edge.deliver(data)

        self.after(delay_s, deliver)
