"""Card readers in a whole station: the owner's list of cards, and a reader that is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chargepoint.config import StationConfig
from chargepoint.rpc import frames
from chargepoint.station import Station, assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from hal.api import Fault, FaultKind
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.reader import SimulatedReader
from hal.simulated.vehicle import load_vehicle
from tests.bench.sink import answer
from tests.bench.stations import START, URL

LOST = Fault(FaultKind.READER, blocking=False, info="/dev/x: the port is gone")


class Wired:
    """A station whose CALLs are all answered as a friendly central system would."""

    def __init__(self, reader: dict[str, Any]) -> None:
        self.clock = SteppedClock(START)
        config = StationConfig.model_validate({"readers": [{"driver": "simulated", **reader}]})
        store = MemoryStore()
        self.station: Station = assemble(
            StationType(config), store, self.clock, self.clock, url=URL, identity="CP1", seed=1
        )
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.station.watch(self._saw)
        with self.station.charge_point.turn:
            self.station.charge_point.start()
        self.station.link_up()
        self.serve()

    def _saw(self, event: str, fields: dict[str, Any]) -> None:
        if event == "ocpp" and fields["dir"] == "tx":
            _, _, *call = json.loads(fields["data"])
            if len(call) == 2:
                self.sent.append((call[0], call[1]))

    def serve(self) -> None:
        while (call := self.station.charge_point.session.outstanding) is not None:
            self.station.frame_received(frames.result(call.message_id, answer(call.action)))

    def swipe(self, id_tag: str) -> None:
        reader = self.station.readers[0]
        assert isinstance(reader, SimulatedReader)
        reader.present(id_tag)
        self.serve()

    def plug_in(self) -> None:
        evse = self.station.evses[0]
        assert isinstance(evse, SimulatedEvse)
        evse.plug_in(load_vehicle("compact"))
        self.serve()
        self.clock.advance(30.0)
        self.serve()

    def payloads(self, action: str) -> list[dict[str, Any]]:
        return [payload for name, payload in self.sent if name == action]


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    file = tmp_path / "cards"
    file.write_text("FAMILY01\n")
    return file


def test_a_card_on_the_list_charges_under_its_own_name_and_nobody_is_asked(cards: Path) -> None:
    wired = Wired({"whitelist": str(cards)})
    wired.plug_in()
    wired.swipe("family01")
    assert wired.payloads("Authorize") == []
    assert [start["idTag"] for start in wired.payloads("StartTransaction")] == ["family01"]
    wired.swipe("FAMILY01")
    assert len(wired.payloads("StopTransaction")) == 1


def test_a_card_that_is_not_on_the_list_is_asked_about(cards: Path) -> None:
    wired = Wired({"whitelist": str(cards)})
    wired.plug_in()
    wired.swipe("GUEST002")
    assert wired.payloads("Authorize") == [{"idTag": "GUEST002"}]


def test_or_it_is_not_heard_at_all(cards: Path) -> None:
    wired = Wired({"whitelist": str(cards), "others": "ignore"})
    wired.plug_in()
    wired.swipe("GUEST002")
    assert wired.payloads("Authorize") == wired.payloads("StartTransaction") == []


def test_a_card_on_the_list_charges_without_a_central_system(cards: Path) -> None:
    wired = Wired({"whitelist": str(cards)})
    wired.station.link_down("the cable was cut")
    wired.plug_in()
    wired.swipe("FAMILY01")
    evse = wired.station.evses[0]
    wired.clock.advance(30.0)
    assert evse.closed


def test_a_card_taken_from_the_list_is_asked_about(cards: Path) -> None:
    wired = Wired({"whitelist": str(cards)})
    wired.plug_in()
    cards.write_text("# nobody any more\n")
    wired.swipe("FAMILY01")
    assert wired.payloads("Authorize") == [{"idTag": "FAMILY01"}]


def test_a_lost_reader_is_a_warning_of_connector_0_until_it_is_back() -> None:
    """OCPP 1.6 §4.9: an error that does not keep the station from charging leaves its status as it is."""
    wired = Wired({})
    tell = wired.station.readers[0].on_fault
    assert tell is not None
    tell(LOST)
    wired.serve()
    report = wired.payloads("StatusNotification")[-1]
    assert (report["connectorId"], report["status"]) == (0, "Available")
    assert (report["errorCode"], report["info"]) == ("ReaderFailure", LOST.info)
    wired.station.set_faults(())  # what a script clears is not what the hardware says
    wired.serve()
    assert wired.payloads("StatusNotification")[-1]["errorCode"] == "ReaderFailure"
    tell(None)
    wired.serve()
    report = wired.payloads("StatusNotification")[-1]
    assert (report["connectorId"], report["errorCode"]) == (0, "NoError")
