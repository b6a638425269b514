"""Transactions on the wire: what is stored for delivery, what the answers mean, remote start and stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from ocpp.v16 import call, call_result
from ocpp.v16.enums import RemoteStartStopStatus

from chargepoint.domain import ending
from chargepoint.domain.authorization import UNREADABLE, Authorizer, IdTagInfo
from chargepoint.domain.connector import Connector
from chargepoint.domain.connectors import Connectors
from chargepoint.domain.ports import Document
from chargepoint.domain.transaction import KIND, Transaction
from chargepoint.ocpp16.core.meter_values import MeterValues, forget_gathered, shift_gathered
from chargepoint.ocpp16.messages import RECORDS, id_tag_info, shifted
from chargepoint.ocpp16.smart_charging import Raw, SmartCharging
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.records import Record
from chargepoint.rpc.session import INVALID_ANSWER, CallFailed
from hal.api import MeterReading

KEPT_TRANSACTIONS = 5_000
"""How many ended transactions a durable store remembers for the person who bills without a backend."""


class Ledger(Protocol):
    """Who wants to hear how transactions come along."""

    @property
    def accepted(self) -> bool:
        """The central system accepted this station, and there is a link."""

    def transaction_changed(self, transaction: Transaction, phase: str) -> None:
        """`phase` is started, confirmed, stopped or delivered."""

    def complain(self, message: str) -> None:
        """Something the operator should know."""


class Transactions:
    """StartTransaction, MeterValues and StopTransaction as records, and everything that answers them."""

    __slots__ = ("_connectors", "_ended", "_ledger", "_meter_values", "_outbox", "authorizer")

    def __init__(
        self,
        connectors: Connectors,
        outbox: Outbox,
        meter_values: MeterValues,
        authorizer: Authorizer,
        ledger: Ledger,
    ) -> None:
        self._connectors = connectors
        self._outbox = outbox
        self._meter_values = meter_values
        self._ledger = ledger
        self.authorizer = authorizer
        self._ended: dict[str, Transaction] | None = None  # ended, with records that wait for delivery

    # --- from the domain ----------------------------------------------------------------------------

    def started(self, connector: Connector, transaction: Transaction, reading: MeterReading) -> None:
        """Store StartTransaction for delivery."""
        self._outbox.record(
            "start",
            transaction.key,
            {
                "connector": transaction.connector,
                "id_tag": transaction.id_tag,
                "meter_start_wh": transaction.meter_start_wh,
                "at": transaction.started_at,
                "reservation_id": transaction.reservation_id,
            },
        )
        self._meter_values.started(connector, transaction, reading)
        self._ledger.transaction_changed(transaction, "started")

    def stopped(self, connector: Connector, transaction: Transaction, reading: MeterReading | None) -> None:
        """Store StopTransaction for delivery."""
        data = self._meter_values.stopped(connector, transaction, reading)
        self._outbox.record(
            "stop",
            transaction.key,
            {
                "meter_stop_wh": transaction.meter_stop_wh,
                "at": transaction.stopped_at,
                "reason": transaction.reason,
                "id_tag": transaction.stopping_tag,
                "data": data,
            },
        )
        if self._ended is None:
            self._ended = {}
        self._ended[transaction.key] = transaction
        self._ledger.transaction_changed(transaction, "stopped")

    def forgotten(self, transaction: Transaction) -> None:
        """It never was: nothing of it will be sent."""
        self._outbox.forget(transaction.key)
        forget_gathered(self._connectors, transaction)
        self._ledger.complain("a transaction could not be stored and did not start")

    def shift(self, by_s: float) -> None:
        """What happened since this start of the station was told in a guessed time: `by_s` puts it right."""
        self._outbox.revise(lambda record: shifted(record.facts, by_s))
        store, started = self._connectors.store, f"{self._connectors.boot:08d}-"
        for key in [key for key, _ in store.items(KIND) if key.startswith(started)]:
            transaction = self._find(key)
            if transaction is not None:
                transaction.shift(by_s)
                self._connectors.save(transaction)
                shift_gathered(self._connectors, transaction, by_s)

    # --- delivery -----------------------------------------------------------------------------------

    def render(self, record: Record) -> tuple[str, Any]:
        """Action and payload of a record with the transaction id known by now."""
        action, write = RECORDS[record.kind]
        inside = record.transaction_key is not None
        return action, write(record.facts, self._find(record.transaction_key), inside)

    def answered(self, record: Record, answer: dict[str, Any]) -> None:
        """The central system has a record."""
        transaction = self._find(record.transaction_key)
        info = id_tag_info(answer)
        if record.kind == "start" and transaction is not None:
            self._confirmed(transaction, int(answer["transactionId"]), info)
        elif record.kind == "stop" and transaction is not None:
            if info is not None and record.facts.get("id_tag"):
                self.authorizer.learn(record.facts["id_tag"], info)
            self._delivered(transaction)

    def given_up(self, record: Record, error: CallFailed) -> None:
        """The central system refused a record as often as allowed (§3.7.1, errata 3.18)."""
        action = RECORDS[record.kind][0]
        self._ledger.complain(f"{action} was given up after {record.attempts} attempts: {error}")
        transaction = self._find(record.transaction_key)
        if record.kind == "stop" and transaction is not None:
            self._forget_ended(transaction)

    def _confirmed(self, transaction: Transaction, csms_id: int, info: IdTagInfo | None) -> None:
        transaction.csms_id = csms_id
        if info is not None:
            self.authorizer.learn(transaction.id_tag, info)
            if info.parent is not None:
                transaction.parent = info.parent
            if info.status != "Accepted":
                transaction.deauthorized = True
        self._connectors.save(transaction)
        self._ledger.transaction_changed(transaction, "confirmed")
        if transaction.stopped_at is None:
            self._connectors.turn.settle(self._connectors[transaction.connector])

    def _delivered(self, transaction: Transaction) -> None:
        transaction.delivered_at = self._connectors.time.utc()
        self._ledger.transaction_changed(transaction, "delivered")
        self._forget_ended(transaction)

    def _forget_ended(self, transaction: Transaction) -> None:
        if self._ended is not None:
            self._ended.pop(transaction.key, None)
        if self._connectors.store.durable:
            self._connectors.save(transaction)
        else:
            self._connectors.store.delete(KIND, transaction.key)

    def _find(self, key: str | None) -> Transaction | None:
        """The transaction of a record: running, ended a while ago, or only remembered by the store."""
        if key is None:
            return None
        for connector in self._connectors.all:
            if connector.transaction is not None and connector.transaction.key == key:
                return connector.transaction
        if self._ended is None:
            self._ended = {}
        if key not in self._ended:
            document = self._connectors.store.get(KIND, key)
            if document is None:
                return None
            self._ended[key] = Transaction.from_document(document)
        return self._ended[key]

    # --- after a start of the station ---------------------------------------------------------------

    def recover(self) -> None:
        """End, or resume, what ran when the power went (OCPP 1.6 §4.8)."""
        documents = [document for _, document in self._connectors.store.items(KIND)]
        if documents:
            self._bring_back(documents)
        self._outbox.recalled()
        resumed = [c.transaction.key for c in self._connectors.all if c.transaction is not None]
        self._connectors.limiter.book.keep_transactions(resumed)

    def _bring_back(self, documents: list[Document]) -> None:
        running = [Transaction.from_document(d) for d in documents if d["stopped_at"] is None]
        # those whose connector is gone first: the one they end on in its stead may have its own to resume
        for transaction in sorted(running, key=lambda t: t.connector <= len(self._connectors.all)):
            self._recover(transaction)
        waiting = {record.transaction_key for record in self._outbox.records()}
        done = [d["key"] for d in documents if d["stopped_at"] is not None and d["key"] not in waiting]
        for key in done[:-KEPT_TRANSACTIONS]:
            self._connectors.store.delete(KIND, key)

    def _recover(self, transaction: Transaction) -> None:
        try:
            connector = self._connectors[transaction.connector]
            reading = connector.reading()
        except KeyError:
            self._ledger.complain(f"connector {transaction.connector} of a transaction is gone: it ends")
            connector, reading = self._connectors.all[0], None
        resumes = self._connectors.behaviour.resume_tx_after_power_loss and transaction.running
        if resumes and connector.connected and connector.id == transaction.connector:
            connector.transaction = transaction
            self._meter_values.resumed(connector, transaction)
            return
        if transaction.stopping_at is None:
            transaction.stopping_at = max(transaction.last_at or 0.0, transaction.started_at)
            transaction.stopping_reason = "PowerLoss"
        connector.transaction = transaction
        if connector.evse.closed and connector.id == transaction.connector:
            ending.await_last_reading(connector)  # energy flows, and nobody could end that yet
        else:
            ending.end(connector, reading)

    # --- remote start and stop ----------------------------------------------------------------------

    def on_remote_start_transaction(
        self, request: call.RemoteStartTransaction, accepted: bool, smart_charging: SmartCharging | None
    ) -> call_result.RemoteStartTransaction:
        """Will try, or why not (OCPP 1.6 §5.11)."""
        connector_id = request.connector_id
        rejected = call_result.RemoteStartTransaction(status=RemoteStartStopStatus.rejected)
        reception = self._connectors.reception
        if not accepted or not reception.remote_start_possible(request.id_tag, connector_id):
            return rejected
        profile = None
        if request.charging_profile is not None and smart_charging is not None:
            profile = smart_charging.check_remote_start_profile(cast(Raw, request.charging_profile))
            if profile is None:
                return rejected
        reception.remote_start(request.id_tag, connector_id, profile)
        return call_result.RemoteStartTransaction(status=RemoteStartStopStatus.accepted)

    def on_remote_stop_transaction(
        self, request: call.RemoteStopTransaction, accepted: bool
    ) -> call_result.RemoteStopTransaction:
        """Stop the transaction of that number, if it runs (OCPP 1.6 §5.12)."""
        for connector in self._connectors.all:
            transaction = connector.transaction
            if (
                accepted
                and transaction is not None
                and transaction.running
                and transaction.csms_id == request.transaction_id
            ):
                connector.stop_asked("Remote")
                return call_result.RemoteStopTransaction(status=RemoteStartStopStatus.accepted)
        return call_result.RemoteStopTransaction(status=RemoteStartStopStatus.rejected)


class Authorize:
    """Authorize.req as the domain's question to the authority (`domain.authorization.Authority`)."""

    __slots__ = ("_ledger", "_outbox")

    def __init__(self, outbox: Outbox, ledger: Ledger) -> None:
        self._outbox = outbox
        self._ledger = ledger

    @property
    def online(self) -> bool:
        """The central system can be asked."""
        return self._ledger.accepted and self._outbox.online

    def ask(self, id_tag: str, answered: Callable[[IdTagInfo | None], None]) -> None:
        """Ask; None means that there was no answer: decide as if offline. An unreadable answer refuses."""
        self._outbox.send(
            "Authorize",
            {"idTag": id_tag},
            lambda answer: answered(id_tag_info(answer)),
            lambda error: answered(UNREADABLE if error.code == INVALID_ANSWER else None),
        )
