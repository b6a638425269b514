"""Without a central system, or with a bad one: sessions go on and nothing is lost (OCPP 1.6 §3.7, §4.8).

T:TC_036 to T:TC_039; OCPP-J 1.6 §3.2, §5.4.
"""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import datetime
from pathlib import Path

import pytest

from tests.integration.campaign.judge import Payload, Verdict
from tests.integration.campaign.rounds import INTERVAL_S, Round
from tests.integration.csms_process import central_system
from tests.integration.piped import play
from tests.integration.station_process import (
    CP,
    START,
    StationProcess,
    at_central_system,
    configuration,
    station,
)
from tests.standstills import again_after_a_standstill

TAG = {"id_tag": "TAG", "connector": 1}
UNKNOWN_TAGS_CHARGE = {"AllowOfflineTxForUnknownId": "true"}


async def _network(cp: StationProcess, online: bool) -> None:
    await cp.do("network", online=online)
    await cp.advance(0)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _sampled(cp: StationProcess) -> list[float]:
    """When the samples that were sent were taken, in the order of sending; seconds from START."""
    return [
        _moment(value["timestamp"]) - _moment(START)
        for _, payload in cp.calls("MeterValues")
        for value in payload["meterValue"]
    ]


def test_samples_of_an_outage_come_whole_in_order_and_before_newer_ones(tmp_path: Path) -> None:
    """T:TC_036."""

    async def story() -> None:
        async with at_central_system(tmp_path, ocpp={"MeterValueSampleInterval": "60"}) as (_, cp):
            await cp.charge()
            await cp.advance(120)
            await _network(cp, False)
            await cp.advance(600)
            assert (await cp.do("status"))["queued"] == 10
            await _network(cp, True)
            assert (await cp.do("status"))["queued"] == 0
            await cp.advance(120)
            assert _sampled(cp) == [1.0 + 60 * n for n in range(1, 15)]
            assert {payload["transactionId"] for _, payload in cp.calls("MeterValues")} == {1}
            assert len(cp.calls("BootNotification")) == 1
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize(
    ("starts", "stops"),
    [
        pytest.param(False, True, id="start-TC_037"),
        pytest.param(True, False, id="stop-TC_038"),
        pytest.param(False, False, id="both-TC_039"),
    ],
)
def test_a_start_and_a_stop_without_a_network(tmp_path: Path, starts: bool, stops: bool) -> None:
    """Online at the start, at the stop, or at neither: the moments are those of the events, in order."""

    async def story() -> None:
        async with at_central_system(tmp_path, ocpp=UNKNOWN_TAGS_CHARGE) as (_, cp):
            await cp.advance(1)
            await _network(cp, starts)
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", **TAG)
            await cp.advance(150)
            await _network(cp, stops)
            await cp.do("swipe", **TAG)
            await cp.do("plug_out", connector=1)
            await cp.advance(100)
            await _network(cp, True)
            assert (await cp.do("status"))["queued"] == 0
            records = cp.calls("StartTransaction", "MeterValues", "StopTransaction")
            assert [action for action, _ in records] == [
                "StartTransaction",
                "MeterValues",
                "MeterValues",
                "StopTransaction",
            ]
            assert _moment(records[0][1]["timestamp"]) - _moment(START) == 1
            assert _moment(records[3][1]["timestamp"]) - _moment(START) == 151
            assert records[3][1]["reason"] == "Local"
            assert [payload["transactionId"] for _, payload in records[1:]] == [1, 1, 1]
            assert cp.calls("StatusNotification")[-1][1]["status"] == "Available"
            await cp.shut_down()

    play(story)


def test_after_an_outage_only_the_present_status_is_told(tmp_path: Path) -> None:
    """OCPP 1.6 §4.9: it goes before the first record that waits."""

    async def story() -> None:
        async with at_central_system(tmp_path, "--connectors", "2", ocpp=UNKNOWN_TAGS_CHARGE) as (_, cp):
            await cp.advance(1)
            await _network(cp, False)
            await cp.do("plug_in", connector=1)
            await cp.do("swipe", **TAG)
            await cp.do("availability", connector=2, operative=False)
            await cp.do("availability", connector=2, operative=True)
            await cp.advance(100)
            before = len(cp.calls())
            await _network(cp, True)
            sent = cp.calls()[before:]
            assert [(action, payload.get("status")) for action, payload in sent[:2]] == [
                ("StatusNotification", "Charging"),
                ("StartTransaction", None),
            ]
            assert [action for action, _ in sent].count("StatusNotification") == 1
            await cp.shut_down()

    play(story)


def test_a_link_that_breaks_at_every_record(tmp_path: Path) -> None:
    """Each record arrives, its answer does not, and it comes again, the same to the letter."""

    async def story() -> None:
        async with Round(tmp_path) as round, round.life() as cp:
            seen: set[str] = set()

            def cut(payload: Payload) -> None:
                text = json.dumps(payload)
                if text not in seen:
                    seen.add(text)
                    round.central.drop(CP)

            for action in ("StartTransaction", "MeterValues", "StopTransaction"):
                round.on_call[action] = cut
            await cp.charge()
            await cp.advance(4 * INTERVAL_S)
            await cp.do("swipe", **TAG)
            await cp.do("plug_out", connector=1)
            await cp.advance(600)
            assert (await cp.do("status"))["queued"] == 0
            await cp.shut_down()
            assert round.verdict() == Verdict([], len(seen))
            assert len(seen) >= 6
            boots = round.calls("BootNotification")
            assert len(boots) == 1

    play(story)


def test_the_central_system_dies_and_comes_back(tmp_path: Path) -> None:
    """SIGKILL; it comes back at the same address and knows nothing any more."""

    async def story() -> None:
        async with central_system("--seed", "1") as central:
            port = int(central.url.rpartition(":")[2])
            async with station("--linger", "0", csms=central.url, storage=tmp_path) as cp:
                await cp.charge()
                await central.kill()
                await cp.event("connection", online=False)
                await cp.advance(600)
                told = [event for event in cp.events if event["event"] == "connection"]
                assert [event["online"] for event in told] == [True, False, False]
                assert "nothing listens" in told[2]["reason"]
                async with central_system("--seed", "2", port=port) as again:
                    await cp.advance(180)
                    await cp.do("swipe", **TAG)
                    await cp.advance(1)
                    assert (await cp.do("status"))["queued"] == 0
                    stop = await again.received("StopTransaction")
                    assert (stop["transactionId"], stop["reason"]) == (1, "Local")
                    assert again.calls("BootNotification") == []
                    assert again.calls("MeterValues") == [payload for _, payload in cp.calls("MeterValues")]
                    sampled = _sampled(cp)
                    assert sampled == [1.0 + 60 * n for n in range(1, len(sampled) + 1)]
                    await cp.shut_down()

    play(story)


@again_after_a_standstill
def test_a_central_system_that_hangs(tmp_path: Path) -> None:
    """Half-open: the connection stands and nobody answers (SIGSTOP); then everything is answered late."""

    async def story() -> None:
        config = configuration(
            tmp_path, ocpp={"MessageTimeout": "1", "TransactionMessageRetryInterval": "10"}
        )
        async with (
            central_system("--seed", "1") as central,
            station("--config", config, csms=central.url, storage=tmp_path / "storage") as cp,
        ):
            await cp.charge()
            central.process.send_signal(signal.SIGSTOP)
            assert await cp.advance(65) > 0.9
            assert (await cp.connector())["status"] == "Charging"
            central.process.send_signal(signal.SIGCONT)
            await cp.advance(120)
            await cp.do("swipe", **TAG)
            await cp.advance(30)
            assert (await cp.do("status"))["queued"] == 0
            assert sorted(set(_sampled(cp))) == [61.0, 121.0, 181.0]
            await cp.shut_down()

    play(story)


@pytest.mark.campaign
def test_a_hanging_central_system_is_noticed_by_its_pongs(tmp_path: Path) -> None:
    """OCPP-J 1.6 §7: 1 s to the ping and 15 s for the pong, in real time."""

    async def story() -> None:
        config = configuration(tmp_path, ocpp={"WebSocketPingInterval": "1"})
        async with (
            central_system("--seed", "1") as central,
            station("--config", config, csms=central.url, storage=tmp_path / "storage", clock="wall") as cp,
        ):
            await cp.event("registration", status="Accepted")
            await asyncio.sleep(2)
            central.process.send_signal(signal.SIGSTOP)
            assert "pong" in (await cp.event("connection", online=False))["reason"]
            central.process.send_signal(signal.SIGCONT)
            await cp.event("connection", online=True)
            await cp.shut_down()

    play(story)
