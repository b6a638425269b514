"""A turn: one event, its consequences, one commit, then what may be said and what may flow."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from chargepoint.domain import running
from chargepoint.domain.ports import Store
from chargepoint.errors import StoreError
from hal.api import Timer

if TYPE_CHECKING:
    from chargepoint.domain.connector import Connector
    from chargepoint.domain.time import StationTime

ROUNDS = 100
STORE_AGAIN_S = 10.0


class Turn:
    """The unit of everything one station does; `with turn:` stands at each edge where something happens.

    Order: facts change and connectors settle until nothing changes; lower permits reach the hardware; the
    store commits; what changed is announced; higher permits reach the hardware; incoming CALLs are answered;
    the outbox is pumped. Turns inside a turn join it. Exceptions end here: connectors without a stored
    transaction are switched off, the error is reported, and the station goes on.
    """

    __slots__ = (
        "_answers",
        "_changed",
        "_closed",
        "_depth",
        "_dirty",
        "_retry",
        "connectors",
        "pump",
        "report",
        "share",
        "store",
        "stored",
        "time",
    )

    def __init__(self, store: Store, time: StationTime, report: Callable[[Exception], None]) -> None:
        self.store = store
        self.time = time
        self.report = report
        self.connectors: tuple[Connector, ...] = ()
        self.share: Callable[[], None] = _nothing
        self.pump: Callable[[], None] = _nothing
        self.stored = True  # False while the store cannot keep what was gathered: nothing of it may be sent
        self._depth = 0
        self._closed = False
        self._dirty: list[Connector] = []
        self._changed: list[Connector] = []  # settled, not announced yet
        self._answers: list[Callable[[], None]] = []
        self._retry: Timer | None = None

    def settle(self, connector: Connector) -> None:
        """Ask for `connector.settle()` in this turn, once for all reasons."""
        assert self._depth, "facts change in turns only"
        if connector not in self._dirty:
            self._dirty.append(connector)

    def settle_all(self) -> None:
        """Ask every connector to settle."""
        for connector in self.connectors:
            self.settle(connector)

    def answer(self, send: Callable[[], None]) -> None:
        """Call `send` once everything of this turn is stored."""
        self._answers.append(send)

    def __enter__(self) -> Turn:
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._depth > 1:
            self._depth -= 1
            return False
        if self._closed:
            self._depth -= 1
            if isinstance(error, Exception):
                self.report(error)
            return isinstance(error, Exception)
        try:
            if error is not None:
                if not isinstance(error, Exception):
                    self._dirty.clear()
                    self._answers.clear()
                    return False
                self._failed(error)
            self._guarded(self._conclude)
            if self._answers or self._dirty:
                self._give_answers()
            self._guarded(self.pump)
            if self._dirty:
                self._guarded(self._conclude)
        finally:
            self._depth -= 1
        return True

    def _give_answers(self) -> None:
        """Send what waited for the store, and settle what follows from that."""
        for _ in range(ROUNDS):
            answers, self._answers = self._answers, []
            for send in answers:
                self._guarded(send)
            if self._dirty:
                self._guarded(self._conclude)
            if not self._answers and not self._dirty:
                break

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except StoreError as error:
            self._not_stored(error)
        except Exception as error:
            self._failed(error)

    def _conclude(self) -> None:
        """Settle, withdraw, commit, announce, raise: until nothing changes any more."""
        for _ in range(ROUNDS):
            if self._dirty:
                self._settle_round()
                continue
            self.store.commit()
            if not self.stored:
                self.stored = True
                self.settle_all()
                continue
            if not self._changed:
                return
            for connector in self.connectors:
                connector.stored()
            self._announce()
            if self._dirty:
                continue
            for connector in self.connectors:
                connector.energise()
            if not self._dirty:
                return
        raise RuntimeError(f"connectors {[c.id for c in self._dirty]} do not settle")

    def _settle_round(self) -> None:
        while self._dirty:
            connector = self._dirty.pop(0)
            connector.settle()
            if connector not in self._changed:
                self._changed.append(connector)
            if not self._dirty:
                self.share()
        for connector in self.connectors:
            connector.withdraw()
        self.share()  # what was just withdrawn may be free for others already

    def _announce(self) -> None:
        """Say what changed: only once it is stored, or a start that did not happen would be reported."""
        changed, self._changed = self._changed, []
        for connector in changed:
            connector.announce()

    def _not_stored(self, error: StoreError) -> None:
        """A start that cannot be stored does not happen; everything else is stored again later."""
        self.stored = False
        self.report(error)
        for connector in self.connectors:
            if connector.unstored:
                running.undo(connector)
        for _ in range(ROUNDS):
            if not self._dirty:
                break
            self._settle_round()
        self._announce()
        if self._retry is None:
            self._retry = self.time.after(STORE_AGAIN_S, self._store_again)

    def _store_again(self) -> None:
        self._retry = None
        with self:
            pass

    def _failed(self, error: Exception) -> None:
        """Something broke: no energy where no stored transaction accounts for it."""
        self._dirty.clear()
        self._changed.clear()
        self.report(error)
        for connector in self.connectors:
            connector.make_safe()

    def close(self) -> None:
        """Nothing follows from anything any more; what still comes belongs to a past life of the station."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None


def _nothing() -> None:
    return
