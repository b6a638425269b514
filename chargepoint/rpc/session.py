"""One side of an OCPP-J conversation: at most one CALL of ours outstanding, every CALL of theirs answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ocpp.exceptions import OCPPError

from chargepoint.domain.ports import Link
from chargepoint.domain.turn import Turn
from chargepoint.rpc import frames
from hal.api import Clock, Timer

TIMEOUT, LINK_LOST, NOT_SENT, INVALID_ANSWER = "Timeout", "LinkLost", "NotSent", "InvalidAnswer"

CUT = "Cut"
"""For an observer: the session ended, with its station's mains or software, while the CALL was on its way."""


class CallFailed(Exception):
    """A CALL of ours brought no result.

    `code` is the CALLERROR's, or `TIMEOUT`, `LINK_LOST` (it was on its way), `NOT_SENT` (it never left) or
    `INVALID_ANSWER`.
    """

    def __init__(self, code: str, description: str = "") -> None:
        super().__init__(f"{code}: {description}" if description else code)
        self.code = code

    @property
    def delivered(self) -> bool:
        """False if the other side may never have seen it: no attempt to count."""
        return self.code not in (LINK_LOST, NOT_SENT)


class Later:
    """A handler's promise to answer when the hardware has."""

    __slots__ = ("_answer", "_result")

    def __init__(self) -> None:
        self._answer: Callable[[Any], None] | None = None
        self._result: Any = None

    def answer(self, result: Any) -> None:
        """The result the handler owed."""
        self._result = result
        if self._answer is not None:
            self._answer(result)

    def then(self, answer: Callable[[Any], None]) -> None:
        """Who sends it."""
        self._answer = answer
        if self._result is not None:
            answer(self._result)


class Peer(Protocol):
    """What one version of the protocol decides about frames."""

    def listens(self) -> bool:
        """False: incoming CALLs get no answer at all (OCPP 1.6 §4.2.1)."""

    def serve(self, action: str, payload: Any) -> Any:
        """Handle a CALL: the result's payload or `Later`. Raises `ocpp.exceptions.OCPPError`."""

    def render(self, action: str, result: Any) -> Any:
        """The wire payload of a handler's result."""

    def check_answer(self, action: str, payload: Any) -> str | None:
        """What is wrong with the result of a CALL of ours; None if it is valid."""

    def answered_late(self, message_id: str, payload: Any) -> None:
        """A result nobody waits for any more."""

    def unreadable(self, problem: str) -> bool:
        """Something came that is no frame; True if it is to be answered."""

    def heard(self) -> None:
        """An answer was exchanged: this connection works."""

    def frame_sent(self, data: bytes) -> None:
        """For the record: what goes out, as it goes out."""


class Observer(Protocol):
    """Who counts CALLs; one for all sessions of a process. Nothing may be raised or sent in here."""

    def called(self, action: str) -> None:
        """A CALL of ours goes out."""

    def kept_back(self, action: str, message_id: str) -> None:
        """It did not: it is answered in the other side's place, and `answered` is not told."""

    def answered(self, action: str, waited_s: float, took_s: float, problem: str | None) -> None:
        """It was answered, or will not be any more: `problem` is then the code of `CallFailed`, or `CUT`.

        `took_s`: since it was sent. `waited_s`: since it was wanted, which is earlier if another CALL was
        outstanding or the timer that asked for it fired late. Both are real time, also on a stepped clock.
        """

    def served(self, action: str, problem: str | None) -> None:
        """A CALL of theirs is answered; `problem` is the CALLERROR's code."""


class Outstanding:
    """Our CALL that waits for its answer."""

    __slots__ = (
        "action",
        "failed",
        "held",
        "kept_back",
        "message_id",
        "replied",
        "sent_at",
        "timeout_s",
        "timer",
        "until",
        "wanted_at",
    )

    def __init__(
        self,
        message_id: str,
        action: str,
        replied: Callable[[Any], None],
        failed: Callable[[CallFailed], None],
        timeout_s: float,
    ) -> None:
        self.message_id = message_id
        self.action = action
        self.replied = replied
        self.failed = failed
        self.timeout_s = timeout_s
        self.until = 0.0  # on `wire`
        self.timer: Timer | None = None  # set where the station's own clock bounds the wait instead
        self.held = True  # the station's clock waits for it
        self.kept_back = False  # the other side never sees it
        self.sent_at = self.wanted_at = 0.0  # on `wire`, for the observer


class Session:
    """Frames in, frames out; knows nothing of any message (OCPP-J 1.6 §4)."""

    __slots__ = (
        "_clear_since",
        "_clock",
        "_link",
        "_looks_at",
        "_next_id",
        "_peer",
        "_serving",
        "_timer",
        "_turn",
        "_wire",
        "observer",
        "outstanding",
    )

    def __init__(
        self,
        peer: Peer,
        turn: Turn,
        wire: Clock,
        clock: Clock,
        next_id: Callable[[], str],
        observer: Observer | None = None,
    ) -> None:
        self._peer = peer
        self._turn = turn
        self._wire = wire
        self._clock = clock
        self._next_id = next_id
        self._link: Link | None = None
        self._serving: set[str] | None = None  # ids of their CALLs whose answer we still owe
        self.outstanding: Outstanding | None = None
        self._timer: Timer | None = None
        self._looks_at = 0.0
        self.observer = observer
        self._clear_since = 0.0  # on `wire`: what was wanted before that had to wait for another reason

    @property
    def online(self) -> bool:
        """There is a link."""
        return self._link is not None

    @property
    def free(self) -> bool:
        """A CALL may be sent now."""
        return self._link is not None and self.outstanding is None

    def link_up(self, link: Link) -> None:
        """Frames go over `link` from now on."""
        self._link = link
        self.held_back()

    def wanted_at(self) -> float:
        """The moment on `wire` at which what is asked for now was due; 0 if nobody observes."""
        return self._wire.now() - self._clock.late_s if self.observer is not None else 0.0

    def held_back(self) -> None:
        """What waited until now did so by the rules (offline, not accepted, before a retry).

        It is wanted from the moment it is sent: none of that is a latency of the central system.
        """
        if self.observer is not None:
            self._clear_since = self._wire.now()

    def link_down(self) -> None:
        """The link is gone: a CALL in flight was not delivered as far as we know."""
        self._link = None
        self._serving = None
        self._fail(CallFailed(LINK_LOST))

    def close(self) -> None:
        """Nobody is interested in answers any more."""
        self._link = None
        self._serving = None
        if self.outstanding is not None:
            outstanding = self.outstanding
            self._finished(outstanding)
            self._observe(outstanding, CUT)
        self._forget_timer()

    def call(
        self,
        action: str,
        payload: Any,
        replied: Callable[[Any], None],
        failed: Callable[[CallFailed], None],
        timeout_s: float,
        wanted_at: float = 0.0,
    ) -> str:
        """Send a CALL and return its id; exactly one of the callbacks comes, in a turn, before `close`."""
        assert self._link is not None
        assert self.outstanding is None
        outstanding = Outstanding(self._next_id(), action, replied, failed, timeout_s)
        self.outstanding = outstanding
        self._clock.hold()
        now = self._wire.now()
        outstanding.until = now + timeout_s
        self._look_at(outstanding.until)
        if self.observer is not None:
            outstanding.sent_at = now
            outstanding.wanted_at = wanted_at if wanted_at > self._clear_since else now
            self.observer.called(action)
        self._send(frames.call(outstanding.message_id, action, payload))
        return outstanding.message_id

    def wait_by_clock(self, message_id: str) -> None:
        """Nothing real is under way for this CALL: its patience is the station's own time from now on.

        For whoever meddles with the line and knows that the answer is lost or late.
        """
        outstanding = self.outstanding
        if outstanding is None or outstanding.message_id != message_id or not outstanding.held:
            return
        outstanding.held = False
        due = self._clock.now() + outstanding.timeout_s
        outstanding.timer = self._clock.call_at(due, lambda: self._timed_out(outstanding))
        self._clock.release()

    def keep_back(self, message_id: str) -> None:
        """Count this CALL no more: whoever meddles with the line answers it in the other side's place."""
        outstanding = self.outstanding
        if self.observer is not None and outstanding is not None and outstanding.message_id == message_id:
            outstanding.kept_back = True
            self.observer.kept_back(outstanding.action, message_id)

    def receive(self, data: bytes | str) -> None:
        """One text message from the other side; call it inside a turn."""
        if self._link is None:
            return
        try:
            frame = frames.parse(data)
        except frames.Rubbish as rubbish:
            self._refuse(rubbish)
            return
        if isinstance(frame, frames.Call):
            self._serve(frame)
        elif isinstance(frame, frames.Result):
            self._take_result(frame)
        elif isinstance(frame, frames.Error) and self._awaits(frame.message_id):
            self._peer.heard()
            self._fail(CallFailed(frame.code, frame.description))

    # --- their CALLs --------------------------------------------------------------------------------

    def _serve(self, call: frames.Call) -> None:
        if not self._peer.listens():
            return
        if self._serving is not None and call.message_id in self._serving:
            self._answer(
                frames.error(call.message_id, "GenericError", "a CALL of this id is still being handled")
            )
            return
        try:
            result = self._peer.serve(call.action, call.payload)
            if isinstance(result, Later):
                self._owe(call, result)
            else:
                self._answer(frames.result(call.message_id, self._peer.render(call.action, result)))
                self._served(call.action)
        except OCPPError as error:
            self._served(call.action, _code(error))
            self._answer(frames.error(call.message_id, _code(error), str(error.description)))
        except Exception as error:
            self._served(call.action, "InternalError")
            self._answer(
                frames.error(call.message_id, "InternalError", "the charge point failed to handle this")
            )
            self._turn.report(error)

    def _owe(self, call: frames.Call, later: Later) -> None:
        if self._serving is None:
            self._serving = set()
        serving = self._serving
        serving.add(call.message_id)

        def answer(result: Any) -> None:
            if self._serving is serving:  # else the link they asked over is gone
                serving.discard(call.message_id)
                self._answer(frames.result(call.message_id, self._peer.render(call.action, result)))
                self._served(call.action)

        later.then(answer)

    def _served(self, action: str, problem: str | None = None) -> None:
        if self.observer is not None:
            self.observer.served(action, problem)

    def _refuse(self, rubbish: frames.Rubbish) -> None:
        answers = self._peer.unreadable(str(rubbish)) or rubbish.message_id != frames.UNKNOWN_ID
        if answers and rubbish.message_id is not None and self._peer.listens():
            self._answer(frames.error(rubbish.message_id, rubbish.code, str(rubbish)))

    def _answer(self, data: bytes) -> None:
        self._turn.answer(lambda: self._send(data))

    # --- our CALLs ----------------------------------------------------------------------------------

    def _awaits(self, message_id: str) -> bool:
        return self.outstanding is not None and self.outstanding.message_id == message_id

    def _take_result(self, result: frames.Result) -> None:
        outstanding = self.outstanding
        if outstanding is None or result.message_id != outstanding.message_id:
            self._peer.answered_late(result.message_id, result.payload)
            return
        problem = self._peer.check_answer(outstanding.action, result.payload)
        if problem is not None:
            self._fail(CallFailed(INVALID_ANSWER, problem))
            return
        self._peer.heard()
        self._finished(outstanding)
        if self.observer is not None:
            self._observe(outstanding, None)
        outstanding.replied(result.payload)

    def _look_at(self, when: float) -> None:
        """Look by then at the latest whether an answer is overdue.

        The timer is not moved by each CALL: it looks when it fires, and again later if a newer CALL has time
        left. Nearly every answer comes in time.
        """
        if self._timer is not None:
            if self._looks_at <= when:
                return
            self._timer.cancel()
        self._looks_at = when
        self._timer = self._wire.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        outstanding = self.outstanding
        if outstanding is None or not outstanding.held:
            return
        if outstanding.until > self._looks_at:
            self._look_at(outstanding.until)
        else:
            self._timed_out(outstanding)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self, outstanding: Outstanding) -> None:
        if outstanding is self.outstanding:
            waited_s = outstanding.timeout_s
            with self._turn:
                self._fail(CallFailed(TIMEOUT, f"no answer within {waited_s:g} s"), lost_s=waited_s)

    def _fail(self, error: CallFailed, lost_s: float = 0.0) -> None:
        outstanding = self.outstanding
        if outstanding is not None:
            self._finished(outstanding, lost_s)
            if self.observer is not None:
                self._observe(outstanding, error.code)
            outstanding.failed(error)

    def _observe(self, outstanding: Outstanding, problem: str | None) -> None:
        if self.observer is not None and not outstanding.kept_back:
            now = self._wire.now()
            self.observer.answered(
                outstanding.action, now - outstanding.wanted_at, now - outstanding.sent_at, problem
            )

    def _finished(self, outstanding: Outstanding, lost_s: float = 0.0) -> None:
        self.outstanding = None
        if outstanding.held:
            self._clock.release(lost_s)
        if outstanding.timer is not None:
            outstanding.timer.cancel()

    def _send(self, data: bytes) -> None:
        if self._link is not None:
            self._peer.frame_sent(data)
            self._link.send(data)


def _code(error: OCPPError) -> str:
    return str(getattr(error, "code", "GenericError"))
