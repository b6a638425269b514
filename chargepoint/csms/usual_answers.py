"""What a station is answered when nothing else was set, on the `ocpp` package's ChargePoint class."""

# mypy: disable-error-code="untyped-decorator,no-untyped-call"
# `ocpp` comes without types for its decorators and methods.

from __future__ import annotations

from typing import Any

import ocpp.messages
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import Action, AuthorizationStatus, DataTransferStatus, GenericStatus, RegistrationStatus

from chargepoint.csms.back_office import BackOffice, Station
from chargepoint.csms.events import timestamp
from chargepoint.csms.ledger import Request, Transaction

# The package would hand every payload to a thread and back: 60 to 200 us a message, and an order that depends
# on the threads, where one validation in place takes less.
ocpp.messages.ASYNC_VALIDATION = False


class UsualAnswers(ChargePoint):
    """Accepts every station, tag and transaction, and notes what the station says about itself.

    The package gives handlers its own spelling of the payload; `request` is the CALL in hand as it came.
    """

    def __init__(self, station: Station, connection: object, office: BackOffice) -> None:
        super().__init__(station.identity, connection)
        self.station = station
        self.office = office
        self.request: Request = {}
        self.started: Transaction | None = None  # the transaction that the CALL in hand started

    def _now(self) -> str:
        return timestamp(self.office.clock.now())

    @on(Action.authorize)
    def on_authorize(self, id_tag: str, **_: Any) -> call_result.Authorize:
        """OCPP 1.6 §4.1."""
        return call_result.Authorize(IdTagInfo(self.office.judged(id_tag)))

    @on(Action.boot_notification)
    def on_boot_notification(self, **_: Any) -> call_result.BootNotification:
        """OCPP 1.6 §4.2."""
        self.station.boot = self.request
        return call_result.BootNotification(self._now(), self.office.interval_s, RegistrationStatus.accepted)

    @on(Action.data_transfer)
    def on_data_transfer(self, **_: Any) -> call_result.DataTransfer:
        """OCPP 1.6 §4.3: no vendor is known."""
        return call_result.DataTransfer(DataTransferStatus.unknown_vendor_id)

    @on(Action.diagnostics_status_notification)
    def on_diagnostics_status_notification(self, **_: Any) -> call_result.DiagnosticsStatusNotification:
        """OCPP 1.6 §4.4."""
        return call_result.DiagnosticsStatusNotification()

    @on(Action.firmware_status_notification)
    def on_firmware_status_notification(self, **_: Any) -> call_result.FirmwareStatusNotification:
        """OCPP 1.6 §4.5."""
        return call_result.FirmwareStatusNotification()

    @on(Action.heartbeat)
    def on_heartbeat(self, **_: Any) -> call_result.Heartbeat:
        """OCPP 1.6 §4.6."""
        return call_result.Heartbeat(self._now())

    @on(Action.meter_values)
    def on_meter_values(self, **_: Any) -> call_result.MeterValues:
        """OCPP 1.6 §4.7."""
        self.station.ledger.meter_values(self.request)
        return call_result.MeterValues()

    @on(Action.start_transaction)
    def on_start_transaction(self, id_tag: str, **_: Any) -> call_result.StartTransaction:
        """OCPP 1.6 §4.8."""
        self.started = self.station.ledger.start(self.request)
        info = IdTagInfo(self.office.judged(id_tag))
        return call_result.StartTransaction(self.started.transaction_id, info)

    @on(Action.status_notification)
    def on_status_notification(
        self, connector_id: int, status: str, **_: Any
    ) -> call_result.StatusNotification:
        """OCPP 1.6 §4.9."""
        self.station.statuses[connector_id] = status
        return call_result.StatusNotification()

    @on(Action.stop_transaction)
    def on_stop_transaction(self, id_tag: str | None = None, **_: Any) -> call_result.StopTransaction:
        """OCPP 1.6 §4.10: the answer speaks of the tag that stopped, if one did."""
        self.station.ledger.stop(self.request)
        return call_result.StopTransaction(None if id_tag is None else _ACCEPTED)

    @on(Action.log_status_notification)
    def on_log_status_notification(self, **_: Any) -> call_result.LogStatusNotification:
        """Security white paper N01."""
        return call_result.LogStatusNotification()

    @on(Action.security_event_notification)
    def on_security_event_notification(self, **_: Any) -> call_result.SecurityEventNotification:
        """Security white paper A04."""
        return call_result.SecurityEventNotification()

    @on(Action.sign_certificate)
    def on_sign_certificate(self, **_: Any) -> call_result.SignCertificate:
        """Security white paper A02: accepted; signing is up to whoever sends CertificateSigned."""
        return call_result.SignCertificate(GenericStatus.accepted)

    @on(Action.signed_firmware_status_notification)
    def on_signed_firmware_status_notification(
        self, **_: Any
    ) -> call_result.SignedFirmwareStatusNotification:
        """Security white paper L01."""
        return call_result.SignedFirmwareStatusNotification()


_ACCEPTED = IdTagInfo(AuthorizationStatus.accepted)
