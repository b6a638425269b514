"""How a transaction begins, and how far it has come (OCPP 1.6 §4.8)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chargepoint.domain.metering import whole_wh
from chargepoint.domain.transaction import Transaction
from hal.api import MeterReading

if TYPE_CHECKING:
    from chargepoint.domain.connector import Connector

KEEP_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody may charge here as soon as everything else is ready."""

    id_tag: str
    parent: str | None = None
    profile: Any = None  # the charging profile a remote start brought
    reservation_id: int | None = None


def start(connector: Connector, claim: Claim) -> None:
    """Begin a transaction, unless the meter is silent: it would have no first register."""
    reading = connector.reading()
    if reading is None:
        return
    shared = connector.shared
    utc = shared.time.utc()
    transaction = Transaction(
        key=shared.next_transaction_key(),
        connector=connector.id,
        id_tag=claim.id_tag,
        parent=claim.parent,
        started_at=utc,
        meter_start_wh=whole_wh(reading.energy_wh),
        reservation_id=claim.reservation_id,
        last_at=utc,
        last_wh=reading.energy_wh,
        last_offset_wh=reading.offset_wh,
    )
    connector.transaction, connector.unstored, connector.starting = transaction, True, True
    connector.claim = connector.stop = connector.share = None
    shared.reservations.taken(connector, claim)
    connector.began = connector.kept_at = shared.time.clock.now()
    shared.limiter.transaction_started(transaction, claim.profile)
    shared.save(transaction)
    shared.listener.transaction_started(connector, transaction, reading)


def undo(connector: Connector) -> None:
    """The transaction could not be stored, so it never was."""
    transaction, connector.transaction, connector.unstored = connector.transaction, None, False
    connector.claim = connector.stop = None
    if transaction is not None:
        connector.shared.forget(transaction)
        connector.shared.limiter.transaction_ended(transaction)
    connector.shared.reservations.given_back(connector)
    connector.shared.turn.settle(connector)


def keep_progress(connector: Connector) -> None:
    """Store the register at least each minute, for the case of a power cut, and when the meter's leapt."""
    transaction = connector.transaction
    if transaction is None or not connector.shared.store.durable:
        return
    reading = connector.reading()
    leapt = reading is not None and reading.offset_wh != transaction.last_offset_wh
    if leapt or connector.shared.time.clock.now() >= connector.kept_at + KEEP_EVERY_S:
        keep_reading(connector, reading)


def keep_reading(connector: Connector, reading: MeterReading | None) -> None:
    """Remember how far the running transaction has come."""
    shared, transaction = connector.shared, connector.transaction
    connector.kept_at = shared.time.clock.now()
    if transaction is not None and reading is not None:
        note_reading(transaction, reading, shared.time.offset_s)
        if shared.store.durable:
            shared.save(transaction)


def note_reading(transaction: Transaction, reading: MeterReading, offset_s: float) -> None:
    """How far it has come, on paper; `offset_s` is what UTC is ahead of the reading's clock."""
    transaction.last_at = max(reading.time + offset_s, transaction.started_at)
    transaction.last_wh = max(reading.energy_wh, transaction.last_wh or 0.0)
    transaction.last_offset_wh = reading.offset_wh
