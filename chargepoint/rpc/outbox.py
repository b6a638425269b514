"""What goes out next: urgent messages at once or never, transaction-related records in order and for sure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Protocol

from chargepoint.domain.ports import Document, Store
from chargepoint.domain.turn import Turn
from chargepoint.rpc.records import RECORD, Record
from chargepoint.rpc.session import NOT_SENT, CallFailed, Session
from hal.api import Clock, Timer

MOST_RECORDS = 50_000
"""Beyond this many, readings are thinned out (errata 3.91); starts and stops never are."""

MOST_IDS = 10
"""Transmissions of one record whose late answer is understood."""

MOST_GIVEN_UP = 10
"""Records that were given up and take a late answer all the same."""


class Message:
    """An urgent message: about now, worth nothing once the link is gone."""

    __slots__ = ("action", "behind", "failed", "patient", "payload", "replied", "unregistered", "wanted_at")

    def __init__(
        self,
        action: str,
        payload: Any,
        replied: Callable[[Any], None],
        failed: Callable[[CallFailed], None],
        unregistered: bool,
        behind: int,
        patient: bool,
        wanted_at: float,
    ) -> None:
        self.action = action
        self.payload = payload
        self.replied = replied
        self.failed = failed
        self.unregistered = unregistered  # may go before the central system accepted the station
        self.behind = behind  # not before this record was tried, if that is the next one
        self.patient = patient  # not while any record may be sent
        self.wanted_at = wanted_at  # on the wire's clock, for the observer


class Post(Protocol):
    """Who knows what records and messages mean."""

    @property
    def accepted(self) -> bool:
        """The central system accepted this station: everything may be sent."""

    @property
    def message_timeout_s(self) -> float:
        """How long to wait for an answer (errata 3.83)."""

    @property
    def attempts(self) -> int:
        """TransactionMessageAttempts; 0 counts as 1."""

    @property
    def retry_interval_s(self) -> float:
        """TransactionMessageRetryInterval."""

    def render_record(self, record: Record) -> tuple[str, Any]:
        """Action and payload of a record, with what is known now."""

    def check_request(self, action: str, payload: Any) -> str | None:
        """What is wrong with a payload of ours; None if it is valid."""

    def record_answered(self, record: Record, payload: Any) -> None:
        """The central system has it."""

    def record_answered_again(self, record: Record, payload: Any) -> None:
        """It said so already, in a late answer to an earlier transmission."""

    def record_given_up(self, record: Record, error: CallFailed) -> None:
        """It was refused as often as allowed."""

    def call_sent(self) -> None:
        """A CALL of ours went out."""

    def memory_exhausted(self, message: str) -> None:
        """There was no room for everything; `message` says what was left out."""

    def complain(self, message: str) -> None:
        """Something the operator should know."""

    def outbox_changed(self) -> None:
        """Something was delivered or given up."""


class Outbox:
    """Two lanes over one session: urgent messages overtake records, records never overtake each other."""

    __slots__ = (
        "_clock",
        "_given_up",
        "_inflight",
        "_limit",
        "_most",
        "_post",
        "_recalled",
        "_records",
        "_session",
        "_store",
        "_timer",
        "_urgent",
        "last",
        "turn",
    )

    def __init__(
        self,
        session: Session,
        store: Store,
        turn: Turn,
        clock: Clock,
        post: Post,
        most: int = MOST_RECORDS,
    ) -> None:
        self._session = session
        self._store = store
        self.turn = turn
        self._clock = clock
        self._post = post
        self._urgent: list[Message] = []
        self._records: deque[Record] | None = None
        self._inflight: Record | None = None
        self._given_up: deque[Record] | None = None
        self._timer: Timer | None = None
        self._most = most
        self._limit = most  # beyond it room is made; above `most` when there was none to make
        self.last = 0  # sequence number of the newest record
        for key, document in store.items(RECORD):
            self._append(Record.recalled(key, document))
        self._recalled = self.last  # the newest record of what happened before this start of the station

    def _append(self, record: Record) -> None:
        if self._records is None:
            self._records = deque()
        self._records.append(record)
        self.last = record.seq

    @property
    def online(self) -> bool:
        """There is a link."""
        return self._session.online

    @property
    def queued(self) -> int:
        """Records that wait for delivery."""
        return len(self._records) if self._records else 0

    def records(self) -> Iterable[Record]:
        """Records that wait, oldest first."""
        return self._records or ()

    def waits(self, action: str, fields: Document | None = None) -> bool:
        """An urgent message of that kind, with these fields at least, waits for the line."""
        asked = (fields or {}).items()
        return any(m.action == action and asked <= m.payload.items() for m in self._urgent)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is under way."""
        return not self._records and not self._urgent and self._session.outstanding is None

    # --- filling ------------------------------------------------------------------------------------

    def send(
        self,
        action: str,
        payload: Any,
        replied: Callable[[Any], None],
        failed: Callable[[CallFailed], None],
        *,
        unregistered: bool = False,
        behind: int = 0,
        first: bool = False,
        patient: bool = False,
    ) -> None:
        """Send a message as soon as the line is free; without a link it fails at once.

        `behind`: the number of a record that goes first if it is the next one. `first`: before all others.
        `patient`: behind every record that may be sent.
        """
        if not self._session.online:
            failed(CallFailed(NOT_SENT))
            return
        message = Message(
            action, payload, replied, failed, unregistered, behind, patient, self._session.wanted_at()
        )
        if first:
            self._urgent.insert(0, message)
        else:
            self._urgent.append(message)

    def record(self, kind: str, transaction_key: str | None, facts: Document) -> int:
        """Store a fact for delivery; returns its number."""
        record = Record(self.last + 1, kind, transaction_key, facts)
        record.wanted_at = self._session.wanted_at()
        self._append(record)
        self._store.put(RECORD, record.key, record.document())
        if self.queued > self._limit:
            self._thin()
        return record.seq

    def forget(self, transaction_key: str) -> None:
        """Drop the records of a transaction that never was."""
        for record in [r for r in self._records or () if r.transaction_key == transaction_key]:
            self._remove(record)

    def recalled(self) -> None:
        """Everything recorded so far happened before this start of the station."""
        self._recalled = self.last

    def revise(self, revised: Callable[[Record], Document]) -> None:
        """Replace the facts of every record of what happened since this start of the station."""
        for record in self._records or ():
            if record.seq > self._recalled:
                record.facts = revised(record)
                self._store.put(RECORD, record.key, record.document())

    def _thin(self) -> None:
        """Leave out every second reading of the oldest transactions until there is room for a while."""
        assert self._records is not None
        readings: dict[str | None, list[Record]] = {}
        for record in self._records:
            if record.kind == "meter" and record is not self._inflight:
                readings.setdefault(record.transaction_key, []).append(record)
        room = max(self._most // 10, 1)
        dropped: set[int] = set()
        for some in readings.values():
            if len(dropped) < room:
                dropped.update(record.seq for record in some[1::2])
        for record in self._records:
            if record.seq in dropped:
                self._store.delete(RECORD, record.key)
        self._records = deque(record for record in self._records if record.seq not in dropped)
        self._limit = max(self._most, len(self._records) + room)
        self._post.memory_exhausted(f"too many messages wait: {len(dropped)} readings were left out")

    def _remove(self, record: Record) -> None:
        assert self._records is not None
        if self._is_next(record):
            self._records.popleft()
            self._forget_timer()
        else:
            self._records.remove(record)
        if not self._records:
            self._records = None  # an empty deque holds 760 bytes
        self._store.delete(RECORD, record.key)

    # --- emptying -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what may go now."""
        while (self._urgent or self._records) and self._session.free:
            record = self._ready_record() if self._records else None
            message = self._ready_message(record)
            if message is not None:
                self._send_message(message)
            elif record is not None:
                self._send_record(record)
            else:
                return

    def _ready_message(self, record: Record | None) -> Message | None:
        for message in self._urgent:
            if not (message.unregistered or self._post.accepted) or (message.patient and record is not None):
                continue
            if record is not None and message.behind == record.seq and not record.attempts:
                return None
            return message
        return None

    def _ready_record(self) -> Record | None:
        if not self._records or not self._post.accepted or not self.turn.stored:
            return None
        record = self._records[0]
        if record.attempts:
            due = record.failed_at + self._post.retry_interval_s * record.attempts
            if due > self._clock.now():
                self._wake_at(due)
                return None
        return record

    def _wake_at(self, when: float) -> None:
        if self._timer is None:
            self._timer = self._clock.call_at(when, self._woken)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _woken(self) -> None:
        self._timer = None
        with self.turn:
            pass

    def _send_message(self, message: Message) -> None:
        self._urgent.remove(message)
        problem = self._post.check_request(message.action, message.payload)
        if problem is not None:
            self._post.complain(f"{message.action} was not sent: {problem}")
            message.failed(CallFailed("InvalidRequest", problem))
            return
        self._call(message.action, message.payload, message.replied, message.failed, message.wanted_at)

    def _send_record(self, record: Record) -> None:
        action, payload = self._post.render_record(record)
        problem = self._post.check_request(action, payload)
        if problem is not None:
            self._post.complain(f"{action} is sent although {problem}")
        self._inflight = record
        message_id = self._call(
            action,
            payload,
            lambda answer: self._delivered(record, answer),
            lambda error: self._refused(record, error),
            record.wanted_at,
        )
        record.ids = [*(record.ids or ())[1 - MOST_IDS :], message_id]

    def _call(
        self,
        action: str,
        payload: Any,
        replied: Callable[[Any], None],
        failed: Callable[[CallFailed], None],
        wanted_at: float,
    ) -> str:
        self._post.call_sent()
        return self._session.call(action, payload, replied, failed, self._post.message_timeout_s, wanted_at)

    def _delivered(self, record: Record, answer: Any) -> None:
        if record is self._inflight:
            self._inflight = None
        if not self._is_next(record):
            self._post.record_answered_again(record, answer)
            return  # a late answer to an earlier transmission counted
        self._remove(record)
        self._post.record_answered(record, answer)
        self._post.outbox_changed()

    def _refused(self, record: Record, error: CallFailed) -> None:
        """Count what reached the other side and was refused or ignored; the link's end counts nothing."""
        self._inflight = None
        if not error.delivered or not self._is_next(record):
            return
        record.attempts += 1
        record.failed_at = self._clock.now()
        self._session.held_back()
        if not self._spent(record, error):
            self._store.put(RECORD, record.key, record.document())

    def _spent(self, record: Record, error: CallFailed) -> bool:
        """Give a record up that was tried as often as allowed (OCPP 1.6 §3.7.1)."""
        if record.attempts < max(self._post.attempts, 1):
            return False
        self._remove(record)
        if self._given_up is None:
            self._given_up = deque(maxlen=MOST_GIVEN_UP)
        self._given_up.append(record)
        self._post.record_given_up(record, error)
        self._post.outbox_changed()
        return True

    def retry_rule_changed(self) -> None:
        """The message that waits for its next attempt follows the new values at once."""
        self._forget_timer()
        record = self._records[0] if self._records else None
        if record is not None and record.attempts and record is not self._inflight:
            self._spent(record, CallFailed("GenericError", "fewer attempts are allowed from now on"))

    def _is_next(self, record: Record) -> bool:
        return bool(self._records and self._records[0] is record)

    def answered_late(self, message_id: str, check: Callable[[str], str | None], payload: Any) -> bool:
        """A result for an earlier transmission of a record that waits or was given up; True if it was one."""
        waiting = (self._records[0],) if self._records else ()
        for record in chain(waiting, self._given_up or ()):
            if message_id not in (record.ids or ()) or check(self._post.render_record(record)[0]) is not None:
                continue
            if self._is_next(record):
                self._delivered(record, payload)
            elif self._given_up is not None:
                self._given_up.remove(record)
                self._post.record_answered(record, payload)
            return True
        return False

    # --- ends ---------------------------------------------------------------------------------------

    def hush(self, *, wholly: bool = False) -> None:
        """The station is not accepted: what waited for the line is not said.

        Unless `wholly`, what may go before acceptance still does.
        """
        kept = [message for message in self._urgent if message.unregistered and not wholly]
        silenced = [message for message in self._urgent if wholly or not message.unregistered]
        self._urgent = kept
        for message in silenced:
            message.failed(CallFailed(NOT_SENT))

    def link_down(self) -> None:
        """Urgent messages are not about now any more."""
        urgent, self._urgent = self._urgent, []
        for message in urgent:
            message.failed(CallFailed(NOT_SENT))

    def close(self) -> None:
        """Forget the timer and whatever waits; records stay in the store."""
        self._forget_timer()
        self._urgent = []
