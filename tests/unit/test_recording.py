"""What stands beside the frames in a trace: the hardware as it changes, and what was done to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chargepoint.actions import ActionError, Actions
from chargepoint.config import StationConfig
from chargepoint.recording import Perform, Recording
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from chargepoint.trace import Trace
from hal.clock import SteppedClock
from hal.simulated.vehicle import load_vehicle

START = 1_777_622_400.0


class Bench:
    """A station without a link, under record."""

    def __init__(self, path: Path) -> None:
        self.clock = SteppedClock(START)
        self._path = path
        config = StationConfig.model_validate(
            {
                "identity": "CP001",
                "connectors": [{}, {"current": "dc", "cable": "tethered", "max_power_w": 50000}],
                "ocpp": {"MeterValueSampleInterval": "30"},
                "behaviour": {"free_charging_id_tag": "FREE", "transactions_before_accepted": True},
                "storage": None,
            }
        )
        self.station: Station = assemble(
            StationType(config), MemoryStore(), self.clock, self.clock, url="ws://127.0.0.1:9", seed=1
        )
        self.trace = Trace(path, "CP001")
        self.recording = Recording(self.station, self.trace)
        perform = Actions(self.station, load_vehicle("compact")).perform
        self.perform: Perform = self.recording.performing(perform)
        self.station.link.cut(True)
        self.station.start()

    def told(self, *events: str) -> list[dict[str, Any]]:
        records = [json.loads(line) for line in self._path.read_text().splitlines()]
        about = ("schemaVersion", "timestamp", "chargePointId")
        return [
            {name: value for name, value in record.items() if name not in about}
            for record in records
            if record.get("event") in events
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "t.jsonl")
    yield bench
    bench.station.close()
    bench.trace.close()


def test_the_first_record_describes_the_station(bench: Bench) -> None:
    [recording] = bench.told("recording")
    assert recording["version"] == 1
    assert [c["current"] for c in recording["connectors"]] == ["ac", "dc"]
    assert recording["connectors"][1]["max_power_w"] == 50000
    assert recording["ocpp"] == {"MeterValueSampleInterval": "30"}


def test_verb_plug_and_pilot_in_the_order_of_cause_and_effect(bench: Bench) -> None:
    bench.perform({"cmd": "plug_in", "connector": 1, "id": 7})
    bench.clock.advance(60)
    names = [r["event"] for r in bench.told("verb", "plug", "pilot", "status", "transaction", "contactor")]
    assert [name for name in names if name != "status"] == [
        "verb",
        "plug",
        "pilot",
        "transaction",
        "pilot",
        "contactor",
    ]
    assert bench.told("verb") == [{"event": "verb", "cmd": "plug_in", "connector": 1}]
    assert bench.told("plug") == [{"event": "plug", "connector": 1, "plugged": True}]
    assert [r["state"] for r in bench.told("pilot")] == ["B", "C"]
    assert [r["closed"] for r in bench.told("contactor")] == [True]
    bench.perform({"cmd": "plug_out", "connector": 1})
    assert bench.told("plug")[-1] == {"event": "plug", "connector": 1, "plugged": False}
    [*_, last] = bench.told("meter")
    assert last["energy_wh"] > 100


def test_cards_and_faults(bench: Bench) -> None:
    bench.perform({"cmd": "swipe", "id_tag": "TAG1"})
    bench.perform({"cmd": "fault", "connector": 1, "error_code": "GroundFailure", "info": "test"})
    bench.perform({"cmd": "clear_fault", "connector": 1})
    assert bench.told("card") == [{"event": "card", "id_tag": "TAG1", "connector": None}]
    first, second = bench.told("faults")
    assert first["faults"] == [{"kind": "ground", "blocking": True, "info": "test", "vendor_code": ""}]
    assert second["faults"] == []


def test_a_refused_verb_is_marked(bench: Bench) -> None:
    with pytest.raises(ActionError):
        bench.perform({"cmd": "plug_out", "connector": 1})
    assert bench.told("verb", "refused") == [
        {"event": "verb", "cmd": "plug_out", "connector": 1},
        {"event": "refused", "cmd": "plug_out", "error": "bad_state"},
    ]


def test_questions_are_no_deeds(bench: Bench) -> None:
    bench.perform({"cmd": "status"})
    assert bench.told("verb") == []


def test_hardware_is_heard_after_a_restart_of_the_software(bench: Bench) -> None:
    bench.perform({"cmd": "reboot"})
    bench.clock.advance(60)
    bench.perform({"cmd": "plug_in", "connector": 1})
    assert bench.told("plug") == [{"event": "plug", "connector": 1, "plugged": True}]
    assert bench.told("status")[-1]["status"] == "Preparing"


def test_secrets_in_events_are_masked(bench: Bench, tmp_path: Path) -> None:
    secret = "00112233445566778899AABBCCDDEEFF"
    with pytest.raises(ActionError):
        bench.perform({"cmd": "config", "key": "AuthorizationKey", "value": secret * 9, "x": 1})
    bench.recording.tell("error", {"message": f'{{"key":"AuthorizationKey","value":"{secret}"}}'})
    assert secret not in (tmp_path / "t.jsonl").read_text()
    assert bench.told("verb")[0]["value"] == "***"


def test_after_the_end_nothing_is_written(bench: Bench) -> None:
    bench.recording.close()
    before = len(bench.told("verb", "plug", "pilot", "card"))
    Actions(bench.station, load_vehicle("compact")).perform({"cmd": "plug_in", "connector": 1})
    bench.station.tag_presented("TAG1", None)
    assert len(bench.told("verb", "plug", "pilot", "card")) == before
    assert bench.station.charge_point.statuses.current(1).status.value != "Available"
