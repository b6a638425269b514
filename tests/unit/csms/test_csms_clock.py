"""A stepped clock stands still while the central system has anything under way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from chargepoint.csms import CallTimeout, CentralSystem, Event, NotConnected
from hal.clock import SteppedClock
from tests.jumping_loop import run_jumping

HEARTBEAT = '[2,"1","Heartbeat",{}]'


def play(story: Callable[[CentralSystem, SteppedClock, ClientConnection], Awaitable[None]]) -> None:
    """Run a story on a stepped clock at 0; at its end nothing may hold the clock."""

    async def run() -> None:
        clock = SteppedClock()
        async with (
            CentralSystem(clock=clock) as central,
            connect(f"{central.url}/CP", subprotocols=[Subprotocol("ocpp1.6")], compression=None) as station,
        ):
            await story(central, clock, station)
            await asyncio.wait_for(clock.run_until(clock.now() + 1), 45)
        assert not clock.held

    run_jumping(run())


def answered(central: CentralSystem) -> asyncio.Future[float]:
    """When, on the clock, the next frame to a station went out."""
    sent: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def hear(event: Event) -> None:
        if event.name == "frame" and event.fields["dir"] == "tx" and not sent.done():
            sent.set_result(event.at)

    central.listen(hear)
    return sent


def received(central: CentralSystem) -> asyncio.Event:
    """Set when the next frame from a station came."""
    came = asyncio.Event()
    central.listen(lambda event: came.set() if event.name == "frame" else None)
    return came


def test_a_late_answer_is_late_by_the_clock_and_is_there_before_time_moves_on() -> None:
    async def story(central: CentralSystem, clock: SteppedClock, station: ClientConnection) -> None:
        central.set_answer("Heartbeat", delay_s=600)
        told: list[tuple[str, str]] = []
        central.on_withheld(lambda cp, message_id: told.append((cp, message_id)))
        came, sent = received(central), answered(central)
        await station.send(HEARTBEAT)
        await came.wait()
        await asyncio.wait_for(clock.run_until(599), 45)
        assert not sent.done()
        heard: list[float] = []

        async def hear() -> None:
            await station.recv()
            heard.append(clock.now())

        hearing = asyncio.create_task(hear())
        clock.call_at(601, lambda: None)
        await asyncio.wait_for(clock.run_until(3600), 45)
        await hearing
        assert (told, sent.result(), heard) == ([("CP", "1")], 600, [600])

    play(story)


def test_a_reaction_ends_before_time_moves() -> None:
    async def story(central: CentralSystem, clock: SteppedClock, station: ClientConnection) -> None:
        seen: list[Any] = []

        async def ask_back(cp: str, request: dict[str, Any]) -> None:
            seen.append((cp, request))
            seen.append(await central.call(cp, "ClearCache"))
            seen.append(clock.now())

        end = central.react("Heartbeat", ask_back)
        sent = answered(central)
        await station.send(HEARTBEAT)
        await sent  # the answer, so the reaction is under way
        moving = asyncio.create_task(clock.run_until(3600))
        assert json.loads(await station.recv())[0] == 3
        call = json.loads(await station.recv())
        await station.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        await moving
        assert seen == [("CP", {}), {"status": "Accepted"}, 0.0]
        end()
        await station.send(HEARTBEAT)
        assert json.loads(await station.recv())[0] == 3
        assert len(seen) == 3

    play(story)


@pytest.mark.parametrize("answer", [{"error": "GenericError"}, {"silent": True}], ids=["error", "silence"])
def test_without_a_result_nobody_reacts(answer: dict[str, Any]) -> None:
    async def story(central: CentralSystem, clock: SteppedClock, station: ClientConnection) -> None:
        seen: list[str] = []

        async def note(cp: str, request: dict[str, Any]) -> None:
            seen.append(cp)

        central.react("Heartbeat", note)
        central.set_answer("Heartbeat", times=1, **answer)
        await station.send(HEARTBEAT)
        await station.send(HEARTBEAT)
        while json.loads(await station.recv())[0] != 3:
            pass
        await clock.run_until(1)
        assert seen == ["CP"]

    play(story)


def test_a_call_from_a_timer_is_answered_before_time_moves_on() -> None:
    async def story(central: CentralSystem, clock: SteppedClock, station: ClientConnection) -> None:
        done: list[float] = []
        tasks: list[asyncio.Task[None]] = []

        async def call() -> None:
            await central.call("CP", "ClearCache")
            done.append(clock.now())

        clock.call_at(20, lambda: tasks.append(asyncio.get_running_loop().create_task(call())))
        clock.call_at(21, lambda: None)
        moving = asyncio.create_task(clock.run_until(3600))
        sent = json.loads(await station.recv())
        assert clock.now() == 20
        await station.send(json.dumps([3, sent[1], {"status": "Accepted"}]))
        await moving
        assert done == [20]

    play(story)


def test_a_call_that_fails_lets_the_clock_go_and_tells_what_it_lost() -> None:
    async def story(central: CentralSystem, clock: SteppedClock, station: ClientConnection) -> None:
        with pytest.raises(NotConnected):
            await central.call("NOBODY", "ClearCache")
        assert (clock.held, clock.lost_s) == (False, 0)
        with pytest.raises(CallTimeout):
            await central.call("CP", "ClearCache", timeout_s=0.01)
        assert (clock.held, clock.lost_s) == (False, 0.01)

    play(story)


def test_a_link_lost_with_an_answer_due_lets_the_clock_go() -> None:
    async def story(central: CentralSystem, clock: SteppedClock, station: ClientConnection) -> None:
        central.set_answer("Heartbeat", delay_s=0.02)
        came = received(central)
        complaints: list[Event] = []
        central.listen(lambda event: complaints.append(event) if event.name == "error" else None)
        await station.send(HEARTBEAT)
        await came.wait()
        station.transport.abort()
        await asyncio.wait_for(clock.run_until(1), 45)
        assert not clock.held
        assert [event.fields["message"] for event in complaints] == [
            "the link was gone before Heartbeat was answered"
        ]

    play(story)


def test_a_reaction_that_fails_lets_the_clock_go(caplog: pytest.LogCaptureFixture) -> None:
    async def story(central: CentralSystem, clock: SteppedClock, station: ClientConnection) -> None:
        async def fail(cp: str, request: dict[str, Any]) -> None:
            raise RuntimeError(cp)

        central.react("Heartbeat", fail)
        for _ in range(2):
            await station.send(HEARTBEAT)
            assert json.loads(await station.recv())[0] == 3
        await clock.run_until(1)
        assert not clock.held

    play(story)


def test_a_stop_lets_the_clock_go_at_once() -> None:
    async def run() -> None:
        clock = SteppedClock()
        central = CentralSystem(clock=clock)
        central.set_answer("Heartbeat", delay_s=3600)
        await central.start()
        came = received(central)
        async with connect(f"{central.url}/CP", subprotocols=[Subprotocol("ocpp1.6")]) as station:
            await station.send(HEARTBEAT)
            await came.wait()
            while clock.next_at() is None:
                await asyncio.sleep(0)
            await central.stop()
            await central.stop()
        assert not clock.held
        assert clock.next_at() is None, "what was to be answered later is forgotten"

    run_jumping(run())


def test_who_has_the_station_hears_at_once_of_what_is_never_answered() -> None:
    async def story(central: CentralSystem, clock: SteppedClock, station: ClientConnection) -> None:
        told: list[tuple[str, str]] = []
        central.on_withheld(lambda cp, message_id: told.append((cp, message_id)))
        central.set_answer("Heartbeat", silent=True, times=1)
        await station.send(HEARTBEAT)
        await station.send(HEARTBEAT.replace('"1"', '"2"'))
        assert json.loads(await station.recv())[1] == "2"
        assert told == [("CP", "1")]

    play(story)
