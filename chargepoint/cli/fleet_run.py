"""`chargepoint fleet run`: many stations at a central system."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from chargepoint.cli.control import ControlType, HttpAddress, token_for, token_options
from chargepoint.cli.fleet_control import controlled
from chargepoint.cli.fleet_outputs import Outputs, output_options, stations, summary
from chargepoint.cli.fleet_processes import Processes, processes_options
from chargepoint.cli.fleet_runs import ClusterRun, FleetRun, Run, check_descriptors
from chargepoint.cli.fleet_watching import Watching, watching_options
from chargepoint.cli.options import CLOCK, DURATION, ClockChoice, linger_option, start_option
from chargepoint.cli.running import run_async
from chargepoint.fleet.plan.plan import Plan

EPILOG = """\
\b
Examples:
  chargepoint fleet run --csms ws://localhost:9000/ocpp --count 1000 --ramp 50/s --for 10m
  chargepoint fleet run fleet.yaml --seed 7
  chargepoint fleet run --count 1000 --behaviour morning-rush --clock stepped \\
      --start 2026-03-02T05:00:00Z --for 6h
"""


@click.command(epilog=EPILOG)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--csms", "url", metavar="URL", help="The central system [an embedded one].")
@click.option("--count", type=click.IntRange(1), metavar="N", help="How many stations [1].")
@click.option("--template", metavar="NAME", help="The type of station (chargepoint fleet templates).")
@click.option("--ramp", metavar="RATE", help="Stations started in a time, such as 50/s [50/s].")
@click.option("--behaviour", metavar="NAME", help="What drivers do (chargepoint fleet behaviours) [steady].")
@click.option("--identities", metavar="PATTERN", help="With one {n}, such as CP{n:05d} [CP{n:05d}].")
@click.option("--for", "for_s", type=DURATION, metavar="DURATION", help="End after that much station time.")
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same day.")
@click.option("--clock", type=CLOCK, default="wall", metavar="wall|xN|stepped", help="Station time.")
@start_option
@linger_option
@click.option(
    "--one-numbering",
    is_flag=True,
    help="One transaction id at two stations is doubled; else only at one.",
)
@click.option(
    "--moments",
    "moments_s",
    type=DURATION,
    default="50ms",
    show_default=True,
    metavar="DURATION",
    help="In real time, what is due within it happens together; 0s: each at its own time, at more CPU.",
)
@click.option("--force", is_flag=True, help="Start although there are too few file descriptors.")
@click.option(
    "--control",
    type=ControlType(stdio=False),
    help="Take commands for each station and give their events over HTTP (docs/control.md).",
)
@token_options
@processes_options
@watching_options
@output_options
def fleet_run(
    file: Path | None,
    url: str | None,
    count: int | None,
    template: str | None,
    ramp: str | None,
    behaviour: str | None,
    identities: str | None,
    for_s: float | None,
    seed: int | None,
    clock: ClockChoice,
    start: float | None,
    linger_s: float | None,
    one_numbering: bool,
    moments_s: float,
    force: bool,
    control: HttpAddress | None,
    control_token: str | None,
    control_token_file: Path | None,
    shard: str | None,
    workers: int | None,
    scheduler: str | None,
    plain: bool,
    metrics: tuple[str, int] | None,
    **outputs: Any,
) -> int:
    """Run a fleet at a central system.

    What it consists of is said by flags or by a FILE (chargepoint fleet example). At Ctrl-C or SIGTERM, or
    after --for, transactions end and are delivered for up to 5 s, then links close; a second Ctrl-C ends at
    once, without a report. Exit code 0; 1 if no station was ever accepted, some could not be made or a
    --fail-if is so; 2 if it could not begin.
    """
    group_flags = {
        "--count": count,
        "--template": template,
        "--ramp": ramp,
        "--behaviour": behaviour,
        "--identities": identities,
    }
    if moments_s > 1.0:
        raise click.UsageError("--moments is at most 1s: stations would answer late to everything")
    plan = replace(_plan(file, url, seed, group_flags), one_numbering=one_numbering, moments_s=moments_s)
    clock.check(start)
    if start is None and clock.kind != "wall":
        start = plan.starts_at
    if clock.kind == "stepped" and for_s is None:
        raise click.UsageError("--clock stepped needs --for DURATION")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    wanted = Outputs(**outputs)
    wanted.check(clock)
    processes = Processes.asked(shard, workers, scheduler)
    processes.check(plan, clock, controlled=control is not None)
    token = None if control is None else token_for(control, control_token, control_token_file)
    watching = Watching(plain, metrics)

    def make() -> Run[Any]:
        if processes.many:
            return ClusterRun(plan, clock=clock, processes=processes, start=start, for_s=for_s)
        return FleetRun(
            plan,
            clock=clock,
            start=start,
            for_s=for_s,
            linger_s=linger_s,
            shard=processes.shard,
            shards=processes.shards,
        )

    return run_async(_run(make, force, watching, wanted, control, token))


def _plan(file: Path | None, url: str | None, seed: int | None, group_flags: Mapping[str, object]) -> Plan:
    from chargepoint.fleet.plan.file import load
    from chargepoint.fleet.plan.planning import plan_from, plan_of_flags

    if file is not None:
        given = [flag for flag, value in group_flags.items() if value is not None]
        if given:
            raise click.UsageError(f"{', '.join(given)}: the file says that; give FILE or flags")
        return plan_from(load(file), url=url, seed=seed)
    flags = {flag.removeprefix("--"): value for flag, value in group_flags.items() if value is not None}
    return plan_of_flags(url=url, seed=seed, **flags)  # type: ignore[arg-type]  # click checked the flags


async def _run(
    make: Callable[[], Run[Any]],
    force: bool,
    watching: Watching,
    outputs: Outputs,
    control: HttpAddress | None,
    token: str | None,
) -> int:
    run = make()
    check_descriptors(run, force)
    if run.embedded:
        click.echo("No --csms given: an embedded central system was started.")
    click.echo(f"{stations(run.fleet.planned)}, seed {run.plan.seed}.")
    async with controlled(run.fleet, control, token):
        with watching.watched(run.fleet, run.for_s) as viewer:
            run.viewers.append(viewer)
            snapshot = await run.run()
    outcome = run.outcome(snapshot)
    for line in summary(outcome):
        click.echo(line)
    code = outputs.finish(outcome)
    return code if outcome.accepted and not outcome.skipped else 1
