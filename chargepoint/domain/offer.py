"""What a vehicle is offered at this moment, why, and whether it has had the time to react."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hal.api import AC_MINIMUM_A, NOTHING, Limit

if TYPE_CHECKING:
    from chargepoint.domain.connector import Connector


def follow(connector: Connector) -> None:
    """Bring allowance, offer and invitation of a connector in line with its facts."""
    if connector.transaction is None:
        connector.allowance, connector.offer = None, NOTHING
        connector.invited_until, connector.starting = None, False
        return
    before = connector.offer
    connector.allowance = connector.shared.limiter.allowance(connector)
    connector.offer = _offered(connector)
    now = connector.shared.time.clock.now()
    if connector.offer.zero or not connector.connected:
        connector.invited_until, connector.starting = None, False
    elif before.zero:
        connector.invited_until = now + connector.evse.info.start_grace_s
    elif connector.invited_until is not None and (now >= connector.invited_until or connector.evse.closed):
        connector.invited_until, connector.starting = None, False


def entitlement(connector: Connector) -> Limit:
    """What the transaction may draw, as long as nothing has to be shared."""
    transaction = connector.transaction
    if transaction is None or not transaction.running or connector.blocked or connector.allowance is None:
        return NOTHING
    if transaction.deauthorized and energy_left_wh(connector) <= 0:
        return NOTHING
    return connector.allowance.limit


def _offered(connector: Connector) -> Limit:
    limit = entitlement(connector)
    if connector.share is not None:
        limit = smaller(limit, connector.share)
    if limit.zero or (connector.evse.info.current == "ac" and limit.current_a < AC_MINIMUM_A):
        return NOTHING
    return limit


def energy_left_wh(connector: Connector) -> float:
    """What a transaction with an invalid identifier may still take (OCPP 1.6 §9.1.15)."""
    transaction, reading = connector.transaction, connector.reading()
    if transaction is None or reading is None:
        return 0.0
    limit_wh = connector.shared.policy.max_energy_on_invalid_id_wh
    return transaction.meter_start_wh + limit_wh - reading.energy_wh if limit_wh else 0.0


def energy_lasts_s(connector: Connector) -> float:
    """The least time in which what an invalid identifier may still take can be drawn."""
    info, offer = connector.evse.info, connector.offer
    power_w = offer.power_w or offer.current_a * info.nominal_voltage_v * info.phases
    return max(1.0, energy_left_wh(connector) * 3600 / max(power_w, 1.0))


def smaller(one: Limit, other: Limit) -> Limit:
    """What both limits allow."""
    if one.power_w is None or other.power_w is None:
        power_w = one.power_w if other.power_w is None else other.power_w
    else:
        power_w = min(one.power_w, other.power_w)
    both = Limit(min(one.current_a, other.current_a), power_w)
    return NOTHING if both.zero else both


def because(connector: Connector) -> str:
    """Why this connector has this limit now, in words for a person."""
    transaction = connector.transaction
    if transaction is None or connector.allowance is None:
        return "no transaction"
    if connector.blocked:
        return "fault"
    if not transaction.running:
        return f"stopping ({transaction.stopping_reason})"
    if transaction.deauthorized and connector.offer.zero:
        return "the central system refused the identifier"
    alone = connector.allowance.limit
    if connector.share is not None and smaller(alone, connector.share) != alone:
        return connector.share_because
    return connector.allowance.because


def offered_w(connector: Connector, limit: Limit) -> float:
    """The power a limit stands for."""
    info = connector.evse.info
    if limit.zero:
        return 0.0
    if info.current == "dc" and limit.power_w is not None:
        return round(limit.power_w, 1)
    phases = connector.allowance.phases if connector.allowance is not None else info.phases
    power_w = limit.current_a * info.nominal_voltage_v * phases
    return round(power_w if limit.power_w is None else min(power_w, limit.power_w), 1)
