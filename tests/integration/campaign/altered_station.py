"""The station's program with other hardware or with a mistake put in: what a nursery's programs run.

`STATION_ALTERED` in their environment names what to alter, separated by commas. The program itself knows
nothing of this; a mistake shows that the judge sees what it is there to see.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

from chargepoint.cli.main import main
from chargepoint.domain.ports import Document
from chargepoint.domain.time import StationTime
from chargepoint.domain.transaction import Transaction
from chargepoint.link import WebSocketLink
from chargepoint.ocpp16.charge_point import ChargePoint
from chargepoint.ocpp16.core.status_notification import Report, StatusReporter
from chargepoint.ocpp16.status import Status
from chargepoint.rpc import frames
from chargepoint.rpc.outbox import Message, Outbox
from chargepoint.rpc.records import Record
from chargepoint.rpc.session import Session
from chargepoint.store import SqliteStore
from hal import registry
from hal.api import Limit
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import Vehicle
from tests.integration.campaign.altered_hardware import slow_contactor, witnessed

PONG_WITHIN_S = 1.0
LATE_S = 40.0
"""Later than any power cut that a busy machine has still to make."""


def _replace(owner: object, name: str, other: object) -> None:
    setattr(owner, name, other)


def impatient_link() -> None:
    """A dead connection is noticed in seconds."""
    patience: Any = WebSocketLink.__init__.__kwdefaults__
    patience |= {"pong_timeout_s": PONG_WITHIN_S, "handshake_timeout_s": 1.0, "close_timeout_s": 0.5}


def time_followed() -> None:
    """The central system moves the time of a stepped clock, too."""
    make = StationTime.__init__
    _replace(StationTime, "__init__", lambda time, clock, follow=True: make(time, clock, True))


def sent_before_stored() -> None:
    """What is sent is not stored yet."""
    commit = SqliteStore.commit

    def late(store: SqliteStore) -> None:
        asyncio.get_running_loop().call_later(LATE_S, commit, store)

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


def stop_twice() -> None:
    """Every stop is recorded once more, a second later."""
    record = Outbox.record

    def twice(outbox: Outbox, kind: str, key: str | None, facts: Document) -> int:
        number = record(outbox, kind, key, facts)
        return record(outbox, kind, key, facts | {"at": facts["at"] + 1}) if kind == "stop" else number

    _replace(Outbox, "record", twice)


def stop_lost() -> None:
    """A stop without a link is forgotten."""
    record = Outbox.record

    def forgetful(outbox: Outbox, kind: str, key: str | None, facts: Document) -> int:
        return outbox.last if kind == "stop" and not outbox.online else record(outbox, kind, key, facts)

    _replace(Outbox, "record", forgetful)


def newest_overtakes() -> None:
    """What is recorded while something else waits is sent first."""
    append = Outbox._append

    def overtaking(outbox: Outbox, record: Record) -> None:
        append(outbox, record)
        if outbox._records is not None and len(outbox._records) > 1 and outbox._inflight is None:
            outbox._records.rotate(1)

    _replace(Outbox, "_append", overtaking)


def any_answer_taken() -> None:
    """Whatever result comes is taken for the one that is awaited."""
    take = Session._take_result

    def taken(session: Session, result: frames.Result) -> None:
        if session.outstanding is not None:
            result = frames.Result(session.outstanding.message_id, result.payload)
        take(session, result)

    _replace(Session, "_take_result", taken)


def gives_up_early() -> None:
    """One refusal is enough to give a record up."""
    _replace(ChargePoint, "attempts", property(lambda charge_point: 1))


def preparing_again() -> None:
    """What is Finishing is told as Preparing."""
    send = StatusReporter._send

    def told(reporter: StatusReporter, connector_id: int, report: Report, *more: Any, **other: Any) -> None:
        if report.status is Status.FINISHING:
            report = replace(report, status=Status.PREPARING)
        send(reporter, connector_id, report, *more, **other)

    _replace(StatusReporter, "_send", told)


def energy_for_anybody() -> None:
    """The contactor closes for whatever is plugged in."""
    plug_in, permit = SimulatedEvse.plug_in, SimulatedEvse.permit

    def at_once(evse: SimulatedEvse, vehicle: Vehicle) -> None:
        plug_in(evse, vehicle)
        permit(evse, Limit(16.0))

    _replace(SimulatedEvse, "plug_in", at_once)
    _replace(SimulatedEvse, "permit", lambda evse, limit: None)


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
        witnessed,
        impatient_link,
        time_followed,
        stop_twice,
        stop_lost,
        newest_overtakes,
        any_answer_taken,
        gives_up_early,
        preparing_again,
        energy_for_anybody,
    )
}


def run() -> int:
    """Alter what is to be altered, then do what `chargepoint` does."""
    for name in filter(None, os.environ.get("STATION_ALTERED", "").split(",")):
        ALTERATIONS[name]()
    return main()
