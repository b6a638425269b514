"""A session and an outbox between a recording link and a made-up peer, on a stepped clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from chargepoint.domain.time import StationTime
from chargepoint.domain.turn import Turn
from chargepoint.rpc.outbox import MOST_RECORDS, Outbox
from chargepoint.rpc.records import Record
from chargepoint.rpc.session import CallFailed, Session
from chargepoint.store import MemoryStore
from hal.clock import SteppedClock


class Rig:
    """Peer, post and link in one; what it decides can be set, what it hears is kept."""

    def __init__(self, store: MemoryStore | None = None, most: int = MOST_RECORDS) -> None:
        self.clock = SteppedClock(1000.0)
        self.store = store or MemoryStore()
        self.errors: list[Exception] = []
        self.turn = Turn(self.store, StationTime(self.clock), self.errors.append)
        self.sent: list[list[Any]] = []
        self.late: list[str] = []
        self.unreadable_ones: list[str] = []
        self.complaints: list[str] = []
        self.listening = True
        self.handle: Callable[[str, Any], Any] = lambda action, payload: {}
        self.answers_rubbish = True
        self.accepted = True
        self.attempts = 3
        self.retry_interval_s = 60.0
        self.message_timeout_s = 30.0
        self.answered: list[tuple[str | None, Any]] = []
        self.answered_again: list[tuple[str | None, Any]] = []
        self.given_up: list[str | None] = []
        self._ids = 0
        self.session = Session(self, self.turn, self.clock, self.clock, self._next_id)
        self.outbox = Outbox(self.session, self.store, self.turn, self.clock, self, most)
        self.turn.pump = self.outbox.pump

    def _next_id(self) -> str:
        self._ids += 1
        return f"id-{self._ids}"

    # --- the link -----------------------------------------------------------------------------------

    def send(self, text: bytes | str) -> None:
        self.sent.append(json.loads(text))

    def drop(self, code: int = 1000) -> None: ...

    def connect(self) -> None:
        with self.turn:
            self.session.link_up(self)

    def disconnect(self) -> None:
        with self.turn:
            self.session.link_down()
            self.outbox.link_down()

    def receive(self, frame: Any) -> None:
        with self.turn:
            self.session.receive(frame if isinstance(frame, bytes) else json.dumps(frame))

    # --- rpc.session.Peer ---------------------------------------------------------------------------

    def listens(self) -> bool:
        return self.listening

    def serve(self, action: str, payload: Any) -> Any:
        return self.handle(action, payload)

    def render(self, action: str, result: Any) -> Any:
        return result

    def check_answer(self, action: str, payload: Any) -> str | None:
        return None if isinstance(payload, dict) else "not an object"

    def answered_late(self, message_id: str, payload: Any) -> None:
        if not self.outbox.answered_late(message_id, lambda action: None, payload):
            self.late.append(message_id)

    def unreadable(self, problem: str) -> bool:
        self.unreadable_ones.append(problem)
        return self.answers_rubbish

    def heard(self) -> None: ...

    def frame_sent(self, data: bytes) -> None: ...

    # --- rpc.outbox.Post ----------------------------------------------------------------------------

    def render_record(self, record: Record) -> tuple[str, Any]:
        return record.kind, {"facts": record.facts["n"]}

    def check_request(self, action: str, payload: Any) -> str | None:
        return "it is invalid" if payload == {"invalid": True} else None

    def record_answered(self, record: Record, payload: Any) -> None:
        self.answered.append((record.transaction_key, payload))

    def record_answered_again(self, record: Record, payload: Any) -> None:
        self.answered_again.append((record.transaction_key, payload))

    def record_given_up(self, record: Record, error: CallFailed) -> None:
        self.given_up.append(record.transaction_key)

    def call_sent(self) -> None: ...

    def memory_exhausted(self, message: str) -> None:
        self.complaints.append(message)

    def complain(self, message: str) -> None:
        self.complaints.append(message)

    def outbox_changed(self) -> None: ...

    # --- words for stories --------------------------------------------------------------------------

    def record(self, *names: str, kind: str = "meter") -> None:
        """Make one record for each name, in one turn."""
        with self.turn:
            for name in names:
                self.outbox.record(kind, name, {"n": name})

    def message(
        self,
        action: str,
        failed: Callable[[CallFailed], None] = lambda error: None,
        replied: Callable[[Any], None] = lambda answer: None,
        **options: Any,
    ) -> None:
        """Hand an urgent message over, in a turn of its own."""
        with self.turn:
            self.outbox.send(action, {}, replied, failed, **options)

    def answer(self, payload: Any = None) -> None:
        """The other side answers the CALL in flight."""
        assert self.session.outstanding is not None
        self.receive([3, self.session.outstanding.message_id, payload])

    def refuse(self, code: str = "GenericError") -> None:
        """The other side refuses the CALL in flight."""
        assert self.session.outstanding is not None
        self.receive([4, self.session.outstanding.message_id, code, "", {}])

    def calls(self) -> list[str]:
        """What was sent: the action, or for a record its name."""
        return [str(frame[3].get("facts", frame[2])) for frame in self.sent if frame[0] == 2]
