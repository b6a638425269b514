"""Reservations: who may use which connector until when, and what is kept free for whom (OCPP 1.6 §3.11)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from chargepoint.domain.ports import Document
from chargepoint.domain.running import Claim
from chargepoint.domain.time import Moment

if TYPE_CHECKING:
    from chargepoint.domain.connector import Connector
    from chargepoint.domain.connectors import Connectors

KIND = "reservation"
"""Under this kind the store keeps the reservations, one document per reservation."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """A connector, or with 0 any one of them, kept for an identifier or its group until `expires_at`."""

    id: int
    connector: int
    id_tag: str
    expires_at: float
    parent: str | None = None

    def document(self) -> Document:
        """What the store keeps."""
        return {name: getattr(self, name) for name in ("id", "connector", "id_tag", "expires_at", "parent")}


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who wants to charge; `certain` if nobody could tell more about the `parent`."""

    id_tag: str
    parent: str | None
    certain: bool = True

    @classmethod
    def of(cls, claim: Claim) -> User:
        """Whoever was authorised: what was learnt then is all there is."""
        return cls(claim.id_tag, claim.parent)


class Entitled(Enum):
    """Whether a reservation is meant for somebody."""

    YES = "yes"
    PERHAPS = "perhaps"  # the parent of the identifier has to be asked for
    NO = "no"


class Outcome(Enum):
    """What became of the wish to reserve."""

    ACCEPTED = "accepted"
    FAULTED = "faulted"
    UNAVAILABLE = "unavailable"
    OCCUPIED = "occupied"
    EXPIRED = "expired"


def entitled(reservation: Reservation, user: User) -> Entitled:
    """The same identifier, or one of the group the reservation names (OCPP 1.6 §5.13)."""
    if reservation.id_tag.casefold() == user.id_tag.casefold():
        return Entitled.YES
    if reservation.parent is None:
        return Entitled.NO
    if user.parent is None:
        return Entitled.NO if user.certain else Entitled.PERHAPS
    return Entitled.YES if reservation.parent.casefold() == user.parent.casefold() else Entitled.NO


def best(answers: Collection[Entitled]) -> Entitled:
    """What several reservations mean together, any of which will do."""
    order = (Entitled.YES, Entitled.PERHAPS)
    return next((answer for answer in order if answer in answers), Entitled.NO)


NONE: frozenset[int] = frozenset()
"""No connector; one object for all stations."""


def keep_free(wanted: int, empty: Sequence[int], plugged: Sequence[int]) -> frozenset[int]:
    """Which connectors are kept for `wanted` reservations of connector 0 (OCPP 1.6 §5.13).

    None while more are `empty`. `plugged` ones were kept before a cable came, and stay so where needed.
    """
    if not wanted or len(empty) > wanted:
        return NONE
    return frozenset((*empty, *plugged[: wanted - len(empty)]))


class Reservations:
    """All reservations of one station; change them in turns only."""

    __slots__ = ("_by_id", "_kept", "_moment", "_shared", "_taken")

    def __init__(self, shared: Connectors) -> None:
        self._shared = shared
        self._by_id: dict[int, Reservation] | None = None  # None while there are none
        self._kept = NONE  # connectors that reservations of connector 0 need
        self._taken: dict[int, Reservation] | None = None  # what the start on a connector has used up
        self._moment: Moment | None = None

    def recall(self) -> None:
        """Bring back what has not expired while the station was off."""
        found = [Reservation(**document) for _, document in self._shared.store.items(KIND)]
        if not found:
            return
        now = self._shared.time.utc()
        for reservation in found:
            if reservation.expires_at <= now:
                self._shared.store.delete(KIND, str(reservation.id))
        self._by_id = {r.id: r for r in found if r.expires_at > now} or None
        if self._by_id is not None:
            self._kept = frozenset(connector.id for connector in self._shared.all)
            self._arm()

    def __bool__(self) -> bool:
        """Something is reserved."""
        return self._by_id is not None

    # --- who may use what ---------------------------------------------------------------------------

    def holds(self, connector: Connector) -> bool:
        """A reservation keeps this connector, or is why somebody has claimed it."""
        if self._by_id is None:
            return False
        return connector.id in self._kept or self._of(connector) is not None

    def shown(self, connector: Connector) -> int | None:
        """The id of the reservation that keeps this connector, or that its transaction used up, if any."""
        if connector.transaction is not None:
            return connector.transaction.reservation_id
        if (reservation := self._of(connector)) is not None:
            return reservation.id
        if connector.claim is not None:
            return connector.claim.reservation_id
        kept = sorted(id for id in self._kept if self._shared[id].claim is None)
        pairs = dict(zip(kept, self._open(), strict=False))
        return pairs[connector.id].id if connector.id in pairs else None

    def admits(self, connector: Connector, user: User) -> Entitled:
        """Whether somebody may use this connector as far as reservations go."""
        if not self:
            return Entitled.YES
        if (reservation := self._of(connector)) is not None:
            return entitled(reservation, user)
        return self.guaranteed(user) if connector.id in self._kept else Entitled.YES

    def names(self, connector: Connector, user: User) -> bool:
        """This very connector is reserved for them."""
        reservation = self._of(connector)
        return reservation is not None and entitled(reservation, user) is Entitled.YES

    def guaranteed(self, user: User) -> Entitled:
        """Some connector is reserved for them, whichever it is."""
        return best([entitled(reservation, user) for reservation in self._open()])

    @property
    def promised(self) -> int:
        """How many connectors nobody else may take, beside those that are kept already."""
        return 0 if self._kept else len(self._open())

    def bound(self, connector: Connector, claim: Claim) -> Claim:
        """The claim together with the reservation it will use up."""
        if not self:
            return claim
        user = User.of(claim)
        mine = [] if (named := self._of(connector)) is None else [named]
        mine += [r for r in self._open() if named is None]
        fitting = next((r for r in mine if entitled(r, user) is Entitled.YES), None)
        return claim if fitting is None else replace(claim, reservation_id=fitting.id)

    def _of(self, connector: Connector) -> Reservation | None:
        return next((r for r in (self._by_id or {}).values() if r.connector == connector.id), None)

    def _open(self, without: Reservation | None = None) -> list[Reservation]:
        """Reservations of connector 0 that nobody is about to use, the next to expire first."""
        if not self:
            return []
        used = {c.claim.reservation_id for c in self._shared.all if c.claim is not None}
        mine = [r for r in (self._by_id or {}).values() if r.connector == 0 and r is not without]
        return sorted((r for r in mine if r.id not in used), key=lambda r: (r.expires_at, r.id))

    # --- reserving and cancelling -------------------------------------------------------------------

    def reserve(self, wish: Reservation) -> Outcome:
        """Reserve, in place of what had the same id; if that is not possible nothing changes (§5.13)."""
        old = (self._by_id or {}).get(wish.id)
        outcome = self._judge(wish, old)
        if outcome is Outcome.ACCEPTED:
            if old is not None:
                self._remove(old)
            self._put(wish)
            self._changed()
        return outcome

    def cancel(self, reservation_id: int) -> bool:
        """End a reservation; False if there is none of that id (§5.1)."""
        reservation = (self._by_id or {}).get(reservation_id)
        if reservation is not None:
            self._end([reservation])
        return reservation is not None

    def _judge(self, wish: Reservation, old: Reservation | None) -> Outcome:
        shared = self._shared
        candidates = (shared[wish.connector],) if wish.connector else shared.all
        operative = [connector for connector in candidates if connector.operative]
        if shared.faulted or all(connector.faulted for connector in operative or candidates):
            return Outcome.FAULTED
        if not operative or not (wish.connector or shared.operative) or shared.updating:
            return Outcome.UNAVAILABLE
        free = self._free(old)
        left = len(free) - len(self._open(old)) - shared.reception.strangers
        if left <= 0 or not any(connector in free for connector in candidates):
            return Outcome.OCCUPIED
        return Outcome.ACCEPTED if wish.expires_at > shared.time.utc() else Outcome.EXPIRED

    def _free(self, old: Reservation | None) -> list[Connector]:
        """Connectors that are Available, or Reserved by `old` or by reservations of connector 0."""
        named = {r.connector for r in (self._by_id or {}).values() if r is not old}
        held = self._kept if old is None else self._kept | {old.connector}
        free = [c for c in self._shared.all if c.vacant and c.id not in named]
        return [connector for connector in free if not connector.occupied or connector.id in held]

    # --- how they end -------------------------------------------------------------------------------

    def taken(self, connector: Connector, claim: Claim) -> None:
        """A transaction starts: it uses its reservation up."""
        if self._taken is not None:
            self._taken.pop(connector.id, None)
        reservation = None if claim.reservation_id is None else (self._by_id or {}).get(claim.reservation_id)
        if reservation is not None:
            self._taken = {**(self._taken or {}), connector.id: reservation}
            self._end([reservation])

    def given_back(self, connector: Connector) -> None:
        """The transaction that was about to start never was."""
        reservation = self._taken.pop(connector.id, None) if self._taken is not None else None
        if reservation is not None:
            self._put(reservation)
            self._changed()

    def follow(self) -> None:
        """Where nobody can charge, nothing is reserved; for the rest, see what has to be kept free."""
        if self._by_id is None:
            return
        lost = [r for r in self._by_id.values() if self._lost(r)]
        if lost:
            self._end(lost)
        self._keep()

    def _lost(self, reservation: Reservation) -> bool:
        shared = self._shared
        places = (shared[reservation.connector],) if reservation.connector else shared.all
        station = shared.faulted or not (reservation.connector or shared.operative)
        return station or all(place.faulted or not place.operative for place in places)

    def _keep(self) -> None:
        """Decide which connectors the reservations of connector 0 need, as long as they last."""
        before = self._kept
        reservations = (self._by_id or {}).values()
        for_any = {r.id for r in reservations if r.connector == 0}
        named = {r.connector for r in reservations}
        vacant = [c for c in self._shared.all if c.vacant and c.id not in named]
        empty = [c.id for c in vacant if not c.occupied]
        plugged = [c.id for c in vacant if c.occupied and c.id in before]
        used = [c.id for c in self._shared.all if c.claim is not None and c.claim.reservation_id in for_any]
        self._kept = keep_free(len(self._open()), empty, plugged).union(used)
        for connector_id in before ^ self._kept:
            self._shared.turn.settle(self._shared[connector_id])

    def _put(self, reservation: Reservation) -> None:
        self._by_id = {**(self._by_id or {}), reservation.id: reservation}
        self._shared.store.put(KIND, str(reservation.id), reservation.document())

    def _remove(self, reservation: Reservation) -> None:
        """Forget it; whoever is about to use it does without."""
        assert self._by_id is not None, "there is one"
        self._by_id = {r.id: r for r in self._by_id.values() if r is not reservation} or None
        self._shared.store.delete(KIND, str(reservation.id))
        for connector in self._shared.all:
            if connector.claim is not None and connector.claim.reservation_id == reservation.id:
                connector.claim = replace(connector.claim, reservation_id=None)

    def _end(self, reservations: list[Reservation]) -> None:
        for reservation in reservations:
            self._remove(reservation)
        self._changed()

    def _changed(self) -> None:
        self._arm()
        self._keep()
        self._shared.turn.settle_all()

    # --- time ---------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Wait for the next expiry."""
        due = min((r.expires_at for r in (self._by_id or {}).values()), default=None)
        if self._moment is not None and self._moment.at != due:
            self._moment.cancel()
            self._moment = None
        if self._moment is None and due is not None:
            self._moment = self._shared.time.at_utc(due, self._expire)

    def _expire(self) -> None:
        assert self._moment is not None, "its action"
        due, self._moment = self._moment.at, None
        with self._shared.turn:
            self._end([r for r in (self._by_id or {}).values() if r.expires_at <= due])

    def close(self) -> None:
        """Cancel the timer."""
        if self._moment is not None:
            self._moment.cancel()
            self._moment = None
