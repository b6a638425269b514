"""`chargepoint run`: one station at any central system, for a person or under a script."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chargepoint.actions import Actions
from chargepoint.cli.control import (
    ControlType,
    HttpAddress,
    OneStation,
    http_control,
    open_http,
    ready,
    token_for,
    token_options,
)
from chargepoint.cli.options import CLOCK, DURATION, ClockChoice, linger_option, start_option
from chargepoint.cli.running import NOT_SAFE, Running, catch_signals, default_vehicle, run_async, say
from chargepoint.cli.visitor import Visitor
from chargepoint.cli.words import UNREAD, Patience, Printer, Words, not_safe
from chargepoint.config import StationConfig, load
from chargepoint.control.events import event_line
from chargepoint.control.stdio import StdioControl
from chargepoint.errors import ConfigError
from chargepoint.recording import Perform
from chargepoint.station import Station
from hal.clock import SteppedClock

if TYPE_CHECKING:
    from chargepoint.control.http import HttpControl

EPILOG = """\
\b
Examples:
  chargepoint run                                    embedded central system, and charge
  chargepoint run --csms ws://host:9000/ocpp --id CP001
  chargepoint run --config station.yaml --csms wss://csms.example/CP001
  chargepoint run --csms ws://localhost:9000 --control stdio --clock stepped
  chargepoint run --csms ws://localhost:9000 --control http://127.0.0.1:8080
  chargepoint run --clock x60 --connectors 2 --vehicle city --for 2h
"""


@click.command(epilog=EPILOG)
@click.option("--csms", "url", metavar="URL", help="The central system: ws://host/path or wss://host/path.")
@click.option("--id", "identity", metavar="ID", help="This station's identity, appended to the URL.")
@click.option("--connectors", type=int, metavar="N", help="Cut or repeat the configured connectors to N.")
@click.option("--vehicle", metavar="NAME", help="What the simulated driver brings.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration (chargepoint config example); flags override it.",
)
@click.option(
    "--storage",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where to remember things [chargepoint-data; with --seed at the embedded central system: nowhere].",
)
@click.option(
    "--control",
    type=ControlType(stdio=True),
    help="Take commands and give events: as JSON Lines, or over HTTP (docs/control.md).",
)
@token_options
@click.option(
    "--clock",
    type=CLOCK,
    default="wall",
    metavar="wall|xN|stepped",
    help="Station time: real, sped up such as x60, or jumping from event to event.",
)
@click.option("--seed", type=int, metavar="N", help="Makes every random choice repeatable.")
@start_option
@click.option(
    "--for", "duration_s", type=DURATION, metavar="DURATION", help="End after that much station time."
)
@linger_option
@click.option(
    "--trace", type=click.Path(path_type=Path), metavar="FILE", help="Record every frame and event."
)
@click.option("--frames", is_flag=True, help="Print the OCPP frames, one line each.")
@click.option(
    "--drive/--no-drive",
    default=None,
    help="A simulated driver charges again and again [on with the embedded central system].",
)
def run(
    url: str | None,
    identity: str | None,
    connectors: int | None,
    vehicle: str | None,
    config_file: Path | None,
    storage: Path | None,
    control: str | HttpAddress | None,
    control_token: str | None,
    control_token_file: Path | None,
    clock: ClockChoice,
    seed: int | None,
    start: float | None,
    duration_s: float | None,
    linger_s: float | None,
    trace: Path | None,
    frames: bool,
    drive: bool | None,
) -> int:
    """Run one station at a central system.

    Without --csms an embedded central system is started, and a simulated driver charges there. At Ctrl-C
    or SIGTERM the station ends in good order: contactors open, transactions end and are delivered or kept;
    a second signal ends it at once. Exit code 0; 3 if real hardware could not be reached at the end and may
    still give current (chargepoint hardware safe-off); 2 if it could not begin; 1 if nobody reads what it
    prints; 130 after a second signal.
    """
    clock.check(start)
    if clock.kind == "stepped" and control is None and duration_s is None:
        raise click.UsageError("--clock stepped needs --for DURATION, or --control to advance it")
    config = StationConfig() if config_file is None else load(config_file)
    config = config.with_flags(
        identity=identity, csms=url, connectors=connectors, vehicle=vehicle, storage=storage
    )
    if seed is not None and config.csms.url is None and config_file is None and storage is None:
        # A run that is to be repeatable must not begin with what the one before left behind.
        config = config.model_copy(update={"storage": None})
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    running_options: dict[str, Any] = {
        "clock": clock,
        "start": start,
        "seed": seed,
        "linger_s": linger_s,
        "trace": trace,
    }
    if drive is None:
        simulated = all(connector.evse.driver == "simulated" for connector in config.connectors)
        drive = config.csms.url is None and control is None and simulated
    if control is not None:
        http = control if isinstance(control, HttpAddress) else None
        token = None if http is None else token_for(http, control_token, control_token_file)
        return run_async(_controlled(config, running_options, duration_s, drive, http, token))
    return run_async(_watched(config, running_options, duration_s, frames, drive))


async def _controlled(
    config: StationConfig,
    options: dict[str, Any],
    duration_s: float | None,
    drive: bool,
    http: HttpAddress | None,
    token: str | None,
) -> int:
    """Under a script: commands on standard input, replies and events on standard output, or all over HTTP."""
    running = Running(config, **options)
    station = await running.open()
    perform: Perform = Actions(station, default_vehicle(config)).perform
    if running.recording is not None:
        perform = running.recording.performing(perform)
    control: StdioControl | HttpControl
    if http is None:
        control = StdioControl(perform)
        control.emit(event_line(station.utc(), "ready", ready(identity=station.identity)))
    else:
        control = http_control(OneStation(station, perform), http, token)
        try:
            await open_http(control, http)
        except ConfigError:
            if running.csms is not None:
                await running.csms.stop()
            raise

    def tell(event: str, fields: dict[str, Any]) -> None:
        if isinstance(control, StdioControl):
            control.emit(event_line(station.utc(), event, fields))
        elif control.listens_to(station.identity):
            control.emit(event_line(station.utc(), event, fields, station.identity))

    station.watch(tell)
    catch_signals(control.stop)
    say(_where(station))
    visitor = Visitor(station, default_vehicle(config), running.seed, say) if drive else None
    station.leave = control.stop
    running.start()
    if visitor is not None:
        visitor.start()
    if duration_s is not None:
        running.clock.call_at(running.clock.now() + duration_s, control.stop)
    await control.run()
    if visitor is not None:
        visitor.stop()
    await running.close()
    live = running.live()
    if live:
        tell("error", {"message": not_safe(live)})
        say(not_safe(live))
    await control.close()
    return NOT_SAFE if live else 0


async def _watched(
    config: StationConfig, options: dict[str, Any], duration_s: float | None, frames: bool, drive: bool
) -> int:
    """For a person: a line for whatever matters."""
    running = Running(config, **options)
    station = await running.open()
    printer = Printer(lambda: running.stop("nobody reads"))
    words = Words(station.utc, printer, frames)
    patience = Patience(station.wire, lambda: station.failed_attempts, words.say)
    visitor = Visitor(station, default_vehicle(config), running.seed, words.say) if drive else None
    station.watch(words.event)
    station.watch(patience.event)

    def interrupted() -> None:
        say("ending in good order; Ctrl-C again ends at once")
        running.stop("signal")

    catch_signals(interrupted)
    for line in _beginning(config, station, running, drive):
        printer(line)
    running.start()
    if visitor is not None:
        visitor.start()
    await _until_the_end(running, duration_s)
    if visitor is not None:
        visitor.stop()
    patience.stop()
    await running.close()
    running_still = sum(c.transaction is not None for c in station.charge_point.connectors.all)
    live = running.live()
    words.goodbye(station.charge_point.outbox.queued, config.storage is not None, live, running_still)
    if live:
        return NOT_SAFE
    return UNREAD if printer.broken else 0


async def _until_the_end(running: Running, duration_s: float | None) -> None:
    """Wait until something asks for the end, or for `duration_s` of station time."""
    clock = running.clock
    if not isinstance(clock, SteppedClock):
        if duration_s is not None:
            clock.call_at(clock.now() + duration_s, lambda: running.stop("time"))
        await running.end.wait()
        return
    assert duration_s is not None
    stepping = asyncio.create_task(clock.run_until(clock.now() + duration_s))
    ending = asyncio.create_task(running.end.wait())
    await asyncio.wait({stepping, ending}, return_when=asyncio.FIRST_COMPLETED)
    stepping.cancel()
    ending.cancel()


def _beginning(config: StationConfig, station: Station, running: Running, drive: bool) -> list[str]:
    """Who connects where, what will happen, and what will be left of it."""
    lines = [] if running.csms is None else ["No --csms given: an embedded central system was started."]
    lines.append(_where(station))
    if drive:
        lines.append("A simulated driver comes, charges and leaves, again and again.")
    elif any(connector.evse.driver == "simulated" for connector in config.connectors):
        lines.append(
            "Nothing is plugged in: --drive sends a simulated driver, --control stdio takes commands."
        )
    if config.storage is None:
        lines.append("Transactions and settings are not kept: there is no storage.")
    else:
        lines.append(f"Transactions and settings are kept in {config.storage}.")
    return lines


def _where(station: Station) -> str:
    return f"{station.identity} connects to {station.link.settings.url}"
