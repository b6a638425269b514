"""Central systems that behave badly: told once, then quiet, and the session goes on (OCPP-J 1.6 §3.2, §4.1).

OCPP-J 1.6 §3, §4; OCPP 1.6 §4.2.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.integration.csms_process import central_system
from tests.integration.piped import Line, play
from tests.integration.station_process import START, StationProcess, configuration, station
from tests.standstills import again_after_a_standstill

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


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _complaints(cp: StationProcess) -> list[str]:
    """Everything said about the central system, for a person; a slow disk is not its doing."""
    told = [
        str(event.get("message") or event.get("reason"))
        for event in cp.events
        if event["event"] == "error" or (event["event"] == "connection" and not event["online"])
    ]
    return [line for line in told if "writing took" not in line]


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
@again_after_a_standstill
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
@again_after_a_standstill
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
                await cp.charge()
                await central.kill()
                async with _behaving(manners, port=port):
                    await cp.advance(70)
                    during = await cp.connector()
                    assert (during["status"], during["id_tag"]) == ("Charging", "TAG")
                    assert during["power_w"] > 5000
                async with central_system("--seed", "2", port=port) as again:
                    await cp.advance(400)
                    await cp.do("swipe", id_tag="TAG")
                    await cp.advance(200)
                    assert (await cp.do("status"))["queued"] == 0
                    arrived: list[Line] = again.calls("MeterValues")
                    sampled = [_moment(one["meterValue"][0]["timestamp"]) - _moment(START) for one in arrived]
                    assert sampled == [1.0 + 60 * n for n in range(1, 9)][-len(sampled) :]
                    assert len(sampled) >= 6
                    assert len(again.calls("StopTransaction")) == 1
                    await cp.shut_down()

    play(story)
