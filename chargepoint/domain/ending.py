"""How a transaction ends: why, with which reading, and what it leaves behind (OCPP 1.6 §4.10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING

from chargepoint.domain import lock, running
from chargepoint.domain.metering import whole_wh
from chargepoint.domain.offer import energy_left_wh
from hal.api import Fault, FaultKind, MeterReading, PilotState

if TYPE_CHECKING:
    from chargepoint.domain.connector import Connector

FINAL_READING_WITHIN_S = 10.0
FLOWS_W = 50.0  # less than that is what a controller itself may draw
STOPS_AT_ONCE = frozenset({FaultKind.GROUND, FaultKind.OVER_CURRENT, FaultKind.WELDED, FaultKind.NOT_CLOSING})
EMERGENCY_STOP = Fault(FaultKind.OTHER, info="emergency stop", vendor_code="EmergencyStop")


class Finishing(StrEnum):
    """Why a connector that runs no transaction is not free yet."""

    TRANSACTION = "transaction"  # one ended and the cable is still in
    TIMEOUT = "timeout"  # plugged in, and nobody was authorised in time (errata 3.20, B6)


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody or something asked for the end of the transaction."""

    reason: str
    id_tag: str | None = None


def why(connector: Connector) -> Stop | None:
    """Why the running transaction must end now, if it must."""
    transaction = connector.transaction
    assert transaction is not None
    if connector.stop is not None:
        return connector.stop
    if EMERGENCY_STOP in connector.evse.faults:
        return Stop("EmergencyStop")
    policy = connector.shared.policy
    if connector.evse.pilot is PilotState.A:
        gone = not connector.evse.plugged and not connector.evse.info.tethered
        if gone or policy.stop_on_ev_side_disconnect:
            return Stop("EVDisconnected")
    if transaction.deauthorized and policy.stop_on_invalid_id and energy_left_wh(connector) <= 0:
        return Stop("DeAuthorized")
    if connector.shared.time.clock.now() >= fault_ends_at(connector):
        return Stop("Other")
    return None


def fault_ends_at(connector: Connector) -> float:
    """When the present fault ends the transaction, on the station's clock; never without one."""
    if connector.blocked_since is None:
        return inf
    if any(fault.blocking and fault.kind in STOPS_AT_ONCE for fault in connector.evse.faults):
        return connector.blocked_since
    after_s = connector.shared.behaviour.fault_stops_transaction_after_s
    return inf if after_s is None else connector.blocked_since + after_s


def note(connector: Connector, stop: Stop) -> None:
    """The transaction ends now; its last reading is taken when the contactor has opened."""
    transaction = connector.transaction
    assert transaction is not None
    await_last_reading(connector)
    transaction.stopping_at = max(connector.shared.time.utc(), transaction.started_at)
    transaction.stopping_reason = stop.reason
    transaction.stopping_tag = stop.id_tag
    connector.shared.save(transaction)


def await_last_reading(connector: Connector) -> None:
    """From now on the transaction, whose stop was noted, is about to be over."""
    connector.stopping_since = connector.shared.time.clock.now()
    connector.stops_by = connector.stopping_since + FINAL_READING_WITHIN_S


def complete(connector: Connector) -> None:
    """Write the stop record if the contactor is open and was read after that, or after 10 s.

    Energy that flows all the same, because nobody reaches the controller or its contacts are welded, is
    still this transaction's: it ends 10 s after the meter saw the last of it.
    """
    transaction, time = connector.transaction, connector.shared.time
    assert transaction is not None
    assert transaction.stopping_at is not None
    now, reading = time.clock.now(), connector.reading()
    opened = connector.applied.zero and not connector.evse.closed
    fresh = reading is not None and reading.time >= connector.stopping_since
    if reading is not None:
        running.note_reading(transaction, reading, time.offset_s)
        if fresh and not opened and reading.power_w >= FLOWS_W:
            connector.stops_by = max(connector.stops_by, reading.time + FINAL_READING_WITHIN_S)
            if reading.time >= connector.stopping_since + FINAL_READING_WITHIN_S:
                transaction.stopping_at = max(transaction.stopping_at, reading.time + time.offset_s)
    if (opened and fresh) or now >= connector.stops_by:
        end(connector, reading)


def end(connector: Connector, reading: MeterReading | None) -> None:
    """The transaction, whose stop was noted, is over; `reading` is its last, None if the meter is silent."""
    transaction = connector.transaction
    assert transaction is not None, "nothing runs here"
    last_wh = transaction.last_wh or 0.0
    if reading is not None and reading.energy_wh < last_wh:  # a meter that lost its memory
        reading = replace(reading, energy_wh=last_wh)
    energy_wh = last_wh if reading is None else reading.energy_wh
    transaction.stopped_at = transaction.stopping_at
    transaction.meter_stop_wh = max(whole_wh(energy_wh), transaction.meter_start_wh)
    transaction.reason = transaction.stopping_reason
    transaction.last_at, transaction.last_wh = transaction.stopped_at, energy_wh
    if reading is not None:
        transaction.last_offset_wh = reading.offset_wh
    connector.shared.listener.transaction_stopped(connector, transaction, reading)
    connector.shared.save(transaction)
    connector.shared.limiter.transaction_ended(transaction)
    connector.transaction = connector.stop = None
    connector.finishing = Finishing.TRANSACTION if connector.occupied else None
    connector.held_by = lock.holder(connector, transaction)
    connector.keep()
