"""When the plug is locked in the station's socket, and whose card gets it back (OCPP 1.6 §3.6, §4.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chargepoint.domain.transaction import Transaction

if TYPE_CHECKING:
    from chargepoint.domain.connector import Connector

Holder = tuple[str, str | None]
"""The identifier, and its parent, whose presentation lets the cable go."""


def lockable(connector: Connector) -> bool:
    """There is a plug at the station that can be locked."""
    return connector.evse.info.lockable and not connector.evse.info.tethered


def secured(connector: Connector) -> bool:
    """Nobody can pull the plug, or it makes no difference."""
    return (connector.evse.locked and not connector.letting_go) or not lockable(connector)


def engage(connector: Connector) -> None:
    """Lock the plug of somebody who is about to charge; a lock that does not move is a fault."""
    if not connector.evse.locked:
        connector.letting_go = False
        if connector.claim is not None and connector.ready and lockable(connector):
            connector.evse.lock(True)


def release(connector: Connector) -> None:
    """Let the plug go when nothing keeps it; never while the contactor is closed (IEC 61851-1).

    What was once let go is not relied on before it has been seen open: locks take their time.
    """
    if connector.evse.locked and not connector.evse.closed and (connector.letting_go or not _kept(connector)):
        connector.letting_go = True
        connector.evse.lock(False)


def _kept(connector: Connector) -> bool:
    if connector.transaction is not None or connector.held_by is not None:
        return True
    return connector.claim is not None and connector.ready


def holder(connector: Connector, transaction: Transaction) -> Holder | None:
    """Whose cable stays locked after its transaction ended (errata 3.5, and unplugging at the vehicle)."""
    if connector.unlocking or not connector.occupied or not lockable(connector):
        return None
    unlocks = connector.shared.policy.unlock_on_ev_side_disconnect
    keeps = transaction.reason == "DeAuthorized" or (transaction.reason == "EVDisconnected" and not unlocks)
    return (transaction.id_tag, transaction.parent) if keeps else None
