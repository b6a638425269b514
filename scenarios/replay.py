"""Plays the charge point's side of a recording again and says what the central system did otherwise.

The recorded frames go out at their recorded distances over the station's own link; nothing of the station's
logic runs, so that a charge point that behaved wrongly does so again. A frame that followed an answer in the
recording waits for that answer. The embedded central system, which asks for nothing by itself, makes the
recorded CALLs; any other is expected to make them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from chargepoint.csms.calls import CallFailed
from chargepoint.csms.central_system import CentralSystem
from chargepoint.domain import chance
from chargepoint.errors import ConfigError, LinkError
from chargepoint.link import Backoff, WebSocketLink
from hal.api import Clock, Timer
from hal.clock import SteppedClock, WallClock
from scenarios.deeds import started_unseen
from scenarios.differences import Difference, Reply, compare_answers, compare_calls, ignored
from scenarios.moves import Move, moves_of
from scenarios.recorded import Recorded
from scenarios.remapping import Remapping
from scenarios.replayed import Options, Outcome

__all__ = ["Options", "Outcome", "replay"]

MOST_FAILED_ATTEMPTS = 5
NO_ANSWER = "GenericError"


async def replay(
    recorded: Recorded, clock: Clock, options: Options, embedded: CentralSystem | None = None
) -> Outcome:
    """Play it; the link is closed at the end. Raises `LinkError` if there never was a connection."""
    player = _Player(recorded, clock, options, embedded)
    return await player.run()


class _Player:
    """The charge point's side: a `LinkListener` that knows its part."""

    def __init__(
        self, recorded: Recorded, clock: Clock, options: Options, embedded: CentralSystem | None
    ) -> None:
        if options.settings is None:
            raise ConfigError(["a replay needs a central system"])
        self._clock = clock
        self._wire = WallClock()
        self._options = options
        self._embedded = embedded
        self._station = options.settings.identity
        self._moves = moves_of(recorded)
        self._first_at = self._moves[0].at
        self._length_s = self._moves[-1].at - self._first_at
        self._start = clock.now()
        self._map = Remapping(options.seed, self._station, self._start - self._first_at)
        self._next = 0
        self._unfinished = 0  # the first move that is not done
        self._pending: dict[str, deque[Move]] = {}  # our CALLs by their id now
        self._asked: dict[
            str, deque[Move]
        ] = {}  # recorded CALLs of the central system not heard yet, by action
        self._patience: dict[int, Timer] = {}  # by the id of a move
        self._timer: Timer | None = None
        self._failed: LinkError | None = None
        self._attempts = 0
        self._was_online = False
        self._over = asyncio.Event()
        self._ending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[str, Move] = {}  # the newest answered CALL of the central system, by action
        self.outcome = Outcome(recorded.source, self._station, notes=list(recorded.notes))
        self.outcome.notes += [
            f"the start of transaction {number} is not in the recording: it goes out under that number"
            for number in started_unseen(recorded)
        ]
        for move in self._moves:
            if move.kind == "asked" and move.frame is not None:
                self._asked.setdefault(move.frame.action or "", deque()).append(move)
        self._link = WebSocketLink(
            options.settings,
            self,
            wire=self._wire,
            clock=clock,
            backoff=Backoff(1.0, 1.0, 30.0),
            backoff_clock=clock if isinstance(clock, SteppedClock) else self._wire,
            jitter=self._jitter,
        )

    async def run(self) -> Outcome:
        began = time.perf_counter()
        self._link.start()
        end = self._start + self._length_s + self._options.quiet_s
        clock = self._clock
        clock.call_at(end, self._reached_the_end)
        if isinstance(clock, SteppedClock):
            while not self._over.is_set():
                await clock.run_until(max(end, clock.now() + 1.0))
        else:
            await self._over.wait()
        self._close()
        if self._failed is not None and not self._was_online:
            raise self._failed
        self.outcome.real_s = time.perf_counter() - began
        await self._link.closed()
        return self._judged()

    # --- link.LinkListener --------------------------------------------------------------------------

    def link_up(self) -> None:
        """Connected."""
        self._was_online = True
        self._attempts = 0
        self._note("connection", online=True)
        self._go_on()

    def link_down(self, reason: str) -> None:
        """Not connected any more: what was asked is not answered any more."""
        self._note("connection", online=False, reason=reason)
        for moves in list(self._pending.values()):
            for move in list(moves):
                self._unanswered(move)
        if not self._ending and not self._offline_by_record():
            self._differs(
                Difference("connection", "", self._line(), self._clock.now(), now=f"lost: {reason}")
            )
        self._go_on()

    def frame_received(self, data: bytes) -> None:
        """An answer, or a CALL of the central system."""
        self.outcome.received += 1
        if self._options.trace is not None:
            self._options.trace.frame(self._clock.now(), False, data)
        try:
            frame = json.loads(data)
        except (ValueError, RecursionError):
            frame = None
        match frame:
            case [3, str(message_id), payload, *_]:
                self._answered(message_id, Reply(payload))
            case [4, str(message_id), *rest]:
                self._answered(message_id, Reply(error=str(rest[0]) if rest else ""))
            case [2, str(message_id), str(action), payload, *_]:
                self._called(message_id, action, payload)
            case _:
                text = data.decode(errors="replace")[:200]
                self._differs(Difference("new_call", "?", 0, self._clock.now(), now=f"no OCPP frame: {text}"))
        self._go_on()

    def binary_received(self, data: bytes) -> None:
        """OCPP-J has no binary messages."""
        self._differs(Difference("new_call", "?", 0, self._clock.now(), now="a binary message"))

    def connect_failed(self, error: LinkError, attempts: int) -> None:
        """The first connection is needed; later ones are tried for a while."""
        self._failed = error
        self._attempts += 1
        if not self._was_online or self._attempts >= MOST_FAILED_ATTEMPTS:
            if self._was_online:
                self._differs(
                    Difference("connection", "", self._line(), self._clock.now(), now=f"gone: {error}")
                )
            self._finish()

    # --- the part -----------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Do what is due and held up by nothing."""
        while not self._ending and self._next < len(self._moves):
            move = self._moves[self._next]
            due = self._start + move.at - self._first_at
            if self._clock.now() < due:
                self._arm(due)
                return
            if not self._may(move):
                return
            self._next += 1
            self._do(move)
        if self._next >= len(self._moves):
            self._maybe_finish()

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.call_at(due, self._go_on)

    def _may(self, move: Move) -> bool:
        """Everything that came before it in the recording has come."""
        if move.kind in ("call", "raw") and not self._link.online:
            return False
        place = self._next
        while self._unfinished < place and self._moves[self._unfinished].state == "done":
            self._unfinished += 1
        return not any(
            earlier.state in ("open", "replying")
            and earlier.answered_before
            and earlier.answered_before <= place
            for earlier in self._moves[self._unfinished : place]
        )

    def _do(self, move: Move) -> None:
        if move.kind == "online":
            move.state = "done"
            self._link.cut(False)
        elif move.kind == "offline":
            move.state = "done"
            self._link.cut(True)
        elif move.kind == "asked":
            self._expect(move)
        elif move.kind == "raw":
            move.state = "done"
            assert move.frame is not None
            self._send(self._map.text(move.frame.raw))
        else:
            self._call(move)

    def _call(self, move: Move) -> None:
        assert move.frame is not None
        move.now_id = self._map.message_id(move.frame)
        move.state = "open"
        self._pending.setdefault(move.now_id, deque()).append(move)
        self.outcome.calls += 1
        self._clock.hold()
        self._wait(move, self._options.answer_within_s, self._unanswered)
        self._send(self._map.text(move.frame.raw, move.now_id))

    def _expect(self, move: Move) -> None:
        """A CALL of the central system is due: ours makes it, another one gets a moment."""
        if move.state != "waiting":
            return
        assert move.frame is not None
        move.state = "open"
        self._clock.hold()
        self._wait(
            move, self._options.call_within_s, self._settle
        )  # should it come later, it is still that one
        if self._embedded is not None:
            task = asyncio.get_running_loop().create_task(self._ask(self._embedded, move))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, csms: CentralSystem, move: Move) -> None:
        assert move.frame is not None
        payload = json.loads(self._map.text(move.frame.raw))[3]
        timeout_s = self._options.answer_within_s if move.answer is not None else self._options.call_within_s
        try:
            await csms.call(self._station, move.frame.action or "", payload, timeout_s=timeout_s)
        except CallFailed:  # a recorded CALLERROR, or none: both are compared elsewhere
            return

    def _wait(self, move: Move, seconds: float, give_up: Callable[[Move], None]) -> None:
        lost = partial(self._lost, move, give_up)
        self._patience[id(move)] = self._wire.call_at(self._wire.now() + seconds, lost)

    def _lost(self, move: Move, give_up: Callable[[Move], None]) -> None:
        give_up(move)
        self._go_on()

    def _settle(self, move: Move) -> None:
        """Nothing is waited for any more."""
        if move.state == "open":
            move.state = "done"
            self._patience.pop(id(move)).cancel()
            self._clock.release()

    def _answered(self, message_id: str, reply: Reply) -> None:
        moves = self._pending.get(message_id)
        if not moves:
            text = "an answer to no CALL, or one more than one"
            self._differs(Difference("new_call", "?", 0, self._clock.now(), now=text))
            return
        move = moves.popleft()
        if not moves:
            del self._pending[message_id]
        self._settle(move)
        self._link.survived()
        assert move.frame is not None
        if move.frame.action == "StartTransaction" and move.answer is not None:
            self._map.given(move.answer.payload, reply.payload)
        self._compare(compare_answers(move.frame, move.answer, reply, self._clock.now()))

    def _unanswered(self, move: Move) -> None:
        if move.state != "open":
            return
        self._settle(move)
        moves = self._pending.get(move.now_id, deque())
        if move in moves:
            moves.remove(move)
        if not moves:
            self._pending.pop(move.now_id, None)
        assert move.frame is not None
        self._compare(compare_answers(move.frame, move.answer, None, self._clock.now()))

    def _called(self, message_id: str, action: str, payload: Any) -> None:
        """Answer as it was recorded; a CALL that is new is answered as the newest of its kind."""
        self.outcome.csms_calls += 1
        waiting = self._asked.get(action)
        if waiting:
            move = waiting.popleft()
            assert move.frame is not None
            differences = compare_calls(move.frame, payload, self._clock.now(), self._map.transactions)
            self._compare(differences)
            self._last[action] = move
            # A central system that waits for us holds a stepped clock: nothing would ever pass.
            stepped = isinstance(self._clock, SteppedClock)
            delay_s = 0.0 if stepped or move.answer is None else move.answer.at - move.frame.at
            self._settle(move)
            if move.answer is None:
                move.state = "done"
                return
            move.state = "replying"
            if delay_s <= 0:
                self._reply(move, message_id)
            else:
                self._clock.call_at(self._clock.now() + delay_s, partial(self._reply, move, message_id))
            return
        self._compare([Difference("new_call", action, 0, self._clock.now(), now=payload)])
        last = self._last.get(action)
        if last is not None and last.answer is not None:
            self._send(self._map.text(last.answer.raw, message_id))
        else:
            text = json.dumps([4, message_id, NO_ANSWER, "the recording has no answer to this", {}])
            self._send(text)

    def _reply(self, move: Move, message_id: str) -> None:
        assert move.answer is not None
        self._send(self._map.text(move.answer.raw, message_id))
        move.state = "done"
        self._go_on()

    # --- the end ------------------------------------------------------------------------------------

    def _reached_the_end(self) -> None:
        self._length_s = -1.0
        self._maybe_finish()

    def _maybe_finish(self) -> None:
        at_end = self._length_s < 0 and self._next >= len(self._moves)
        if at_end and not any(move.state in ("open", "replying") for move in self._moves[self._unfinished :]):
            self._finish()

    def _finish(self) -> None:
        self._ending = True
        self._over.set()

    def _close(self) -> None:
        self._ending = True
        if self._timer is not None:
            self._timer.cancel()
        for move in self._moves:
            self._settle(move)
        for task in self._tasks:
            task.cancel()
        self._link.close(1000)

    def _judged(self) -> Outcome:
        now, outcome = self._clock.now(), self.outcome
        outcome.station_s = now - self._start
        outcome.transactions = dict(self._map.transactions)
        for waiting in self._asked.values():
            for move in waiting:
                assert move.frame is not None
                frame = move.frame
                missing = Difference(
                    "missing_call", frame.action or "?", frame.line, now, recorded=frame.payload
                )
                self._compare([missing])
        for move in self._moves[self._next :]:
            if move.kind == "call" and move.frame is not None:
                outcome.notes.append("not everything could be sent: the connection did not come back")
                outcome.verdict = "differs"
                break
        for first, second, number in self._map.shared:
            text = f"transactions {first} and {second} of the recording are both {number} now"
            self._compare([Difference("transaction_numbers", "StartTransaction", 0, now, now=text)])
        outcome.differences.sort(key=lambda difference: (difference.at, difference.line))
        if outcome.matters:
            outcome.verdict = "differs"
        return outcome

    # --- what it needs ------------------------------------------------------------------------------

    def _send(self, text: str) -> None:
        if not self._link.online:
            return
        self.outcome.sent += 1
        if self._options.trace is not None:
            self._options.trace.frame(self._clock.now(), True, text)
        self._link.send(text)

    def _compare(self, differences: list[Difference]) -> None:
        if self._options.compare:
            for difference in differences:
                if not ignored(difference, self._options.ignore):
                    self._differs(difference)

    def _differs(self, difference: Difference) -> None:
        if not self._ending or difference.what != "connection":
            self.outcome.differences.append(difference)

    def _note(self, event: str, **fields: Any) -> None:
        if self._options.trace is not None:
            self._options.trace.event(self._clock.now(), event, **fields)

    def _line(self) -> int:
        """Where in the recording we are."""
        move = self._moves[max(min(self._next, len(self._moves)) - 1, 0)]
        return move.frame.line if move.frame is not None else 0

    def _offline_by_record(self) -> bool:
        done = [move.kind for move in self._moves[: self._next] if move.kind in ("online", "offline")]
        return bool(done) and done[-1] == "offline"

    def _jitter(self) -> float:
        return chance.draw(self._options.seed, self._station, "back-off", self._attempts)
