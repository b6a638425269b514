"""Extended trigger: ExtendedTriggerMessage, which also asks for what the security extension sends.

Whitepaper "Improved security for OCPP 1.6-J", A02, L01 and N01.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ocpp.v16 import call, call_result
from ocpp.v16.enums import TriggerMessageStatus

from chargepoint.ocpp16 import remote_trigger
from chargepoint.ocpp16.security.certificates import Certificates


class Host(remote_trigger.Host, Protocol):
    """What extended triggers need of their station besides."""

    @property
    def certificates(self) -> Certificates:
        """SignCertificate."""


class ExtendedTrigger:
    """The handler of ExtendedTriggerMessage, by the rules of TriggerMessage (OCPP 1.6 §5.17).

    It is served whether or not the feature profile of TriggerMessage is in use.
    """

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def on_extended_trigger_message(
        self, request: call.ExtendedTriggerMessage
    ) -> call_result.ExtendedTriggerMessage:
        """Send the message behind the answer, unless it is unknown here or cannot be sent."""
        send = SENDERS.get(request.requested_message)
        if send is None:
            return call_result.ExtendedTriggerMessage(status=TriggerMessageStatus.not_implemented)
        sent = send(self._host, request.connector_id)
        status = TriggerMessageStatus.accepted if sent else TriggerMessageStatus.rejected
        return call_result.ExtendedTriggerMessage(status=status)


SENDERS: dict[str, Callable[[Host, int | None], bool]] = {
    **{
        name: remote_trigger.SENDERS[name][1]
        for name in ("BootNotification", "Heartbeat", "MeterValues", "StatusNotification")
    },
    "FirmwareStatusNotification": lambda host, connector_id: host.updates.trigger_signed(),
    "LogStatusNotification": lambda host, connector_id: host.uploads.trigger_log(),
    "SignChargePointCertificate": lambda host, connector_id: host.certificates.sign(),
}
"""Requested message -> who sends it; FirmwareStatusNotification means the signed one here (L01.FR.28)."""
