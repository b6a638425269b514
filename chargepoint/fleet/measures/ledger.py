"""Every transaction a fleet made, and what the central system says it has of it."""

from __future__ import annotations

import csv
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from chargepoint.domain.transaction import Transaction
from chargepoint.fleet.measures.entry import COLUMNS, KEPT_BACK, Entry, Totals, count
from chargepoint.rpc.records import Record

MOST_KEPT = 200_000
"""Beyond this many, the oldest with nothing wrong are only counted."""

MOST_MESSAGES = 20_000
"""Message ids of StartTransaction whose second answer is recognised."""


@dataclass(slots=True)
class Ledger:
    """One per process, told by `Statistics`; `merged` puts those of several processes together.

    Two transactions of a station with one number count as doubled; with `one_numbering` at different stations
    too, though a central system may number each station by itself. A start that the central system answers
    with another status than Accepted may get any number. `leaves` gets what is not kept any longer.
    """

    one_numbering: bool = False
    most_kept: int = MOST_KEPT
    most_messages: int = MOST_MESSAGES
    leaves: Callable[[Entry], None] | None = None
    touched: dict[int, Entry] | None = None
    """What changed since somebody emptied it, by `id`; None: nobody wants to know."""
    _entries: OrderedDict[tuple[str, str], Entry] = field(default_factory=OrderedDict)
    _by_id: dict[tuple[str, int], Entry] = field(default_factory=dict)
    _by_message: OrderedDict[str, Entry] = field(default_factory=OrderedDict)
    _kept_back: set[str] = field(default_factory=set)  # StopTransactions on no way to the central system
    finished: bool = False
    """The run is over: what is missing now is lost."""
    _totals: Totals = field(default_factory=Totals)
    _left: Totals = field(default_factory=Totals)  # those of them that are not kept any longer

    # --- told by the stations -----------------------------------------------------------------------

    def changed(self, station: str, transaction: Transaction, phase: str) -> None:
        """A transaction came further; `phase` is started, confirmed, stopped or delivered."""
        if phase == "started":
            self._begin_life(station, transaction.key)
        entry = self._entry(station, transaction)
        if phase == "delivered" and entry.given_up == KEPT_BACK:
            return  # its station only thinks so
        count(self._totals, entry, -1)
        entry.started_at = transaction.started_at  # the time may have been corrected since
        if phase == "stopped":
            entry.stopped_at = transaction.stopped_at
            entry.meter_stop_wh = transaction.meter_stop_wh
            entry.reason = transaction.reason
        elif phase == "delivered":
            entry.delivered = True
        if not (phase == "confirmed" and entry.stopped_at is not None):
            entry.phase = phase
        count(self._totals, entry)
        self._touch(entry)
        if phase == "delivered":
            self._make_room()

    def answered(self, station: str, record: Record, answer: Any) -> None:
        """The central system acknowledged a start or a stop."""
        if record.transaction_key is None or record.kind == "meter":
            return
        entry = self._entries.get((station, record.transaction_key))
        if entry is None:
            return
        self._touch(entry)
        attempts = max(len(record.ids or ()), 1)
        if record.kind == "stop" and record.ids and record.ids[-1] in self._kept_back:
            self._kept_back.remove(record.ids[-1])
            count(self._totals, entry, -1)
            entry.given_up = KEPT_BACK
            count(self._totals, entry)
            return
        if record.kind == "stop":
            entry.stop_attempts = attempts
            return
        entry.start_attempts = attempts
        self._acknowledged(entry, answer)
        for message_id in record.ids or ():
            self._by_message[message_id] = entry
        while len(self._by_message) > self.most_messages:
            self._by_message.popitem(last=False)

    def answered_again(self, message_id: str, answer: Any) -> None:
        """A further answer to a start that was acknowledged already; of another message it is ignored."""
        entry = self._by_message.get(message_id)
        if entry is not None:
            self._touch(entry)
            self._acknowledged(entry, answer)

    def kept_back(self, message_id: str) -> None:
        """A StopTransaction does not leave its station, which will be told that it did."""
        self._kept_back.add(message_id)

    def given_up(self, station: str, record: Record, code: str) -> None:
        """The central system refused a record as often as allowed."""
        entry = self._entries.get((station, record.transaction_key or ""))
        if entry is None or record.kind == "meter":
            return
        action = "StartTransaction" if record.kind == "start" else "StopTransaction"
        count(self._totals, entry, -1)
        entry.given_up = f"{action} was given up: {code}"
        count(self._totals, entry)
        self._touch(entry)

    def finish(self) -> None:
        """The run is over: what is missing and was not given up had no time left."""
        self.finished = True
        for entry in self.missing():
            # Whose start was given up may still have had its end to tell.
            owes_end = entry.stopped_at is not None and not entry.delivered
            gave_up = entry.given_up or ""
            entry.ended_first = not gave_up or (owes_end and gave_up.startswith("StartTransaction"))

    def _touch(self, entry: Entry) -> None:
        if self.touched is not None:
            self.touched[id(entry)] = entry

    def _begin_life(self, station: str, key: str) -> None:
        """A station that came back with an empty memory uses its names of transactions again."""
        old = self._entries.pop((station, key), None)
        if old is not None:
            self._keep_apart(old)
            if self.touched is not None:
                # Behind all others, next to the one that takes its name.
                self.touched.pop(id(old), None)
                self._touch(old)

    def _keep_apart(self, entry: Entry) -> None:
        lives = 1
        while (entry.station, f"{entry.key}~{lives}") in self._entries:
            lives += 1
        entry.key = f"{entry.key}~{lives}"
        self._entries[entry.station, entry.key] = entry

    def _entry(self, station: str, transaction: Transaction) -> Entry:
        name = (station, transaction.key)
        entry = self._entries.get(name)
        if entry is None:
            entry = self._entries[name] = Entry(
                station,
                transaction.connector,
                transaction.key,
                transaction.id_tag,
                transaction.started_at,
                transaction.meter_start_wh,
                transaction_id=transaction.csms_id,  # of one that began before this process
            )
            count(self._totals, entry)
        return entry

    def _acknowledged(self, entry: Entry, answer: Any) -> None:
        number = answer.get("transactionId") if isinstance(answer, dict) else None
        if not isinstance(number, int) or number == entry.transaction_id:
            return
        count(self._totals, entry, -1)
        if entry.transaction_id is None:
            entry.transaction_id = number
        elif entry.other_ids is None:
            entry.other_ids = [number]
        elif number not in entry.other_ids:
            entry.other_ids.append(number)
        count(self._totals, entry)
        info = answer.get("idTagInfo")
        if isinstance(info, dict) and info.get("status") == "Accepted":
            entry.accepted = True
            self._number(entry, number)

    def _number(self, entry: Entry, number: int) -> None:
        """Note to whom a number belongs, and whoever had it before."""
        name = ("" if self.one_numbering else entry.station, number)
        before = self._by_id.setdefault(name, entry)
        if before is entry:
            return
        for one, other in ((entry, before), (before, entry)):
            count(self._totals, one, -1)
            one.shared_with = one.shared_with or f"{other.station}/{other.key}"
            count(self._totals, one)
            self._touch(one)

    def _make_room(self) -> None:
        if len(self._entries) <= self.most_kept:
            return
        # All that is clean and old goes at once, so that this is rare.
        clean = [name for name, entry in self._entries.items() if entry.verdict == "ok"]
        for name in clean[: max(len(self._entries) - self.most_kept * 9 // 10, 1)]:
            entry = self._entries.pop(name)
            count(self._left, entry)
            number = ("" if self.one_numbering else entry.station, entry.transaction_id or 0)
            if self._by_id.get(number) is entry:
                del self._by_id[number]
            if self.touched is not None:
                self.touched.pop(id(entry), None)
            if self.leaves is not None:
                self.leaves(entry)

    # --- asked by those who report ------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        """What is kept, in the order in which it was started."""
        return iter(self._entries.values())

    def missing(self) -> list[Entry]:
        """Transactions whose start or end the central system did not acknowledge."""
        return [entry for entry in self if entry.missing]

    def doubled(self) -> list[Entry]:
        """Transactions the central system has twice, or gave one number to two of them."""
        return [entry for entry in self if entry.doubled]

    def totals(self) -> Totals:
        """Counted over all there ever were, as it happens: it may be asked at any time."""
        totals = replace(self._totals)
        if self.finished:
            totals.lost = totals.missing + totals.lost_with_worker
        return totals

    def write_csv(self, file: TextIO) -> None:
        """One row for each transaction that is kept, with a head."""
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(entry.row() for entry in self)

    def to_json(self) -> dict[str, Any]:
        """Plain values for a report or another process."""
        left = {name: getattr(self._left, name) for name in Totals.__slots__}
        return {"finished": self.finished, "left": left, "transactions": [entry.to_json() for entry in self]}

    @classmethod
    def from_json(cls, data: dict[str, Any], *, one_numbering: bool = False) -> Ledger:
        """What `to_json` gave; fields of later versions are ignored."""
        return cls.merged([data], one_numbering=one_numbering)

    @classmethod
    def merged(cls, parts: Iterable[dict[str, Any]], *, one_numbering: bool = False) -> Ledger:
        """The ledgers of several processes, as their `to_json` gave them: numbers are compared across all."""
        whole = cls(one_numbering=one_numbering, finished=True)
        for part in parts:
            whole.finished = whole.finished and part["finished"]
            for name in Totals.__slots__:
                for totals in (whole._left, whole._totals):
                    setattr(totals, name, getattr(totals, name) + part["left"][name])
            for data in part["transactions"]:
                entry = Entry(**{name: value for name, value in data.items() if name in Entry.__slots__})
                if (entry.station, entry.key) in whole._entries:
                    whole._keep_apart(entry)
                else:
                    whole._entries[entry.station, entry.key] = entry
                count(whole._totals, entry)
                for number in (entry.transaction_id, *(entry.other_ids or ())):
                    if number is not None and entry.accepted:
                        whole._number(entry, number)
        return whole
