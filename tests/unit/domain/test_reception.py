"""Several connectors, one reader: who gets which, and who stops what (OCPP 1.6 §4.1, §5.11)."""

from __future__ import annotations

from typing import Any

import pytest

from hal.api import Fault, FaultKind
from tests.unit.ocpp16.bench import Bench


def ready(connectors: int = 2, **options: Any) -> Bench:
    bench = Bench(connectors, **options)
    bench.connect()
    return bench


def started(bench: Bench) -> list[tuple[int, str]]:
    return [(p["connectorId"], p["idTag"]) for p in bench.sent("StartTransaction")]


def stopped(bench: Bench) -> list[tuple[int, str]]:
    return [(p["transactionId"], p["idTag"]) for p in bench.sent("StopTransaction")]


def test_two_transactions_interleave_at_one_reader() -> None:
    bench = ready()
    bench.plug_in(1)
    bench.swipe("ANN")
    bench.plug_in(2)
    bench.swipe("BOB")
    assert started(bench) == [(1, "ANN"), (2, "BOB")]
    bench.advance(60)
    bench.swipe("ANN")
    assert stopped(bench) == [(1, "ANN")]
    assert bench.statuses(2)[-1] == "Charging"
    bench.swipe("BOB")
    assert stopped(bench) == [(1, "ANN"), (2, "BOB")]
    assert (bench.statuses(1)[-1], bench.statuses(2)[-1]) == ("Finishing", "Finishing")


def test_two_cards_first_then_two_cables() -> None:
    bench = ready()
    bench.swipe("ANN")
    bench.swipe("BOB")
    bench.plug_in(2)
    bench.plug_in(1)
    assert started(bench) == [(2, "ANN"), (1, "BOB")]


def test_a_card_twice_leaves_the_queue() -> None:
    bench = ready()
    bench.swipe("ANN")
    bench.swipe("BOB")
    bench.swipe("ann")
    bench.plug_in(2)
    assert started(bench) == [(2, "BOB")]


def test_nobody_waits_where_there_is_no_room() -> None:
    bench = ready()
    bench.charge("ANN", 1)
    bench.charge("BOB", 2)
    asked = len(bench.sent("Authorize"))
    bench.swipe("CAT")
    assert len(bench.sent("Authorize")) == asked
    bench.swipe("ANN")
    bench.plug_out(1)
    bench.plug_in(1)
    bench.advance(10)
    assert len(started(bench)) == 2


def test_waiting_ends_after_the_connection_time_out() -> None:
    bench = ready()
    bench.swipe("ANN")
    bench.advance(120)
    bench.plug_in(1)
    bench.advance(10)
    assert started(bench) == []


def test_a_cable_at_a_faulted_connector_is_served_when_the_fault_is_gone() -> None:
    bench = ready()
    bench.swipe("ANN")
    bench.evses[0].inject(Fault(FaultKind.OVER_TEMPERATURE))
    bench.plug_in(1)
    bench.advance(10)
    assert started(bench) == []
    bench.evses[0].clear()
    bench.advance(0)
    assert started(bench) == [(1, "ANN")]


def test_the_reader_of_a_connector_serves_that_one_only() -> None:
    bench = ready()
    bench.plug_in(1)
    bench.swipe("ANN", 2)
    assert started(bench) == []
    assert bench.statuses(2)[-1] == "Preparing"
    bench.plug_in(2)
    assert started(bench) == [(2, "ANN")]
    bench.swipe("ANN", 1)
    assert stopped(bench) == [], "the card of another connector's transaction starts one here"
    assert started(bench) == [(2, "ANN"), (1, "ANN")]


@pytest.mark.parametrize("connector", [1, None])
def test_a_second_person_at_a_claimed_connector_is_turned_away(connector: int | None) -> None:
    bench = ready(1)
    bench.swipe("ANN", connector)
    bench.swipe("BOB", connector)
    bench.plug_in()
    assert started(bench) == [(1, "ANN")]


def test_the_group_at_one_reader_stops_rather_than_starts() -> None:
    bench = ready()
    bench.csms.answers["Authorize"] = lambda payload: {
        "idTagInfo": {"status": "Accepted", "parentIdTag": "FAMILY"}
    }
    bench.charge("ANN", 1)
    bench.plug_in(2)
    bench.swipe("BOB")
    assert stopped(bench) == [(1, "BOB")]
    assert started(bench) == [(1, "ANN")]
    bench.swipe("BOB")
    assert started(bench) == [(1, "ANN"), (2, "BOB")]
