"""Faults of the station's clock against the central system's (OCPP 1.6 §4.6): skew, drift, jump."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.integration.piped import play
from tests.integration.scenarios.fault_rig import FREE, Rig, live


def _off_s(rig: Rig) -> float:
    """By how much the newest StatusNotification is wrong about when it was sent."""
    sent_at = [at for at, frame in rig.dated_calls("StatusNotification")][-1]
    told = datetime.fromisoformat(rig.calls("StatusNotification")[-1]["timestamp"]).timestamp()
    return told - sent_at


async def _tell(rig: Rig) -> float:
    await rig.do("plug_in", connector=1)
    await rig.do("plug_out", connector=1)
    await rig.wait(1)
    return _off_s(rig)


@pytest.mark.parametrize("by", ["-2h", "26h"])
def test_a_skewed_clock_stays_wrong_until_it_is_set(by: str) -> None:
    seconds = {"-2h": -7200, "26h": 93_600}[by]

    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            assert await _tell(rig) == pytest.approx(0, abs=1)
            await rig.disturb(clock="skew", by=by)
            assert await _tell(rig) == pytest.approx(seconds, abs=1)
            await rig.do("reboot")
            await rig.wait(30)
            assert rig.station.accepted
            assert await _tell(rig) == pytest.approx(seconds, abs=1)
            await rig.disturb(calm="skew")
            assert await _tell(rig) == pytest.approx(0, abs=1)
            await rig.nothing_is_lost()

    play(run)


def test_a_drifting_clock_is_more_and_more_wrong() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(clock="drift", ppm=-1000)
            await rig.wait(36_000)
            assert await _tell(rig) == pytest.approx(-36, abs=1)
            await rig.wait(36_000)
            assert await _tell(rig) == pytest.approx(-72, abs=1)
            await rig.disturb(calm="drift")
            assert await _tell(rig) == pytest.approx(0, abs=1)
            await rig.wait(36_000)
            assert await _tell(rig) == pytest.approx(0, abs=1)

    play(run)


def test_a_jump_is_put_right_by_the_next_heartbeat() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(clock="jump", by="3d")
            assert await _tell(rig) == pytest.approx(3 * 86_400, abs=1)
            await rig.csms.call("CP001", "TriggerMessage", {"requestedMessage": "Heartbeat"})
            await rig.wait(10)
            assert await _tell(rig) == pytest.approx(0, abs=1)
            await rig.nothing_is_lost()

    play(run)


def test_a_jump_in_a_session_changes_no_energy() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.charge_freely(1)
            await rig.do("plug_in", connector=1)
            await rig.wait(100)
            await rig.disturb(clock="jump", by="-40d")
            await rig.wait(100)
            await rig.do("plug_out", connector=1)
            await rig.nothing_is_lost()
            first, second = rig.transactions
            assert second.energy_wh == pytest.approx(first.energy_wh, abs=2)

    play(run)
