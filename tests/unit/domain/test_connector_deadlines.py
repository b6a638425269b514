"""What happens to a connector when nobody does anything (OCPP 1.6 §9.1.4; errata 3.20, 3.89)."""

from __future__ import annotations

from typing import Any

import pytest

from chargepoint.config.hardware import ConnectorConfig
from tests.unit.ocpp16.bench import Bench


def ready(connectors: int = 1, preparing_timeout: str = "auto", **options: Any) -> Bench:
    bench = Bench(connectors, behaviour={"preparing_timeout": preparing_timeout}, **options)
    bench.connect()
    return bench


@pytest.mark.parametrize(
    ("connectors", "choice", "status"),
    [
        pytest.param(1, "auto", "Preparing", id="own-reader"),
        pytest.param(2, "auto", "Finishing", id="shared-reader"),
        pytest.param(1, "finishing", "Finishing", id="finishing"),
        pytest.param(2, "stay", "Preparing", id="stay"),
    ],
)
def test_a_cable_and_nobody(connectors: int, choice: str, status: str) -> None:
    bench = ready(connectors, choice)
    bench.plug_in()
    bench.advance(119)
    assert bench.statuses()[-1] == "Preparing"
    bench.advance(1)
    assert bench.statuses()[-1] == status
    bench.advance(10_000)
    assert bench.statuses()[-1] == status
    bench.swipe("TAG", 1)
    bench.advance(10)
    assert bench.statuses()[-1] == ("Charging" if status == "Preparing" else "Finishing")
    if status == "Finishing":
        bench.plug_out()
        assert bench.statuses()[-1] == "Available"


def test_the_next_card_does_not_start_a_stranger_s_vehicle() -> None:
    bench = ready(2)
    bench.plug_in(1)
    bench.advance(120)
    bench.swipe("TAG")
    bench.advance(10)
    assert bench.sent("StartTransaction") == []
    bench.plug_in(2)
    bench.advance(10)
    assert [p["connectorId"] for p in bench.sent("StartTransaction")] == [2]


def test_a_card_and_no_cable() -> None:
    bench = ready()
    bench.swipe("TAG")
    bench.advance(119)
    assert bench.statuses()[-1] == "Preparing"
    bench.advance(1)
    assert bench.statuses()[-1] == "Available"
    bench.plug_in()
    bench.advance(10)
    assert bench.sent("StartTransaction") == []


def test_time_runs_from_preparing_not_from_the_card() -> None:
    bench = ready(2, "finishing")
    bench.plug_in()
    bench.advance(60)
    bench.csms.answers["Authorize"] = lambda payload: {"idTagInfo": {"status": "Invalid"}}
    bench.swipe("TAG")
    bench.advance(60)
    assert bench.statuses()[-1] == "Finishing"


def test_each_use_has_the_whole_time() -> None:
    bench = ready(2)
    bench.plug_in()
    bench.advance(119)
    bench.plug_out()
    bench.plug_in()
    bench.advance(119)
    assert bench.statuses()[-1] == "Preparing"
    bench.advance(1)
    assert bench.statuses()[-1] == "Finishing"


def test_a_card_after_a_card_has_the_whole_time() -> None:
    bench = ready()
    bench.swipe("ANN")
    bench.advance(120)
    bench.swipe("BOB")
    bench.advance(119)
    assert bench.statuses()[-1] == "Preparing"
    bench.plug_in()
    assert [p["idTag"] for p in bench.sent("StartTransaction")] == ["BOB"]


def test_a_transaction_does_not_time_out() -> None:
    bench = ready(2)
    bench.plug_in()
    bench.swipe("TAG")
    bench.advance(100_000)
    assert len(bench.sent("StartTransaction")) == 1
    assert bench.sent("StopTransaction") == []


def test_zero_is_for_ever() -> None:
    bench = ready(2, ocpp={"ConnectionTimeOut": "0"})
    bench.plug_in(1)
    bench.swipe("TAG", 2)
    bench.advance(100_000)
    assert (bench.statuses(1)[-1], bench.statuses(2)[-1]) == ("Preparing", "Preparing")


def test_a_new_time_out_takes_effect_at_once() -> None:
    bench = ready()
    bench.swipe("TAG")
    bench.advance(60)
    bench.call("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "61"})
    bench.advance(1)
    assert bench.statuses()[-1] == "Available"
    bench.swipe("TAG")
    bench.advance(30)
    bench.call("ChangeConfiguration", {"key": "ConnectionTimeOut", "value": "20"})
    assert bench.statuses()[-1] == "Available"


def test_a_vehicle_has_some_time_to_react() -> None:
    bench = ready()
    bench.plug_in(soc_percent=100)
    bench.swipe("TAG")
    bench.advance(4.9)
    assert bench.statuses()[-1] == "Preparing"
    bench.advance(0.1)
    assert bench.statuses()[-1] == "SuspendedEV"


def test_an_outlet_for_direct_current_has_more() -> None:
    bench = ready(info=ConnectorConfig(current="dc").info)
    bench.charge()
    bench.advance(20)
    assert bench.statuses() == ["Available", "Preparing", "Charging"]


def test_a_station_that_is_not_wanted_yet_keeps_who_is_plugged_in() -> None:
    bench = Bench(behaviour={"free_charging_id_tag": "FREE"})
    bench.plug_in()
    bench.advance(600)
    assert bench.local_status() == "Preparing"
    bench.connect()
    bench.advance(10)
    assert bench.local_status() == "Charging"
