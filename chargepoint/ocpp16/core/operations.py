"""The commands of the Core profile that change the station itself: availability, cache, data, reset, unlock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ocpp.v16 import call, call_result
from ocpp.v16.enums import (
    AvailabilityStatus,
    AvailabilityType,
    ClearCacheStatus,
    DataTransferStatus,
    ResetStatus,
    UnlockStatus,
)

from chargepoint.domain.authorization import Authorizer
from chargepoint.domain.connector import Connector
from chargepoint.domain.connectors import Connectors
from chargepoint.ocpp16.core.status_notification import StatusReporter
from chargepoint.rpc.session import Later
from hal.api import FaultKind

UNLOCK_WITHIN_S = 5.0

DataHandler = Callable[[str | None, str | None], tuple[str, str | None]]
"""A vendor's answer to DataTransfer: (messageId, data) -> (status, data)."""


class Owner(Protocol):
    """Who restarts the station."""

    def restart_asked(self, reason: str) -> bool:
        """End what runs with `reason` and restart; False if that is impossible now."""


class Operations:
    """Handlers of ChangeAvailability, ClearCache, DataTransfer, Reset and UnlockConnector."""

    __slots__ = ("_authorizer", "_connectors", "_owner", "_statuses", "_vendors")

    def __init__(
        self, connectors: Connectors, authorizer: Authorizer, statuses: StatusReporter, owner: Owner
    ) -> None:
        self._connectors = connectors
        self._authorizer = authorizer
        self._statuses = statuses
        self._owner = owner
        self._vendors: dict[str, DataHandler] | None = None

    # --- ChangeAvailability -------------------------------------------------------------------------

    def on_change_availability(self, request: call.ChangeAvailability) -> call_result.ChangeAvailability:
        """Make a connector, or everything, operative or not (OCPP 1.6 §5.2)."""
        connector_id = request.connector_id
        if not 0 <= connector_id <= len(self._connectors.all):
            return call_result.ChangeAvailability(status=AvailabilityStatus.rejected)
        at_once = self.change_availability(connector_id, request.type == AvailabilityType.operative)
        status = AvailabilityStatus.accepted if at_once else AvailabilityStatus.scheduled
        return call_result.ChangeAvailability(status=status)

    def change_availability(self, connector_id: int, operative: bool) -> bool:
        """Do it, here or from afar; False if some connector has to wait until its use ends."""
        if connector_id:
            return self._change(self._connectors[connector_id], operative)
        self._connectors.station_availability(operative)
        self._statuses.refresh(0)
        return all([self._change(connector, operative) for connector in self._connectors.all])

    def _change(self, connector: Connector, operative: bool) -> bool:
        """Already there, or already on the way there, is Accepted without further ado."""
        heading = connector.operative and not connector.scheduled
        return True if heading == operative else connector.availability_asked(operative)

    # --- ClearCache ---------------------------------------------------------------------------------

    def on_clear_cache(self, request: call.ClearCache) -> call_result.ClearCache:
        """Forget every identifier the central system told us about (OCPP 1.6 §5.4)."""
        cleared = self._authorizer.clear_cache()
        return call_result.ClearCache(
            status=ClearCacheStatus.accepted if cleared else ClearCacheStatus.rejected
        )

    # --- DataTransfer -------------------------------------------------------------------------------

    def register_vendor(self, vendor_id: str, handler: DataHandler) -> None:
        """Let `handler` answer the DataTransfer requests of a vendor; it knows its message ids."""
        if self._vendors is None:
            self._vendors = {}
        self._vendors[vendor_id] = handler

    def on_data_transfer(self, request: call.DataTransfer) -> call_result.DataTransfer:
        """Pass a vendor's message to whoever registered for it (OCPP 1.6 §5.6)."""
        handler = (self._vendors or {}).get(request.vendor_id)
        if handler is None:
            return call_result.DataTransfer(status=DataTransferStatus.unknown_vendor_id)
        status, data = handler(request.message_id, request.data)
        return call_result.DataTransfer(status=DataTransferStatus(status), data=data)

    # --- Reset --------------------------------------------------------------------------------------

    def on_reset(self, request: call.Reset) -> call_result.Reset:
        """Restart the software (Soft) or everything (Hard); transactions end first (OCPP 1.6 §5.14)."""
        possible = self._owner.restart_asked(f"{request.type}Reset")
        return call_result.Reset(status=ResetStatus.accepted if possible else ResetStatus.rejected)

    # --- UnlockConnector ----------------------------------------------------------------------------

    def on_unlock_connector(self, request: call.UnlockConnector) -> call_result.UnlockConnector | Later:
        """Let the plug go; a running transaction ends (OCPP 1.6 §5.18)."""
        try:
            connector = self._connectors[request.connector_id]
        except KeyError:
            return call_result.UnlockConnector(status=UnlockStatus.not_supported)
        if connector.evse.info.tethered or not connector.evse.info.lockable:
            return call_result.UnlockConnector(status=UnlockStatus.not_supported)
        unlocking = Unlocking(connector)
        connector.unlocking = True
        connector.claim = None
        connector.stop_asked("UnlockCommand")
        connector.released()
        if not connector.evse.closed:  # else the plug is released when the contactor has opened
            connector.evse.lock(False)
        self._connectors.turn.answer(unlocking.look)
        return unlocking.answer


class Unlocking:
    """An UnlockConnector under way: looks at the lock until it is open, failed or has taken too long."""

    __slots__ = ("_connector", "_deadline", "answer")

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._deadline = connector.shared.time.clock.now() + UNLOCK_WITHIN_S
        self.answer = Later()

    def look(self) -> None:
        """Answer if there is something to say, else look again a little later."""
        connector = self._connector
        failed = any(fault.kind is FaultKind.LOCK for fault in connector.evse.faults)
        time = connector.shared.time
        if failed or time.clock.now() >= self._deadline:
            self._finish(UnlockStatus.unlock_failed)
        elif connector.transaction is None and not connector.evse.locked:
            self._finish(UnlockStatus.unlocked)
        else:
            time.after(0.5, self._look_again)

    def _look_again(self) -> None:
        with self._connector.shared.turn:
            self.look()

    def _finish(self, status: UnlockStatus) -> None:
        connector = self._connector
        connector.unlocking = False
        connector.shared.turn.settle(connector)
        self.answer.answer(call_result.UnlockConnector(status=status))
