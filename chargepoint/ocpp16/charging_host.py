"""What smart charging sees of its station and may do to it."""

from __future__ import annotations

from collections.abc import Callable

from chargepoint.domain.connectors import Connectors
from chargepoint.domain.limits import Hardware, Maximum
from chargepoint.domain.profiles import ProfileBook
from chargepoint.domain.transaction import Transaction


class ChargingHost:
    """The `smart_charging.Host` of a charge point, made for each request; remembers nothing."""

    __slots__ = ("_connectors", "note")

    def __init__(self, connectors: Connectors, note: Callable[[str], None]) -> None:
        self._connectors = connectors
        self.note = note

    @property
    def book(self) -> ProfileBook:
        return self._connectors.limiter.book

    @property
    def count(self) -> int:
        return len(self._connectors.all)

    def utc(self) -> float:
        return self._connectors.time.utc()

    def hardware(self, connector_id: int) -> Hardware:
        return self._connectors[connector_id].hardware()

    def charging(self, connector_id: int) -> Transaction | None:
        transaction = self._connectors[connector_id].transaction
        return transaction if transaction is not None and transaction.running else None

    def charging_since(self, connector_id: int) -> float:
        charging = self._connectors[connector_id].charging()
        return self.utc() if charging is None else charging.started_at

    def installation(self, connector_id: int) -> Maximum | None:
        if self._connectors.site is None:
            return None
        charging = [transaction.connector for transaction in self._connectors.running()]
        return self._connectors.site.settings.expected(connector_id, self.count, charging)

    def profiles_changed(self) -> None:
        self._connectors.limiter.purge_later()
        self._connectors.turn.settle_all()
