"""StatusNotification: each status once, in legal steps, not faster than MinimumStatusDuration allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from chargepoint.domain.connector import Connector
from chargepoint.domain.connectors import Connectors
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.status import (
    VENDOR_CODES,
    Status,
    error_code,
    gravest,
    path,
    status_of,
    status_of_station,
)
from chargepoint.ocpp16.times import format_time
from chargepoint.rpc.outbox import Outbox
from chargepoint.rpc.session import NOT_SENT, CallFailed
from hal.api import Fault, PilotState, Timer

EV_SIDE_DISCONNECTED = "EV side disconnected"

BEFORE_THE_END = frozenset({Status.PREPARING, Status.CHARGING, Status.SUSPENDED_EV, Status.SUSPENDED_EVSE})
"""Statuses of a running transaction."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is said about a connector; `at` is on the station's clock, which no correction moves."""

    status: Status
    fault: Fault | None
    info: str
    at: float

    @property
    def word(self) -> str:
        """The status on the wire; `value` of an enumeration is two calls more."""
        return self.status._value_

    def same(self, other: Report | None) -> bool:
        """It says nothing that `other` has not said."""
        return other is not None and other.says(self.status, self.fault, self.info)

    def says(self, status: Status, fault: Fault | None, info: str) -> bool:
        """All of this, or more."""
        return self.status is status and self.fault == fault and (self.info == info or not info)


class Audience(Protocol):
    """Who hears of statuses besides the central system."""

    @property
    def accepted(self) -> bool:
        """The central system wants to know now."""

    def status_changed(self, connector_id: int, status: str, error_code: str) -> None:
        """The status here and now, reported or not."""


class StatusReporter:
    """Local status, what the central system was told, and what it has still to be told, per connector."""

    __slots__ = (
        "_audience",
        "_behind",
        "_configuration",
        "_connectors",
        "_known",
        "_outbox",
        "_pending",
        "_told",
        "last",
    )

    def __init__(
        self,
        connectors: Connectors,
        outbox: Outbox,
        configuration: Configuration,
        audience: Audience,
        last: dict[int, Report],
    ) -> None:
        self._connectors = connectors
        self._outbox = outbox
        self._configuration = configuration
        self._audience = audience
        self.last = last  # local status of each connector, kept over restarts of the software
        self._told: dict[int, Report] = {}  # what was handed over for sending and has not failed
        self._known: dict[int, Report] = {}  # what was acknowledged last, unless it is in doubt
        self._behind: dict[int, int] = {}  # the start or stop that goes before its status
        self._pending: dict[int, Timer] | None = None  # statuses that must last a while first

    # --- local status -------------------------------------------------------------------------------

    def current(self, connector_id: int) -> Report:
        """The true status now; the last report if it still says so."""
        last = self.last.get(connector_id)
        status, fault, info = self._assess(connector_id)
        if last is not None and last.says(status, fault, info):
            return last
        return Report(status, fault, info, self._connectors.time.clock.now())

    def _assess(self, connector_id: int) -> tuple[Status, Fault | None, str]:
        """Status, fault and info that follow from the facts."""
        if connector_id == 0:
            status = status_of_station(self._connectors)
            fault = gravest(self._connectors.troubles, status)
            return status, fault, "" if fault is None else fault.info[:50]
        connector = self._connectors[connector_id]
        status = status_of(connector)
        last = self.last.get(connector_id)
        if connector.ending and not connector.faulted and last is not None and last.status in BEFORE_THE_END:
            status = last.status  # the end is one step: how the hardware gets there is no news
        fault = gravest(connector.evse.faults, status)
        info = fault.info if fault is not None else _info(connector)
        return status, fault, info[:50]

    def refresh(self, connector_id: int) -> None:
        """Facts may have changed: report what follows from them."""
        now = self.current(connector_id)
        last = self.last.get(connector_id)
        if now is last:
            return
        steps = [now.status] if last is None else list(path(last.status, now.status)) or [now.status]
        for step in steps:
            report = now if step is steps[-1] else Report(step, None, "", now.at)
            self.last[connector_id] = report
            self._audience.status_changed(connector_id, report.word, error_code(report.fault))
            self._consider(connector_id, report)

    # --- the central system -------------------------------------------------------------------------

    def follow(self, connector_id: int, record: int) -> None:
        """A transaction started or stopped: what is told next goes after that record."""
        self._behind[connector_id] = record

    def report_all(self) -> None:
        """After each acceptance: connector 0 and every connector, whatever was said before (errata 3.22)."""
        self._told.clear()
        self._known.clear()
        for connector_id in range(len(self._connectors.all) + 1):
            self.send_now(connector_id)

    def report_changes(self) -> None:
        """After a reconnection: only what differs from what was acknowledged (OCPP 1.6 §4.9)."""
        for connector_id in range(len(self._connectors.all) + 1):
            told = self._told.get(connector_id)
            if told is None or not told.says(*self._assess(connector_id)):
                self.send_now(connector_id)

    def report_unacknowledged(self) -> None:
        """The central system answers: tell it what it refused or did not hear."""
        for connector_id in range(len(self._connectors.all) + 1):
            if connector_id not in self._told and connector_id not in (self._pending or ()):
                self.send_now(connector_id)

    def send_now(self, connector_id: int) -> None:
        """The true current status at once."""
        self._forget_pending(connector_id)
        self._send(connector_id, self.current(connector_id))

    def triggered(self, connector_id: int) -> None:
        """The true current status at once, accepted or not; the same that waits for the line will do."""
        report = self.current(connector_id)
        if not self._outbox.waits("StatusNotification", self._payload(connector_id, report)):
            self._forget_pending(connector_id)
            self._send(connector_id, report, unregistered=True)

    def _consider(self, connector_id: int, report: Report) -> None:
        """Send now, or when it has lasted long enough (OCPP 1.6 §9.1.20)."""
        self._forget_pending(connector_id)
        if not self._audience.accepted:
            return
        if report.same(self._told.get(connector_id)):
            return
        delay_s = self._configuration.minimum_status_duration_s
        if not delay_s or report.status in (Status.FAULTED, Status.UNAVAILABLE):
            self._send(connector_id, report, self._behind.get(connector_id, 0))
            return
        if self._pending is None:
            self._pending = {}
        self._pending[connector_id] = self._connectors.time.after(
            delay_s, lambda: self._lasted(connector_id, report)
        )

    def _lasted(self, connector_id: int, report: Report) -> None:
        assert self._pending is not None
        del self._pending[connector_id]
        with self._connectors.turn:
            if self._audience.accepted:
                self._send(connector_id, report, self._behind.get(connector_id, 0))

    def _forget_pending(self, connector_id: int) -> None:
        if self._pending and connector_id in self._pending:
            self._pending.pop(connector_id).cancel()

    def _send(
        self, connector_id: int, report: Report, behind: int = 0, *, unregistered: bool = False
    ) -> None:
        """Hand a report over; `behind` is the record it goes after, if that is the next one."""
        self._told[connector_id] = report

        def acknowledged(answer: Any) -> None:
            self._known[connector_id] = report

        def failed(error: CallFailed) -> None:
            if error.code != NOT_SENT:
                self._known.pop(connector_id, None)  # who knows what was heard of it
            if self._told.get(connector_id) is report:
                if connector_id in self._known:
                    self._told[connector_id] = self._known[connector_id]
                else:
                    del self._told[connector_id]

        self._outbox.send(
            "StatusNotification",
            self._payload(connector_id, report),
            acknowledged,
            failed,
            unregistered=unregistered,
            behind=behind,
        )

    def _payload(self, connector_id: int, report: Report) -> dict[str, Any]:
        return _payload(connector_id, report, report.at + self._connectors.time.offset_s)

    def close(self) -> None:
        """Cancel the timers."""
        for connector_id in tuple(self._pending or ()):
            self._forget_pending(connector_id)


def _info(connector: Connector) -> str:
    """A word about the status where the text asks for one (OCPP 1.6 §4.9)."""
    transaction = connector.transaction
    if transaction is not None and transaction.running:
        return EV_SIDE_DISCONNECTED if connector.evse.pilot is PilotState.A else ""
    unplugged = connector.finishing is not None and connector.evse.pilot is PilotState.A
    return EV_SIDE_DISCONNECTED if unplugged else ""


def _payload(connector_id: int, report: Report, at: float) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "connectorId": connector_id,
        "errorCode": error_code(report.fault),
        "status": report.word,
        "timestamp": format_time(at),
    }
    if report.info:
        payload["info"] = report.info
    if report.fault is not None:
        vendor_code = report.fault.vendor_code or VENDOR_CODES.get(report.fault.kind, "")
        if vendor_code:
            payload["vendorErrorCode"] = vendor_code[:50]
    return payload
