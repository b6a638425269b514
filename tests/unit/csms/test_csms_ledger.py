"""What is remembered of transactions: OCPP 1.6 §4.8, §4.10, errata 3.18."""

from __future__ import annotations

from typing import Any

from chargepoint.csms.ledger import METER_VALUES_KEPT, TRANSACTIONS_KEPT, Ledger


def start(n: int = 0, **changes: Any) -> dict[str, Any]:
    """The start of the n-th transaction."""
    return {
        "connectorId": 1,
        "idTag": "TAG",
        "meterStart": 1000 * n,
        "timestamp": f"2026-01-01T00:{n // 60 % 60:02}:{n % 60:02}Z",
        **changes,
    }


def stop(transaction_id: int, **changes: Any) -> dict[str, Any]:
    """A stop 500 Wh after the first start."""
    return {
        "transactionId": transaction_id,
        "meterStop": 500,
        "timestamp": "2026-01-01T01:00:00Z",
        "reason": "Local",
        **changes,
    }


def meter_values(transaction_id: int, connector_id: int = 1) -> dict[str, Any]:
    """MeterValues without values, which nobody looks at here."""
    return {"connectorId": connector_id, "transactionId": transaction_id, "meterValue": []}


def test_a_start_sent_again_is_the_same_transaction() -> None:
    ledger = Ledger("CP")
    first = ledger.start(start(1))
    second = ledger.start(start(2))
    again = ledger.start(start(1))
    assert again is first
    assert (first.transaction_id, second.transaction_id) == (1, 2)
    assert len(first.starts) == 2
    assert list(ledger.transactions) == [first, second]


def test_each_of_the_four_fields_makes_another_transaction() -> None:
    ledger = Ledger("CP", first_id=10)
    ids = [
        ledger.start(request).transaction_id
        for request in (
            start(),
            start(connectorId=2),
            start(idTag="OTHER"),
            start(meterStart=1),
            start(timestamp="2026-01-02T00:00:00Z"),
            start(reservationId=5),
        )
    ]
    assert ids == [10, 11, 12, 13, 14, 10]


def test_the_first_stop_fixes_the_bill_and_a_different_one_is_seen() -> None:
    ledger = Ledger("CP")
    transaction = ledger.start(start())
    assert transaction.energy_wh is None
    for request in (stop(1), stop(1), stop(1, meterStop=600)):
        assert ledger.stop(request) is transaction
    assert transaction.energy_wh == 500
    assert len(transaction.stops) == 3
    assert transaction.distinct_stops == [stop(1), stop(1, meterStop=600)]


def test_a_refused_stop_is_seen_but_bills_nothing() -> None:
    ledger = Ledger("CP")
    transaction = ledger.start(start())
    ledger.stop(stop(1, meterStop=300), refused=True)
    assert transaction.stop is None
    assert transaction.energy_wh is None
    ledger.stop(stop(1))
    assert transaction.energy_wh == 500
    assert len(transaction.distinct_stops) == 2


def test_a_stop_without_start_is_kept_and_bills_nothing() -> None:
    ledger = Ledger("CP")
    transaction = ledger.stop(stop(-1))
    assert (transaction.start, transaction.connector_id, transaction.energy_wh) == (None, None, None)
    assert ledger.start(start()).transaction_id == 1


def test_two_running_transactions_of_one_number_are_told_apart() -> None:
    ledger = Ledger("CP")
    left, right = ledger.start(start()), ledger.start(start(connectorId=2))
    for transaction in (left, right):
        ledger.answered(transaction, {"transactionId": 0, "idTagInfo": {"status": "Accepted"}})
    ledger.meter_values(meter_values(0, connector_id=1))
    assert (left.meter_values_count, right.meter_values_count) == (1, 0)
    first, second = ledger.stop(stop(0)), ledger.stop(stop(0, meterStop=700))
    assert {first, second} == {left, right}
    assert ledger.stop(stop(0)) is first


def test_another_answer_changes_number_and_status() -> None:
    ledger = Ledger("CP")
    transaction = ledger.start(start())
    ledger.answered(transaction, {"transactionId": 77, "idTagInfo": {"status": "Blocked"}})
    assert ledger.stop(stop(77)) is transaction
    assert transaction.id_tag_status == "Blocked"
    ledger.answered(transaction, ["rubbish"])
    assert transaction.transaction_id == 77


def test_meter_values_are_counted_and_the_newest_kept() -> None:
    ledger = Ledger("CP")
    transaction = ledger.start(start())
    for _ in range(METER_VALUES_KEPT + 1):
        ledger.meter_values(meter_values(1))
    ledger.meter_values({"connectorId": 1, "meterValue": []})
    assert transaction.meter_values_count == METER_VALUES_KEPT + 1
    assert len(transaction.meter_values) == METER_VALUES_KEPT


def test_the_oldest_transactions_are_forgotten() -> None:
    ledger = Ledger("CP")
    for n in range(TRANSACTIONS_KEPT + 1):
        ledger.start(start(n))
    assert len(ledger.transactions) == TRANSACTIONS_KEPT
    assert ledger.transactions[0].transaction_id == 2
    assert ledger.start(start(0)).transaction_id == TRANSACTIONS_KEPT + 2
