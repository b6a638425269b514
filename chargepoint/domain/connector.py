"""One connector: its facts, the events that change them, and the one method that derives everything else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any

from chargepoint.domain.limits import Allowance, Charging, Hardware
from chargepoint.domain.metering import whole_wh
from chargepoint.domain.transaction import Transaction
from hal.api import (
    AC_MINIMUM_A,
    CONNECTED,
    NOTHING,
    DeviceError,
    Evse,
    Fault,
    FaultKind,
    Limit,
    MeterReading,
    PilotState,
    Timer,
)

if TYPE_CHECKING:
    from chargepoint.domain.connectors import Connectors

FINAL_READING_WITHIN_S = 10.0
KEEP_EVERY_S = 60.0
STOPS_AT_ONCE = frozenset({FaultKind.GROUND, FaultKind.OVER_CURRENT, FaultKind.WELDED, FaultKind.NOT_CLOSING})
EMERGENCY_STOP = Fault(FaultKind.OTHER, info="emergency stop", vendor_code="EmergencyStop")


class Finishing(StrEnum):
    """Why a connector that runs no transaction is not free yet."""

    TRANSACTION = "transaction"  # one ended and the cable is still in
    TIMEOUT = "timeout"  # plugged in, and nobody was authorised in time (errata 3.20, B6)


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody may charge here as soon as everything else is ready."""

    id_tag: str
    parent: str | None = None
    profile: Any = None  # the charging profile a remote start brought
    reservation_id: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody or something asked for the end of the transaction."""

    reason: str
    id_tag: str | None = None


class Connector:
    """Facts about one connector and what follows from them (OCPP 1.6 §4.9, IEC 61851-1).

    Every event edits facts and asks the turn to `settle`; the status is a function of the facts
    (`ocpp16.status`), the hardware gets one limit. Moments named `_until`, `_since` are on the station's
    clock, not UTC.
    """

    __slots__ = (
        "_due",
        "_kept_at",
        "_timer",
        "allowance",
        "applied",
        "claim",
        "evse",
        "faulted_since",
        "finishing",
        "held_by",
        "id",
        "invited_until",
        "offer",
        "operative",
        "pluggedness",
        "preparing_since",
        "scheduled",
        "share",
        "share_because",
        "shared",
        "stop",
        "transaction",
        "unlocking",
        "unstored",
        "withheld_before",
    )

    def __init__(self, id: int, evse: Evse, shared: Connectors) -> None:
        self.id = id
        self.evse = evse
        self.shared = shared
        self.claim: Claim | None = None
        self.transaction: Transaction | None = None
        self.unstored = False  # the transaction exists only in memory so far
        self.stop: Stop | None = None
        self.finishing: Finishing | None = None
        self.held_by: tuple[str, str | None] | None = None  # whose card (tag, parent) lets the cable go
        self.unlocking = False  # a command wants the plug released
        self.operative = True
        self.scheduled = False  # becomes inoperative when its use ends
        self.faulted_since: float | None = None
        self.preparing_since: float | None = None
        self.invited_until: float | None = None  # the vehicle was just offered energy and may take its time
        self.withheld_before = False  # the offer before the invitation was nothing, within a transaction
        self.pluggedness = evse.plugged
        self.allowance: Allowance | None = None
        self.share: Limit | None = None  # part of a maximum shared with other connectors; None: not limited
        self.share_because = ""
        self.offer = NOTHING  # what the vehicle may draw while it is connected
        self.applied = NOTHING  # what the hardware was told last
        self._timer: Timer | None = None
        self._due = inf
        self._kept_at = 0.0

    # --- facts that follow from facts ---------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """A vehicle answers on the pilot."""
        return self.evse.pilot in CONNECTED

    @property
    def faulted(self) -> bool:
        """Something prevents charging."""
        return any(fault.blocking for fault in self.evse.faults)

    @property
    def withheld(self) -> bool:
        """A transaction runs and gets no energy because of us."""
        return self.transaction is not None and self.transaction.running and self.offer.zero

    @property
    def invited(self) -> bool:
        """The vehicle was offered energy a moment ago and has not reacted yet."""
        return self.invited_until is not None

    @property
    def idle(self) -> bool:
        """Nobody uses this connector or is about to."""
        return (
            self.transaction is None and self.claim is None and not self.evse.plugged and not self.connected
        )

    @property
    def preparing(self) -> bool:
        """Claimed by a cable or a card, and no transaction runs or just ended."""
        return (
            self.transaction is None
            and self.finishing is None
            and self.operative
            and (self.claim is not None or self.evse.plugged or self.connected)
        )

    @property
    def usable(self) -> bool:
        """A new user may claim it."""
        return (
            self.operative
            and not self.scheduled
            and not self.faulted
            and not self.shared.faulted
            and self.transaction is None
        )

    def can_start(self) -> bool:
        """Everything a transaction needs is there (OCPP 1.6 §4.8)."""
        return (
            self.claim is not None
            and self.connected
            and self.usable
            and self.finishing is None
            and self.held_by is None
            and self.shared.may_charge()
            and (self.evse.locked or not self.evse.info.lockable)
        )

    # --- events -------------------------------------------------------------------------------------

    def evse_changed(self) -> None:
        """Pilot, plug, contactor, lock or faults may have changed (hal.api.EvseListener)."""
        with self.shared.turn as turn:
            turn.settle(self)

    def claimed(self, claim: Claim) -> None:
        """Somebody was authorised for this connector."""
        self.claim = claim
        self.finishing = None
        self.shared.turn.settle(self)

    def claim_dropped(self) -> None:
        """Nobody is authorised any more."""
        self.claim = None
        self.shared.turn.settle(self)

    def stop_asked(self, reason: str, id_tag: str | None = None) -> None:
        """End the transaction, if one runs; the first reason counts."""
        if self.transaction is not None and self.transaction.running and self.stop is None:
            self.stop = Stop(reason, id_tag)
        self.shared.turn.settle(self)

    def released(self) -> None:
        """The card that holds the cable was presented, or a command unlocks it."""
        self.held_by = None
        self.shared.turn.settle(self)

    def availability_asked(self, operative: bool) -> bool:
        """Change the commanded availability; False if it has to wait until the present use ends (§5.2)."""
        if operative:
            self.operative, self.scheduled = True, False
        elif self.transaction is not None or self.preparing:
            self.scheduled = True
        else:
            self.operative, self.finishing, self.scheduled = False, None, False
        self._keep()
        self.shared.turn.settle(self)
        return operative or not self.scheduled

    # --- the heart ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Bring transaction and limits in line with the facts; `withdraw` and `energise` bring the hardware."""
        self._follow_plug()
        self._follow_timeouts()
        if self.claim is not None and self.connected and self.usable and self.evse.info.lockable:
            self.evse.lock(True)
        if self.can_start():
            self._start()
        elif self.transaction is not None and self.transaction.running and (stop := self._stop()):
            self._note_stop(stop)
        if self.transaction is not None and self.transaction.stopping_at is not None:
            self._finish_stop()
        if self.scheduled and self.idle:
            self.operative, self.scheduled = False, False
            self._keep()
        self._follow_limit()
        self._ask_again()

    def announce(self) -> None:
        """Tell everybody who derives something from the facts, then let the lock follow."""
        self.shared.listener.connector_changed(self)
        if self.evse.info.lockable and not self.evse.closed and self._may_unlock():
            self.evse.lock(False)

    def permitted(self) -> Limit:
        """What may flow now."""
        return self.offer if self.connected else NOTHING

    def withdraw(self) -> None:
        """Take away at once what is not permitted any more."""
        self._permit(smaller(self.applied, self.permitted()))

    def energise(self) -> None:
        """Grant what is permitted; only after the commit."""
        self._permit(self.permitted())

    def switch_off(self) -> None:
        """No energy, whatever the facts say: the software is about to end."""
        self._permit(NOTHING)

    def make_safe(self) -> None:
        """Something broke: no energy without a stored transaction."""
        if self.transaction is None or self.unstored:
            self._permit(NOTHING)

    def _permit(self, limit: Limit) -> None:
        if limit != self.applied:
            self.applied = limit
            self.evse.permit(limit)
            if self.transaction is not None and not self.transaction.running:
                self.shared.turn.settle(self)

    def stored(self) -> None:
        """Everything up to here survives a power cut."""
        self.unstored = False

    def undo_start(self) -> None:
        """The transaction could not be stored, so it never was."""
        transaction, self.transaction, self.unstored = self.transaction, None, False
        self.claim = self.stop = None
        if transaction is not None:
            self.shared.forget(transaction)
            self.shared.limiter.transaction_ended(transaction)
        self.shared.turn.settle(self)

    # --- steps of settle ----------------------------------------------------------------------------

    def _follow_plug(self) -> None:
        plugged = self.evse.plugged or self.connected
        if plugged != self.pluggedness:
            self.pluggedness = plugged
            if plugged:
                self.shared.reception.plugged(self)
            elif self.transaction is None:
                self.claim = None  # the user left before anything started (B1)
        if not plugged:
            self.held_by = None
            if self.finishing is not None:
                self.finishing = None
                self._keep()

    def _follow_timeouts(self) -> None:
        now = self.shared.time.clock.now()
        if not self.preparing:
            self.preparing_since = None
        elif self.preparing_since is None:
            self.preparing_since = now
        timeout_s = self.shared.policy.connection_timeout_s
        if self.preparing_since is not None and timeout_s and now >= self.preparing_since + timeout_s:
            self._preparing_expired()
        if not self.faulted:
            self.faulted_since = None
        elif self.faulted_since is None:
            self.faulted_since = now
        if self.faulted or self.shared.faulted:
            self.claim = None  # whoever was about to start here has to ask again

    def _preparing_expired(self) -> None:
        """ConnectionTimeOut since Preparing began (errata 3.20, 3.89)."""
        if not (self.evse.plugged or self.connected):
            self.claim = None
            self.preparing_since = None
        elif self.claim is None and self.shared.finishes_unattended:
            self.finishing = Finishing.TIMEOUT
            self.preparing_since = None
            self._keep()

    def _start(self) -> None:
        claim = self.claim
        reading = self.reading()
        if claim is None or reading is None:
            return
        utc = self.shared.time.utc()
        transaction = Transaction(
            key=self.shared.next_transaction_key(),
            connector=self.id,
            id_tag=claim.id_tag,
            parent=claim.parent,
            started_at=utc,
            meter_start_wh=whole_wh(reading.energy_wh),
            reservation_id=claim.reservation_id,
            last_at=utc,
            last_wh=reading.energy_wh,
        )
        self.transaction, self.unstored, self.claim, self.stop = transaction, True, None, None
        self.share = None
        self._kept_at = self.shared.time.clock.now()
        self.shared.limiter.transaction_started(transaction, claim.profile)
        self.shared.save(transaction)
        self.shared.listener.transaction_started(self, transaction, reading)

    def _stop(self) -> Stop | None:
        """Why the transaction must end now, if it must."""
        transaction = self.transaction
        assert transaction is not None
        if self.stop is not None:
            return self.stop
        if EMERGENCY_STOP in self.evse.faults:
            return Stop("EmergencyStop")
        policy = self.shared.policy
        if self.evse.pilot is PilotState.A and not self.faulted:
            gone = not self.evse.plugged and not self.evse.info.tethered
            if gone or policy.stop_on_ev_side_disconnect:
                return Stop("EVDisconnected")
        if transaction.deauthorized and policy.stop_on_invalid_id and self.energy_left_wh() <= 0:
            return Stop("DeAuthorized")
        if self.faulted_since is not None and self.shared.time.clock.now() >= self._fault_ends_at():
            return Stop("Other")
        return None

    def _fault_ends_at(self) -> float:
        """When the present fault ends the transaction."""
        assert self.faulted_since is not None
        if any(fault.blocking and fault.kind in STOPS_AT_ONCE for fault in self.evse.faults):
            return self.faulted_since
        after_s = self.shared.behaviour.fault_stops_transaction_after_s
        return inf if after_s is None else self.faulted_since + after_s

    def energy_left_wh(self) -> float:
        """What a transaction with an invalid tag may still take (OCPP 1.6 §9.1.15)."""
        transaction, reading = self.transaction, self.reading()
        if transaction is None or reading is None:
            return 0.0
        limit_wh = self.shared.policy.max_energy_on_invalid_id_wh
        return transaction.meter_start_wh + limit_wh - reading.energy_wh if limit_wh else 0.0

    def _note_stop(self, stop: Stop) -> None:
        transaction = self.transaction
        assert transaction is not None
        transaction.stopping_at = max(self.shared.time.utc(), transaction.started_at)
        transaction.stopping_reason = stop.reason
        transaction.stopping_tag = stop.id_tag
        self.shared.save(transaction)

    def _finish_stop(self) -> None:
        """Write the stop record once the contactor is open and was read after that, or after 10 s."""
        transaction = self.transaction
        assert transaction is not None and transaction.stopping_at is not None
        reading = self.reading()
        offset_s = self.shared.time.offset_s
        late = self.shared.time.utc() >= transaction.stopping_at + FINAL_READING_WITHIN_S
        fresh = reading is not None and reading.time + offset_s >= transaction.stopping_at - 0.001
        if not late and (self.evse.closed or not fresh or not self.applied.zero):
            return
        self.end(reading)

    def end(self, reading: MeterReading | None) -> None:
        """The transaction is over; `reading` is its last, None if the meter is silent."""
        transaction = self.transaction
        assert transaction is not None and transaction.stopping_at is not None
        last_wh = transaction.last_wh or 0.0
        energy_wh = max(last_wh, reading.energy_wh) if reading is not None else last_wh
        transaction.stopped_at = transaction.stopping_at
        transaction.meter_stop_wh = max(whole_wh(energy_wh), transaction.meter_start_wh)
        transaction.reason = transaction.stopping_reason
        transaction.last_at, transaction.last_wh = transaction.stopped_at, energy_wh
        self.shared.listener.transaction_stopped(self, transaction, reading)
        self.shared.save(transaction)
        self.shared.limiter.transaction_ended(transaction)
        self.transaction = self.stop = None
        plugged = self.evse.plugged or self.connected
        self.finishing = Finishing.TRANSACTION if plugged else None
        unlocks = self.shared.policy.unlock_on_ev_side_disconnect
        if (
            plugged
            and not self.unlocking
            and (
                transaction.reason == "DeAuthorized"
                or (transaction.reason == "EVDisconnected" and not unlocks)
            )
        ):
            self.held_by = (transaction.id_tag, transaction.parent)
        self._keep()

    def _follow_limit(self) -> None:
        """What may be offered now, and since when."""
        transaction = self.transaction
        self.allowance = self.shared.limiter.allowance(self)
        before = self.offer
        self.offer = self._offered()
        now = self.shared.time.clock.now()
        if transaction is None or self.offer.zero:
            self.invited_until = None
            self.withheld_before = transaction is not None and self.withheld
        elif before.zero:
            self.invited_until = now + self.evse.info.start_grace_s
        elif self.invited_until is not None and (now >= self.invited_until or self.evse.closed):
            self.invited_until = None

    def _offered(self) -> Limit:
        transaction = self.transaction
        if transaction is None or not transaction.running or self.faulted or self.allowance is None:
            return NOTHING
        if transaction.deauthorized and self.energy_left_wh() <= 0:
            return NOTHING
        limit = self.allowance.limit
        if self.share is not None:
            limit = smaller(limit, self.share)
        if limit.zero or (self.evse.info.current == "ac" and limit.current_a < AC_MINIMUM_A):
            return NOTHING
        return limit

    def _may_unlock(self) -> bool:
        if not self.evse.locked or self.held_by is not None:
            return False
        if self.unlocking:
            return self.transaction is None
        return self.transaction is None and not (self.claim is not None and self.connected and self.usable)

    def _ask_again(self) -> None:
        """Arm the one timer of this connector for the next moment at which something may change by itself."""
        due = inf
        transaction, now = self.transaction, self.shared.time.clock.now()
        timeout_s = self.shared.policy.connection_timeout_s
        if self.preparing_since is not None and timeout_s and now < self.preparing_since + timeout_s:
            due = self.preparing_since + timeout_s
        if self.invited_until is not None:
            due = min(due, self.invited_until)
        if transaction is not None:
            if self.faulted_since is not None:
                due = min(due, self._fault_ends_at())
            if transaction.stopping_at is not None:
                due = min(due, transaction.stopping_at - self.shared.time.offset_s + FINAL_READING_WITHIN_S)
            elif transaction.deauthorized and not self.offer.zero:
                due = min(due, now + max(1.0, self.energy_left_wh() * 3600 / self._power_w()))
            if self.allowance is not None and self.allowance.until is not None:
                due = min(due, self.allowance.until - self.shared.time.offset_s)
            if self.shared.store.durable and transaction.running:
                due = min(due, self._keep_progress(transaction, now))
        self._arm(due)

    def _keep_progress(self, transaction: Transaction, now: float) -> float:
        """Store the register at least each minute, for the case of a power cut; returns when to come again."""
        if now >= self._kept_at + KEEP_EVERY_S:
            self.keep_reading(self.reading())
        return self._kept_at + KEEP_EVERY_S

    def keep_reading(self, reading: MeterReading | None) -> None:
        """Remember how far the running transaction has come."""
        self._kept_at = self.shared.time.clock.now()
        transaction = self.transaction
        if transaction is not None and reading is not None and transaction.running:
            transaction.last_at = max(reading.time + self.shared.time.offset_s, transaction.started_at)
            transaction.last_wh = max(reading.energy_wh, transaction.last_wh or 0.0)
            if self.shared.store.durable:
                self.shared.save(transaction)

    def _power_w(self) -> float:
        """The most that can flow under the present offer."""
        info = self.evse.info
        if self.offer.power_w is not None:
            return max(self.offer.power_w, 1.0)
        return max(self.offer.current_a * info.nominal_voltage_v * info.phases, 1.0)

    def _arm(self, due: float) -> None:
        if due == self._due and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = due
        if due < inf:
            self._timer = self.shared.time.clock.call_at(due, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer, self._due = None, inf
        self.evse_changed()

    # --- the rest -----------------------------------------------------------------------------------

    def reading(self) -> MeterReading | None:
        """The newest reading, or None while the meter is silent."""
        try:
            return self.evse.reading()
        except DeviceError:
            return None

    def hardware(self) -> Hardware:
        """What the installation can deliver here at most."""
        info = self.evse.info
        return Hardware(
            info.max_current_a, info.max_power_w, info.phases, info.nominal_voltage_v, info.current == "dc"
        )

    def charging(self) -> Charging | None:
        """The running transaction as charging profiles see it."""
        transaction = self.transaction
        return None if transaction is None else Charging(transaction.key, transaction.started_at)

    def _keep(self) -> None:
        self.shared.save_connector(self)

    def close(self) -> None:
        """Cancel the timer; the hardware stays as it is."""
        self._arm(inf)


def smaller(one: Limit, other: Limit) -> Limit:
    """What both limits allow."""
    if one.power_w is None or other.power_w is None:
        power_w = one.power_w if other.power_w is None else other.power_w
    else:
        power_w = min(one.power_w, other.power_w)
    both = Limit(min(one.current_a, other.current_a), power_w)
    return NOTHING if both.zero else both
