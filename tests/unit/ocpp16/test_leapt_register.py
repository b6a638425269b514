"""What a leap of the meter made of its register is stored before anything can rest on it (OCPP 1.6 §4.8)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargepoint.domain.ports import Document
from chargepoint.domain.transaction import KIND, Transaction
from chargepoint.store import MemoryStore
from hal.api import EvseInfo, MeterReading
from hal.simulated.evse import SimulatedEvse
from tests.unit.ocpp16.bench import Bench


class Counting(MemoryStore):
    """Durable, as far as the station knows, and counts how often a transaction is written."""

    durable = True

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0

    def put(self, kind: str, key: str, document: Document) -> None:
        self.writes += kind == KIND
        super().put(kind, key, document)


class Leaping(SimulatedEvse):
    """A connector whose meter's own register is not what it shows."""

    offset_wh = 0.0

    def reading(self) -> MeterReading:
        return replace(super().reading(), offset_wh=self.offset_wh)

    def leap(self, offset_wh: float) -> None:
        """A driver reports it as anything else that changes."""
        self.offset_wh = offset_wh
        assert self.listener is not None
        self.listener.evse_changed()


class Leapt(Bench):
    def evse(self, connector: int, info: EvseInfo) -> Leaping:
        return Leaping(info, self.clock)

    @property
    def meter(self) -> Leaping:
        found = self.evses[0]
        assert isinstance(found, Leaping)
        return found

    @property
    def writes(self) -> int:
        """How often a transaction was stored so far."""
        assert isinstance(self.store, Counting)
        return self.store.writes

    @property
    def kept(self) -> dict[str, Any]:
        """The only transaction, as a restart would find it."""
        ((_, document),) = self.store.items(KIND)
        return dict(document)


@pytest.fixture
def bench() -> Leapt:
    made = Leapt(store=Counting(), ocpp={"MeterValueSampleInterval": "0"})
    made.connect()
    made.charge()
    return made


def test_a_leap_is_stored_at_once_and_nothing_else_is_stored_more_often(bench: Leapt) -> None:
    writes = bench.writes
    for _ in range(20):
        bench.meter.leap(0.0)
        bench.advance(2.0)
    assert bench.writes == writes
    bench.meter.leap(5000.0)
    assert bench.writes == writes + 1
    assert bench.kept["last_offset_wh"] == 5000.0
    assert bench.kept["last_wh"] == bench.meter.reading().energy_wh
    bench.meter.leap(5000.0)
    assert bench.writes == writes + 1


def test_it_stays_with_the_ended_transaction(bench: Leapt) -> None:
    bench.meter.leap(-700.0)
    bench.plug_out()
    assert (bench.kept["last_offset_wh"], bench.kept["reason"]) == (-700.0, "EVDisconnected")


def test_a_transaction_stored_before_there_was_such_a_thing_has_none(bench: Leapt) -> None:
    old = bench.kept
    del old["last_offset_wh"]
    assert Transaction.from_document(old).last_offset_wh == 0.0
