"""A station under a service manager: what it is told, when it is no longer fed, and a restart by leaving."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from chargepoint.csms.central_system import CentralSystem
from hal.api import EvseInfo
from hal.clock import WallClock
from hal.emulators.evse_wb import EvseWbEmulator
from hal.emulators.meter import EmulatedMeter
from hal.emulators.modbus import ModbusEmulator
from hal.emulators.outlet import Outlet
from hal.emulators.pty_bus import PtyBus
from hal.modbus.register_map import load_map
from tests.integration.piped import play
from tests.integration.station_process import CP, at_central_system, configuration, station
from tests.standstills import again_after_a_standstill

WATCHDOG_USEC = str(600_000)


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)

    async def told(self, text: str) -> str:
        """The next message that begins so."""
        while True:
            message = (await asyncio.get_running_loop().sock_recv(self._socket, 4096)).decode()
            if message.startswith(text):
                return message

    def waiting(self) -> list[str]:
        """What came and was not looked at."""
        messages = []
        try:
            while True:
                messages.append(self._socket.recv(4096).decode())
        except BlockingIOError:
            return messages

    def close(self) -> None:
        self._socket.close()


@again_after_a_standstill
def test_a_controller_that_stops_answering_starves_the_watchdog(tmp_path: Path) -> None:
    async def story() -> None:
        manager = Manager(tmp_path)
        outlet = Outlet(EvseInfo(lockable=False), WallClock())
        board = EvseWbEmulator(outlet, 1)
        devices = ModbusEmulator([board, EmulatedMeter(load_map("sdm630"), outlet.reading, 2)])
        with PtyBus(1) as line:
            await devices.serve_serial(line)
            place = {"port": line.names[0], "timeout_s": 0.1, "quiet_s": 0.1}
            connectors = [
                {
                    "evse": {"driver": "evse-wb", "unit": 1, "poll_s": 0.1, **place},
                    "meter": {"driver": "sdm630", "unit": 2, **place},
                },
                {},  # a simulated one, which has no say in it
            ]
            async with CentralSystem(seed=1) as central:
                options = ("--config", configuration(tmp_path, connectors=connectors))
                storage = tmp_path / "storage"
                async with station(
                    *options,
                    csms=central.url,
                    storage=storage,
                    clock="wall",
                    NOTIFY_SOCKET=manager.address,
                    WATCHDOG_USEC=WATCHDOG_USEC,
                ) as cp:
                    assert "STATUS=connecting to ws://" in await manager.told("READY=1")
                    assert "connector 1 Available" in await manager.told("STATUS=connected; connector 1")
                    await manager.told("WATCHDOG=1")
                    await manager.told("WATCHDOG=1")

                    devices.faults.unit = 1  # the meter goes on answering
                    devices.faults.set("drop_request")
                    while not devices.faults.injected["drop_request"]:
                        await asyncio.sleep(0.02)
                    manager.waiting()
                    await cp.sent("StatusNotification", connectorId=1, status="Faulted")
                    assert "WATCHDOG=1" not in manager.waiting()  # of ten seconds

                    devices.faults.clear()
                    await manager.told("WATCHDOG=1")
                    await cp.shut_down()
                assert any(message.startswith("STOPPING=1") for message in manager.waiting())
        await devices.close()
        manager.close()

    play(story)


def test_a_controller_that_is_dead_from_the_start_is_told_instead_of_started_again(tmp_path: Path) -> None:
    async def story() -> None:
        manager = Manager(tmp_path)
        with PtyBus(1) as line:  # nobody is on it
            place = {"port": line.names[0], "timeout_s": 0.1, "quiet_s": 0.1}
            connector = {
                "evse": {"driver": "evse-wb", "unit": 1, "poll_s": 0.1, **place},
                "meter": {"driver": "sdm630", "unit": 2, **place},
            }
            options = ("--config", configuration(tmp_path, connectors=[connector]))
            async with (
                CentralSystem(seed=1) as central,
                station(
                    *options,
                    csms=central.url,
                    storage=tmp_path / "storage",
                    clock="wall",
                    NOTIFY_SOCKET=manager.address,
                    WATCHDOG_USEC=WATCHDOG_USEC,
                ) as cp,
            ):
                await manager.told("READY=1")
                await cp.sent("StatusNotification", connectorId=1, status="Faulted")
                for _ in range(5):
                    await manager.told("WATCHDOG=1")
                await cp.do("shutdown")
                assert await cp.ended() == 3  # its contactor may be closed, for all that is known
        manager.close()

    play(story)


def test_simulated_hardware_is_fed_as_long_as_the_loop_turns(tmp_path: Path) -> None:
    async def story() -> None:
        manager = Manager(tmp_path)
        async with CentralSystem(seed=1) as central:
            async with station(
                csms=central.url,
                storage=tmp_path / "storage",
                clock="wall",
                NOTIFY_SOCKET=manager.address,
                WATCHDOG_USEC=WATCHDOG_USEC,
            ) as cp:
                await manager.told("READY=1")
                for _ in range(5):
                    await manager.told("WATCHDOG=1")
                await cp.shut_down()
            assert any(message.startswith("STOPPING=1") for message in manager.waiting())
        manager.close()

    play(story)


@pytest.mark.parametrize("kind", ["Hard", "Soft"])
def test_a_hard_reset_may_leave_the_process_to_whoever_starts_it_again(tmp_path: Path, kind: str) -> None:
    """OCPP 1.6 §5.14: the transaction is ended and told before; a soft reset stays within the process."""

    async def story() -> None:
        behaviour = {"hard_reset": "exit"}
        async with at_central_system(tmp_path, behaviour=behaviour) as (central, cp):
            await cp.charge()
            assert await central.call(CP, "Reset", {"type": kind}) == {"status": "Accepted"}
            await cp.event("reboot", reason=f"{kind}Reset")
            stopped = [payload["reason"] for _, payload in cp.calls("StopTransaction")]
            assert stopped == [f"{kind}Reset"]
            if kind == "Soft":
                await cp.advance(5)
                await cp.shut_down()
                return
            assert await cp.ended() == 0, cp.errors
        assert len(cp.calls("BootNotification")) == 1

        async with (
            CentralSystem(seed=2) as again,
            station("--linger", "0", csms=again.url, storage=tmp_path / "storage") as cp,
        ):
            await cp.advance(5)
            assert (await cp.do("status"))["registration"] == "Accepted"
            assert not cp.calls("StopTransaction")  # it was delivered before the process ended
            await cp.shut_down()

    play(story)
