"""Meter values: sampled and clock-aligned, sent or kept for the stop record (OCPP 1.6 §3.16)."""

from __future__ import annotations

from math import floor
from typing import Any, NamedTuple

from chargepoint.domain import running
from chargepoint.domain.connector import Connector
from chargepoint.domain.connectors import Connectors
from chargepoint.domain.metering import (
    TRANSACTION_BEGIN,
    TRANSACTION_END,
    IntervalEnergy,
    Measurand,
    moment_of,
    next_aligned,
    samples,
    thin,
    timed,
    without_soc,
)
from chargepoint.domain.time import Moment
from chargepoint.domain.transaction import Transaction
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.messages import meter_value, shifted
from chargepoint.rpc.outbox import Outbox
from hal.api import MeterReading, Timer

PERIODIC, CLOCK, TRIGGER = "Sample.Periodic", "Sample.Clock", "Trigger"

_ON_GRID_S = 0.001


class Since(NamedTuple):
    """Where an interval began: on the station's clock, which no correction of UTC moves, and the register."""

    moment: float
    energy_wh: float


class Sampling:
    """What the streams of one running transaction remember between two values."""

    __slots__ = ("aligned_from", "connector", "interval_s", "origin", "sampled_from", "streams", "timer")

    def __init__(self, streams: MeterValues, connector: Connector, origin: float, begin: Since) -> None:
        self.streams = streams
        self.connector = connector
        self.interval_s = 0  # between the samples its timer is set for
        self.origin = origin  # when the transaction started, on the station's clock
        self.sampled_from = begin
        self.aligned_from = begin
        self.timer: Timer | None = None

    def due(self) -> None:
        """A sample is due."""
        self.timer = None
        self.streams.sample_due(self)


class MeterValues:
    """The four streams of meter values of one station."""

    __slots__ = (
        "_aligned",
        "_aligned_from",
        "_configuration",
        "_connectors",
        "_mixed",
        "_outbox",
        "_running",
        "_temperature_unit",
    )

    def __init__(
        self, connectors: Connectors, outbox: Outbox, configuration: Configuration, temperature_unit: str
    ) -> None:
        self._connectors = connectors
        self._outbox = outbox
        self._configuration = configuration
        self._temperature_unit = temperature_unit
        self._mixed = len({connector.evse.info.current for connector in connectors.all}) > 1
        self._running: dict[int, Sampling] = {}
        self._aligned: Moment | None = None
        self._aligned_from: dict[int, Since] | None = None  # of connectors without a transaction
        self.rearm_aligned()

    # --- the streams --------------------------------------------------------------------------------

    def started(self, connector: Connector, transaction: Transaction, reading: MeterReading) -> None:
        """A transaction runs: its samples come at its start plus n intervals."""
        origin = transaction.started_at - self._connectors.time.offset_s
        begin = Since(origin, reading.energy_wh)
        sampling = Sampling(self, connector, origin, begin)
        self._running[connector.id] = sampling
        edges = self._edge_measurands()
        if edges:
            self._gather(connector, transaction.started_at, TRANSACTION_BEGIN, edges, reading, begin)
        self._sample_later(sampling)

    def resumed(self, connector: Connector, transaction: Transaction) -> None:
        """A transaction goes on after a restart, in its old rhythm."""
        offset_s = self._connectors.time.offset_s
        last_at = transaction.started_at if transaction.last_at is None else transaction.last_at
        last_wh = transaction.meter_start_wh if transaction.last_wh is None else transaction.last_wh
        begin = Since(last_at - offset_s, last_wh)
        sampling = Sampling(self, connector, transaction.started_at - offset_s, begin)
        self._running[connector.id] = sampling
        self._sample_later(sampling)

    def stopped(
        self, connector: Connector, transaction: Transaction, reading: MeterReading | None
    ) -> list[dict[str, Any]]:
        """The transaction ended: its transactionData, empty if none is asked for."""
        sampling = self._running.pop(connector.id, None)
        if sampling is not None:
            if sampling.timer is not None:
                sampling.timer.cancel()
            self._remember_aligned(connector.id, sampling.aligned_from)
        edges = self._edge_measurands()
        at = transaction.stopped_at
        if edges and reading is not None and at is not None:
            begin = Since(at - self._connectors.time.offset_s, reading.energy_wh)  # all that a restart leaves
            if sampling is not None:
                begin = sampling.sampled_from if self._samples_intervals() else sampling.aligned_from
            self._gather(connector, at, TRANSACTION_END, edges, reading, begin)
        return self._gathered(transaction)

    def _samples_intervals(self) -> bool:
        """The stop record holds the energy between samples; else, if at all, between clock-aligned values."""
        return any(measurand.name.endswith(".Interval") for measurand in self._stop_measurands("Sampled"))

    def rearm_samples(self) -> None:
        """MeterValueSampleInterval changed: running transactions keep their phase."""
        for sampling in self._running.values():
            self._sample_later(sampling)

    def rearm_aligned(self) -> None:
        """ClockAlignedDataInterval or the time changed: wait for the next moment on the grid."""
        if self._aligned is not None:
            self._aligned.cancel()
            self._aligned = None
        interval_s = self._configuration.aligned_interval_s
        if interval_s:
            time = self._connectors.time
            at = next_aligned(time.utc() + _ON_GRID_S, interval_s)
            self._aligned = time.at_utc(at, lambda: self._aligned_due(at, interval_s))
        else:
            self._aligned_from = None

    def close(self) -> None:
        """Cancel the timers."""
        if self._aligned is not None:
            self._aligned.cancel()
        for sampling in self._running.values():
            if sampling.timer is not None:
                sampling.timer.cancel()

    # --- sampled ------------------------------------------------------------------------------------

    def _sample_later(self, sampling: Sampling) -> None:
        if sampling.timer is not None:
            sampling.timer.cancel()
            sampling.timer = None
        interval_s = self._configuration.sample_interval_s
        if interval_s:
            due = self._last_due(sampling, interval_s) + interval_s
            sampling.interval_s = interval_s
            sampling.timer = self._connectors.time.clock.call_at(due, sampling.due)

    def _last_due(self, sampling: Sampling, interval_s: int) -> float:
        """The newest moment at which a sample was due, on the station's clock."""
        elapsed_s = self._connectors.time.clock.now() - sampling.origin
        return sampling.origin + floor((elapsed_s + _ON_GRID_S) / interval_s) * interval_s

    def sample_due(self, sampling: Sampling) -> None:
        """A running transaction's sample is due."""
        connector, interval_s = sampling.connector, sampling.interval_s
        with self._connectors.turn:
            transaction, reading = connector.transaction, connector.reading()
            if transaction is None or not transaction.running:
                return
            due = self._last_due(sampling, interval_s)  # what was slept through cannot be measured any more
            self._sample_later(sampling)
            if reading is None:
                return
            interval = sampling.sampled_from
            moment = moment_of(reading, due)
            if moment < due and moment <= interval.moment:
                return  # told already
            at = moment + self._connectors.time.offset_s
            sampling.sampled_from = Since(moment, reading.energy_wh)
            measurands = self._configuration.measurands("MeterValuesSampledData")
            self._send(connector, transaction, at, PERIODIC, measurands, reading, interval)
            self._gather(connector, at, PERIODIC, self._stop_measurands("Sampled"), reading, interval)
            running.keep_reading(connector, reading)

    # --- clock-aligned ------------------------------------------------------------------------------

    def _aligned_due(self, at: float, interval_s: int) -> None:
        self._aligned = None
        with self._connectors.turn:
            utc = self._connectors.time.utc() + _ON_GRID_S
            while (later := next_aligned(at, interval_s)) <= utc:  # what was slept through
                at = later
            self.rearm_aligned()
            if not self._connectors.accepted_once:
                return
            for connector in self._connectors.all:
                reading = connector.reading()
                if reading is not None:
                    self._align(connector, at, reading)

    def _align(self, connector: Connector, at: float, reading: MeterReading) -> None:
        transaction = connector.transaction
        if transaction is not None and not transaction.running:
            transaction = None
        sampling = self._running.get(connector.id)
        interval = self._aligned_since(connector.id, sampling)
        offset_s = self._connectors.time.offset_s
        due = at - offset_s
        moment = moment_of(reading, due)
        if moment < due:
            if interval is not None and moment <= interval.moment:
                return  # told already
            at = moment + offset_s
        since = Since(moment, reading.energy_wh)
        if sampling is not None:
            sampling.aligned_from = since
        else:
            self._remember_aligned(connector.id, since)
        measurands = self._configuration.measurands("MeterValuesAlignedData")
        self._send(connector, transaction, at, CLOCK, measurands, reading, interval)
        if transaction is not None:
            self._gather(connector, at, CLOCK, self._stop_measurands("Aligned"), reading, interval)
            running.keep_reading(connector, reading)

    def _aligned_since(self, connector_id: int, sampling: Sampling | None) -> Since | None:
        """Where the elapsed interval began; None for the first one of a connector without a transaction."""
        if sampling is not None:
            return sampling.aligned_from
        return (self._aligned_from or {}).get(connector_id)

    def _remember_aligned(self, connector_id: int, since: Since) -> None:
        if self._aligned is not None:
            if self._aligned_from is None:
                self._aligned_from = {}
            self._aligned_from[connector_id] = since

    # --- on request ---------------------------------------------------------------------------------

    def triggered(self, connector: Connector) -> bool:
        """Send what is measured now, soon or never; False while there is nothing to send.

        Such a message may go before acceptance, and one that waits for the line will do.
        """
        payload = self.fresh(connector)
        if payload is None:
            return False
        if not self._outbox.waits("MeterValues", {"connectorId": connector.id}):
            self._outbox.send("MeterValues", payload, _ignore, _ignore, unregistered=True)
        return True

    def fresh(self, connector: Connector) -> dict[str, Any] | None:
        """MeterValues.req with what is measured now; None while the meter is silent."""
        reading = connector.reading()
        if reading is None:
            return None
        time = self._connectors.time
        at = moment_of(reading, time.clock.now()) + time.offset_s
        values = self._values(
            connector, at, TRIGGER, self._configuration.measurands("MeterValuesSampledData"), reading, None
        )
        payload: dict[str, Any] = {"connectorId": connector.id, "meterValue": values}
        transaction = connector.transaction
        if transaction is not None and transaction.running and transaction.csms_id is not None:
            payload["transactionId"] = transaction.csms_id
        return payload if values else None

    # --- values -------------------------------------------------------------------------------------

    def _send(
        self,
        connector: Connector,
        transaction: Transaction | None,
        at: float,
        context: str,
        measurands: tuple[Measurand, ...],
        reading: MeterReading,
        interval: Since | None,
    ) -> None:
        values = self._values(connector, at, context, measurands, reading, interval)
        if values:
            key = transaction.key if transaction is not None else None
            self._outbox.record("meter", key, {"connector": connector.id, "values": values})

    def _values(
        self,
        connector: Connector,
        at: float,
        context: str,
        measurands: tuple[Measurand, ...],
        reading: MeterReading,
        interval: Since | None,
    ) -> list[dict[str, Any]]:
        allowance = connector.allowance
        phases = allowance.phases if allowance is not None else connector.evse.info.phases
        if self._mixed and connector.evse.info.current == "ac":
            measurands = without_soc(measurands)
        elapsed = None
        if interval is not None:
            elapsed = IntervalEnergy(interval.moment + self._connectors.time.offset_s, interval.energy_wh)
        found = samples(
            measurands,
            reading,
            connector.permitted(),
            phases,
            connector.evse.info,
            elapsed,
            self._temperature_unit,
        )
        return [meter_value(moment, context, some) for moment, some in timed(found, at, elapsed)]

    def _stop_measurands(self, stream: str) -> tuple[Measurand, ...]:
        return self._configuration.measurands(f"StopTxn{stream}Data")

    def _edge_measurands(self) -> tuple[Measurand, ...]:
        """What Transaction.Begin and Transaction.End hold (errata 3.14)."""
        return tuple(dict.fromkeys((*self._stop_measurands("Sampled"), *self._stop_measurands("Aligned"))))

    def _gather(
        self,
        connector: Connector,
        at: float,
        context: str,
        measurands: tuple[Measurand, ...],
        reading: MeterReading,
        interval: Since | None,
    ) -> None:
        """Keep values for the stop record, where a power cut does not reach them."""
        transaction = connector.transaction
        if transaction is None or not measurands:
            return
        for value in self._values(connector, at, context, measurands, reading, interval):
            transaction.samples += 1
            self._connectors.store.put(_kind(transaction), f"{transaction.samples:06d}", value)
        self._connectors.save(transaction)

    def _gathered(self, transaction: Transaction) -> list[dict[str, Any]]:
        if not transaction.samples:
            return []
        store, kind = self._connectors.store, _kind(transaction)
        kept = list(store.items(kind))
        for key, _ in kept:
            store.delete(kind, key)
        values = [value for _, value in kept]
        return thin(values, self._configuration.stop_max_meter_values, _context)


def _ignore(outcome: object) -> None:
    return


def forget_gathered(connectors: Connectors, transaction: Transaction) -> None:
    """Drop what was gathered for a transaction that never was."""
    for n in range(1, transaction.samples + 1):
        connectors.store.delete(_kind(transaction), f"{n:06d}")


def shift_gathered(connectors: Connectors, transaction: Transaction, by_s: float) -> None:
    """What was gathered for a transaction happened `by_s` seconds later."""
    kind = _kind(transaction)
    for key, value in list(connectors.store.items(kind)):
        connectors.store.put(kind, key, shifted(value, by_s))


def _kind(transaction: Transaction) -> str:
    return f"sample:{transaction.key}"


def _context(value: dict[str, Any]) -> str:
    return str(value["sampledValue"][0]["context"])
