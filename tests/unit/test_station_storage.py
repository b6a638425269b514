"""A whole station whose disk is full: what it says of that."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.config import StationConfig
from chargepoint.errors import StoreError
from chargepoint.station import assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from hal.clock import SteppedClock
from tests.bench.stations import START, URL


class FullDisk(MemoryStore):
    """Keeps nothing from `full` on."""

    full = False

    def commit(self) -> None:
        if self.full:
            raise StoreError("/data/CP1.sqlite3: cannot be written; free some space on the disk")
        super().commit()


def test_a_full_disk_is_one_sentence_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    clock, store = SteppedClock(START), FullDisk()
    station = assemble(StationType(StationConfig()), store, clock, clock, url=URL, identity="CP1", seed=1)
    told: list[dict[str, Any]] = []
    station.watch(lambda event, fields: told.append({"event": event, **fields}))
    with station.charge_point.turn:
        station.charge_point.start()
        store.full = True
    (record,) = caplog.records
    assert "free some space" in record.getMessage()
    assert record.exc_info is None
    message = "/data/CP1.sqlite3: cannot be written; free some space on the disk"
    assert {"event": "error", "message": message} in told
