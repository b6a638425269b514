"""Faults of the connection: cut, half-open, deaf to pings, slow; on demand, for a while and by chance."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from scenarios.faults import BadDisturbance
from tests.integration.piped import play
from tests.integration.scenarios.fault_rig import CP, FREE, START, Rig, live

PINGING = {"WebSocketPingInterval": "120"}
SILENT = {"WebSocketPingInterval": "0"}


@pytest.mark.parametrize(
    ("link", "csms_says"),
    [("clean_cut", "1001"), ("hard_cut", "")],
)
def test_a_cut_lasts_as_long_as_it_is_said(link: str, csms_says: str) -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(link=link, for_="10m")
            assert not rig.station.online
            await rig.wait(599)
            assert not rig.station.online
            assert rig.disconnected
            assert ("1001 (going away)" in rig.disconnected[0]) == bool(csms_says)
            await rig.charge_freely(1)
            assert rig.station.online
            await rig.nothing_is_lost()
            assert rig.losses == ["the network was cut"]

    play(run)


def test_a_cut_until_it_is_calmed() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(link="hard_cut", name="outage")
            await rig.charge_freely(2)
            assert rig.transactions == []
            assert rig.status()["queued"] > 2
            await rig.disturb(calm="outage")
            await rig.nothing_is_lost()
            assert len(rig.transactions) == 2

    play(run)


def test_calming_what_never_was_is_a_mistake() -> None:
    async def run() -> None:
        async with live() as rig:
            await rig.disturb(link="hard_cut", for_="1s")
            await rig.wait(10)
            await rig.disturb(calm="hard_cut")  # over by itself: no mistake
            with pytest.raises(BadDisturbance, match="half_open"):
                await rig.disturb(calm="half_open")

    play(run)


def test_a_half_open_link_is_found_dead_by_its_pings() -> None:
    """OCPP-J 1.6 §5.4: the station's own pings are what finds it, in station time."""

    async def run() -> None:
        async with live(behaviour=FREE, ocpp=PINGING) as rig:
            rig.forget_frames()
            before = len(rig.rx)
            await rig.disturb(link="half_open")
            await rig.do("plug_in", connector=1)
            assert rig.probe.said
            assert rig.sent == []
            assert len(rig.rx) == before
            await rig.wait(120 + 14)
            assert rig.station.online
            await rig.wait(120)
            assert rig.losses == ["no pong within 15 s: the connection was dead"]
            assert rig.station.online, "a new connection works"
            await rig.do("plug_out", connector=1)
            await rig.nothing_is_lost()
            assert len(rig.transactions) == 1

    play(run)


def test_a_half_open_link_without_pings_ends_with_a_reset() -> None:
    async def run() -> None:
        async with live(behaviour=FREE, ocpp=SILENT) as rig:
            rig.forget_frames()
            await rig.disturb(link="half_open", for_="30m")
            await rig.charge_freely(1)
            assert rig.sent == []
            assert rig.losses == []
            await rig.wait(1800)
            assert rig.losses == ["the connection was reset: it had been dead"]
            await rig.nothing_is_lost()
            assert len(rig.transactions) == 1

    play(run)


def test_lost_pongs_break_the_link_again_and_again() -> None:
    async def run() -> None:
        async with live(behaviour=FREE, ocpp=PINGING) as rig:
            await rig.disturb(link="ping_loss", for_="20m")
            await rig.charge_freely(2)
            await rig.wait(1200)
            times = len(rig.losses)
            assert 5 <= times <= 9
            assert set(rig.losses) == {"no pong within 15 s: the connection was dead"}
            await rig.wait(3600)
            assert len(rig.losses) == times
            await rig.nothing_is_lost()
            assert len(rig.transactions) == 2

    play(run)


async def _round_trip_s(rig: Rig) -> float:
    """From a StartTransaction to its answer, in station time."""
    await rig.charge_freely(1)
    phases = {f["phase"]: at for at, name, f in rig.events if name == "transaction"}
    rig.events.clear()
    return phases["confirmed"] - phases["started"]


def test_a_slow_line_costs_station_time_only() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            assert await _round_trip_s(rig) == 0
            await rig.disturb(link="slow", latency="2s")
            assert await _round_trip_s(rig) == pytest.approx(4)
            await rig.disturb(calm="slow")
            await rig.disturb(link="slow", latency="1s", jitter="500ms")
            assert 2 < await _round_trip_s(rig) < 3
            await rig.disturb(calm="all")
            assert await _round_trip_s(rig) == 0
            assert rig.clock.lost_s == 0

    play(run)


def test_bandwidth_is_shared_by_what_is_sent() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(link="slow", bandwidth_bps=800)
            rig.forget_frames()
            await rig.do("data_transfer", vendor_id="V", data="x" * 1000)
            await rig.wait(60)
            (began, said), (left, _) = rig.probe.said[0], rig.sent[0]
            assert left - began == pytest.approx((len(said) + 8) / 100)

    play(run)


def test_messages_stay_in_order_on_a_line_that_becomes_fast() -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(link="slow", latency="20s")
            rig.forget_frames()
            await rig.do("data_transfer", vendor_id="V")
            await rig.disturb(calm="slow")
            await rig.csms.call(CP, "GetConfiguration", {"key": []})
            await rig.wait(60)
            assert [data for _, data in rig.sent] == [data for _, data in rig.probe.said]

    play(run)


def test_the_central_system_waits_on_a_slow_line_in_station_time() -> None:
    async def run() -> None:
        async with live() as rig:
            await rig.disturb(link="slow", latency="10s")
            call = asyncio.ensure_future(
                rig.csms.call(CP, "GetConfiguration", {"key": ["HeartbeatInterval"]})
            )
            began = rig.clock.now()
            while not call.done():
                await rig.wait(1)
            assert rig.clock.now() - began == pytest.approx(20, abs=1)
            assert (await call)["configurationKey"]

    play(run)


def test_it_strikes_by_chance_again_and_again() -> None:
    async def once(seed: int) -> list[float]:
        async with live(seed, behaviour=FREE) as rig:
            await rig.disturb(link="hard_cut", about_every="2h", for_="3m")
            await rig.charge_freely(1)
            await rig.wait(86_400)
            moments = [one.at - START for one in rig.struck]
            assert len(rig.losses) == len(moments)
            await rig.nothing_is_lost()
            return moments

    async def run() -> None:
        first, again, other = await once(1), await once(1), await once(2)
        assert first == again != other
        assert 5 < len(first) < 20

    play(run)


@pytest.mark.parametrize(
    "keys",
    [
        {"link": "hard_cut"},
        {"link": "half_open"},
        {"link": "slow", "latency": "10m"},
        {"clock": "skew", "by": "1h"},
    ],
    ids=lambda keys: str(next(iter(keys.values()))),
)
def test_a_restart_of_the_station_in_the_middle(keys: dict[str, Any]) -> None:
    async def run() -> None:
        async with live(behaviour=FREE) as rig:
            await rig.disturb(**keys)
            await rig.charge_freely(1)
            await rig.do("reboot")
            await rig.charge_freely(1)
            await rig.nothing_is_lost()
            assert len(rig.transactions) == 2

    play(run)
