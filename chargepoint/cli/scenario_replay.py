"""`chargepoint scenario replay` and `from-trace`: what was recorded, played again or made a story of."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from chargepoint.cli.options import CLOCK, MOMENT, ClockChoice
from chargepoint.cli.running import LINGER_S, make_clock, run_async, say
from chargepoint.config import StationConfig, load
from chargepoint.csms.central_system import CentralSystem
from chargepoint.errors import ConfigError, LinkError
from chargepoint.link import LinkSettings, TlsSettings
from chargepoint.ocpp16.times import format_time
from chargepoint.station_type import StationType
from chargepoint.trace import Trace
from scenarios.differences import Difference
from scenarios.from_trace import story
from scenarios.importers import FORMATS, read
from scenarios.recorded import Recorded
from scenarios.replay import Options, Outcome, replay

SAME, DIFFERS, COULD_NOT_RUN = 0, 1, 2
MOST_SHOWN = 200

_SECONDS = click.FloatRange(min=0.0, max=86_400.0)


def _zone(ctx: click.Context, parameter: click.Parameter, name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise click.BadParameter(f"{name!r} is no time zone: write for example Europe/Berlin") from None


def reading(command: Any) -> Any:
    """The options that say how a recording is read."""
    for option in (
        click.option("--zone", callback=_zone, metavar="NAME", help="Of time stamps that name none [UTC]."),
        click.option("--station", metavar="ID", help="Which one, where the file has several."),
        click.option(
            "--format",
            type=click.Choice(["auto", *FORMATS]),
            default="auto",
            help="What the file is [auto].",
        ),
        click.argument("trace", type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@click.command("replay")
@reading
@click.option("--csms", "url", metavar="URL", help="The central system; without it the embedded one.")
@click.option(
    "--id", "identity", metavar="ID", help="Connect under this identity instead of the recorded one."
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A station's configuration, for its `csms`: password, certificates, proxy.",
)
@click.option(
    "--clock",
    type=CLOCK,
    default="stepped",
    metavar="wall|xN|stepped",
    help="Real distances, N times as fast, or no waiting at all [stepped].",
)
@click.option(
    "--start", type=MOMENT, metavar="TIME", help="When it begins [embedded: as recorded; else now]."
)
@click.option("--seed", type=int, default=0, metavar="N", help="Of the message ids [0].")
@click.option(
    "--linger", "linger_s", type=_SECONDS, metavar="SECONDS", help="Real time after a frame before a jump."
)
@click.option(
    "--answer-within", type=_SECONDS, default=30.0, metavar="SECONDS", help="Then an answer is missing [30]."
)
@click.option(
    "--call-within", type=_SECONDS, default=2.0, metavar="SECONDS", help="Wait for a recorded CALL of it [2]."
)
@click.option(
    "--ignore", multiple=True, metavar="ACTION[.FIELD]", help="Does not count; *.FIELD for any action."
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="The result as JSON; - prints it.",
)
@click.option(
    "--trace", "trace_file", type=click.Path(path_type=Path), metavar="OUT", help="Record the replay, too."
)
@click.option("--all", "show_all", is_flag=True, help="List also what does not matter.")
def replay_command(
    trace: Path,
    format: str,
    station: str | None,
    zone: ZoneInfo | None,
    url: str | None,
    identity: str | None,
    config_file: Path | None,
    clock: ClockChoice,
    start: float | None,
    seed: int,
    linger_s: float | None,
    answer_within: float,
    call_within: float,
    ignore: tuple[str, ...],
    json_file: Path | None,
    trace_file: Path | None,
    show_all: bool,
) -> int:
    """Play the charge point's side of TRACE again and compare what the central system answers.

    TRACE is a file of --trace, a log with a frame and a time stamp per line, or a CSV export.
    Exit code 0: the same in all that matters; 1: not the same; 2: it could not be played.
    """
    clock.check(start)
    recorded = read(trace, format=format, station=station, zone=zone)
    config = StationConfig() if config_file is None else load(config_file)
    name = identity or (recorded.station if config_file is None else config.identity) or config.identity
    config = config.with_flags(identity=name, csms=url)
    embedded = config.csms.url is None
    if start is None:
        start = next(recorded.frames).at if embedded and clock.kind != "wall" else time.time()
    linger = (0.0 if embedded else LINGER_S) if linger_s is None else linger_s
    if json_file != Path("-"):
        say(_read(recorded))
    outcomes: list[Outcome] = []
    play = _play(
        recorded,
        config,
        clock,
        start,
        linger,
        Options(
            seed=seed,
            answer_within_s=answer_within,
            call_within_s=call_within,
            ignore=ignore,
            trace=None if trace_file is None else Trace(trace_file, name),
        ),
        outcomes,
    )
    try:
        run_async(play)
    except LinkError as error:
        say(f"cannot replay {trace}: {error}")
        return COULD_NOT_RUN
    outcome = outcomes[0]
    if json_file is not None:
        _write_json(json_file, outcome)
    if json_file != Path("-"):
        _print(outcome, show_all)
    return SAME if outcome.verdict == "same" else DIFFERS


async def _play(
    recorded: Recorded,
    config: StationConfig,
    choice: ClockChoice,
    start: float,
    linger_s: float,
    options: Options,
    outcomes: list[Outcome],
) -> int:
    clock = make_clock(choice, start, linger_s)
    csms = None
    if config.csms.url is None:
        csms = CentralSystem(seed=options.seed, clock=clock, interval_s=recorded.interval_s or 300)
    try:
        if csms is not None:
            await csms.start()
        url = str(config.csms.url) if csms is None else csms.url
        options = replace(options, settings=_settings(config, url))
        outcomes.append(await replay(recorded, clock, options, csms))
    finally:
        if csms is not None:
            await csms.stop()
        if options.trace is not None:
            options.trace.close()
    return SAME


def _settings(config: StationConfig, url: str) -> LinkSettings:
    """The link of a station that was configured so and never told anything else."""
    type = StationType(config)
    provided = type.provided()
    tls = TlsSettings(
        ca_pem=provided.central_system or None,
        cert_pem=provided.own_chain or None,
        key_pem=provided.own_key or None,
        verify_hostname=type.tls.verify_hostname,
        server_name=type.tls.server_name,
    )
    return type.link_settings(config.identity, url, type.security.credentials, tls)


def _read(recorded: Recorded) -> str:
    """What was made of the file."""
    frames = sum(1 for _ in recorded.frames)
    unknown = f", {len(recorded.unknown)} lines not understood" if recorded.unknown else ""
    notes = "".join(f"\n  {note}" for note in recorded.notes[:5])
    whose = f" of {recorded.station}" if recorded.station else ""
    return f"{recorded.source}: {frames} frames{whose} ({recorded.format}){unknown}{notes}"


def _print(outcome: Outcome, show_all: bool) -> None:
    shown = outcome.differences if show_all else outcome.matters
    for difference in shown[:MOST_SHOWN]:
        click.echo(_line(outcome, difference))
    if len(shown) > MOST_SHOWN:
        click.echo(f"... and {len(shown) - MOST_SHOWN} more: --json shows all")
    small = len(outcome.differences) - len(outcome.matters)
    if outcome.transactions:
        pairs = ", ".join(f"{old} is {new}" for old, new in list(outcome.transactions.items())[:10])
        click.echo(f"transactions: {pairs}")
    click.echo(
        f"{'SAME' if outcome.verdict == 'same' else 'DIFFERS'}: {outcome.calls} calls of {outcome.station}, "
        f"{outcome.csms_calls} of the central system; {len(outcome.matters)} differences that matter, "
        f"{small} that do not"
    )
    click.echo(
        f"{outcome.sent} frames sent, {outcome.received} received, {outcome.station_s:.0f} s of station time "
        f"in {outcome.real_s:.2f} s ({outcome.frames_per_s:.0f} frames/s)"
    )
    for note in outcome.notes:
        say(f"note: {note}")


def _line(outcome: Outcome, difference: Difference) -> str:
    where = f"{outcome.source}:{abs(difference.line)}" if difference.line else outcome.source
    mark = "" if difference.matters else "(no matter) "
    return f"{where}: {format_time(difference.at)} {mark}{difference.text()}"


def _write_json(path: Path, outcome: Outcome) -> None:
    text = json.dumps(outcome.as_dict(), indent=2, ensure_ascii=False) + "\n"
    if path == Path("-"):
        click.echo(text, nl=False)
    else:
        _write_private(path, text)


def _write_private(path: Path, text: str) -> None:
    """Frames name card holders: the file is for its owner only."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}"]) from error


@click.command("from-trace")
@reading
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write there [standard output].")
@click.option("--title", metavar="TEXT", help="Its title.")
@click.option("--no-expect", "bare", is_flag=True, help="Only what happens, nothing that is expected.")
def from_trace_command(
    trace: Path,
    format: str,
    station: str | None,
    zone: ZoneInfo | None,
    out: Path | None,
    title: str | None,
    bare: bool,
) -> int:
    """Write a scenario that tells what happened in TRACE, for you to edit (docs/replay.md)."""
    recorded = read(trace, format=format, station=station, zone=zone)
    text = story(recorded, title=title, expectations=not bare)
    say(_read(recorded))
    if out is None:
        click.echo(text, nl=False)
    else:
        _write_private(out, text)
    return SAME
