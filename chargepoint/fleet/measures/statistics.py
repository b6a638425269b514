"""What a process counts of its stations: told by each of them, asked once a second by view and metrics.

Two times are kept for each CALL. `took`: from when it was sent to its answer. `waited`: from the moment
it was wanted, so that one behind a slow one, or one whose timer fired late, does not look fast (coordinated
omission). Percentiles mean `waited`. What was made while the station was offline, not yet accepted or waiting
for a retry counts from the moment it was sent: that is no latency of the central system.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from chargepoint.domain.transaction import Transaction
from chargepoint.fleet.measures.lag import Lag, rss_bytes
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.power import FleetPower
from chargepoint.fleet.measures.snapshot import UNANSWERED, ActionFigures, Happened, Simulator, Snapshot
from chargepoint.rpc.records import Record
from chargepoint.rpc.session import CUT
from hal.api import Evse

RATE_OVER_S = 5.0
"""Rates are averages of this time."""

MOST_EVENTS = 1000

BY_CENTRAL_SYSTEM, BY_STATION, BROKEN = "closed by the central system", "closed by the station", "broken"

_ENDS = {
    "closed by the station": BY_STATION,
    "the network was cut": BY_STATION,
    "closed by the central system": BY_CENTRAL_SYSTEM,
    "the central system closed": BY_CENTRAL_SYSTEM,
    "the central system broke": "protocol broken",
    "no pong": "no pong",
}
"""How the reason begins that a link gives for its end -> under which name it is counted."""


class Statistics:
    """One for all stations of a process; it is their `StationObserver`, by `StationType(observer=...)`."""

    __slots__ = (
        "_booted",
        "_charging",
        "_known",
        "_now",
        "_past",
        "_since",
        "actions",
        "connect_failures",
        "connected",
        "connects",
        "ending",
        "events",
        "lag",
        "late_answers",
        "ledger",
        "lost_links",
        "power",
        "received",
        "refused_calls",
        "sent",
        "served_calls",
        "shard",
    )

    def __init__(
        self, ledger: Ledger | None = None, *, shard: int = 0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        self.shard = shard
        self.lag = Lag()
        self.power = FleetPower()
        self.actions: dict[str, ActionFigures] = {}
        self.served_calls: Counter[str] = Counter()
        self.refused_calls: Counter[str] = Counter()
        self.connect_failures: Counter[str] = Counter()
        self.lost_links: Counter[str] = Counter()
        self.sent = self.received = 0
        self.connected = self.connects = 0
        self.late_answers = 0
        self.ending = False  # stations are closed for good, one after the other
        self.events: deque[Happened] = deque(maxlen=MOST_EVENTS)
        self._booted: set[str] = set()
        self._known: set[str] = set()  # were connected once
        self._charging: dict[tuple[str, str], Evse | None] = {}
        self._now = now
        self._since = now()
        self._past: deque[tuple[float, int, int]] = deque()  # when, sent, received

    # --- rpc.session.Observer -----------------------------------------------------------------------

    def called(self, action: str) -> None:
        """A CALL goes out."""
        self.sent += 1
        figures = self.actions.get(action)
        if figures is None:
            figures = self.actions[action] = ActionFigures()
        figures.sent += 1

    def kept_back(self, action: str, message_id: str) -> None:
        """It did not, by a bad habit of its station."""
        self.sent -= 1
        self.actions[action].sent -= 1
        if action == "StopTransaction":
            self.ledger.kept_back(message_id)

    def answered(self, action: str, waited_s: float, took_s: float, problem: str | None) -> None:
        """It was answered, or will not be any more."""
        figures = self.actions.get(action)
        if figures is None:
            figures = self.actions[action] = ActionFigures()
        if problem is not None:
            if problem == CUT and self.ending:
                return  # our own doing: it stays under way
            figures.failed += 1
            figures.errors[problem] += 1
            if problem in UNANSWERED:
                return
        figures.answered += 1
        figures.waited.record(waited_s)
        figures.took.record(took_s)

    def served(self, action: str, problem: str | None) -> None:
        """A CALL of theirs was answered."""
        self.received += 1
        self.served_calls[action] += 1
        if problem is not None:
            self.refused_calls[problem] += 1

    # --- observer.StationObserver -------------------------------------------------------------------

    def link_up(self, station: str) -> None:
        """Connected."""
        self.connected += 1
        self.connects += 1
        self._known.add(station)

    def link_down(self, station: str, reason: str) -> None:
        """Not connected any more."""
        self.connected -= 1
        kind = next((kind for start, kind in _ENDS.items() if reason.startswith(start)), BROKEN)
        self.lost_links[kind] += 1

    def connect_failed(self, station: str, kind: str) -> None:
        """An attempt failed."""
        self.connect_failures[kind] += 1

    def registered(self, station: str, accepted: bool) -> None:
        """BootNotification was answered."""
        if accepted:
            self._booted.add(station)
        else:
            self._booted.discard(station)

    def went_down(self, station: str) -> None:
        """The protocol part ended; it has to boot again."""
        self._booted.discard(station)

    def transaction_changed(
        self, station: str, transaction: Transaction, phase: str, evse: Evse | None
    ) -> None:
        """A transaction came further."""
        self.ledger.changed(station, transaction, phase)
        name = (station, transaction.key)
        if phase == "started":
            self._charging[name] = evse
            if evse is not None:
                self.power.begin(evse)
        elif phase == "stopped":
            of = self._charging.pop(name, None)
            if of is not None:
                self.power.end(of)

    def record_answered(self, station: str, record: Record, answer: Any) -> None:
        """The central system has a record."""
        if record.kind != "meter":
            self.ledger.answered(station, record, answer)

    def record_given_up(self, station: str, record: Record, code: str) -> None:
        """It never will."""
        self.ledger.given_up(station, record, code)

    def answered_late(self, station: str, message_id: str, answer: Any) -> None:
        """An answer nobody waited for."""
        self.late_answers += 1
        self.ledger.answered_again(message_id, answer)

    # --- asked by the fleet -------------------------------------------------------------------------

    @property
    def booted(self) -> int:
        """Stations that the central system accepted."""
        return len(self._booted)

    @property
    def charging(self) -> int:
        """Running transactions."""
        return len(self._charging)

    def start(self) -> None:
        """Begin to watch the event loop, the running one; the run starts now."""
        self._since = self._now()
        self.lag.start()

    def note(self, what: str, station_s: float) -> None:
        """Something is done to the fleet now."""
        self.events.append(Happened(self._now() - self._since, station_s, what))

    def close(self) -> None:
        """The run is over: no timer is left, and a transaction that is missing now is lost."""
        self.lag.close()
        self.ledger.finish()

    def snapshot(
        self,
        *,
        planned: int = 0,
        started: int = 0,
        queued: int = 0,
        released_holds: int = 0,
        station_s: float = 0.0,
    ) -> Snapshot:
        """The moment; what only the fleet knows is handed in. Its figures are copies."""
        now = self._now()
        sent_per_s, received_per_s = self._rates(now)
        totals = self.ledger.totals()
        judgement = self.lag.judgement
        return Snapshot(
            at_s=now - self._since,
            station_s=station_s,
            planned=planned,
            started=started,
            connected=self.connected,
            booted=self.booted,
            charging=self.charging,
            power_w=round(self.power.power_w(), 1),
            sent=self.sent,
            received=self.received,
            sent_per_s=sent_per_s,
            received_per_s=received_per_s,
            queued=queued,
            connects=self.connects,
            reconnects=self.connects - len(self._known),
            transactions=totals.made,
            lost_transactions=totals.lost,
            doubled_transactions=totals.doubled,
            released_holds=released_holds,
            actions={action: figures.copy() for action, figures in self.actions.items()},
            served=Counter(self.served_calls),
            refused=Counter(self.refused_calls),
            connect_failures=Counter(self.connect_failures),
            lost_links=Counter(self.lost_links),
            simulators=[
                Simulator(
                    shard=self.shard,
                    cpu_share=judgement.cpu_share,
                    rss_bytes=rss_bytes(),
                    lag_s=judgement.lag_s,
                    lag_max_s=judgement.lag_max_s,
                    bottleneck=judgement.bottleneck,
                    bottleneck_s=judgement.bottleneck_s,
                )
            ],
            events=list(self.events),
        )

    def _rates(self, now: float) -> tuple[float, float]:
        """CALLs per second, ours and theirs, since the oldest look that is not older than needed."""
        past = self._past
        past.append((now, self.sent, self.received))
        while len(past) > 2 and past[1][0] <= now - RATE_OVER_S:
            past.popleft()
        at, sent, received = past[0]
        if now <= at:
            return 0.0, 0.0
        return (self.sent - sent) / (now - at), (self.received - received) / (now - at)
