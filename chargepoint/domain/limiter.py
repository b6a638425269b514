"""The limiter: what each connector of a station may draw now, alone and together with the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chargepoint.domain.connector import Connector, smaller
from chargepoint.domain.limits import Allowance, Maximum, Profile, connector_allowance, station_maximum
from chargepoint.domain.profiles import ProfileBook, ZeroAfterN
from chargepoint.domain.sharing import Wish, allocate
from chargepoint.domain.transaction import Transaction
from hal.api import NOTHING, Limit, Timer

if TYPE_CHECKING:
    from chargepoint.domain.connectors import Connectors

OTHERS_FOLLOW_WITHIN_S = 6.0
"""A vehicle told less has this long to follow before its share counts as free (IEC 61851-1: 5 s)."""


class Limiter:
    """Charging profiles and shared maxima of one station (OCPP 1.6 §3.13)."""

    __slots__ = ("_free_at", "_shared", "_timer", "book")

    def __init__(self, shared: Connectors, zero_after_n: ZeroAfterN) -> None:
        self._shared = shared
        self.book = ProfileBook(shared.store, zero_after_n)
        self._timer: Timer | None = None
        self._free_at = 0.0  # from then on every share taken away counts as free, on the station's clock

    def allowance(self, connector: Connector) -> Allowance | None:
        """What a connector may draw by its own profiles and hardware; None without a transaction."""
        charging = connector.charging()
        if charging is None:
            return None
        utc = self._shared.time.utc()
        return connector_allowance(self.book.all, connector.id, charging, connector.hardware(), utc)

    def transaction_started(self, transaction: Transaction, profile: Profile | None) -> None:
        """A profile that came with a remote start belongs to this transaction from now on (§5.11)."""
        if profile is not None:
            self.book.install(bound(profile, transaction))

    def transaction_ended(self, transaction: Transaction) -> None:
        """Its TxProfiles end with it (§3.13.1)."""
        self.book.drop_transaction(transaction.key)

    def maxima(self) -> list[Maximum]:
        """Every cap on the sum over the connectors that is in force now."""
        maximum = station_maximum(self.book.all, self._shared.time.utc())
        return [] if maximum.value == float("inf") and maximum.until is None else [maximum]

    def share(self) -> None:
        """Divide the maxima among the connectors that charge; asks those to settle whose share changes.

        Less applies at once. More applies when what was taken from others is no longer drawn.
        """
        maxima = self.maxima() if self.book.all else []
        charging = [c for c in self._shared.all if c.transaction is not None and c.transaction.running]
        if not maxima:
            for connector in charging:
                self._set(connector, None, "")
            self._ask_again(None)
            return
        shares = allocate([_wish(c) for c in charging], maxima)
        for connector in charging:
            share = shares[connector.id]
            if connector.share is None:  # it begins with nothing, or with what it draws already
                self._set(connector, smaller(connector.applied, share.limit), share.because)
            elif _less(share.limit, connector.share):
                self._set(connector, share.limit, share.because)
            else:
                continue
            if not connector.applied.zero:
                self._free_at = self._shared.time.clock.now() + OTHERS_FOLLOW_WITHIN_S
        raised = [c for c in charging if c.share != shares[c.id].limit]
        if raised and self._others_followed(charging):
            for connector in raised:
                self._set(connector, shares[connector.id].limit, shares[connector.id].because)
            raised = []
        until = min((m.until for m in maxima if m.until is not None), default=None)
        due = None if until is None else until - self._shared.time.offset_s
        self._ask_again(min(self._free_at, due or self._free_at) if raised else due)

    def _others_followed(self, charging: list[Connector]) -> bool:
        """Nobody draws more than the share it has now."""
        if self._shared.time.clock.now() >= self._free_at:
            return True
        for connector in charging:
            reading = connector.reading()
            if connector.share is None or reading is None or not connector.applied == connector.permitted():
                return False
            drawn_a = max(reading.current_a, default=0.0)
            if drawn_a > connector.share.current_a + 0.5:
                return False
        return True

    def _set(self, connector: Connector, share: Limit | None, because: str) -> None:
        if connector.share != share:
            connector.share = share
            self._shared.turn.settle(connector)
        connector.share_because = because

    def _ask_again(self, due: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._shared.time.clock.call_at(due, self._again)

    def _again(self) -> None:
        self._timer = None
        with self._shared.turn as turn:
            turn.settle_all()

    def close(self) -> None:
        """Cancel the timer."""
        self._ask_again(None)


def bound(profile: Profile, transaction: Transaction) -> Profile:
    """The same profile as a TxProfile of that transaction."""
    return replace(profile, connector_id=transaction.connector, transaction_key=transaction.key)


def _wish(connector: Connector) -> Wish:
    allowance, transaction = connector.allowance, connector.transaction
    assert transaction is not None
    info = connector.evse.info
    wanted = allowance is not None and not connector.faulted and not transaction.deauthorized
    return Wish(
        connector_id=connector.id,
        limit=allowance.limit if wanted and allowance is not None else NOTHING,
        since=transaction.started_at,
        because=allowance.because if allowance is not None else "hardware",
        minimum_a=allowance.minimum_a if allowance is not None else 0.0,
        phases=info.phases,
        voltage_v=info.nominal_voltage_v,
        dc=info.current == "dc",
    )


def _less(one: Limit, other: Limit) -> bool:
    """`one` allows less than `other` in any respect."""
    if one.current_a < other.current_a:
        return True
    return one.power_w is not None and (other.power_w is None or one.power_w < other.power_w)
