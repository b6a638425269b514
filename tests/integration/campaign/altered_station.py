"""The station's program with other hardware or with a mistake put in: `python altered_station.py run ...`.

`STATION_ALTERED` names what to alter, separated by commas. The program itself knows nothing of this; a
mistake shows that the judge sees what it is there to see.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from chargepoint.cli.main import main
from chargepoint.domain.ports import Document
from chargepoint.domain.transaction import Transaction
from chargepoint.ocpp16.charge_point import ChargePoint
from chargepoint.rpc.outbox import Message, Outbox
from chargepoint.rpc.records import Record
from chargepoint.store import SqliteStore
from hal import registry
from hal.api import Clock, Evse, Limit
from hal.registry import ConnectorSpec
from hal.simulated.evse import SimulatedEvse

SLOW_S = 1.5


class SlowEvse(SimulatedEvse):
    """A connector whose contactor needs some time to open, as real ones do."""

    __slots__ = ("_wanted",)

    def permit(self, limit: Limit) -> None:
        """Raise at once, withdraw late."""
        self._wanted = limit
        if not limit.zero or not self.closed:
            super().permit(limit)
        else:
            self._clock.call_at(self._clock.now() + SLOW_S, self._open)

    def _open(self) -> None:
        if self._wanted.zero:
            super().permit(self._wanted)


def _replace(owner: object, name: str, other: object) -> None:
    setattr(owner, name, other)


def slow_contactor() -> None:
    """A driver named `slow`, for the moment between the two turns of a stop."""

    def open_slow(spec: ConnectorSpec, clock: Clock) -> Evse:
        return SlowEvse(spec.info, clock, energy_wh=spec.energy_wh)

    drivers: Any = registry._EVSES
    drivers["slow"] = open_slow


def sent_before_stored() -> None:
    """What is sent is not stored yet."""
    commit = SqliteStore.commit

    def late(store: SqliteStore) -> None:
        asyncio.get_running_loop().call_later(0.3, commit, store)

    _replace(SqliteStore, "commit", late)


def stop_not_stored() -> None:
    """A stop is sent and never stored."""
    put = SqliteStore.put

    def forgetful(store: SqliteStore, kind: str, key: str, document: Document) -> None:
        if kind == "record" and document["kind"] == "stop":
            return
        if kind == "transaction":
            document = document | {"stopping_at": None, "stopped_at": None, "meter_stop_wh": None}
        put(store, kind, key, document)

    _replace(SqliteStore, "put", forgetful)


def _after_loading(change: Callable[[Outbox], None]) -> None:
    """Do something to the queue that a restart finds in the store."""
    load = Outbox.__init__

    def loaded(outbox: Outbox, *arguments: Any) -> None:
        load(outbox, *arguments)
        if outbox.queued:
            change(outbox)

    _replace(Outbox, "__init__", loaded)


def record_dropped() -> None:
    """A restart loses what stands first in the queue."""
    _after_loading(lambda outbox: outbox._remove(next(iter(outbox.records()))))


def record_twice() -> None:
    """A restart finds what stands last in the queue once more, a second later."""

    def twice(outbox: Outbox) -> None:
        last = list(outbox.records())[-1]
        outbox.record(last.kind, last.transaction_key, last.facts | {"at": last.facts["at"] + 1})

    _after_loading(twice)


def record_redated() -> None:
    """A restart gives what stands first in the queue another time."""

    def redated(outbox: Outbox) -> None:
        first = next(iter(outbox.records()))
        first.facts = first.facts | {"at": first.facts["at"] + 1}

    _after_loading(redated)


def newest_first() -> None:
    """A restart turns the queue around."""

    def reversed_(outbox: Outbox) -> None:
        assert outbox._records is not None
        outbox._records.reverse()

    _after_loading(reversed_)


def samples_thinned() -> None:
    """Every second meter value is left out."""
    record = Outbox.record
    values = count()

    def thinned(outbox: Outbox, kind: str, key: str | None, facts: Document) -> int:
        if kind == "meter" and next(values) % 2:
            return outbox.last
        return record(outbox, kind, key, facts)

    _replace(Outbox, "record", thinned)


def number_forgotten() -> None:
    """A restart forgets which number the central system gave."""
    read = Transaction.from_document
    nameless = classmethod(lambda cls, document: read(document | {"csms_id": None}))
    _replace(Transaction, "from_document", nameless)


def register_forgotten() -> None:
    """A restart begins with a meter at zero."""
    open_evse = registry.open_evse
    _replace(registry, "open_evse", lambda spec, clock: open_evse(replace(spec, energy_wh=0.0), clock))


def queue_before_boot() -> None:
    """The queue goes out before the central system was told who is there."""
    message = Outbox._ready_message

    def later(outbox: Outbox, record: Record | None) -> Message | None:
        return None if record is not None else message(outbox, record)

    _replace(Outbox, "_ready_message", later)
    _replace(ChargePoint, "accepted", property(lambda charge_point: True))


def boots_not_counted() -> None:
    """Every start takes itself for the first one."""
    get = SqliteStore.get

    def first(store: SqliteStore, kind: str, key: str) -> Document | None:
        return None if (kind, key) == ("registration", "boot") else get(store, kind, key)

    _replace(SqliteStore, "get", first)


ALTERATIONS: dict[str, Callable[[], None]] = {
    alteration.__name__: alteration
    for alteration in (
        slow_contactor,
        sent_before_stored,
        stop_not_stored,
        record_dropped,
        record_twice,
        record_redated,
        newest_first,
        samples_thinned,
        number_forgotten,
        register_forgotten,
        queue_before_boot,
        boots_not_counted,
    )
}


if __name__ == "__main__":
    for name in os.environ["STATION_ALTERED"].split(","):
        ALTERATIONS[name]()
    sys.exit(main())
