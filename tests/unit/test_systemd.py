"""What systemd is told (sd_notify(3)): over a real socket, and only while real hardware answers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chargepoint.systemd import Notifier, Status, Watchdog
from hal.api import EvseInfo, Fault, FaultKind
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(45)
        yield listening


def told(manager: socket.socket) -> str:
    return manager.recv(4096).decode()


def test_it_tells_the_socket_it_was_given_and_its_children_none(
    manager: socket.socket, tmp_path: Path
) -> None:
    environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "10000000", "PATH": "/bin"}
    notifier = Notifier.from_environment(environ)
    assert notifier is not None
    assert notifier.watchdog_s == 10
    assert environ == {"PATH": "/bin"}
    notifier.tell("READY=1", "STATUS=up")
    assert told(manager) == "READY=1\nSTATUS=up"
    notifier.close()


def test_a_leading_at_sign_is_an_abstract_socket() -> None:
    name = f"chargepoint-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(45)
        notifier = Notifier(f"@{name}")
        notifier.tell("READY=1")
        assert told(listening) == "READY=1"
        notifier.close()


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative/path"])
def test_without_a_socket_nobody_is_told(address: str) -> None:
    assert Notifier.from_environment({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"}) is None


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "many"}, None),
        ({"WATCHDOG_USEC": "2000000"}, 2.0),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}, 2.0),
    ],
    ids=["none", "off", "nonsense", "on", "another's", "ours"],
)
def test_the_watchdog_is_ours_if_it_says_so(environ: dict[str, str], watchdog_s: float | None) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": "/nowhere", **environ})
    assert notifier is not None
    assert notifier.watchdog_s == watchdog_s
    notifier.tell("READY=1")  # nobody listens: that is lost, not raised
    notifier.close()


class Real:
    """A connector that tells when its hardware answered."""

    def __init__(self) -> None:
        self.fed: Callable[[], None] = lambda: None
        self.faults: tuple[Fault, ...] = ()


def watchdog(feeds: list[str], now: list[float], *evses: Any) -> Watchdog:
    loop = asyncio.get_running_loop()
    loop.time = lambda: now[0]  # type: ignore[method-assign]  # its time is moved by hand
    return Watchdog(feeds.append, 9.0, evses)


def test_every_real_device_must_have_answered_since_the_last_feed() -> None:
    async def story() -> None:
        feeds: list[str] = []
        now = [0.0]
        one, other = Real(), Real()
        dog = watchdog(feeds, now, one, SimulatedEvse(EvseInfo(), SteppedClock(0.0)), other)
        other.fed()
        for now[0] in (1.0, 2.0):
            one.fed()
        now[0] = 3.5
        other.fed()
        feeds.clear()
        now[0] = 7.0
        for _ in range(3):
            one.fed()
        assert feeds == []  # the other one is silent
        other.fed()
        assert feeds == ["WATCHDOG=1"]
        now[0] = 8.0
        one.fed()
        other.fed()
        assert len(feeds) == 1  # three times in 9 s is enough
        now[0] = 11.0
        one.fed()
        assert len(feeds) == 2
        now[0] = 100.0
        for _ in range(10):
            one.fed()
        assert len(feeds) == 2
        dog.close()
        other.fed()
        assert len(feeds) == 2

    asyncio.run(story())


def test_a_device_that_is_dead_from_the_start_is_left_out_once_it_is_a_fault() -> None:
    """Else systemd would start the station again and again, and nobody would hear why."""

    async def story() -> None:
        feeds: list[str] = []
        now = [0.0]
        dead, alive = Real(), Real()
        dog = watchdog(feeds, now, dead, alive)
        now[0] = 4.0
        alive.fed()
        assert feeds == []  # nobody knows yet what is wrong with the other one
        dead.faults = (Fault(FaultKind.METER, blocking=False),)
        alive.fed()
        assert feeds == []  # it would be permitted to charge
        dead.faults = (Fault(FaultKind.COMMUNICATION),)
        alive.fed()
        assert len(feeds) == 1
        now[0] = 8.0
        dead.fed()  # it answers at last: from now on it has to
        assert len(feeds) == 1
        alive.fed()
        assert len(feeds) == 2
        now[0] = 20.0
        alive.fed()
        assert len(feeds) == 2
        dog.close()

    asyncio.run(story())


@pytest.mark.parametrize("blocking", [True, False])
def test_where_nobody_answered_yet_the_loop_feeds_as_long_as_all_are_faults(blocking: bool) -> None:
    async def story() -> None:
        feeds: list[str] = []
        now = [0.0]
        dead = Real()
        dead.faults = (Fault(FaultKind.COMMUNICATION, blocking=blocking),)
        dog = watchdog(feeds, now, dead)
        feeds.clear()
        for now[0] in (3.5, 7.0):
            await asyncio.sleep(0)  # a turn of the loop, which looks at its clock
            await asyncio.sleep(0)
        assert len(feeds) == (2 if blocking else 0)
        dead.fed()
        feeds.clear()
        for now[0] in (10.5, 14.0):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert feeds == []
        dog.close()

    asyncio.run(story())


def test_simulated_hardware_is_fed_by_the_turns_of_the_loop() -> None:
    async def story() -> None:
        fed, enough = [], asyncio.Event()

        def tell(text: str) -> None:
            fed.append(text)
            if len(fed) == 3:
                enough.set()

        dog = Watchdog(tell, 0.03, [SimulatedEvse(EvseInfo(), SteppedClock(0.0))])
        async with asyncio.timeout(45):
            await enough.wait()
        dog.close()
        assert set(fed) == {"WATCHDOG=1"}

    asyncio.run(story())


def test_the_status_line_follows_the_station() -> None:
    said: list[str] = []
    status = Status(said.append)
    status.event("status", {"connector": 0, "status": "Available"})
    status.event("status", {"connector": 1, "status": "Charging"})
    status.event("connection", {"online": True})
    status.event("limit", {"connector": 1})
    status.event("connection", {"online": False, "reason": "refused\nagain"})
    assert said == [
        "STATUS=connecting",
        "STATUS=connecting; connector 1 Charging",
        "STATUS=connected; connector 1 Charging",
        "STATUS=not connected: refused again; connector 1 Charging",
    ]
