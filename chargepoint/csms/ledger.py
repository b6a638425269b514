"""What the central system remembers of transactions, and what it bills."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

Request = dict[str, Any]
"""A payload as it came over the wire, in its own spelling."""

METER_VALUES_KEPT = 5000
TRANSACTIONS_KEPT = 1000  # per station
_REQUESTS_KEPT = 50  # per transaction and kind


@dataclass(slots=True, eq=False)
class Transaction:
    """One transaction as the central system saw it.

    `starts` and `stops` hold every request that came, repeated ones included, up to 50 each; `stop` is the
    first one that was not refused. A transaction whose start never came has no `starts` and `connector_id`.
    """

    cp: str
    transaction_id: int
    connector_id: int | None = None
    id_tag_status: str = "Accepted"
    starts: list[Request] = field(default_factory=list)
    stops: list[Request] = field(default_factory=list)
    stop: Request | None = None
    meter_values: deque[Request] = field(default_factory=lambda: deque(maxlen=METER_VALUES_KEPT))
    meter_values_count: int = 0  # all that came; `meter_values` holds the newest of them

    @property
    def start(self) -> Request | None:
        """The first StartTransaction; None if it never came."""
        return self.starts[0] if self.starts else None

    @property
    def energy_wh(self) -> int | None:
        """What is billed: meterStop - meterStart, None until both are known."""
        if self.start is None or self.stop is None:
            return None
        return int(self.stop["meterStop"]) - int(self.start["meterStart"])

    @property
    def distinct_stops(self) -> list[Request]:
        """The stop records that came, without repetitions; more than one is the station's mistake."""
        distinct: list[Request] = []
        for stop in self.stops:
            if stop not in distinct:
                distinct.append(stop)
        return distinct

    def as_dict(self) -> dict[str, Any]:
        """The transaction as the control protocol writes it; what is not known is null."""
        start, stop = self.start or {}, self.stop or {}
        return {
            "cp": self.cp,
            "transaction_id": self.transaction_id,
            "connector": self.connector_id,
            "id_tag": start.get("idTag"),
            "id_tag_status": self.id_tag_status,
            "reservation_id": start.get("reservationId"),
            "started": start.get("timestamp"),
            "meter_start_wh": start.get("meterStart"),
            "stopped": stop.get("timestamp"),
            "meter_stop_wh": stop.get("meterStop"),
            "reason": (stop.get("reason") or "Local") if stop else None,
            "energy_wh": self.energy_wh,
            "meter_values": self.meter_values_count,
            "starts": self.starts,
            "stops": self.stops,
        }


class Ledger:
    """The transactions of one station, oldest first; beyond 1000 the oldest is forgotten."""

    __slots__ = ("_by_id", "_by_start", "_cp", "_meter_values_kept", "_next_id", "transactions")

    def __init__(self, cp: str, first_id: int = 1, meter_values_kept: int = METER_VALUES_KEPT) -> None:
        self._meter_values_kept = meter_values_kept  # per transaction
        self.transactions: deque[Transaction] = deque()
        self._cp = cp
        self._next_id = first_id
        # A list, because an answer set by hand may give one number to several transactions.
        self._by_id: dict[int, list[Transaction]] = {}
        self._by_start: dict[tuple[Any, ...], Transaction] = {}

    def start(self, request: Request) -> Transaction:
        """Note a StartTransaction; the same one sent again is the same transaction (OCPP 1.6 §4.8).

        The same: equal connectorId, idTag, meterStart and timestamp.
        """
        key = _start_key(request)
        transaction = self._by_start.get(key)
        if transaction is None:
            transaction = self._transaction(self._next_id, request["connectorId"])
            self._next_id += 1
            self._by_start[key] = transaction
            self._add(transaction)
        _keep(transaction.starts, request)
        return transaction

    def answered(self, transaction: Transaction, answer: Any) -> None:
        """The start of this transaction was answered with another payload than the usual one."""
        if not isinstance(answer, dict):
            return
        info = answer.get("idTagInfo")
        if isinstance(info, dict):
            transaction.id_tag_status = str(info.get("status"))
        new_id = answer.get("transactionId")
        if isinstance(new_id, int) and new_id != transaction.transaction_id:
            self._by_id[transaction.transaction_id].remove(transaction)
            transaction.transaction_id = new_id
            self._by_id.setdefault(new_id, []).append(transaction)

    def stop(self, request: Request, *, refused: bool = False) -> Transaction:
        """Note a StopTransaction; the first one not refused ends the transaction and fixes the bill."""
        transaction = self._of_stop(request)
        _keep(transaction.stops, request)
        if transaction.stop is None and not refused:
            transaction.stop = request
        return transaction

    def meter_values(self, request: Request) -> None:
        """Note the MeterValues of a transaction; those of none are not kept."""
        transaction_id = request.get("transactionId")
        if transaction_id is None:
            return
        candidates = self._candidates(transaction_id)
        connector_id = request["connectorId"]
        transaction = next((one for one in candidates if one.connector_id == connector_id), candidates[0])
        transaction.meter_values.append(request)
        transaction.meter_values_count += 1

    def _of_stop(self, request: Request) -> Transaction:
        """The transaction a stop belongs to: the one it was sent for before, else one that still runs."""
        candidates = self._candidates(request["transactionId"])
        for transaction in candidates:
            if request in transaction.stops:
                return transaction
        return next((one for one in candidates if one.stop is None), candidates[0])

    def _candidates(self, transaction_id: int) -> list[Transaction]:
        """The transactions of that number, newest first; if there is none, one never seen to start."""
        if not self._by_id.get(transaction_id):
            self._add(self._transaction(transaction_id, None))
        return self._by_id[transaction_id][::-1]

    def _transaction(self, transaction_id: int, connector_id: int | None) -> Transaction:
        kept: deque[Request] = deque(maxlen=self._meter_values_kept)
        return Transaction(self._cp, transaction_id, connector_id, meter_values=kept)

    def _add(self, transaction: Transaction) -> None:
        self.transactions.append(transaction)
        self._by_id.setdefault(transaction.transaction_id, []).append(transaction)
        if len(self.transactions) > TRANSACTIONS_KEPT:
            self._forget(self.transactions.popleft())

    def _forget(self, transaction: Transaction) -> None:
        same_id = self._by_id[transaction.transaction_id]
        same_id.remove(transaction)
        if not same_id:
            del self._by_id[transaction.transaction_id]
        if transaction.start is not None:
            self._by_start.pop(_start_key(transaction.start), None)


def _start_key(request: Request) -> tuple[Any, ...]:
    return request["connectorId"], request["idTag"], request["meterStart"], request["timestamp"]


def _keep(requests: list[Request], request: Request) -> None:
    if len(requests) < _REQUESTS_KEPT:
        requests.append(request)
