"""`chargepoint demo`: a charging session at the embedded central system, sped up, to watch."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from chargepoint.cli.dashboard import Dashboard
from chargepoint.cli.options import ClockChoice
from chargepoint.cli.running import Running, catch_signals, run_async
from chargepoint.cli.words import UNREAD, Printer
from chargepoint.config import ConnectorConfig, StationConfig
from chargepoint.csms import CallFailed, CentralSystem
from chargepoint.station import Station
from hal.clock import Clock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import load_vehicle

SPEED = 60.0

NEXT = (
    ("run a station at your own central system", "run --csms ws://HOST:PORT/PATH --id CP001"),
    ("find out why one does not connect", "check --csms ws://HOST:PORT/PATH --id CP001"),
    ("script one, with time under your control (docs/control.md)", "run --control stdio --clock stepped"),
)

PROFILE = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": {
        "chargingRateUnit": "A",
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": 10},
            {"startPeriod": 16 * 60, "limit": 6},
            {"startPeriod": 20 * 60, "limit": 0},
            {"startPeriod": 23 * 60, "limit": 13},
            {"startPeriod": 27 * 60, "limit": 32},
        ],
    },
}
"""Counted from the start of the transaction: less, less, a pause, more, everything."""


@click.command(
    epilog="\b\nExamples:\n  chargepoint demo\n  chargepoint demo --speed 120\n  chargepoint demo > demo.txt"
)
@click.option(
    "--speed", type=click.FloatRange(1, 1000), default=SPEED, show_default=True, help="Times real time."
)
@click.option("--seed", type=int, default=1, show_default=True, metavar="N", help="Chooses the message ids.")
@click.option(
    "--trace", type=click.Path(path_type=Path), metavar="FILE", help="Record every frame and event."
)
@click.option("--plain", is_flag=True, help="Plain lines also on a terminal.")
def demo(speed: float, seed: int, trace: Path | None, plain: bool) -> int:
    """Watch a charging session against the embedded central system, on loopback and sped up.

    One station with two connectors boots, two cars charge, the central system sends a charging profile and
    the power follows. Ends by itself within a minute; Ctrl-C ends it earlier.
    """
    return run_async(_demo(speed, seed, trace, plain))


STATION = StationConfig(
    identity="DEMO",
    connectors=(ConnectorConfig(), ConnectorConfig(cable="tethered", max_current_a=16)),
    storage=None,
    ocpp={
        "MeterValueSampleInterval": "120",
        "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,SoC",
    },
)


async def _demo(speed: float, seed: int, trace: Path | None, plain: bool) -> int:
    running = Running(STATION, clock=ClockChoice("scaled", speed), seed=seed, trace=trace)
    station = await running.open()
    assert running.csms is not None
    console = Console()
    printer = Printer(lambda: running.stop("nobody reads"))
    plain = plain or not console.is_terminal or console.is_dumb_terminal
    dashboard = Dashboard(station, printer, None if plain else console)
    story = Story(station, running.csms, running.clock)
    station.watch(dashboard.event)
    dashboard.say(f"A station with two connectors, and a central system for it at {running.csms.url}.")
    dashboard.say(f"The clock runs {speed:g} times as fast as yours and shows UTC.")

    def interrupted() -> None:
        # Before the end, so that a second signal finds the terminal as it was.
        dashboard.settle()
        running.stop("signal")

    catch_signals(interrupted)
    with dashboard.shown():
        station.start()
        telling = asyncio.create_task(story.tell(dashboard.say))
        ending = asyncio.create_task(running.end.wait())
        await asyncio.wait({telling, ending}, return_when=asyncio.FIRST_COMPLETED)
        for task in (telling, ending):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await running.close()
    next_steps = [(what, f"{command_word()} {words}") for what, words in NEXT]
    dashboard.summary(running.csms.transactions(), next_steps, bool(running.reason))
    return UNREAD if printer.broken else 0


def command_word() -> str:
    """What to type for this command here: its name if the shell finds it, else the way it was called."""
    if shutil.which("chargepoint"):
        return "chargepoint"
    return sys.argv[0] if Path(sys.argv[0]).name == "chargepoint" else "python -m chargepoint"


class Story:
    """What happens in the demonstration, in minutes of the station's time."""

    def __init__(self, station: Station, csms: CentralSystem, clock: Clock) -> None:
        self._station = station
        self._csms = csms
        self._clock = clock
        self._began = clock.now()

    async def tell(self, say: Callable[[str], None]) -> None:
        """Play it to the end."""
        first, second = (self._evse(n) for n in (0, 1))
        await self._until(2)
        say("A driver plugs a compact car into the socket of connector 1 ...")
        first.plug_in(load_vehicle("compact"), soc_percent=40)
        await self._until(3)
        say("... and shows a card.")
        self._station.tag_presented("CARD-1", 1)
        await self._until(7)
        say("A second driver takes the fixed cable of connector 2 and starts by app: RemoteStartTransaction.")
        second.plug_in(load_vehicle("plug-in-hybrid"), soc_percent=55)
        await self._call("RemoteStartTransaction", {"connectorId": 2, "idTag": "APP-2"})
        await self._until(14)
        say("The central system sends a charging profile with five periods, 10 A to begin with:")
        say("the power follows at once, and later at the start of each period.")
        await self._call("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": PROFILE})
        await self._until(31)
        say("The second driver stops by app: RemoteStopTransaction.")
        running = [t for t in self._csms.transactions() if t.connector_id == 2 and t.stop is None]
        if running:
            await self._call("RemoteStopTransaction", {"transactionId": running[0].transaction_id})
        await self._until(32)
        second.plug_out()
        await self._until(38)
        say("The first driver shows the card again and leaves.")
        self._station.tag_presented("CARD-1", 1)
        await self._until(39)
        first.plug_out()
        await self._until(41)

    def _evse(self, n: int) -> SimulatedEvse:
        evse = self._station.evses[n]
        assert isinstance(evse, SimulatedEvse)
        return evse

    async def _call(self, action: str, payload: dict[str, Any]) -> None:
        with contextlib.suppress(CallFailed):
            await self._csms.call(self._station.identity, action, payload)

    def _until(self, minute: float) -> Coroutine[Any, Any, object]:
        reached = asyncio.Event()
        self._clock.call_at(self._began + minute * 60, reached.set)
        return reached.wait()
