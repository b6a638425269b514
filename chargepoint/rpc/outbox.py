"""What goes out next: urgent messages at once or never, transaction-related records in order and for sure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from chargepoint.domain.ports import Document, Store
from chargepoint.domain.turn import Turn
from chargepoint.rpc.session import LINK_LOST, CallFailed, Session
from hal.api import Clock, Timer

RECORD = "record"
"""Under this kind the store keeps records, by ascending sequence number."""

MOST_RECORDS = 50_000
"""Beyond this many, every second reading is left out (errata 3.91); starts and stops never are."""


class Message:
    """An urgent message: about now, worth nothing once the link is gone."""

    __slots__ = ("action", "behind", "failed", "payload", "replied", "unregistered")

    def __init__(
        self,
        action: str,
        payload: Any,
        replied: Callable[[Any], None],
        failed: Callable[[CallFailed], None],
        unregistered: bool,
        behind: int,
    ) -> None:
        self.action = action
        self.payload = payload
        self.replied = replied
        self.failed = failed
        self.unregistered = unregistered  # may go before the central system accepted the station
        self.behind = behind  # not before this record was tried


class Record:
    """A transaction-related fact: stored before it is sent, rendered when it is sent (OCPP 1.6 §3.7)."""

    __slots__ = ("attempts", "facts", "ids", "kind", "not_before", "seq", "transaction_key")

    def __init__(
        self, seq: int, kind: str, transaction_key: str | None, facts: Document, attempts: int
    ) -> None:
        self.seq = seq
        self.kind = kind
        self.transaction_key = transaction_key
        self.facts = facts
        self.attempts = attempts  # transmissions that failed
        self.not_before = 0.0  # on the station's clock
        self.ids: list[str] | None = None  # message ids under which it went out on this connection or before

    @property
    def key(self) -> str:
        """Its key in the store."""
        return f"{self.seq:012d}"

    def document(self) -> Document:
        """What the store keeps."""
        return {
            "kind": self.kind,
            "transaction": self.transaction_key,
            "facts": self.facts,
            "attempts": self.attempts,
        }


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

    def record_given_up(self, record: Record, error: CallFailed) -> None:
        """It was refused as often as allowed."""

    def call_sent(self) -> None:
        """A CALL of ours went out."""

    def complain(self, message: str) -> None:
        """Something the operator should know."""

    def outbox_changed(self) -> None:
        """Something was delivered or given up."""


class Outbox:
    """Two lanes over one session: urgent messages overtake records, records never overtake each other."""

    __slots__ = (
        "_clock",
        "_inflight",
        "_post",
        "_records",
        "_session",
        "_store",
        "_timer",
        "_urgent",
        "last",
        "turn",
    )

    def __init__(self, session: Session, store: Store, turn: Turn, clock: Clock, post: Post) -> None:
        self._session = session
        self._store = store
        self.turn = turn
        self._clock = clock
        self._post = post
        self._urgent: list[Message] = []
        self._records: deque[Record] | None = None
        self._inflight: Record | None = None
        self._timer: Timer | None = None
        self.last = 0  # sequence number of the newest record
        for key, document in store.items(RECORD):
            self._append(
                Record(
                    int(key),
                    document["kind"],
                    document["transaction"],
                    document["facts"],
                    document["attempts"],
                )
            )

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
    ) -> None:
        """Send a message as soon as the line is free; without a link it fails at once.

        `behind`: the number of a record that goes first if it is the next one. `first`: before all others.
        """
        if not self._session.online:
            failed(CallFailed(LINK_LOST))
            return
        message = Message(action, payload, replied, failed, unregistered, behind)
        if first:
            self._urgent.insert(0, message)
        else:
            self._urgent.append(message)

    def record(self, kind: str, transaction_key: str | None, facts: Document) -> int:
        """Store a fact for delivery; returns its number."""
        record = Record(self.last + 1, kind, transaction_key, facts, 0)
        self._append(record)
        self._store.put(RECORD, record.key, record.document())
        assert self._records is not None
        if len(self._records) > MOST_RECORDS:
            self._thin()
        return record.seq

    def forget(self, transaction_key: str) -> None:
        """Drop the records of a transaction that never was."""
        for record in [r for r in self._records or () if r.transaction_key == transaction_key]:
            self._remove(record)

    def _thin(self) -> None:
        """Leave out every second reading, oldest first, never a start or a stop."""
        assert self._records is not None
        readings = [r for r in self._records if r.kind == "meter" and r is not self._inflight]
        for record in readings[: len(readings) // 2 * 2 : 2]:
            self._remove(record)
        self._post.complain(f"{MOST_RECORDS} messages wait: every second reading was left out")

    def _remove(self, record: Record) -> None:
        assert self._records is not None
        if self._records and self._records[0] is record:
            self._records.popleft()
        else:
            self._records.remove(record)
        self._store.delete(RECORD, record.key)

    # --- emptying -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what may go now."""
        while self._session.free:
            record = self._ready_record()
            message = self._ready_message(record)
            if message is not None:
                self._send_message(message)
            elif record is not None:
                self._send_record(record)
            else:
                return

    def _ready_message(self, record: Record | None) -> Message | None:
        for message in self._urgent:
            if not (self._post.accepted or message.unregistered):
                continue
            if record is not None and message.behind >= record.seq and record.attempts == 0:
                return None
            return message
        return None

    def _ready_record(self) -> Record | None:
        if not self._records or not self._post.accepted or not self.turn.stored:
            return None
        record = self._records[0]
        if record.attempts and record.not_before > self._clock.now():
            self._wake_at(record.not_before)
            return None
        return record

    def _wake_at(self, when: float) -> None:
        if self._timer is None:
            self._timer = self._clock.call_at(when, self._woken)

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
        self._call(message.action, message.payload, message.replied, message.failed)

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
        )
        if record.ids is None:
            record.ids = []
        record.ids.append(message_id)

    def _call(
        self,
        action: str,
        payload: Any,
        replied: Callable[[Any], None],
        failed: Callable[[CallFailed], None],
    ) -> str:
        self._post.call_sent()
        return self._session.call(action, payload, replied, failed, self._post.message_timeout_s)

    def _delivered(self, record: Record, answer: Any) -> None:
        self._inflight = None
        self._remove(record)
        self._post.record_answered(record, answer)
        self._post.outbox_changed()

    def _refused(self, record: Record, error: CallFailed) -> None:
        """Count what reached the other side and was refused or ignored; the link's end counts nothing."""
        self._inflight = None
        if not error.delivered or record not in (self._records or ()):
            return
        record.attempts += 1
        if record.attempts >= max(self._post.attempts, 1):
            self._remove(record)
            self._post.record_given_up(record, error)
            self._post.outbox_changed()
            return
        record.not_before = self._clock.now() + self._post.retry_interval_s * record.attempts
        self._store.put(RECORD, record.key, record.document())

    def answered_late(self, message_id: str, check: Callable[[str], str | None], payload: Any) -> bool:
        """A result for an earlier transmission of the record that is next; True if it was one."""
        record = self._records[0] if self._records else None
        if record is None or record is self._inflight or message_id not in (record.ids or ()):
            return False
        if check(self._post.render_record(record)[0]) is not None:
            return False
        self._delivered(record, payload)
        return True

    def link_down(self) -> None:
        """Urgent messages are not about now any more."""
        urgent, self._urgent = self._urgent, []
        for message in urgent:
            message.failed(CallFailed(LINK_LOST))

    def close(self) -> None:
        """Cancel the timer; records stay in the store."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
