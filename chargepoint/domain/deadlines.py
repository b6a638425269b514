"""What becomes of a connector by the mere passing of time, and when to look at it again."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from chargepoint.domain import ending, offer, running
from chargepoint.domain.ending import Finishing

if TYPE_CHECKING:
    from chargepoint.domain.connector import Connector

LAST_READING_EVERY_S = 1.0


def follow(connector: Connector) -> None:
    """Note since when it is prepared for somebody, or blocked, and give up waiting in time."""
    now, blocked = connector.shared.time.clock.now(), connector.blocked
    preparing = connector.preparing and not blocked
    if preparing and now >= preparing_ends_at(connector):
        _give_up(connector)
        preparing = connector.preparing
    if not preparing:
        connector.preparing_since = None
    elif connector.preparing_since is None:
        connector.preparing_since = now
    if not blocked:
        connector.blocked_since = None
    elif connector.blocked_since is None:
        connector.blocked_since = now


def preparing_ends_at(connector: Connector) -> float:
    """When Preparing has lasted ConnectionTimeOut (errata 3.89), on the station's clock; 0: never."""
    timeout_s = connector.shared.policy.connection_timeout_s
    if connector.preparing_since is None or not timeout_s:
        return inf
    return connector.preparing_since + timeout_s


def _give_up(connector: Connector) -> None:
    """Nobody plugged in (B1), or nobody was authorised (errata 3.20, B6)."""
    if not connector.connected:
        connector.claim = None
    unattended = connector.occupied and connector.claim is None and not connector.reserved
    if unattended and connector.shared.finishes_unattended:
        connector.finishing = Finishing.TIMEOUT
        connector.keep()


def next_at(connector: Connector) -> float:
    """The next moment at which something may change by itself, on the station's clock."""
    transaction = connector.transaction
    if transaction is None and connector.preparing_since is None and connector.invited_until is None:
        return inf
    now = connector.shared.time.clock.now()
    moments = [preparing_ends_at(connector), connector.invited_until or inf]
    if connector.ending:
        moments.append(now + LAST_READING_EVERY_S)  # nobody reports a new reading
    elif transaction is not None:
        moments.append(ending.fault_ends_at(connector))
        if transaction.deauthorized and not connector.offer.zero:
            moments.append(now + offer.energy_lasts_s(connector))
        if connector.allowance is not None and connector.allowance.until is not None:
            moments.append(connector.allowance.until - connector.shared.time.offset_s)
        if connector.shared.store.durable:
            moments.append(connector.kept_at + running.KEEP_EVERY_S)
    return min((moment for moment in moments if moment > now), default=inf)
