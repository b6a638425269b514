"""Commands of the Core profile about the station itself: availability, cache, data, reset, unlock."""

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

from chargepoint.domain import ending, lock
from chargepoint.domain.authorization import Authorizer
from chargepoint.domain.connector import Connector
from chargepoint.domain.connectors import Connectors
from chargepoint.ocpp16.compatibility import Compatibility
from chargepoint.ocpp16.core.status_notification import StatusReporter
from chargepoint.rpc.session import Later
from hal.api import FaultKind, Timer

UNLOCK_WITHIN_S = 5.0
LOOK_EVERY_S = 0.5

DataHandler = Callable[[str | None, str | None], tuple[str, str | None]]
"""A vendor's answer to DataTransfer: (messageId, data) -> (status, data)."""


class Owner(Protocol):
    """Who restarts the station."""

    def restart_asked(self, reason: str) -> bool:
        """End what runs with `reason` and restart; False if that is impossible now."""


class Operations:
    """Handlers of ChangeAvailability, ClearCache, DataTransfer, Reset and UnlockConnector."""

    __slots__ = (
        "_authorizer",
        "_compatibility",
        "_connectors",
        "_owner",
        "_statuses",
        "_unlockings",
        "_vendors",
    )

    def __init__(
        self,
        connectors: Connectors,
        authorizer: Authorizer,
        statuses: StatusReporter,
        owner: Owner,
        compatibility: Compatibility,
    ) -> None:
        self._connectors = connectors
        self._authorizer = authorizer
        self._statuses = statuses
        self._owner = owner
        self._compatibility = compatibility
        self._unlockings: list[Unlocking] | None = None  # under way
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
        changes = [self._change(connector, operative) for connector in self._connectors.all]
        return all(changes)

    def _change(self, connector: Connector, operative: bool) -> bool:
        """Already there, or already on the way there, is Accepted without further ado."""
        heading = connector.operative and not connector.scheduled
        return True if heading == operative else connector.availability_asked(operative)

    # --- ClearCache ---------------------------------------------------------------------------------

    def on_clear_cache(self, request: call.ClearCache) -> Later:
        """Forget every identifier the central system told us about, for good (OCPP 1.6 §5.4)."""
        cleared = self._authorizer.clear_cache()
        later, turn = Later(), self._connectors.turn

        def answer() -> None:
            done = cleared and turn.stored
            status = ClearCacheStatus.accepted if done else ClearCacheStatus.rejected
            later.answer(call_result.ClearCache(status=status))

        turn.answer(answer)
        return later

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
        if not lock.lockable(connector):
            if connector.evse.info.tethered and self._compatibility.unlock_tethered_stops_transaction:
                connector.stop_asked("UnlockCommand")
            return call_result.UnlockConnector(status=UnlockStatus.not_supported)
        if self._unlockings is None:
            self._unlockings = []
        unlocking = Unlocking(connector, self._unlockings)
        connector.unlock_asked()
        if not connector.evse.locked:
            connector.evse.lock(False)  # where it seems open already, a broken lock says that it is broken
        self._connectors.turn.answer(unlocking.look)
        return unlocking.answer

    def close(self) -> None:
        """Nobody looks at the locks any more."""
        for unlocking in self._unlockings or ():
            unlocking.cancel()


class Unlocking:
    """An UnlockConnector under way: looks at the lock until it is open, failed or has taken too long."""

    __slots__ = ("_among", "_connector", "_deadline", "_timer", "answer")

    def __init__(self, connector: Connector, among: list[Unlocking]) -> None:
        self._connector = connector
        self._among = among
        self._timer: Timer | None = None
        within_s = UNLOCK_WITHIN_S
        if connector.transaction is not None:
            within_s += ending.FINAL_READING_WITHIN_S
        self._deadline = connector.shared.time.clock.now() + within_s
        self.answer = Later()
        among.append(self)

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
            self._timer = time.after(LOOK_EVERY_S, self._look_again)

    def _look_again(self) -> None:
        with self._connector.shared.turn:
            self.look()

    def _finish(self, status: UnlockStatus) -> None:
        connector = self._connector
        self._among.remove(self)
        connector.unlocking = any(other._connector is connector for other in self._among)
        connector.shared.turn.settle(connector)
        self.answer.answer(call_result.UnlockConnector(status=status))

    def cancel(self) -> None:
        """Look no more; whoever asked is gone too."""
        if self._timer is not None:
            self._timer.cancel()
