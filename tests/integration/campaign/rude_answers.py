"""A rude central system: the embedded one, whose answers a plan changes CALL by CALL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from chargepoint.csms.answers import Answer, Answers
from chargepoint.ocpp16.times import format_time, parse_time
from tests.integration.station_process import START

KINDS = (
    "BootNotification",
    "Authorize",
    "StartTransaction",
    "MeterValues",
    "StopTransaction",
    "StatusNotification",
    "Heartbeat",
)
"""The messages a session is made of."""

HEARTBEAT_S = 15
OFTEN_S = 4  # between two samples, so that the clock moves in the middle of sessions
LATE_S = 1.3
"""Longer than the MessageTimeout of 1 s."""


class Manner(StrEnum):
    """How a CALL can be answered other than well."""

    ERROR = "CALLERROR"
    SILENCE = "silence"
    LATE = "late answer"
    NONSENSE = "nonsense"
    PENDING = "pending"
    REJECTED = "rejected"
    NO_INTERVAL = "interval 0"


class RudeAnswers(Answers):
    """Answers by plan: (action, which of its CALLs, from 1) -> manner; `hours` are steps of the clock."""

    __slots__ = ("_hours", "_taken", "done", "plan")

    def __init__(self, plan: Mapping[tuple[str, int], Manner], hours: list[float]) -> None:
        super().__init__()
        self.plan = plan
        self.done: Counter[str] = Counter()
        self._taken: Counter[str] = Counter()
        self._hours = hours

    def calm(self) -> None:
        """From now on this is a good central system, whose clock goes on as it did."""
        self.plan = {}

    def take(self, action: str, cp: str, payload: Any) -> Answer | None:
        if (answer := super().take(action, cp, payload)) is not None:
            return answer
        self._taken[action] += 1
        manner = self.plan.get((action, self._taken[action]))
        if manner is not None:
            self.done[f"{manner} to {action}" if manner in _ANY else manner] += 1
        match manner:
            case Manner.ERROR:
                return Answer(error="InternalError")
            case Manner.SILENCE:
                return Answer(silent=True)
            case Manner.NONSENSE:
                return Answer(payload={"nonsense": True})
        delay_s = LATE_S if manner is Manner.LATE else 0.0
        if action == "BootNotification":
            return Answer(payload=self._boot(manner), delay_s=delay_s)
        if action == "Heartbeat":
            return Answer(payload={"currentTime": self._now()}, delay_s=delay_s)
        return Answer(delay_s=delay_s) if delay_s else None

    def _boot(self, manner: Manner | None) -> dict[str, Any]:
        status = manner.capitalize() if manner in (Manner.PENDING, Manner.REJECTED) else "Accepted"
        interval_s = OFTEN_S if self._hours else HEARTBEAT_S
        if manner is Manner.NO_INTERVAL:
            interval_s = 0
        return {"status": status, "interval": interval_s, "currentTime": self._now()}

    def _now(self) -> str:
        """The time, which may be any; a station on a stepped clock follows it only where it was told to."""
        hours = 0.0
        if self._hours:
            # Never the same moment twice: each step must be told from a sample at a wrong time.
            hours = self._hours[0] + self.done["clock step"] * 0.05
            self._hours.append(self._hours.pop(0))
            self.done["clock step"] += 1
        return format_time(parse_time(START) + 86_400 + hours * 3600)


_ANY = frozenset({Manner.ERROR, Manner.SILENCE, Manner.LATE, Manner.NONSENSE})
