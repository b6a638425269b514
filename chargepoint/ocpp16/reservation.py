"""Reservation: ReserveNow and CancelReservation (OCPP 1.6 §5.1, §5.13)."""

from __future__ import annotations

from typing import Protocol

from ocpp.exceptions import PropertyConstraintViolationError
from ocpp.v16 import call, call_result
from ocpp.v16.enums import CancelReservationStatus, ReservationStatus

from chargepoint.domain import reservations
from chargepoint.domain.connectors import Connectors
from chargepoint.domain.reservations import Outcome
from chargepoint.ocpp16.times import parse_time

STATUSES = {
    Outcome.ACCEPTED: ReservationStatus.accepted,
    Outcome.FAULTED: ReservationStatus.faulted,
    Outcome.UNAVAILABLE: ReservationStatus.unavailable,
    Outcome.OCCUPIED: ReservationStatus.occupied,
    Outcome.EXPIRED: ReservationStatus.rejected,
}


class Settings(Protocol):
    """The configuration keys of the profile (OCPP 1.6 §9.3)."""

    @property
    def reserve_connector_zero(self) -> bool:
        """ReserveConnectorZeroSupported."""


class Reservation:
    """Handlers of the profile."""

    __slots__ = ("_connectors", "_settings")

    def __init__(self, connectors: Connectors, settings: Settings) -> None:
        self._connectors = connectors
        self._settings = settings

    def on_reserve_now(self, request: call.ReserveNow) -> call_result.ReserveNow:
        """Keep a connector, or with 0 any one of them, for an identifier or its group (§5.13).

        Raises `PropertyConstraintViolationError` for an expiry date that is none.
        """
        try:
            expires_at = parse_time(request.expiry_date)
        except ValueError as error:
            raise PropertyConstraintViolationError(str(error)) from None
        least = 0 if self._settings.reserve_connector_zero else 1
        if not least <= request.connector_id <= len(self._connectors.all):
            return call_result.ReserveNow(status=ReservationStatus.rejected)
        outcome = self._connectors.reservations.reserve(
            reservations.Reservation(
                id=request.reservation_id,
                connector=request.connector_id,
                id_tag=request.id_tag,
                expires_at=expires_at,
                parent=request.parent_id_tag or None,
            )
        )
        return call_result.ReserveNow(status=STATUSES[outcome])

    def on_cancel_reservation(self, request: call.CancelReservation) -> call_result.CancelReservation:
        """End a reservation before its time (§5.1)."""
        cancelled = self._connectors.reservations.cancel(request.reservation_id)
        status = CancelReservationStatus.accepted if cancelled else CancelReservationStatus.rejected
        return call_result.CancelReservation(status=status)
