"""A bench whose store and hardware notice what must never happen, at the moment it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chargepoint.domain.ports import Document
from chargepoint.store import MemoryStore
from hal.api import NOTHING, EvseInfo, EvseListener, Limit, MeterReading
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from tests.unit.ocpp16.bench import Bench


class WitnessStore(MemoryStore):
    """Knows what is committed: which transactions, and how many start and stop records each ever had."""

    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.transactions: dict[str, Document] = {}
        self.records: dict[str, dict[str, set[str]]] = {}
        self._written: list[tuple[str, str, Document]] = []

    def put(self, kind: str, key: str, document: Document) -> None:
        super().put(kind, key, document)
        self._written.append((kind, key, document))

    def commit(self) -> None:
        super().commit()
        written, self._written = self._written, []
        for kind, key, document in written:
            if kind == "transaction":
                self.transactions[key] = document
            elif kind == "record" and document["kind"] in ("start", "stop"):
                records = self.records.setdefault(document["transaction"], {"start": set(), "stop": set()})
                records[document["kind"]].add(key)

    def running(self, connector: int) -> list[Document]:
        """Committed transactions of a connector of which no stop was noted."""
        return [transaction for transaction in self.open(connector) if transaction["stopping_at"] is None]

    def open(self, connector: int) -> list[Document]:
        """Committed transactions of a connector that run or are ending."""
        return [
            transaction
            for transaction in self.transactions.values()
            if transaction["connector"] == connector and transaction["stopped_at"] is None
        ]


class WitnessEvse:
    """Simulated hardware at the end of a line, and a witness of what it is told.

    It notices wishes that must not be made even where the simulated interlock would hide them. With a `lag_s`
    wishes are carried out, and changes seen, that much later; a reading may be `meter_lag_s` old.
    """

    def __init__(
        self, hardware: SimulatedEvse, clock: SteppedClock, lag_s: float, meter_lag_s: float = 0.0
    ) -> None:
        self.hardware = hardware
        self.listener: EvseListener | None = None
        self.wished = NOTHING
        self.check: Callable[[WitnessEvse, Limit], None] = lambda evse, limit: None
        self.violations: list[str] = []
        self._clock = clock
        self._lag_s = lag_s
        self._meter_lag_s = meter_lag_s
        self._due = False
        self._lock: bool | None = None
        self._reading = hardware.reading()
        self._look()
        hardware.listener = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hardware, name)

    def _look(self) -> None:
        it = self.hardware
        self.info = it.info
        self.pilot, self.plugged, self.closed, self.locked, self.faults = (
            it.pilot,
            it.plugged,
            it.closed,
            it.locked,
            it.faults,
        )

    def evse_changed(self) -> None:
        """hal.api.EvseListener of the hardware."""
        if not self._lag_s:
            self._poll()
        elif not self._due:
            self._due = True
            self._clock.call_at(self._clock.now() + self._lag_s, self._poll)

    def _poll(self) -> None:
        self._due = False
        if self._lag_s:
            self.hardware.permit(self.wished)
            if self._lock is not None:
                wanted, self._lock = self._lock, None
                self.hardware.lock(wanted)
        self._look()
        if self.listener is not None:
            self.listener.evse_changed()

    def permit(self, limit: Limit) -> None:
        """hal.api.Evse."""
        self.wished = limit
        self.check(self, limit)
        if self._lag_s:
            self.evse_changed()
        else:
            self.hardware.permit(limit)

    def lock(self, wanted: bool) -> None:
        """hal.api.Evse."""
        if not wanted and self.closed:
            self.violations.append("a plug is let go while it is live")
        if self._lag_s:
            self._lock = wanted
            self.evse_changed()
        else:
            self.hardware.lock(wanted)

    def reading(self) -> MeterReading:
        """hal.api.Evse."""
        if self._clock.now() >= self._reading.time + self._meter_lag_s:
            self._reading = self.hardware.reading()
        return self._reading

    def close(self) -> None:
        """hal.api.Evse."""
        self.hardware.close()


class WitnessBench(Bench):
    """A bench with witnesses; `violations` should stay empty."""

    def __init__(
        self, info: list[EvseInfo], lag_s: float = 0.0, meter_lag_s: float = 0.0, **options: Any
    ) -> None:
        self.violations: list[str] = []
        self.witness = WitnessStore()
        self.sockets: list[WitnessEvse] = []
        self._lag_s = lag_s
        self._meter_lag_s = meter_lag_s
        super().__init__(info=info, store=self.witness, **options)

    def evse(self, connector: int, info: EvseInfo) -> Any:
        evse = WitnessEvse(SimulatedEvse(info, self.clock), self.clock, self._lag_s, self._meter_lag_s)
        evse.violations = self.violations

        def check(evse: WitnessEvse, limit: Limit) -> None:
            if not limit.zero and len(self.witness.running(connector)) != 1:
                self.violations.append(f"energy for {connector} without a stored running transaction")
            if not limit.zero and any(fault.blocking for fault in evse.faults):
                self.violations.append(f"energy for {connector} in spite of a fault")

        evse.check = check
        self.sockets.append(evse)
        return evse
