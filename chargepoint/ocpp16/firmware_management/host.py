"""What firmware updates need of the station they are for."""

from __future__ import annotations

from typing import Any, Protocol

from chargepoint.domain.connectors import Connectors
from chargepoint.domain.outside import Outside
from chargepoint.domain.time import StationTime
from chargepoint.domain.turn import Turn
from chargepoint.ocpp16.compatibility import Compatibility
from chargepoint.ocpp16.configuration import Configuration
from chargepoint.ocpp16.security.events import SecurityEvents
from chargepoint.ocpp16.security.vault import Vault
from chargepoint.rpc.outbox import Outbox


class Host(Protocol):
    """The station as far as updates need it."""

    connectors: Connectors
    configuration: Configuration
    outbox: Outbox
    outside: Outside
    security_events: SecurityEvents
    time: StationTime
    turn: Turn
    vault: Vault

    @property
    def compatibility(self) -> Compatibility:
        """The operator's choices."""

    @property
    def accepted(self) -> bool:
        """The central system wants to know."""

    def notify(self, event: str, **fields: Any) -> None:
        """Tell whoever watches this station."""

    def complain(self, message: str) -> None:
        """Something the operator should know."""

    def restart_asked(self, reason: str) -> bool:
        """Restart in good order; False if that is impossible now."""
