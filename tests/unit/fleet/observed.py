"""A station whose observer is a fleet's statistics, on a stepped clock at a central system in memory."""

from __future__ import annotations

from typing import Any

from chargepoint.fleet.measures.statistics import Statistics
from tests.unit.ocpp16.bench import Answer, Bench


class Observed(Bench):
    """`statistics` counts what it does; several may share one."""

    def __init__(self, statistics: Statistics | None = None, **others: Any) -> None:
        self.observer: Statistics = statistics or Statistics()
        super().__init__(**others)

    @property
    def statistics(self) -> Statistics:
        return self.observer

    def answers(self, action: str, *given: Answer) -> None:
        """The next answers to `action`, one after the other, then the usual ones; None is silence."""
        left = list(given)

        def answer(payload: dict[str, Any]) -> Answer:
            return left.pop(0) if left else self.csms.usual(action)(payload)

        self.csms.answers[action] = answer

    def visit(self, id_tag: str = "TAG") -> None:
        """Charge for a while and leave."""
        self.charge(id_tag)
        self.advance(600)
        self.plug_out()
        self.advance(10)
