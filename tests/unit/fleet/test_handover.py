"""A ledger handed over while its shard runs: what is left of it when the worker is lost, and never twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chargepoint.fleet.cluster import handover
from chargepoint.fleet.cluster.handover import HandedOver, Outgoing, cut_off, open_in, without_resumed
from chargepoint.fleet.measures.entry import Entry
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.statistics import Statistics
from tests.unit.fleet.observed import Observed

WORKER = "tcp://10.0.0.7:4000"


class Line:
    """A shard's ledger, and who leads, with JSON between them."""

    def __init__(self, ledger: Ledger | None = None, **others: Any) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        self.outgoing = Outgoing(self.ledger)
        self.there = HandedOver()
        self.bench = Observed(Statistics(self.ledger), **others)
        self.bench.connect()

    def hand_over(self) -> list[list[Any]]:
        """As once a second; the rows of the message."""
        message = json.loads(json.dumps(self.outgoing.message()))
        self.there.take(message)
        self.outgoing.sent()
        rows: list[list[Any]] = message["rows"]
        return rows

    def lost(self) -> Ledger:
        """What the fleet has when the worker is gone."""
        return Ledger.merged([cut_off(self.there.ledger(), WORKER)])


def test_only_what_changed_is_handed_over() -> None:
    line = Line()
    line.bench.visit("ONE")
    assert len(line.hand_over()) == 1
    assert line.hand_over() == []
    line.bench.charge("TWO")
    assert [row[3] for row in line.hand_over()] == ["TWO"]


def test_what_is_there_in_the_end_is_what_the_shard_itself_has() -> None:
    line = Line(ocpp={"TransactionMessageAttempts": "1"})
    line.bench.answers("StopTransaction", "InternalError")
    for tag in ("LOST", "FINE", "FINE TOO"):
        line.bench.charge(tag)
        line.hand_over()
        line.bench.advance(600)
        line.bench.plug_out()
        line.bench.advance(10)
        line.hand_over()
    assert line.there.ledger()["transactions"] == line.ledger.to_json()["transactions"]


def test_what_was_open_is_told_apart_when_its_worker_is_lost() -> None:
    line = Line()
    line.bench.visit("ENDED")
    line.bench.charge("OPEN")
    line.hand_over()
    ledger = line.lost()
    ended, still_open = ledger
    assert (ended.verdict, still_open.verdict) == ("ok", "lost with a worker")
    assert still_open.note == f"worker {WORKER} was lost"
    assert not still_open.missing
    totals = ledger.totals()
    assert (totals.made, totals.missing, totals.lost, totals.lost_with_worker) == (2, 0, 1, 1)
    assert open_in(ledger.to_json()) == 1


def test_what_the_central_system_had_refused_is_not_the_workers_loss() -> None:
    line = Line(ocpp={"TransactionMessageAttempts": "1"})
    line.bench.answers("StopTransaction", "InternalError")
    line.bench.visit("LOST")
    line.hand_over()
    [entry] = line.lost()
    assert (entry.verdict, entry.lost_with) == ("missing", None)
    assert line.lost().totals().lost == 1


def test_a_message_that_went_nowhere_is_sent_again_and_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line()
    line.bench.visit("ONE")
    first = line.outgoing.message()
    line.there.take(first)  # it arrived, and who sent it does not know
    line.bench.visit("TWO")
    assert line.outgoing.message() is first
    line.there.take(first)
    line.outgoing.sent()
    line.hand_over()
    assert [entry.id_tag for entry in line.lost()] == ["ONE", "TWO"]


def test_many_at_once_go_in_several_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "MOST_AT_ONCE", 2)
    line = Line()
    for number in range(5):
        line.bench.visit(f"TAG{number}")
    assert [len(line.hand_over()) for _ in range(4)] == [2, 2, 1, 0]
    assert len(line.there) == 5


def test_a_station_that_began_anew_uses_its_names_again_and_nothing_is_taken_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The message is cut between a transaction that was renamed and the one that took its name."""
    monkeypatch.setattr(handover, "MOST_AT_ONCE", 1)
    line = Line()
    line.bench.visit("FIRST")
    line.hand_over()
    [first] = line.ledger
    anew = Observed(Statistics(line.ledger))
    anew.connect()
    anew.charge("SECOND")
    assert first.key.endswith("~1")
    line.hand_over()
    assert sorted(entry.id_tag for entry in line.lost()) == ["FIRST", "SECOND"]


def test_what_the_shard_does_not_keep_is_counted() -> None:
    line = Line(Ledger(most_kept=5))
    for number in range(20):
        line.bench.visit(f"TAG{number}")
        line.hand_over()
    assert len(line.there.ledger()["transactions"]) == len(line.ledger) <= 5
    assert line.lost().totals() == line.ledger.totals()


def part(*entries: Entry) -> dict[str, Any]:
    """A ledger that says no more."""
    left = Ledger().to_json()["left"]
    return {"finished": True, "left": left, "transactions": [one.to_json() for one in entries]}


def test_a_station_whose_storage_outlived_the_worker_has_one_transaction() -> None:
    before = Entry("CP1", 1, "00000001-000001", "TAG", 1000.0, 0, "confirmed", 7)
    after = Entry("CP1", 1, "00000001-000001", "TAG", 1000.0, 0, "delivered", 7, 2000.0, 500, delivered=True)
    ledgers = without_resumed([cut_off(part(before), WORKER), part(after)])
    [entry] = Ledger.merged(ledgers)
    assert entry.verdict == "ok"


def test_a_station_that_forgot_has_a_new_one() -> None:
    before = Entry("CP1", 1, "00000001-000001", "TAG", 1000.0, 0, "confirmed", 7)
    after = Entry("CP1", 1, "00000001-000001", "TAG", 1500.0, 0, "delivered", 8, 2000.0, 500, delivered=True)
    ledgers = without_resumed([cut_off(part(before), WORKER), part(after)])
    assert [entry.verdict for entry in Ledger.merged(ledgers)] == ["lost with a worker", "ok"]
