"""Energy that flows after the stop, because nobody reaches the controller, is still the transaction's."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.ocpp16.times import parse_time
from hal.api import EvseInfo, Limit, MeterReading, MeterUnavailable
from hal.simulated.evse import SimulatedEvse
from tests.unit.ocpp16.bench import START, Bench


class Deaf(SimulatedEvse):
    """A controller that can fall silent, and goes on as it was then."""

    deaf = False
    missed: Limit | None = None
    unread: MeterUnavailable | None = None

    @property
    def closed(self) -> bool:
        return self.deaf or super().closed  # it was when it was heard last

    def permit(self, limit: Limit) -> None:
        if self.deaf:
            self.missed = limit
        else:
            super().permit(limit)

    def reading(self) -> MeterReading:
        if self.unread is not None:
            raise self.unread
        return super().reading()

    def hears(self) -> None:
        """It is reached again."""
        self.deaf = False
        if self.missed is not None:
            super().permit(self.missed)


class Unreachable(Bench):
    def evse(self, connector: int, info: EvseInfo) -> Deaf:
        return Deaf(info, self.clock)

    @property
    def board(self) -> Deaf:
        found = self.evses[0]
        assert isinstance(found, Deaf)
        return found

    def stopped(self) -> list[dict[str, Any]]:
        self.advance(0)
        return self.sent("StopTransaction")


@pytest.fixture
def bench() -> Unreachable:
    made = Unreachable()
    made.connect()
    made.charge()
    made.board.deaf = True
    made.swipe("TAG")
    return made


def register(bench: Unreachable) -> int:
    return int(SimulatedEvse.reading(bench.board).energy_wh)


def test_it_goes_on_until_the_contactor_is_open(bench: Unreachable) -> None:
    swiped_wh = register(bench)
    bench.advance(600)
    assert bench.stopped() == []
    bench.board.hears()
    (stop,) = bench.stopped()
    assert stop["meterStop"] == register(bench) > swiped_wh + 500
    assert stop["reason"] == "Local"
    assert parse_time(stop["timestamp"]) - START == pytest.approx(610, abs=1.5), "it lasted that long"


def test_it_ends_10_s_after_the_meter_saw_the_last_of_it(bench: Unreachable) -> None:
    bench.advance(100)
    bench.board.adjust(draws=False)
    bench.advance(9)
    assert bench.stopped() == []
    bench.advance(3)
    (stop,) = bench.stopped()
    assert stop["meterStop"] == register(bench)
    assert parse_time(stop["timestamp"]) - START == pytest.approx(110, abs=1.5)


def test_what_the_meter_told_last_is_billed_when_it_falls_silent_too(bench: Unreachable) -> None:
    bench.advance(125)
    last_wh = register(bench)
    bench.board.unread = MeterUnavailable("silent")
    bench.advance(12)
    (stop,) = bench.stopped()
    assert last_wh - 5 <= stop["meterStop"] <= last_wh
    assert register(bench) > last_wh, "which nobody can know"


def test_a_power_cut_meanwhile_changes_nothing(bench: Unreachable) -> None:
    bench.advance(100)
    bench.restart()
    bench.connect()
    bench.advance(100)
    assert bench.board.closed
    assert bench.stopped() == []
    bench.board.hears()
    (stop,) = bench.stopped()
    assert stop["meterStop"] == register(bench)
    assert stop["reason"] == "Local"


def test_a_transaction_that_a_power_cut_ended_waits_for_an_open_contactor_too() -> None:
    bench = Unreachable()
    bench.connect()
    bench.charge()
    bench.board.deaf = True
    bench.restart()
    bench.connect()
    bench.advance(300)
    assert bench.stopped() == []
    bench.board.hears()
    (stop,) = bench.stopped()
    assert (stop["reason"], stop["meterStop"]) == ("PowerLoss", register(bench))
