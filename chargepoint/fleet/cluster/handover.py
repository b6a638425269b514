"""A shard's ledger on its way to whoever leads the fleet: what changed, once a second, while the shard runs.

When a shard ends it gives its whole ledger; this is for the one that never comes to that. What was handed
over when its worker was lost stays in the ledger of the fleet; what was still open then is told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from chargepoint.fleet.measures.entry import Entry, Totals
from chargepoint.fleet.measures.ledger import Ledger

MOST_AT_ONCE = 2000
"""Transactions handed over in one message; the rest follows with the next one."""

_FIELDS = tuple(Entry.__slots__)
_OK = ("made", "confirmed", "stopped", "delivered")
"""Under what one counts that is not kept any longer: nothing was wrong with it."""


class Outgoing:
    """The side of the shard: looks at its ledger, and keeps each message until it is known to be sent."""

    def __init__(self, ledger: Ledger) -> None:
        self._touched = ledger.touched = dict[int, Entry]()
        self._gone: list[tuple[str, str]] = []
        self._number = 0
        self._pending: dict[str, Any] | None = None
        ledger.leaves = self._left

    def _left(self, entry: Entry) -> None:
        self._gone.append((entry.station, entry.key))

    def message(self) -> dict[str, Any]:
        """What changed since the last message that was sent; the same one again until `sent`."""
        if self._pending is None:
            self._number += 1
            self._pending = {"number": self._number, "gone": self._gone, "rows": self._rows()}
            self._gone = []
        return self._pending

    def sent(self) -> None:
        """The last message is on its way."""
        self._pending = None

    def _rows(self) -> list[list[Any]]:
        rows: list[list[Any]] = []
        for mark, entry in list(self._touched.items()):
            # One that was renamed goes together with the next, which took its name.
            if len(rows) >= MOST_AT_ONCE and "~" not in rows[-1][_FIELDS.index("key")]:
                break
            del self._touched[mark]
            rows.append([getattr(entry, name) for name in _FIELDS])
        return rows


class HandedOver:
    """The side that leads: the ledger of one attempt at a shard, up to the last message."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._left = 0  # transactions with nothing wrong that the shard itself does not keep
        self._number = 0

    def __len__(self) -> int:
        """How many transactions were ever handed over."""
        return len(self._entries) + self._left

    def take(self, message: Mapping[str, Any]) -> None:
        """Note what changed; a message that comes a second time is nothing new."""
        if message["number"] <= self._number:
            return
        self._number = message["number"]
        for station, key in message["gone"]:
            self._entries.pop((station, key), None)
            self._left += 1
        for row in message["rows"]:
            entry = Entry(*row)
            self._entries[entry.station, entry.key] = entry

    def ledger(self) -> dict[str, Any]:
        """As `Ledger.to_json` gives it."""
        return {
            "finished": True,
            "left": {name: self._left if name in _OK else 0 for name in Totals.__slots__},
            "transactions": [entry.to_json() for entry in self._entries.values()],
        }


def cut_off(ledger: Mapping[str, Any], worker: str) -> dict[str, Any]:
    """The ledger of a shard that was lost with its worker: what was open is neither missing nor running."""
    entries = [Entry(**data) for data in ledger["transactions"]]
    for entry in entries:
        if not entry.delivered and not entry.lost:
            entry.lost_with, entry.ended_first = worker, False
    return {**ledger, "transactions": [entry.to_json() for entry in entries]}


def open_in(ledger: Mapping[str, Any]) -> int:
    """How many transactions were open when the worker of a shard was lost."""
    return sum(one["lost_with"] is not None for one in ledger["transactions"])


def without_resumed(parts: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """These ledgers, in the order in which they ended, without what one lost and a later one went on with.

    A station whose storage is shared by all workers goes on with the transactions it had. They have the same
    name and moment of beginning; another transaction of that name began at another moment.
    """
    later: set[tuple[str, str, float]] = set()
    found = []
    for part in reversed(list(parts)):
        kept = [
            one for one in part["transactions"] if one["lost_with"] is None or _identity(one) not in later
        ]
        later.update(map(_identity, part["transactions"]))
        found.append({**part, "transactions": kept})
    return found[::-1]


def _identity(entry: Mapping[str, Any]) -> tuple[str, str, float]:
    return entry["station"], entry["key"], entry["started_at"]
