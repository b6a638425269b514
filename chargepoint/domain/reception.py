"""The reception: decides which connector a card or a remote start is for, and whether it starts or stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from chargepoint.domain.authorization import IdTagInfo, Verdict
from chargepoint.domain.connector import Connector
from chargepoint.domain.ending import Finishing
from chargepoint.domain.reservations import Entitled, User
from chargepoint.domain.running import Claim
from chargepoint.domain.transaction import Transaction
from hal.api import Timer

if TYPE_CHECKING:
    from chargepoint.domain.connectors import Connectors

MAY_STOP = frozenset({"Accepted", "ConcurrentTx"})
"""Statuses with which a card of the same group may stop (a group is by definition in a transaction)."""


class Authorities(Protocol):
    """Who knows whether an identifier may charge (`domain.authorization.Authorizer`)."""

    def authorize(self, id_tag: str, decided: Callable[[Verdict], None]) -> None:
        """Call `decided` exactly once, now or later."""

    def known(self, id_tag: str) -> IdTagInfo | None:
        """What the station itself knows of it; None if nothing."""


class Waiting:
    """Somebody was authorised and no connector is known yet."""

    __slots__ = ("claim", "timer")

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.timer: Timer | None = None


class Reception:
    """Cards and remote starts, in the order in which they came (OCPP 1.6 §4.1, §4.8, §5.11)."""

    __slots__ = ("_asking", "_authorities", "_queue", "_remote", "_shared", "_waiting")

    def __init__(self, shared: Connectors, authorities: Authorities) -> None:
        self._shared = shared
        self._authorities = authorities
        self._asking: tuple[str, int | None] | None = None  # the card being asked about; others wait
        self._queue: list[tuple[str, int | None]] = []
        self._waiting: list[Waiting] = []
        self._remote: list[int | None] = []  # the connectors of remote starts that are being authorised

    # --- cards --------------------------------------------------------------------------------------

    def tag_presented(self, id_tag: str, connector_id: int | None) -> None:
        """A card at the reader of `connector_id`, or at the station's reader (None)."""
        candidates = self._candidates(connector_id)
        for connector in candidates:
            transaction = connector.transaction
            if transaction is not None and transaction.running and transaction.owned_by(id_tag):
                connector.stop_asked("Local", id_tag)
                return
        for connector in candidates:
            if connector.held_by is not None and connector.held_by[0].casefold() == id_tag.casefold():
                connector.released()
                return
        if self._cancelled(id_tag, candidates):
            return
        if self._asking is None:
            self._ask(id_tag, connector_id)
        elif not (_same(self._asking[0], id_tag) and self._asking[1] == connector_id):  # only impatient
            self._queue.append((id_tag, connector_id))

    def _ask(self, id_tag: str, connector_id: int | None) -> None:
        candidates = self._candidates(connector_id)
        user = self._user(id_tag)
        target = self._target(candidates, user)
        grouped = [c for c in candidates if _group_parent(c) is not None]
        if target is None and not grouped and not self._room(candidates, user):
            return
        if not self._shared.may_charge() and not grouped:
            return
        was_plugged = target is not None and target.occupied
        self._asking = id_tag, connector_id

        def decided(verdict: Verdict) -> None:
            self._asking = None
            with self._shared.turn:
                self._decided(id_tag, connector_id, target, was_plugged, verdict)
                self._next()

        self._authorities.authorize(id_tag, decided)

    def _decided(
        self,
        id_tag: str,
        connector_id: int | None,
        target: Connector | None,
        was_plugged: bool,
        verdict: Verdict,
    ) -> None:
        candidates = self._candidates(connector_id)
        if verdict.status in MAY_STOP and verdict.parent is not None:
            for connector in candidates:
                if connector.transaction is not None and connector.transaction.same_group(verdict.parent):
                    if connector.transaction.running:
                        connector.stop_asked("Local", id_tag)
                    return
                if connector.held_by is not None and _same(connector.held_by[1], verdict.parent):
                    connector.released()
                    return
        if not verdict.accepted:
            return
        if was_plugged and target is not None and not target.occupied:
            return  # the cable was pulled meanwhile: what was asked has no purpose any more
        claim = Claim(id_tag, verdict.parent)
        user = User.of(claim)
        reserved = self._named(candidates, user)
        if target is None or reserved or not (self._free(target, user) or self._restartable(target)):
            target = self._target(candidates, user)
        if target is not None:
            target.claimed(claim)
        elif self._room(candidates, user):
            self._wait(claim)

    def _next(self) -> None:
        while self._queue and self._asking is None:
            id_tag, connector_id = self._queue.pop(0)
            self.tag_presented(id_tag, connector_id)

    def _cancelled(self, id_tag: str, candidates: tuple[Connector, ...]) -> bool:
        """The same card again before anything started takes the claim back (B1)."""
        for connector in candidates:
            if connector.claim is not None and _same(connector.claim.id_tag, id_tag):
                connector.claim_dropped()
                return True
        for waiting in self._waiting:
            if _same(waiting.claim.id_tag, id_tag):
                self._drop(waiting)
                return True
        return False

    # --- remote starts ------------------------------------------------------------------------------

    def remote_start_possible(self, id_tag: str, connector_id: int | None) -> bool:
        """Whether a RemoteStartTransaction can be tried (OCPP 1.6 §5.11)."""
        if not self._shared.may_charge():
            return False
        user = self._user(id_tag)
        if connector_id is None:
            return self._room_anywhere(user)
        try:
            connector = self._shared[connector_id]
        except KeyError:
            return False
        return self._remotely_startable(connector, user) and connector_id not in self._remote

    def remote_start(self, id_tag: str, connector_id: int | None, profile: Any) -> None:
        """Try what `remote_start_possible` allowed."""
        user = self._user(id_tag)
        if not self._shared.policy.authorize_remote and not self._group_matters(user, connector_id):
            self._remote_accepted(Claim(id_tag, user.parent, profile), connector_id)
            return
        self._remote.append(connector_id)

        def decided(verdict: Verdict) -> None:
            with self._shared.turn:
                self._remote.remove(connector_id)
                if verdict.accepted:
                    self._remote_accepted(Claim(id_tag, verdict.parent, profile), connector_id)

        self._authorities.authorize(id_tag, decided)

    def _group_matters(self, user: User, connector_id: int | None) -> bool:
        """Only somebody who knows the identifier's parent can say whether a reservation is theirs (§5.13)."""
        if connector_id is not None:
            return self._shared.reservations.admits(self._shared[connector_id], user) is Entitled.PERHAPS
        return not self._room_anywhere(User(user.id_tag, user.parent))

    def _remote_accepted(self, claim: Claim, connector_id: int | None) -> None:
        user = User.of(claim)
        if connector_id is not None:
            connector = self._shared[connector_id]
            if self._remotely_startable(connector, user):
                connector.claimed(claim)
            return
        target = self._free_target(self._shared.all, user)
        if target is not None:
            target.claimed(claim)
        elif self._room(self._shared.all, user):
            self._wait(claim)

    # --- connectors ---------------------------------------------------------------------------------

    def plugged(self, connector: Connector) -> None:
        """A cable is in and nobody was authorised: it is for whoever waits longest, or for everybody."""
        if not connector.vacant:
            return
        free_tag = self._shared.behaviour.free_charging_id_tag
        waiting = next((w for w in self._waiting if self._free(connector, User.of(w.claim))), None)
        if waiting is not None:
            self._drop(waiting)
            connector.claimed(waiting.claim)
        elif free_tag and connector.connected and self._shared.may_charge():
            self._charge_free(connector, Claim(free_tag))

    def _charge_free(self, connector: Connector, claim: Claim) -> None:
        if self._free(connector, User.of(claim)):
            connector.claimed(claim)

    def _candidates(self, connector_id: int | None) -> tuple[Connector, ...]:
        return self._shared.all if connector_id is None else (self._shared[connector_id],)

    def _restartable(self, connector: Connector) -> bool:
        """A card may start once more on the vehicle that was served last (F2), if the operator likes."""
        ended = connector.finishing is Finishing.TRANSACTION and self._shared.behaviour.restart_without_replug
        return ended and connector.usable and connector.claim is None and connector.held_by is None

    def _user(self, id_tag: str) -> User:
        """Somebody nobody was asked about yet; the parent only matters where something is reserved."""
        info = self._authorities.known(id_tag) if self._shared.reservations else None
        return User(id_tag, info.parent if info is not None and info.in_order else None, certain=False)

    def _free(self, connector: Connector, user: User) -> bool:
        """They can have it, or could if their parent was the right one."""
        return connector.vacant and self._admits(connector, user)

    def _admits(self, connector: Connector, user: User) -> bool:
        return self._shared.reservations.admits(connector, user) is not Entitled.NO

    def _named(self, candidates: tuple[Connector, ...], user: User) -> list[Connector]:
        """The connectors that are reserved for this user and still free."""
        return [c for c in candidates if c.vacant and self._shared.reservations.names(c, user)]

    def _target(self, candidates: tuple[Connector, ...], user: User) -> Connector | None:
        """The connector a card means: a plugged one, a vehicle served before, the only one, or none yet."""
        target = self._free_target(candidates, user)
        if target is None or not target.occupied:
            target = next((c for c in candidates if self._restartable(c)), target)
        return target

    def _free_target(self, candidates: tuple[Connector, ...], user: User) -> Connector | None:
        """The connector a new user means: theirs, else the plugged one, the only free one, or none yet."""
        named = self._named(candidates, user)
        free = named or [c for c in candidates if self._free(c, user)]
        for connector in free:
            if connector.occupied:
                return connector
        only = len(free) == 1 and not self._waiting
        return free[0] if named or only else None

    def _room(self, candidates: tuple[Connector, ...], user: User) -> bool:
        """A connector is left for one more who waits for a plug, or for an answer."""
        free = sum(self._free(c, user) and c.id not in self._remote for c in candidates)
        if self._shared.reservations.guaranteed(user) is not Entitled.NO:
            return free > 0
        return free - self._shared.reservations.promised > self.strangers + self._remote.count(None)

    def _room_anywhere(self, user: User) -> bool:
        named = any(connector.id not in self._remote for connector in self._named(self._shared.all, user))
        return named or self._room(self._shared.all, user)

    @property
    def strangers(self) -> int:
        """How many wait for a plug to whom no reservation guarantees one."""
        guaranteed = self._shared.reservations.guaranteed
        return sum(guaranteed(User.of(waiting.claim)) is not Entitled.YES for waiting in self._waiting)

    def _remotely_startable(self, connector: Connector, user: User) -> bool:
        """A remote start that names it may have it, also if a vehicle has been waiting for too long (F2)."""
        unclaimed = connector.claim is None and connector.held_by is None
        startable = connector.usable and unclaimed and connector.finishing is not Finishing.TRANSACTION
        return startable and self._admits(connector, user)

    def _wait(self, claim: Claim) -> None:
        waiting = Waiting(claim)
        self._waiting.append(waiting)
        timeout_s = self._shared.policy.connection_timeout_s
        if timeout_s:
            waiting.timer = self._shared.time.after(timeout_s, lambda: self._drop(waiting))

    def _drop(self, waiting: Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            if waiting.timer is not None:
                waiting.timer.cancel()

    def close(self) -> None:
        """Forget everybody who waits."""
        for waiting in tuple(self._waiting):
            self._drop(waiting)
        self._queue.clear()


def _same(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one.casefold() == other.casefold()


def _group_parent(connector: Connector) -> str | None:
    """The parent identifier whose cards may stop or release this connector."""
    transaction: Transaction | None = connector.transaction
    if transaction is not None:
        return transaction.parent if transaction.running else None
    return connector.held_by[1] if connector.held_by is not None else None
