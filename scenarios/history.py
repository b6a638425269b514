"""What happened at one station during a story: frames, CALLs with answers, statuses, limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from chargepoint.trace import redact

__all__ = ["Event", "Exchange", "Frame", "History", "LimitSeen", "Sample", "StatusSeen"]

STATION, CSMS = "station", "csms"


@dataclass(slots=True)
class Frame:
    """One text that passed over the link, without secrets."""

    t: float
    sender: str  # station or csms
    text: str
    at: float = 0.0


@dataclass(slots=True, eq=False)
class Exchange:
    """A CALL and, as soon as it is there, its answer. `taken`: an expectation was met by it."""

    cp: str
    sender: str
    action: str
    id: str
    t: float
    call: Frame
    reply: Frame | None = None
    taken: bool = False

    @property
    def request(self) -> Any:
        """The payload of the CALL."""
        return orjson.loads(self.call.text)[3]

    @property
    def response(self) -> Any:
        """The payload of the answer; None without one, or if it is a CALLERROR."""
        answer = self._answer()
        return answer[2] if answer is not None and answer[0] == 3 else None

    @property
    def error(self) -> str | None:
        """The code of the CALLERROR."""
        answer = self._answer()
        return str(answer[2]) if answer is not None and answer[0] == 4 else None

    def _answer(self) -> Any:
        return None if self.reply is None else orjson.loads(self.reply.text)

    def document(self) -> dict[str, Any]:
        """All of it, for expressions and paths."""
        return {
            "cp": self.cp,
            "action": self.action,
            "from": self.sender,
            "id": self.id,
            "t": self.t,
            "request": self.request,
            "response": self.response,
            "error": self.error,
            "answered_t": None if self.reply is None else self.reply.t,
        }


@dataclass(slots=True)
class StatusSeen:
    """A connector's new status."""

    t: float
    connector: int
    status: str
    error_code: str
    at: float = 0.0


@dataclass(slots=True)
class LimitSeen:
    """What a connector offers from now on."""

    t: float
    connector: int
    offered_a: float
    offered_w: float | None
    because: str
    at: float = 0.0


@dataclass(slots=True)
class Sample:
    """What a connector's meter shows at a moment."""

    at: float
    connector: int
    energy_wh: float | None
    power_w: float | None
    soc_percent: float | None
    offered_a: float
    current_a: float | None = None  # of the most loaded phase


@dataclass(slots=True, eq=False)
class Event:
    """Any other event of the control protocol, or `disturbance`."""

    t: float
    name: str
    fields: dict[str, Any]
    taken: bool = False
    at: float = 0.0


@dataclass(slots=True)
class Session:
    """What one connector's running or newest transaction began and ended with."""

    began_wh: float
    ended_wh: float | None = None


@dataclass(slots=True)
class History:
    """Everything, in the order in which it happened.

    `t` is what the station's own clock showed, which somebody may set; `at` is the time of the story.
    """

    cp: str
    frames: list[Frame] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    statuses: list[StatusSeen] = field(default_factory=list)
    limits: list[LimitSeen] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    sessions: dict[int, Session] = field(default_factory=dict)
    _open: dict[tuple[str, str], list[Exchange]] = field(default_factory=dict, repr=False)

    def add(self, t: float, at: float, event: str, fields: dict[str, Any]) -> None:
        """One event as a station tells its watchers."""
        if event == "ocpp":
            self._frame(t, at, STATION if fields["dir"] == "tx" else CSMS, fields["data"])
            return
        if event == "status":
            self.statuses.append(
                StatusSeen(t, fields["connector"], fields["status"], fields["error_code"], at)
            )
        elif event == "limit":
            self.limits.append(LimitSeen(t, **fields, at=at))
        elif event == "transaction":
            self._transaction(fields)
        self.events.append(Event(t, event, fields, at=at))

    def _transaction(self, fields: dict[str, Any]) -> None:
        connector, meter_wh = fields["connector"], fields["meter_wh"]
        if fields["phase"] == "started":
            self.sessions[connector] = Session(meter_wh or 0.0)
        elif fields["phase"] == "stopped" and connector in self.sessions:
            self.sessions[connector].ended_wh = meter_wh

    def _frame(self, t: float, at: float, sender: str, data: bytes) -> None:
        frame = Frame(t, sender, redact(data), at)
        self.frames.append(frame)
        try:
            message = orjson.loads(frame.text)
        except orjson.JSONDecodeError:
            return
        match message:
            case [2, str(unique_id), str(action), _]:
                exchange = Exchange(self.cp, sender, action, unique_id, t, frame)
                self.exchanges.append(exchange)
                self._open.setdefault((sender, unique_id), []).append(exchange)
            case [3, str(unique_id), _] | [4, str(unique_id), _, *_]:
                self._replied((CSMS if sender == STATION else STATION, unique_id), frame)

    def _replied(self, asked: tuple[str, str], reply: Frame) -> None:
        """Of CALLs with one id the newest is answered first: a doubled one is often refused at once."""
        if waiting := self._open.get(asked):
            waiting.pop().reply = reply
            if not waiting:
                del self._open[asked]
