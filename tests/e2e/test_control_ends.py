"""The ends of a station under the control protocol: in good order, at once, and in the middle of things."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from chargepoint.csms.central_system import CentralSystem
from tests.integration.piped import play
from tests.integration.station_process import CP, StationProcess, at_central_system, station
from tests.standstills import again_after_a_standstill


def _stops(cp: StationProcess) -> list[str]:
    return [payload["reason"] for _, payload in cp.calls("StopTransaction")]


def _closings(central: CentralSystem) -> list[str]:
    """How links end from now on."""
    reasons: list[str] = []
    central.listen(
        lambda event: reasons.append(event.fields["reason"]) if event.name == "disconnected" else None
    )
    return reasons


ENDS: dict[str, Callable[[StationProcess], None]] = {
    "shutdown": lambda cp: cp.say({"cmd": "shutdown"}),
    "sigterm": lambda cp: cp.process.send_signal(signal.SIGTERM),
    "sigint": lambda cp: cp.process.send_signal(signal.SIGINT),
    "end-of-input": lambda cp: cp.end_of_input(),
    "nobody-reads": lambda cp: cp.stop_reading(),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_orderly_end(tmp_path: Path, end: str) -> None:
    """The transaction ends with Reboot and is delivered, the link is closed with 1001, exit 0."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            closings = _closings(central)
            await cp.charge()
            ENDS[end](cp)
            if end == "nobody-reads":  # it notices when it writes
                await central.call(CP, "ClearCache")
            assert await cp.ended() == 0, cp.errors
            (transaction,) = central.transactions(CP)
            assert transaction.stop is not None
            assert transaction.stop["reason"] == "Reboot"
            assert len(closings) == 1
            assert "1001" in closings[0]

    play(story)


def test_commands_before_the_end_of_input_are_all_answered(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            cp.say({"cmd": "advance", "seconds": 1, "id": 1})
            cp.say({"cmd": "plug_in", "connector": 1, "id": 2})
            cp.say({"cmd": "swipe", "id_tag": "TAG", "id": 3})
            cp.say({"cmd": "advance", "seconds": 10_000, "id": 4})
            cp.end_of_input()
            assert await cp.ended() == 0
            replies = [line for line in cp.lines if "event" not in line]
            assert [reply["id"] for reply in replies] == [1, 2, 3, 4]
            (transaction,) = central.transactions(CP)
            assert transaction.energy_wh

    play(story)


def test_nothing_is_obeyed_after_shutdown(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (_, cp):
            cp.say({"cmd": "shutdown", "id": 1})
            cp.say({"cmd": "status", "id": 2})
            assert await cp.ended() == 0
            assert [line["id"] for line in cp.lines if "event" not in line] == [1]

    play(story)


def test_a_signal_ends_an_advance_that_would_take_too_long(tmp_path: Path) -> None:
    """The command under way is still answered."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.charge()
            cp.say({"cmd": "advance", "seconds": 1e9, "id": "long"})
            await cp.sent("MeterValues")
            cp.process.terminate()
            assert await cp.ended() == 0
            replies = [line for line in cp.lines if "event" not in line]
            assert (replies[-1]["id"], replies[-1]["ok"], replies[-1]["error"]) == (
                "long",
                False,
                "bad_state",
            )
            (transaction,) = central.transactions(CP)
            assert transaction.stop is not None

    play(story)


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """The central system answers no more; the stop is in the store and is delivered by the next start."""

    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.charge()
            central.set_answer("StopTransaction", silent=True, times=1)
            cp.process.terminate()
            await cp.event("transaction", phase="stopped")
            await asyncio.sleep(0.2)  # two signals of one moment count as one
            cp.process.terminate()
            assert await cp.ended() == 130
        async with at_central_system(tmp_path, start="2026-01-02T00:00:00Z") as (central, cp):
            await cp.advance(1)
            assert _stops(cp) == ["Reboot"]
            await cp.shut_down()

    play(story)


@again_after_a_standstill
def test_an_end_without_answers_takes_five_seconds_and_loses_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with at_central_system(tmp_path) as (central, cp):
            await cp.charge()
            central.set_answer("StopTransaction", silent=True)
            began = loop.time()
            await cp.shut_down()
            assert 4.9 < loop.time() - began < 8
        async with at_central_system(tmp_path, start="2026-01-02T00:00:00Z") as (central, cp):
            await cp.advance(1)
            assert _stops(cp) == ["Reboot"]
            await cp.shut_down()

    play(story)


@again_after_a_standstill
def test_an_end_without_a_network_is_quick_and_loses_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with at_central_system(tmp_path) as (_, cp):
            await cp.charge()
            await cp.do("network", online=False)
            began = loop.time()
            await cp.shut_down()
            assert loop.time() - began < 3
        async with at_central_system(tmp_path, start="2026-01-02T00:00:00Z") as (_, cp):
            await cp.advance(1)
            assert _stops(cp) == ["Reboot"]
            await cp.shut_down()

    play(story)


@pytest.mark.parametrize("asked_to_advance", [True, False])
@again_after_a_standstill
def test_an_end_while_it_connects(tmp_path: Path, asked_to_advance: bool) -> None:
    """A server that accepts the connection and never says a word."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with silent, station(csms=url, storage=tmp_path) as cp:
            if asked_to_advance:
                cp.say({"cmd": "advance", "seconds": 1})
            else:
                await cp.do("status")
            began = loop.time()
            cp.process.terminate()
            assert await cp.ended() == 0
            assert loop.time() - began < 3
            silent.close()

    play(story)


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_an_end_before_it_is_accepted(tmp_path: Path, status: str) -> None:
    async def story() -> None:
        async with CentralSystem(seed=1) as central:
            central.set_answer("BootNotification", payload={"status": status, "interval": 60})
            async with station(csms=central.url, storage=tmp_path) as cp:
                await cp.event("registration", status=status)
                await cp.shut_down()

    play(story)


@pytest.mark.parametrize("state", ["going-down", "down", "without-mains"])
def test_the_end_of_a_station_that_restarts(tmp_path: Path, state: str) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path) as (central, cp):
            await cp.charge()
            if state == "going-down":
                central.set_answer("StopTransaction", delay_s=0.2)
            await cp.do("power", on=False) if state == "without-mains" else await cp.do("reboot")
            if state != "going-down":
                await cp.event("reboot")
            await cp.shut_down()
            (transaction,) = central.transactions(CP)
            assert transaction.stop is not None

    play(story)


def test_for_ends_it_after_that_much_station_time(tmp_path: Path) -> None:
    async def story() -> None:
        async with at_central_system(tmp_path, "--for", "1h") as (_, cp):
            await cp.advance(3500)
            cp.say({"cmd": "advance", "seconds": 7200})
            assert await cp.ended() == 0
            assert cp.events[-1]["t"] < "2026-01-01T01:10"

    play(story)
