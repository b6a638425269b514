"""One connector: its facts, the events that change them, and the one method that derives everything else."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from chargepoint.domain import deadlines, ending, lock, offer, running
from chargepoint.domain.ending import Finishing, Stop
from chargepoint.domain.limits import Allowance, Charging, Hardware
from chargepoint.domain.running import Claim
from chargepoint.domain.transaction import Transaction
from hal.api import (
    CONNECTED,
    NOTHING,
    DeviceError,
    Evse,
    FaultKind,
    Limit,
    MeterReading,
    PilotState,
    Timer,
)

if TYPE_CHECKING:
    from chargepoint.domain.connectors import Connectors


class Connector:
    """Facts about one connector and what follows from them (OCPP 1.6 §4.9, IEC 61851-1).

    Every event edits facts and asks the turn to `settle`; the status is a function of the facts
    (`ocpp16.status`), the hardware gets one limit. Moments named `_until`, `_since` are on the station's
    clock, not UTC. The rules that settle applies stand in `running`, `ending`, `offer`, `lock` and
    `deadlines`.
    """

    __slots__ = (
        "_due",
        "_timer",
        "allowance",
        "applied",
        "began",
        "blocked_since",
        "claim",
        "evse",
        "finishing",
        "held_by",
        "id",
        "invited_until",
        "kept_at",
        "letting_go",
        "offer",
        "operative",
        "pluggedness",
        "preparing_since",
        "scheduled",
        "share",
        "share_because",
        "shared",
        "starting",
        "stop",
        "stopping_since",
        "stops_by",
        "transaction",
        "unlocking",
        "unstored",
    )

    def __init__(self, id: int, evse: Evse, shared: Connectors) -> None:
        self.id = id
        self.evse = evse
        self.shared = shared
        self.claim: Claim | None = None
        self.transaction: Transaction | None = None
        self.unstored = False  # the transaction exists only in memory so far
        self.starting = False  # it has just begun, and the vehicle has not reacted to its first offer
        self.stop: Stop | None = None
        self.began: float | None = None  # when the transaction did; None: before this start of the station
        self.stopping_since = 0.0  # when its stop was noted
        self.stops_by = 0.0  # when the newest reading becomes its last one whatever the hardware says
        self.finishing: Finishing | None = None
        self.held_by: lock.Holder | None = None
        self.letting_go = False  # the plug was told to be released, and has not been seen open yet
        self.unlocking = False  # a command wants the plug released
        self.operative = True
        self.scheduled = False  # becomes inoperative when its use ends
        self.blocked_since: float | None = None
        self.preparing_since: float | None = None
        self.invited_until: float | None = None  # the vehicle was just offered energy and may take its time
        self.pluggedness = self.occupied
        self.allowance: Allowance | None = None
        self.share: Limit | None = None  # part of a maximum shared with other connectors; None: not limited
        self.share_because = ""
        self.offer = NOTHING  # what the vehicle may draw while it is connected
        self.applied = NOTHING  # what the hardware was told last
        self.kept_at = 0.0  # when the progress of the transaction was last stored
        self._timer: Timer | None = None
        self._due = inf

    # --- facts that follow from facts ---------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """A vehicle answers on the pilot."""
        return self.evse.pilot in CONNECTED

    @property
    def occupied(self) -> bool:
        """A cable is in the socket, or a vehicle at the cable."""
        return self.evse.plugged or self.evse.pilot in CONNECTED

    @property
    def blocked(self) -> bool:
        """Something prevents charging."""
        faults = self.evse.faults
        return bool(faults) and any(fault.blocking for fault in faults)

    @property
    def faulted(self) -> bool:
        """The station prevents charging; trouble with a vehicle's pilot alone is no fault (OCPP 1.6 §7.6)."""
        faults = self.evse.faults
        return bool(faults) and any(
            fault.blocking and not (fault.kind is FaultKind.PILOT and self.occupied) for fault in faults
        )

    @property
    def ending(self) -> bool:
        """A stop was noted, and the last reading is still awaited."""
        return self.transaction is not None and not self.transaction.running

    @property
    def withheld(self) -> bool:
        """A transaction runs and gets no energy because of us."""
        if self.transaction is None or self.ending:
            return False
        return self.offer.zero or self.evse.pilot in (PilotState.E, PilotState.F)

    @property
    def invited(self) -> bool:
        """The vehicle was offered energy a moment ago and has not reacted yet."""
        return self.invited_until is not None

    @property
    def idle(self) -> bool:
        """Nobody uses this connector or is about to; a cable alone takes no reserved one (OCPP 1.6 §4.9)."""
        return self.transaction is None and self.claim is None and (not self.occupied or self.reserved)

    @property
    def reserved(self) -> bool:
        """A reservation keeps it from strangers."""
        return self.shared.reservations.holds(self)

    @property
    def vacant(self) -> bool:
        """Nobody has claimed it, and whoever does can have it if no reservation stands against it."""
        unclaimed = self.claim is None and self.held_by is None
        return self.usable and unclaimed and self.finishing is None

    @property
    def preparing(self) -> bool:
        """Claimed by a cable or a card, and no transaction runs or just ended."""
        if self.transaction is not None or self.finishing is not None or self.kept_off:
            return False
        return self.operative and not self.idle

    @property
    def kept_off(self) -> bool:
        """New firmware comes, and nobody was at it here: whoever was authorised before still gets served."""
        unused = self.transaction is None and self.claim is None and self.finishing is None
        return self.shared.updating and unused

    @property
    def usable(self) -> bool:
        """A new user may claim it."""
        return not self.scheduled and not self.shared.updating and self._serves()

    @property
    def ready(self) -> bool:
        """Whoever has claimed it can charge, once the plug is locked (OCPP 1.6 §4.8)."""
        free = self.finishing is None and self.held_by is None
        return free and self.connected and self._serves() and self.shared.may_charge()

    def _serves(self) -> bool:
        broken = self.blocked or self.shared.faulted
        return self.operative and not broken and self.transaction is None and not self.unlocking

    # --- events -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take charge of the hardware; whatever it was told before, nothing flows yet."""
        self.evse.listener = self
        self.evse.permit(NOTHING)
        self.shared.turn.settle(self)

    def evse_changed(self) -> None:
        """Pilot, plug, contactor, lock or faults may have changed (hal.api.EvseListener)."""
        with self.shared.turn as turn:
            turn.settle(self)

    def claimed(self, claim: Claim) -> None:
        """Somebody was authorised for this connector."""
        self.claim = self.shared.reservations.bound(self, claim)
        if self.finishing is not None:
            self.finishing = None
            self.keep()
        if self.shared.time.clock.now() >= deadlines.preparing_ends_at(self):
            self.preparing_since = None  # a cable alone has waited for too long, but not this user
        self.shared.turn.settle(self)

    def claim_dropped(self) -> None:
        """Nobody is authorised any more."""
        self.claim = None
        self.shared.turn.settle(self)

    def stop_asked(self, reason: str, id_tag: str | None = None) -> None:
        """End the transaction, if one runs; the first reason counts."""
        if self.transaction is not None and not self.ending and self.stop is None:
            self.stop = Stop(reason, id_tag)
        self.shared.turn.settle(self)

    def released(self) -> None:
        """The card that holds the cable was presented, or a command unlocks it."""
        if self.held_by is not None:
            self.held_by = None
            self.keep()
        self.shared.turn.settle(self)

    def unlock_asked(self) -> None:
        """Whatever holds the plug ends, and nobody else gets it before `unlocking` is over (§5.18)."""
        self.unlocking = True
        if self.occupied:
            self.claim = None
        self.stop_asked("UnlockCommand")
        self.released()

    def availability_asked(self, operative: bool) -> bool:
        """Change the commanded availability; False if it has to wait until the present use ends (§5.2)."""
        if operative:
            self.operative, self.scheduled = True, False
        elif self.transaction is not None or (self.preparing and not self.faulted):
            self.scheduled = True
        else:
            self._become_inoperative()
        self.keep()
        self.shared.turn.settle(self)
        return operative or not self.scheduled

    def _become_inoperative(self) -> None:
        self.operative, self.scheduled = False, False
        self.claim = self.finishing = None

    # --- the heart ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Bring everything in line with the facts but the hardware: `withdraw` and `energise` do that."""
        self._follow_plug()
        deadlines.follow(self)
        lock.engage(self)
        if self.claim is not None and self.ready and lock.secured(self):
            running.start(self, self.claim)
        elif self.transaction is not None and not self.ending and (stop := ending.why(self)):
            ending.note(self, stop)
        if self.ending:
            ending.complete(self)
        if self.scheduled and self.idle:
            self._become_inoperative()
            self.keep()
        self.shared.reservations.follow()
        offer.follow(self)
        running.keep_progress(self)
        self._arm(deadlines.next_at(self))

    def announce(self) -> None:
        """Tell everybody who derives something from the facts, then let the lock follow."""
        self.shared.listener.connector_changed(self)
        lock.release(self)

    def entitlement(self) -> Limit:
        """What the transaction may draw, as long as nothing has to be shared."""
        return offer.entitlement(self)

    def permitted(self) -> Limit:
        """What may flow now."""
        return NOTHING if self.offer is NOTHING or not self.connected else self.offer

    def withdraw(self) -> None:
        """Take away at once what is not permitted any more."""
        if self.applied is not NOTHING:
            self._permit(offer.smaller(self.applied, self.permitted()))

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
            if self.ending:
                self.shared.turn.settle(self)

    def stored(self) -> None:
        """Everything up to here survives a power cut."""
        self.unstored = False

    # --- steps of settle ----------------------------------------------------------------------------

    def _follow_plug(self) -> None:
        """A user leaves with the cable, or finds that nothing works; a new cable finds a user."""
        occupied = self.occupied
        gone = self.pluggedness and not occupied
        self.pluggedness = occupied
        if self.claim is not None and (
            (gone and self.transaction is None) or self.blocked or self.shared.faulted
        ):
            self.claim = None
        if not occupied and (self.held_by is not None or self.finishing is not None):
            self.held_by = self.finishing = None
            self.keep()
        if occupied and self.claim is None:
            self.shared.reception.plugged(self)

    def _arm(self, due: float) -> None:
        """Keep the one timer of this connector on the next moment worth looking at."""
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
        if transaction is None:
            return None
        # A correction of UTC must not move a schedule that counts from the start of charging.
        started_at = transaction.started_at if self.began is None else self.began + self.shared.time.offset_s
        return Charging(transaction.key, started_at)

    def keep(self) -> None:
        """Store what a restart must not change."""
        self.shared.save_connector(self)

    def close(self) -> None:
        """Cancel the timer; the hardware stays as it is."""
        self._arm(inf)
