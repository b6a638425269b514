"""Unplugging at the vehicle, and what keeps the plug locked (OCPP 1.6 §4.10; errata 3.5, 3.80, 3.84)."""

from __future__ import annotations

from typing import Any

import pytest

from hal.api import EvseInfo
from tests.unit.ocpp16.bench import Bench

TETHERED = EvseInfo(tethered=True, lockable=False)


def charging(stops: bool, unlocks: bool, **options: Any) -> Bench:
    settings = {
        "StopTransactionOnEVSideDisconnect": str(stops).lower(),
        "UnlockConnectorOnEVSideDisconnect": str(unlocks).lower(),
    }
    bench = Bench(ocpp=settings, **options)
    bench.connect()
    bench.charge()
    assert bench.evses[0].locked is bench.evses[0].info.lockable
    return bench


def stops(bench: Bench) -> list[tuple[str, str | None]]:
    return [(payload["reason"], payload.get("idTag")) for payload in bench.sent("StopTransaction")]


def test_stop_and_unlock() -> None:
    bench = charging(stops=True, unlocks=True)
    bench.plug_out()
    assert stops(bench) == [("EVDisconnected", None)]
    assert not bench.evses[0].locked
    assert bench.statuses()[-2:] == ["Finishing", "Available"], "the cable is free, and taken"


@pytest.mark.parametrize("release", ["tag", "command"])
def test_stop_and_keep(release: str) -> None:
    bench = charging(stops=True, unlocks=False)
    bench.plug_out()
    assert stops(bench) == [("EVDisconnected", None)]
    assert bench.evses[0].locked
    assert bench.statuses()[-1] == "Finishing"
    bench.swipe("OTHER")
    bench.advance(600)
    assert bench.evses[0].locked
    if release == "tag":
        bench.swipe("tag")
    else:
        assert bench.call("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
    assert not bench.evses[0].locked
    assert bench.statuses()[-1] == "Available"
    assert len(stops(bench)) == len(bench.sent("StartTransaction")) == 1


@pytest.mark.parametrize("unlocks", [True, False])
def test_go_on(unlocks: bool) -> None:
    bench = charging(stops=False, unlocks=unlocks)
    bench.plug_out()
    bench.advance(600)
    assert stops(bench) == []
    assert bench.evses[0].locked
    assert bench.statuses()[-1] == "SuspendedEV"
    bench.plug_in()
    bench.advance(10)
    assert bench.statuses()[-2:] == ["SuspendedEV", "Charging"]
    bench.plug_out()
    assert bench.call("RemoteStopTransaction", {"transactionId": 1}) == {"status": "Accepted"}
    assert stops(bench) == [("Remote", None)]
    assert not bench.evses[0].locked


def test_go_on_until_the_same_card_stops_it() -> None:
    bench = charging(stops=False, unlocks=True)
    bench.plug_out()
    bench.swipe("TAG")
    assert stops(bench) == [("Local", "TAG")]
    assert bench.statuses()[-2:] == ["Finishing", "Available"]


def test_a_whole_cable_that_is_gone_ends_it_whatever_is_set() -> None:
    bench = charging(stops=False, unlocks=False, info=EvseInfo(lockable=False))
    bench.plug_out()
    assert stops(bench) == [("EVDisconnected", None)]
    assert bench.statuses()[-2:] == ["Charging", "Available"]


def test_a_fixed_cable_is_free_at_once() -> None:
    bench = charging(stops=True, unlocks=True, info=TETHERED)
    bench.plug_out()
    assert stops(bench) == [("EVDisconnected", None)]
    assert bench.statuses()[-2:] == ["Charging", "Available"]


def test_a_fixed_cable_may_wait_for_any_vehicle() -> None:
    bench = charging(stops=False, unlocks=True, info=TETHERED)
    bench.plug_out()
    bench.advance(600)
    assert bench.statuses()[-1] == "SuspendedEV"
    bench.plug_in(vehicle="van")
    bench.advance(10)
    assert bench.statuses()[-2:] == ["SuspendedEV", "Charging"]
    assert stops(bench) == []


@pytest.mark.parametrize("reason", ["Local", "Remote", "Other"])
def test_a_normal_end_lets_the_plug_go(reason: str) -> None:
    bench = charging(stops=True, unlocks=False)
    with bench.cp.turn:
        bench.cp.connectors[1].stop_asked(reason)
    assert not bench.evses[0].locked
    assert bench.statuses()[-1] == "Charging"
    bench.advance(0)
    assert bench.statuses()[-1] == "Finishing"


def test_a_held_cable_is_held_after_a_power_cut() -> None:
    bench = charging(stops=True, unlocks=False)
    bench.plug_out()
    bench.restart()
    bench.connect()
    assert bench.evses[0].locked
    bench.swipe("OTHER")
    assert bench.evses[0].locked
    bench.swipe("TAG")
    assert not bench.evses[0].locked


def test_unplugging_while_the_limit_is_zero_ends_it_too() -> None:
    bench = charging(stops=True, unlocks=True)
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0}]}
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    }
    bench.call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})
    assert bench.statuses()[-1] == "SuspendedEVSE"
    bench.plug_out()
    assert stops(bench) == [("EVDisconnected", None)]
