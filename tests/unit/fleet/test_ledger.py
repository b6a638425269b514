"""What the central system has of each transaction, with one that loses, doubles and mixes them up."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from chargepoint.domain.transaction import Transaction
from chargepoint.fleet.measures.entry import COLUMNS
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.verdict.outcome import called
from tests.unit.fleet.observed import Observed

ACCEPTED = {"status": "Accepted"}


def test_a_transaction_from_start_to_end() -> None:
    bench = Observed()
    bench.connect()
    bench.visit("04E1")
    [entry] = bench.statistics.ledger
    assert (entry.station, entry.connector, entry.id_tag) == ("CP001", 1, "04E1")
    assert (entry.transaction_id, entry.phase, entry.verdict) == (1, "delivered", "ok")
    assert entry.meter_stop_wh is not None
    assert entry.meter_stop_wh > entry.meter_start_wh
    assert (entry.reason, entry.start_attempts, entry.stop_attempts) == ("EVDisconnected", 1, 1)
    totals = bench.statistics.ledger.totals()
    assert (totals.made, totals.confirmed, totals.stopped, totals.delivered) == (1, 1, 1, 1)
    assert (totals.missing, totals.doubled, totals.lost) == (0, 0, 0)


def test_while_it_runs_nothing_is_missing_but_what_was_not_confirmed() -> None:
    bench = Observed()
    bench.connect()
    bench.charge()
    [entry] = bench.statistics.ledger
    assert entry.verdict == "running"
    bench.disconnect()
    bench.plug_out()
    bench.advance(10)
    assert (entry.phase, entry.verdict) == ("stopped", "missing")
    bench.connect()
    bench.advance(10)
    assert (entry.phase, entry.verdict) == ("delivered", "ok")


class TestSaboteur:
    """A central system that keeps one record twice and loses another is named, transaction by transaction."""

    def test_one_stop_lost(self) -> None:
        bench = Observed(ocpp={"TransactionMessageAttempts": "1"})
        bench.answers("StopTransaction", "InternalError")
        bench.connect()
        bench.visit("LOST")
        bench.visit("FINE")
        ledger = bench.statistics.ledger
        assert [entry.id_tag for entry in ledger.missing()] == ["LOST"]
        assert ledger.missing()[0].given_up == "StopTransaction was given up: InternalError"
        assert (ledger.totals().lost, ledger.totals().missing) == (1, 1)

    def test_one_start_lost(self) -> None:
        bench = Observed(ocpp={"TransactionMessageAttempts": "1"})
        bench.answers("StartTransaction", "InternalError")
        bench.connect()
        bench.visit("LOST")
        [entry] = bench.statistics.ledger
        assert (entry.transaction_id, entry.verdict) == (None, "missing")
        assert bench.statistics.ledger.totals().lost == 1

    def test_a_start_kept_twice_because_it_was_answered_too_late(self) -> None:
        bench = Observed()
        bench.answers("StartTransaction", None, {"transactionId": 8, "idTagInfo": ACCEPTED})
        bench.connect()
        bench.plug_in()
        bench.swipe("TWICE")
        bench.advance(200)
        first = self.ids(bench)[0]
        bench.csms.say([3, first, {"transactionId": 7, "idTagInfo": ACCEPTED}])
        bench.advance(0)
        [entry] = bench.statistics.ledger.doubled()
        assert (entry.id_tag, entry.transaction_id, entry.other_ids) == ("TWICE", 8, [7])
        assert entry.verdict == "doubled"
        assert bench.statistics.ledger.totals().doubled == 1

    def test_a_start_kept_twice_whose_first_answer_overtook_the_second(self) -> None:
        bench = Observed()
        bench.answers("StartTransaction", None, None)
        bench.connect()
        bench.plug_in()
        bench.swipe("TWICE")
        while len(self.ids(bench)) < 2:
            bench.advance(1)
        for message_id, number in zip(self.ids(bench), (7, 8), strict=True):
            bench.csms.say([3, message_id, {"transactionId": number, "idTagInfo": ACCEPTED}])
        bench.advance(0)
        [entry] = bench.statistics.ledger.doubled()
        assert (entry.transaction_id, entry.other_ids) == (7, [8])

    def test_the_same_number_said_twice_is_right(self) -> None:
        bench = Observed()
        bench.connect()
        bench.charge()
        bench.csms.say([3, self.ids(bench)[0], {"transactionId": 1, "idTagInfo": ACCEPTED}])
        bench.advance(0)
        assert bench.statistics.ledger.doubled() == []

    def test_one_number_for_two_transactions(self) -> None:
        bench = Observed()
        same = {"transactionId": 5, "idTagInfo": ACCEPTED}
        bench.answers("StartTransaction", same, same)
        bench.connect()
        bench.visit("ONE")
        bench.visit("OTHER")
        one, other = bench.statistics.ledger.doubled()
        assert (one.id_tag, other.id_tag) == ("ONE", "OTHER")
        assert one.shared_with == f"CP001/{other.key}"
        assert other.shared_with == f"CP001/{one.key}"

    @staticmethod
    def ids(bench: Observed) -> list[str]:
        return [f[1] for way, f in bench.csms.frames if way == "tx" and f[2] == "StartTransaction"]


def test_starts_that_are_refused_may_share_a_number() -> None:
    statistics = Statistics()
    for id_tag in ("ONE", "OTHER"):
        bench = Observed(statistics)
        bench.answers("StartTransaction", {"transactionId": 0, "idTagInfo": {"status": "Invalid"}})
        bench.connect()
        bench.visit(id_tag)
    assert [entry.transaction_id for entry in statistics.ledger] == [0, 0]
    assert statistics.ledger.doubled() == []


@pytest.mark.parametrize("one_numbering", [True, False], ids=["one count", "one count a station"])
def test_numbers_are_compared_over_processes(one_numbering: bool) -> None:
    parts: list[dict[str, Any]] = []
    for _ in range(2):
        bench = Observed(Statistics(Ledger(one_numbering=one_numbering)))
        bench.connect()
        bench.visit()
        [entry] = bench.statistics.ledger
        entry.station = f"CP{len(parts)}"
        parts.append(json.loads(json.dumps(bench.statistics.ledger.to_json())))
    whole = Ledger.merged(parts, one_numbering=one_numbering)
    assert len(whole.doubled()) == (2 if one_numbering else 0)
    assert whole.totals().made == 2


def test_a_station_that_came_back_elsewhere_without_memory_is_another_life() -> None:
    parts = []
    for number in (1, 2):
        bench = Observed()
        bench.answers("StartTransaction", {"transactionId": number, "idTagInfo": ACCEPTED})
        bench.connect()
        bench.visit()
        parts.append(bench.statistics.ledger.to_json())
    whole = Ledger.merged(parts)
    assert [entry.transaction_id for entry in whole] == [1, 2]
    assert len({entry.key for entry in whole}) == 2


def test_memory_is_bounded_and_what_is_wrong_stays() -> None:
    left: list[str] = []
    ledger = Ledger(most_kept=5, leaves=lambda entry: left.append(entry.id_tag))
    bench = Observed(Statistics(ledger), ocpp={"TransactionMessageAttempts": "1"})
    bench.answers("StopTransaction", "InternalError")
    bench.connect()
    for number in range(20):
        bench.visit(f"TAG{number}")
    assert len(ledger) <= 5
    assert [entry.id_tag for entry in ledger.missing()] == ["TAG0"]
    assert left[:2] == ["TAG1", "TAG2"]
    assert ledger.totals().made == 20
    assert Ledger.from_json(ledger.to_json()).totals() == ledger.totals()


def test_when_the_run_is_over_what_is_missing_is_lost() -> None:
    bench = Observed()
    bench.connect()
    bench.charge()
    bench.disconnect()
    bench.plug_out()
    bench.advance(10)
    assert bench.statistics.ledger.totals().lost == 0
    bench.statistics.close()
    assert bench.statistics.ledger.totals().lost == 1


def test_what_the_end_of_the_run_cut_short_says_so() -> None:
    bench = Observed(ocpp={"TransactionMessageAttempts": "1"})
    bench.answers("StartTransaction", "InternalError")
    bench.connect()
    bench.charge()
    bench.disconnect()
    bench.plug_out()
    bench.advance(10)
    [entry] = bench.statistics.ledger
    assert (entry.verdict, entry.note) == ("missing", "StartTransaction was given up: InternalError")
    bench.statistics.close()
    assert entry.note == "StartTransaction was given up: InternalError; the run ended first"
    assert called(entry).endswith("InternalError; its end was not acknowledged: the run ended first")


def test_what_was_given_up_was_not_cut_short() -> None:
    bench = Observed(ocpp={"TransactionMessageAttempts": "1"})
    bench.answers("StopTransaction", "InternalError")
    bench.connect()
    bench.visit("LOST")
    bench.statistics.close()
    [entry] = bench.statistics.ledger
    assert (entry.verdict, entry.note) == ("missing", "StopTransaction was given up: InternalError")


def test_a_transaction_of_before_this_process_brings_its_number() -> None:
    ledger = Ledger()
    ledger.changed(
        "CP001", Transaction("old", 1, "TAG", None, 1000.0, 0, csms_id=7, stopped_at=2000.0), "stopped"
    )
    [entry] = ledger
    assert entry.transaction_id == 7


def test_the_table_has_a_row_for_each() -> None:
    bench = Observed()
    same = {"transactionId": 5, "idTagInfo": ACCEPTED}
    bench.answers("StartTransaction", same, same)
    bench.connect()
    bench.visit("ONE")
    bench.visit("OTHER")
    text = io.StringIO()
    bench.statistics.ledger.write_csv(text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["id_tag"], row["verdict"], row["transaction_id"]) for row in rows] == [
        ("ONE", "doubled", "5"),
        ("OTHER", "doubled", "5"),
    ]
    assert rows[1]["note"] == f"same id as CP001/{rows[0]['key']}"
