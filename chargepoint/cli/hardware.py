"""`chargepoint hardware`: the devices of a station, one by one, without running the station."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from chargepoint.cli.devices import Devices
    from chargepoint.config import StationConfig

__all__ = ["hardware"]

_FILE = click.Path(dir_okay=False, path_type=Path)
_CONFIG = click.option(
    "--config", "config_file", type=_FILE, metavar="FILE", help="The station's configuration [station.yaml]."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
_DEFAULT_FILE = Path("station.yaml")

_ONE = (
    click.option("--driver", metavar="NAME", help="Look for one such device (chargepoint hardware drivers)."),
    click.option("--port", metavar="PORT", help="A serial port, or HOST:PORT for Modbus TCP."),
    click.option("--unit", type=click.IntRange(0, 255), metavar="N", help="Its Modbus unit [1]."),
    click.option("--baudrate", type=int, metavar="N", help="Its speed, if not the driver's usual one."),
    click.option("--parity", type=click.Choice(["N", "E", "O"]), help="Its parity, if not the usual one."),
)


def _looking(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the options that say which devices; the command gets what makes them, inside its loop."""

    @functools.wraps(command)
    def chosen(config_file: Path | None, **given: Any) -> int:
        names = ("driver", "port", "unit", "baudrate", "parity")
        one = {name: value for name in names if (value := given.pop(name)) is not None}
        return command(_chosen(config_file, _place(one)), **given)

    for option in reversed((_CONFIG, *_ONE)):
        chosen = option(chosen)
    return chosen


EPILOG = """\
\b
Examples:
  chargepoint hardware drivers
  chargepoint hardware probe --config station.yaml
  chargepoint hardware probe --driver sdm630 --port /dev/serial/by-id/usb-FTDI-port0 --unit 2 --scan
  chargepoint hardware watch --config station.yaml
  chargepoint hardware doctor --config station.yaml
  chargepoint hardware safe-off --config station.yaml
"""


@click.group(epilog=EPILOG)
def hardware() -> None:
    """Controllers, meters and card readers: what there is, whether it answers, what it shows.

    probe, read and watch only read, whatever is connected; safe-off is the one that switches.
    """


@hardware.command()
@_JSON
def drivers(as_json: bool) -> None:
    """List every driver: what it speaks to, what it needs, how it is configured."""
    from dataclasses import asdict

    from chargepoint.cli.tables import show
    from hal.catalogue import PARTS, notes

    if as_json:
        click.echo(json.dumps([asdict(note) for note in notes()], ensure_ascii=False, indent=2))
        return
    meters = {note.name for note in notes() if note.part == "meter" and note.name != "simulated"}
    show(
        [
            [
                {
                    part: note.name,
                    "what it is": note.about,
                    "connection": note.connection,
                    "needs": note.needs,
                    "example": f"{_WRITTEN_AS[part]}: {note.example}",
                }
                for note in notes()
                if note.part == part and (part != "site" or note.name not in meters)
            ]
            for part in PARTS
        ],
        (),
    )
    click.echo("\nThe meter of a site may be any meter on a bus as well.")


_WRITTEN_AS = {"evse": "evse", "meter": "meter", "reader": "reader", "site": "site: meter"}


@hardware.command()
@_looking
@click.option(
    "--scan",
    "scans",
    is_flag=True,
    help="Try other speeds and units for what is missing, up to a minute each.",
)
@_JSON
def probe(
    made: Callable[[], Devices],
    scans: bool,
    as_json: bool,
) -> int:
    """Open each configured device, by reading only, and say who it is. Exit code 1 if one is missing."""

    async def work() -> int:
        devices = made()
        try:
            there = await devices.find()
            if as_json:
                click.echo(json.dumps({"ok": there, "devices": devices.as_json()}, indent=2))
            else:
                _show([devices.findings()])
            for _, onlooker in list(devices) if scans else ():
                if onlooker.problem and (said := await devices.hint(onlooker)):
                    click.echo(f"{onlooker.driver} at {onlooker.where}: {said}", err=as_json)
            if not there and not scans and not as_json:
                click.echo("--scan tries other speeds, parities and units, by reading only.")
        finally:
            await devices.close()
        return 0 if there else 1

    return _run(work())


@hardware.command()
@_looking
@_JSON
def read(
    made: Callable[[], Devices],
    as_json: bool,
) -> int:
    """Read each device once and show pilot, offer, contactor, current, power and energy."""

    async def work() -> int:
        devices = made()
        try:
            answered = await devices.look()
            if as_json:
                click.echo(json.dumps({"ok": answered, "devices": devices.as_json()}, indent=2))
            else:
                _show([devices.readings()])
        finally:
            await devices.close()
        return 0 if answered else 1

    return _run(work())


@hardware.command()
@_looking
@click.option(
    "--every",
    "every_s",
    type=click.FloatRange(0.1, 3600),
    default=1,
    metavar="SECONDS",
    help="How often [1].",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after so many readings.")
def watch(
    made: Callable[[], Devices],
    every_s: float,
    count: int | None,
) -> int:
    """Read all devices again and again until Ctrl-C: a live table in a terminal, lines in a pipe."""

    async def work() -> int:
        devices, ended = made(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        left = count
        try:
            with _screen() as draw:
                while not ended.is_set() and (left is None or left > 0):
                    due = asyncio.get_running_loop().time() + every_s
                    await devices.look()
                    draw(devices)
                    left = None if left is None else left - 1
                    if left != 0:
                        await _until(ended, due)
        finally:
            await devices.close()
        return 0

    return _run(work())


@hardware.command()
@_CONFIG
@click.option(
    "--root", type=click.Path(path_type=Path), default=Path("/"), hidden=True, help="Whose /sys, /dev, /proc."
)
@click.option("--no-devices", is_flag=True, help="Leave out the devices themselves.")
@_JSON
def doctor(config_file: Path | None, root: Path, no_devices: bool, as_json: bool) -> int:
    """Check what a station needs of this computer, with the remedy for whatever it lacks.

    Exit code 1 if something failed; warnings do not count.
    """
    from chargepoint.cli.doctor import Doctor

    config_file = _file(config_file, must=False)
    passed, findings = True, []
    for finding in Doctor(root, config_file, devices=not no_devices).examine():
        passed &= finding.result != "FAIL"
        findings.append(finding.as_json())
        if not as_json:
            word = click.style(f"{finding.result:<4}", fg=_COLOURS[finding.result])
            click.echo(f"{word}  {finding.name:<16}  {finding.message}")
    if as_json:
        click.echo(json.dumps({"ok": passed, "steps": findings}, ensure_ascii=False, indent=2))
    return 0 if passed else 1


_COLOURS = {"ok": "green", "warn": "yellow", "FAIL": "red", "skip": "bright_black"}


@hardware.command("safe-off")
@_CONFIG
@click.option(
    "--within",
    "within_s",
    type=click.FloatRange(0.5, 60),
    default=3,
    metavar="SECONDS",
    help="Patience with each device [3].",
)
def safe_off(config_file: Path | None, within_s: float) -> int:
    """Open every contactor (or leave its safe_current_a) without the program that runs the station.

    For the time after a crash, a kill or a hang; systemd calls it whenever the service has ended. Mistakes
    elsewhere in the configuration do not keep it from that. Exit code 1 if one device did not obey.
    """
    from chargepoint.cli.devices import connectors_in
    from hal.safe_off import safe_off as bring_to_safety

    path = _file(config_file, must=True)
    assert path is not None
    specs, mistakes = connectors_in(path)
    for mistake in mistakes:
        click.echo(mistake, err=True)
    _leave_it_to_the_tables()
    outcomes = bring_to_safety(specs, within_s=within_s)
    for outcome in outcomes:
        said = "safe" if outcome.problem is None else f"NOT SAFE: {outcome.problem}{_holder(outcome.problem)}"
        click.echo(f"connector {outcome.connector}  {outcome.device}  {said}")
    return 0 if all(outcome.problem is None for outcome in outcomes) else 1


def _holder(problem: str) -> str:
    held = "in use" in problem or "has it open" in problem or "busy" in problem
    return "; a running chargepoint holds it: end that first (systemctl stop chargepoint)" if held else ""


# --- which devices --------------------------------------------------------------------------------------


def _place(given: dict[str, Any]) -> dict[str, Any] | None:
    """The settings of one device on the command line; None if the configuration is meant."""
    if given and not {"driver", "port"} <= set(given):
        raise click.UsageError("one device: say both --driver NAME and --port PORT")
    host, colon, number = given.get("port", "").rpartition(":")
    if colon and "/" not in host and number.isdigit():
        del given["port"]
        given |= {"host": host, "tcp_port": int(number)}
    return given or None


def _chosen(config_file: Path | None, settings: Mapping[str, Any] | None) -> Callable[[], Devices]:
    """What makes the devices meant, inside the loop they live on."""
    from chargepoint.cli.devices import devices_of, single_device
    from hal.clock import WallClock

    if settings is not None:
        if config_file is not None:
            raise click.UsageError("either --config, or --driver and --port")
        return lambda: single_device(settings, WallClock())
    config = _loaded(config_file)
    drivers = {part.driver for connector in config.connectors for part in (connector.evse, connector.meter)}
    if drivers == {"simulated"} and not config.readers:
        click.echo("All connectors are simulated: there is no hardware to look at.", err=True)
    return lambda: devices_of(config, WallClock())


def _loaded(config_file: Path | None) -> StationConfig:
    from chargepoint.config import load

    path = _file(config_file, must=True)
    assert path is not None
    return load(path)


def _file(given: Path | None, *, must: bool) -> Path | None:
    if given is not None or _DEFAULT_FILE.exists():
        return given or _DEFAULT_FILE
    if must:
        raise click.UsageError("say which devices: --config FILE, or --driver NAME and --port PORT")
    return None


# --- output and the end ---------------------------------------------------------------------------------


def _run(work: Coroutine[Any, Any, int]) -> int:
    _leave_it_to_the_tables()
    return asyncio.run(work)


def _leave_it_to_the_tables() -> None:
    """What a device lacks is said there; in the log it would be said twice."""
    import logging

    logging.getLogger("hal").setLevel(logging.ERROR)


def _show(tables: list[list[dict[str, str]]]) -> None:
    from chargepoint.cli.devices import RIGHT
    from chargepoint.cli.tables import show

    show([rows for rows in tables if rows], RIGHT)


async def _until(ended: asyncio.Event, due: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout_at(due):
            await ended.wait()


@contextlib.contextmanager
def _screen() -> Any:
    """What draws: over and over in place on a terminal, a line for each place otherwise."""
    from chargepoint.cli.devices import RIGHT, bus_rows
    from chargepoint.cli.tables import ruled

    if not sys.stdout.isatty():
        yield _print_lines
        return
    from rich.console import Group
    from rich.live import Live

    with Live(auto_refresh=False) as live:

        def draw(devices: Devices) -> None:
            tables = [rows for rows in (devices.readings(), bus_rows()) if rows]
            live.update(Group(*(ruled(rows, RIGHT) for rows in tables)), refresh=True)

        yield draw


def _print_lines(devices: Devices) -> None:
    stamp = time.strftime("%H:%M:%S")
    for row in devices.readings():
        cells = [f"{name} {text}" for name, text in row.items() if text and name != "where"]
        click.echo("  ".join((stamp, row["where"], *cells)))
