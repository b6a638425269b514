"""Remote trigger: TriggerMessage asks for a message outside its usual time (OCPP 1.6 §5.17)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ocpp.v16 import call, call_result
from ocpp.v16.enums import TriggerMessageStatus

from chargepoint.domain.connectors import Connectors
from chargepoint.ocpp16 import firmware_management
from chargepoint.ocpp16.compatibility import Compatibility
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.core.boot import Boot
from chargepoint.ocpp16.core.meter_values import MeterValues
from chargepoint.ocpp16.core.status_notification import StatusReporter
from chargepoint.ocpp16.firmware_management.updates import Updates
from chargepoint.ocpp16.firmware_management.uploads import Uploads

PROFILE = "RemoteTrigger"
"""Its id in SupportedFeatureProfiles."""


class Host(Protocol):
    """What triggers need of their station."""

    @property
    def boot(self) -> Boot:
        """BootNotification and Heartbeat."""

    @property
    def statuses(self) -> StatusReporter:
        """StatusNotification."""

    @property
    def meter_values(self) -> MeterValues:
        """MeterValues."""

    @property
    def connectors(self) -> Connectors:
        """The connectors to report on."""

    @property
    def updates(self) -> Updates:
        """FirmwareStatusNotification."""

    @property
    def uploads(self) -> Uploads:
        """DiagnosticsStatusNotification."""

    @property
    def configuration(self) -> Configuration:
        """The feature profiles in use."""

    @property
    def compatibility(self) -> Compatibility:
        """The operator's choices."""


Sender = Callable[[Host, int | None], bool]
"""Hands the message for a connector, or for all, to the outbox; False if it cannot be sent now."""


class RemoteTrigger:
    """The handler of TriggerMessage.

    What is asked for waits in the outbox until the CALL is answered, and may go before the central system
    has accepted the station. One that waits there already will do.
    """

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def on_trigger_message(self, request: call.TriggerMessage) -> call_result.TriggerMessage:
        """Send the message, unless it is unknown here or cannot be sent (OCPP 1.6 §5.17, §7.44)."""
        profile, send = SENDERS.get(request.requested_message, (None, None))
        if profile is None or send is None or not self._host.configuration.supports(profile):
            return call_result.TriggerMessage(status=TriggerMessageStatus.not_implemented)
        sent = send(self._host, request.connector_id)
        status = TriggerMessageStatus.accepted if sent else TriggerMessageStatus.rejected
        return call_result.TriggerMessage(status=status)


def _boot_notification(host: Host, connector_id: int | None) -> bool:
    """Only where the acceptance was not given on this very connection (errata 3.35).

    A mere reconnection may hide a restart of the central system, which has no other way to ask who we are.
    """
    if host.boot.accepted_here and host.compatibility.trigger_boot_when_accepted == "reject":
        return False
    host.boot.boot_now()
    return True


def _heartbeat(host: Host, connector_id: int | None) -> bool:
    host.boot.heartbeat()
    return True


def _status_notification(host: Host, connector_id: int | None) -> bool:
    connectors = range(len(host.connectors.all) + 1)
    if connector_id is not None and connector_id not in connectors:
        return False
    for number in connectors if connector_id is None else (connector_id,):
        host.statuses.triggered(number)
    return True


def _meter_values(host: Host, connector_id: int | None) -> bool:
    """Connector 0 has no meter of its own here: it stands for all there are."""
    wanted = [c for c in host.connectors.all if not connector_id or c.id == connector_id]
    sent = [host.meter_values.triggered(connector) for connector in wanted]
    return any(sent)


def _diagnostics_status(host: Host, connector_id: int | None) -> bool:
    return host.uploads.trigger_diagnostics()


def _firmware_status(host: Host, connector_id: int | None) -> bool:
    return host.updates.trigger()


SENDERS: dict[str, tuple[str, Sender]] = {
    "BootNotification": ("Core", _boot_notification),
    "DiagnosticsStatusNotification": (firmware_management.PROFILE, _diagnostics_status),
    "FirmwareStatusNotification": (firmware_management.PROFILE, _firmware_status),
    "Heartbeat": ("Core", _heartbeat),
    "MeterValues": ("Core", _meter_values),
    "StatusNotification": ("Core", _status_notification),
}
"""Requested message -> the feature profile it belongs to, and who sends it."""
