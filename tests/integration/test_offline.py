"""Without a central system, or with a bad one: sessions go on and nothing is lost (OCPP 1.6 §3.7, §4.8).

T:TC_036 to T:TC_039; OCPP-J 1.6 §3.2, §5.4; our checklist 1.4, 5.4, 5.5.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.integration.campaign.judge import Payload, Verdict
from tests.integration.campaign.rounds import INTERVAL_S, Round
from tests.integration.csms_process import central_system
from tests.integration.piped import Line, play
from tests.integration.station_process import (
    CP,
    START,
    StationProcess,
    at_central_system,
    configuration,
    station,
)

TAG = {"id_tag": "TAG", "connector": 1}
UNKNOWN_TAGS_CHARGE = {"AllowOfflineTxForUnknownId": "true"}


async def _charging(cp: StationProcess) -> None:
    await cp.advance(1)
    await cp.do("plug_in", connector=1)
    await cp.do("swipe", **TAG)
    await cp.advance(10)
    assert (await cp.connector())["status"] == "Charging"


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


# --- outages -----------------------------------------------------------------------------------------


def test_samples_of_an_outage_come_whole_in_order_and_before_newer_ones(tmp_path: Path) -> None:
    """T:TC_036."""

    async def story() -> None:
        async with at_central_system(tmp_path, ocpp={"MeterValueSampleInterval": "60"}) as (_, cp):
            await _charging(cp)
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
    """OCPP 1.6 §4.9; our checklist 1.4: it goes before the first record that waits."""

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
            await _charging(cp)
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
                await _charging(cp)
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
            await _charging(cp)
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


# --- central systems that behave badly ---------------------------------------------------------------

Manners = Callable[[ServerConnection], Awaitable[None]]


async def says_nothing(link: ServerConnection) -> None:
    """Never answers."""
    async for _ in link:
        pass


async def hangs_up(link: ServerConnection) -> None:
    """Closes each connection as soon as it is open."""
    await link.close()


async def hangs_up_when_spoken_to(link: ServerConnection) -> None:
    """Closes each connection at the first frame."""
    await link.recv()
    await link.close(1011, "no")


async def says_rubbish(link: ServerConnection) -> None:
    """Answers with what is no frame."""
    async for _ in link:
        await link.send("hello?")


async def says_bytes(link: ServerConnection) -> None:
    """Answers in binary messages."""
    async for _ in link:
        await link.send(b"\x00\x01")


async def answers_nonsense(link: ServerConnection) -> None:
    """Answers with payloads that no schema allows."""
    async for text in link:
        await link.send(json.dumps([3, json.loads(text)[1], {"status": "Maybe", "currentTime": 7}]))


async def answers_somebody_else(link: ServerConnection) -> None:
    """Answers with ids that nobody used."""
    async for _ in link:
        await link.send('[3,"somebody-else",{}]')


async def refuses(link: ServerConnection) -> None:
    """Answers everything with a CALLERROR."""
    async for text in link:
        await link.send(json.dumps([4, json.loads(text)[1], "InternalError", "out of order", {}]))


@asynccontextmanager
async def _behaving(manners: Manners, subprotocol: str = "ocpp1.6", port: int = 0) -> AsyncIterator[str]:
    """A server with these manners; the URL of its endpoint."""

    async def serve_one(link: ServerConnection) -> None:
        try:
            await manners(link)
        except ConnectionClosed:
            await link.wait_closed()

    offered = [Subprotocol(subprotocol)]
    quiet = logging.Logger("quiet", logging.CRITICAL)
    async with serve(serve_one, "127.0.0.1", port, subprotocols=offered, logger=quiet) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _complaints(cp: StationProcess) -> list[str]:
    """Everything said about the central system, for a person."""
    return [
        str(event.get("message") or event.get("reason"))
        for event in cp.events
        if event["event"] == "error" or (event["event"] == "connection" and not event["online"])
    ]


BAD: list[tuple[Manners, str]] = [
    (says_nothing, "no answer within 1 s"),
    (says_rubbish, "not JSON"),
    (says_bytes, "binary"),
    (answers_nonsense, "was not valid"),
    (answers_somebody_else, "no answer within 1 s"),
    (refuses, "out of order"),
]
"""Manners, and a word of what is told."""


@pytest.mark.parametrize(("manners", "told"), BAD, ids=[manners.__name__ for manners, _ in BAD])
def test_bad_manners_from_the_start_are_told_once(tmp_path: Path, manners: Manners, told: str) -> None:
    async def story() -> None:
        config = configuration(tmp_path, ocpp={"MessageTimeout": "1"})
        async with (
            _behaving(manners) as url,
            station("--config", config, "--linger", "0", csms=url, storage=tmp_path / "s") as cp,
        ):
            await cp.advance(150)
            assert len(cp.calls("BootNotification")) == 3
            assert {action for action, _ in cp.calls()} == {"BootNotification"}
            about = _complaints(cp)
            assert len([line for line in about if told in line]) == 1, about
            assert len(about) <= 2, about
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize("manners", [hangs_up, hangs_up_when_spoken_to], ids=lambda one: one.__name__)
def test_one_that_hangs_up_is_tried_less_and_less(tmp_path: Path, manners: Manners) -> None:
    """A connection over which nothing was answered counts as a failed attempt, up to 120 s apart."""

    async def story() -> None:
        async with (
            _behaving(manners) as url,
            station("--linger", "0", csms=url, storage=tmp_path) as cp,
        ):
            await cp.advance(3600)
            told = [event for event in cp.events if event["event"] == "connection"]
            assert [event["online"] for event in told] == [True, False] * (len(told) // 2)
            moments = [_moment(event["t"]) for event in told if event["online"]]
            waits = [after - before for before, after in pairwise(moments)]
            assert waits[0] >= 3
            assert waits[10:] == [120] * len(waits[10:])
            assert 20 < len(moments) < 45
            assert all("closed by the central system" in line for line in _complaints(cp))
            await cp.shut_down()

    play(story)


def test_one_that_does_not_speak_our_protocol(tmp_path: Path) -> None:
    """OCPP-J 1.6 §3.2: a failed attempt, told once."""

    async def story() -> None:
        async with (
            _behaving(says_nothing, "ocpp2.0.1") as url,
            station("--linger", "0", csms=url, storage=tmp_path) as cp,
        ):
            await cp.advance(3600)
            (complaint,) = _complaints(cp)
            assert "ocpp1.6" in complaint
            assert cp.calls() == []
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize(
    "manners",
    [says_nothing, hangs_up, says_rubbish, says_bytes, answers_nonsense, answers_somebody_else, refuses],
    ids=lambda one: one.__name__,
)
def test_a_session_goes_on_whatever_the_central_system_does(tmp_path: Path, manners: Manners) -> None:
    """A good central system turns bad in the middle of a session and good again: every sample arrives."""

    async def story() -> None:
        quick = {
            "MessageTimeout": "1",
            "TransactionMessageAttempts": "99",
            "TransactionMessageRetryInterval": "30",
        }
        config = configuration(tmp_path, ocpp=quick)
        async with central_system("--seed", "1") as central:
            port = int(central.url.rpartition(":")[2])
            options = ("--config", config, "--linger", "0")
            async with station(*options, csms=central.url, storage=tmp_path / "s") as cp:
                await _charging(cp)
                await central.kill()
                async with _behaving(manners, port=port):
                    await cp.advance(70)
                    during = await cp.connector()
                    assert (during["status"], during["id_tag"]) == ("Charging", "TAG")
                    assert during["power_w"] > 5000
                async with central_system("--seed", "2", port=port) as again:
                    await cp.advance(400)
                    await cp.do("swipe", **TAG)
                    await cp.advance(200)
                    assert (await cp.do("status"))["queued"] == 0
                    arrived: list[Line] = again.calls("MeterValues")
                    sampled = [_moment(one["meterValue"][0]["timestamp"]) - _moment(START) for one in arrived]
                    assert sampled == [1.0 + 60 * n for n in range(1, 9)][-len(sampled) :]
                    assert len(sampled) >= 6
                    assert len(again.calls("StopTransaction")) == 1
                    await cp.shut_down()

    play(story)
