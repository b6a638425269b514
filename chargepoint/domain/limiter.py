"""The limiter: what each connector of a station may draw now, alone and together with the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from chargepoint.domain.connector import Connector
from chargepoint.domain.limits import (
    PHASES,
    Allowance,
    Maximum,
    Profile,
    connector_allowance,
    station_maximum,
)
from chargepoint.domain.offer import smaller
from chargepoint.domain.profiles import ProfileBook, ZeroAfterN
from chargepoint.domain.sharing import Share, Wish, allocate
from chargepoint.domain.time import Moment
from chargepoint.domain.transaction import Transaction
from hal.api import Limit, Timer

if TYPE_CHECKING:
    from chargepoint.domain.connectors import Connectors

OTHERS_FOLLOW_WITHIN_S = 6.0
"""A vehicle told less has this long to follow before its share counts as free (IEC 61851-1: 5 s)."""

FOLLOWED_A = 0.5
"""A vehicle that draws no more than this above its share, per line, has followed."""

DAY_S = 86_400


class Limiter:
    """Charging profiles and shared maxima of one station (OCPP 1.6 §3.13)."""

    __slots__ = ("_due", "_lowered_at", "_purge", "_shared", "_sharing", "_timer", "book")

    def __init__(self, shared: Connectors, zero_after_n: ZeroAfterN) -> None:
        self._shared = shared
        self.book = ProfileBook(shared.store, zero_after_n)
        self._sharing = False  # some connector has a share
        self._lowered_at = -inf  # when a share was last taken away, on the station's clock
        self._timer: Timer | None = None
        self._due = inf
        self._purge: Moment | None = None

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

    def purge(self) -> None:
        """Forget profiles that are over, now and each midnight; only while the time can be trusted."""
        if self.book.all:
            self.book.purge(self._shared.time.utc())
            self.purge_later()

    def purge_later(self) -> None:
        """Begin to look each midnight, if there is anything to look at."""
        if self._purge is None and self.book.all:
            midnight = (self._shared.time.utc() // DAY_S + 1) * DAY_S
            self._purge = self._shared.time.at_utc(midnight, self._purge_again)

    def _purge_again(self) -> None:
        self._purge = None
        with self._shared.turn:
            self.purge()

    # --- shared maxima ------------------------------------------------------------------------------

    def share(self) -> None:
        """Divide the maxima among the connectors that charge; asks those to settle whose share changes.

        Less applies at once. More applies when what was taken from others is no longer drawn: the next call
        may find that, or 6 s have passed.
        """
        site = self._shared.site
        if site is None and not self.book.all and not self._sharing and self._timer is None:
            return
        charging = [c for c in self._shared.all if c.transaction is not None and c.transaction.running]
        maximum = station_maximum(self.book.all, self._shared.time.utc())
        due = inf if maximum.until is None or not charging else maximum.until - self._shared.time.offset_s
        maxima = [maximum] if maximum.value < inf else []
        if site is not None and charging:
            maxima += site.maxima(busy=len(charging))
        if not maxima:
            for connector in self._shared.all:
                self._set(connector, None, "")
        elif self._divide(charging, maxima):
            due = min(due, self._lowered_at + OTHERS_FOLLOW_WITHIN_S)
        self._sharing = any(connector.share is not None for connector in charging)
        self._ask_again(due)

    def _divide(self, charging: Sequence[Connector], maxima: Sequence[Maximum]) -> bool:
        """Lower what has to be lower and raise what can be higher; True if someone has to wait for that."""
        for connector in self._shared.all:
            if connector.share is not None and connector not in charging:
                self._taken(connector)
                self._set(connector, None, "")
        site = self._shared.site
        lines = None if site is None else site.settings.lines
        shares = allocate([_wish(connector, lines) for connector in charging], maxima)
        waiting: list[tuple[Connector, Limit, Share]] = []
        for connector in charging:
            share = shares[connector.id]
            target = _counted(share.limit, connector)
            # Who begins has what it draws already, which mostly is nothing.
            before = _counted(connector.applied if connector.share is None else connector.share, connector)
            lowered = smaller(before, target)
            if lowered != before:
                self._taken(connector)
            if lowered != target:
                waiting.append((connector, target, share))
                limited = share.limit != connector.entitlement()
                because = share.because if limited and len(maxima) > 1 else maxima[0].because
                self._set(connector, lowered, f"{because}: until others draw less")
            else:
                self._set(connector, target, share.because)
        if waiting and self._followed():
            for connector, target, share in waiting:
                self._set(connector, target, share.because)
            waiting = []
        return bool(waiting)

    def _taken(self, connector: Connector) -> None:
        """From a connector that may draw more than its share for a while yet."""
        if connector.evse.closed or not connector.applied.zero:
            self._lowered_at = self._shared.time.clock.now()

    def _followed(self) -> bool:
        """Nobody draws more than its share any more, or everybody has had time enough."""
        if self._shared.time.clock.now() >= self._lowered_at + OTHERS_FOLLOW_WITHIN_S:
            return True
        return all(_within_share(connector, self._lowered_at) for connector in self._shared.all)

    def _set(self, connector: Connector, share: Limit | None, because: str) -> None:
        if connector.share != share or connector.share_because != because:
            connector.share = share
            connector.share_because = because
            self._shared.turn.settle(connector)

    def _ask_again(self, due: float) -> None:
        if due == self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due < inf:
            self._timer = self._shared.time.clock.call_at(due, self._again)

    def _again(self) -> None:
        self._timer, self._due = None, inf
        with self._shared.turn as turn:
            turn.settle_all()

    def close(self) -> None:
        """Cancel the timers."""
        self._ask_again(inf)
        if self._purge is not None:
            self._purge.cancel()
            self._purge = None


def bound(profile: Profile, transaction: Transaction) -> Profile:
    """The same profile as a TxProfile of that transaction."""
    return replace(profile, connector_id=transaction.connector, transaction_key=transaction.key)


def _wish(connector: Connector, lines: Mapping[int, tuple[int, ...]] | None) -> Wish:
    allowance, charging = connector.allowance, connector.charging()
    assert charging is not None
    info = connector.evse.info
    return Wish(
        connector_id=connector.id,
        limit=connector.entitlement(),
        since=charging.started_at,
        because=allowance.because if allowance is not None else "hardware",
        minimum_a=allowance.minimum_a if allowance is not None else 0.0,
        phases=info.phases,
        voltage_v=info.nominal_voltage_v,
        dc=info.current == "dc",
        lines=None if lines is None else lines.get(connector.id),
    )


def _counted(limit: Limit, connector: Connector) -> Limit:
    """What of a limit counts when two are compared: for AC the current alone."""
    return limit if connector.evse.info.current == "dc" else Limit(limit.current_a)


def _within_share(connector: Connector, since: float) -> bool:
    """It was seen, at `since` or later, to draw no more than its share."""
    share, info = connector.share, connector.evse.info
    if share is None:
        return connector.applied.zero and not connector.evse.closed
    reading = connector.reading()
    if reading is None or reading.time < since:
        return False
    if info.current == "dc":
        share_a = (share.power_w or 0.0) / (info.nominal_voltage_v * PHASES)
        drawn_a = reading.power_w / (info.nominal_voltage_v * PHASES)
    else:
        share_a = share.current_a
        drawn_a = max(reading.current_a, default=reading.power_w / info.nominal_voltage_v)
    return drawn_a <= share_a + FOLLOWED_A
