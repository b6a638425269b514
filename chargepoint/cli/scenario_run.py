"""`chargepoint scenario run`: plays scenarios, tells how each went, and writes what others read."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import click

from chargepoint.cli.options import CLOCK, DURATION, ENDPOINT, MOMENT, ClockChoice, unwritable
from chargepoint.cli.running import catch_signals, run_async
from chargepoint.config import load as load_config
from chargepoint.config.section import plain
from chargepoint.config.source import Scalar
from chargepoint.config.wording import nearest
from chargepoint.errors import ConfigError
from chargepoint.fleet.verdict.plots import REMEDY, available
from scenarios.adapter import load_adapter
from scenarios.batch import run_all, unreachable
from scenarios.collection import collected
from scenarios.coverage import section
from scenarios.junit import junit
from scenarios.model import load
from scenarios.rules import table
from scenarios.runner import SAMPLES_EACH_S, RunOptions
from scenarios.telling import details, line, summary
from scenarios.traces import Traces
from scenarios.verdict import Outcome, Verdict

__all__ = ["run_command"]

PASSED, FAILED, COULD_NOT_RUN, INTERRUPTED = 0, 1, 2, 130


def _variable(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{text!r} is no NAME=VALUE")
        found[name] = plain(Scalar(value))
    return found


@click.command("run")
@click.argument("names", nargs=-1, required=True, metavar="FILE|DIR|library:NAME...")
@click.option(
    "--csms", "url", type=ENDPOINT, metavar="URL", help="The central system; without it the embedded one."
)
@click.option(
    "--adapter",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="How to command that central system over its HTTP API.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A station's configuration that stations without a template begin with.",
)
@click.option("--clock", type=CLOCK, default="stepped", help="How time passes [stepped].")
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same frames [the scenario's].")
@click.option("--start", type=MOMENT, help="Station time at the beginning [the scenario's].")
@click.option(
    "--set", "variables", multiple=True, callback=_variable, metavar="NAME=VALUE", help="Of a variable."
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only those with this tag.")
@click.option("--jobs", type=click.IntRange(1, 256), default=1, metavar="N", help="So many at a time [1].")
@click.option("--linger", type=DURATION, help="Real time after each frame, on a stepped clock [20ms, own 0].")
@click.option("--timeout", type=DURATION, help="Real time for each scenario; longer is an ERROR.")
@click.option("--junit", "junit_path", type=click.Path(path_type=Path), metavar="OUT", help="JUnit XML.")
@click.option("--report", type=click.Path(path_type=Path), metavar="OUT.html", help="A page to look at.")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="Record every frame and event; a file for one station of one scenario, else a folder of files.",
)
@click.option("--fail-fast", is_flag=True, help="Nothing more after the first that fails.")
@click.option("--verbose", "-v", is_flag=True, help="The tree of steps of every scenario.")
@click.option(
    "--coverage",
    "covering",
    is_flag=True,
    help="What of OCPP was exercised and what not; always told after conformance scenarios.",
)
def run_command(
    names: tuple[str, ...],
    url: str | None,
    adapter: Path | None,
    config: Path | None,
    clock: ClockChoice,
    seed: int | None,
    start: float | None,
    variables: dict[str, Any],
    tags: tuple[str, ...],
    jobs: int,
    linger: float | None,
    timeout: float | None,
    junit_path: Path | None,
    report: Path | None,
    trace: Path | None,
    fail_fast: bool,
    verbose: bool,
    covering: bool,
) -> int:
    """Run scenarios and tell of each whether it passed.

    The exit code is 0 if all passed or were skipped, 1 if one failed, 2 if one could not be run.
    """
    if adapter is not None and url is None:
        raise click.UsageError("--adapter describes a foreign central system: name it with --csms")
    if jobs > 1 and url is not None:
        raise click.UsageError("--jobs needs the embedded central system: two runs cannot share one identity")
    if report is not None and not available():
        raise click.UsageError(f"--report needs matplotlib: {REMEDY}")
    for flag, path in (("--junit", junit_path), ("--report", report)):
        if path is not None and (problem := unwritable(path)):
            raise click.UsageError(f"{flag} {path}: {problem}")
    chosen = _tagged(collected(names), tags)
    if not chosen:
        raise click.UsageError("no scenario has these tags")
    if variables and (problem := _unknown(chosen, variables)):
        raise click.UsageError(f"--set {problem}")
    traces = None if trace is None else Traces.planned(trace, chosen)
    if traces is not None and traces.stems is None and (problem := unwritable(traces.path)):
        raise click.UsageError(f"--trace {trace}: {problem}")
    options = RunOptions(
        csms=url,
        clock=f"x{clock.factor:g}" if clock.kind == "scaled" else clock.kind,
        seed=seed,
        start=start,
        variables=variables,
        adapter=None if adapter is None else load_adapter(adapter),
        config=None if config is None else load_config(config),
        linger_s=linger,
        real_within_s=timeout,
        samples_each_s=None if report is None else SAMPLES_EACH_S,
        traces=traces,
    )
    if url is not None and (refusal := unreachable(url)):
        click.echo(refusal, err=True)
        outcomes = [Outcome(name, "", Verdict.ERROR, refusal) for name in chosen]
        _written(outcomes, junit_path, report)
        return COULD_NOT_RUN
    return run_async(_run(chosen, options, jobs, fail_fast, verbose, covering, junit_path, report))


async def _run(
    names: list[str],
    options: RunOptions,
    jobs: int,
    fail_fast: bool,
    verbose: bool,
    covering: bool,
    junit_path: Path | None,
    report: Path | None,
) -> int:
    stop = asyncio.Event()
    catch_signals(stop.set)
    began = time.monotonic()

    def told(outcome: Outcome) -> None:
        click.echo(line(outcome))
        for text in details(outcome, always=verbose):
            click.echo(text)

    outcomes = await run_all(names, options, jobs=jobs, fail_fast=fail_fast, told=told, stop=stop)
    found = table(outcomes)
    for text in (*found, *(section(outcomes) if found or covering else ())):
        click.echo(text)
    click.echo(summary(outcomes, time.monotonic() - began))
    written = _written(outcomes, junit_path, report)
    return INTERRUPTED if stop.is_set() else exit_code(outcomes) if written else COULD_NOT_RUN


def exit_code(outcomes: list[Outcome]) -> int:
    """0, 1 or 2; where nothing ran nothing has passed."""
    verdicts = {outcome.verdict for outcome in outcomes}
    if Verdict.ERROR in verdicts:
        return COULD_NOT_RUN
    if Verdict.FAIL in verdicts:
        return FAILED
    return PASSED if Verdict.PASS in verdicts and Verdict.NOT_RUN not in verdicts else COULD_NOT_RUN


def _written(outcomes: list[Outcome], junit_path: Path | None, report: Path | None) -> bool:
    """Write what was asked for; what cannot be written (a full disk) does not keep the rest from it."""
    problems = []
    if junit_path is not None:
        try:
            junit_path.write_bytes(junit(outcomes))
        except OSError as error:
            problems.append(f"--junit {junit_path}: {error.strerror}")
    if report is not None:
        from scenarios.report import write

        try:
            write(outcomes, report)
        except OSError as error:
            problems.append(f"--report {report}: {error.strerror}")
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    return not problems


def _tagged(names: list[str], tags: tuple[str, ...]) -> list[str]:
    """Those with all these tags; a file with mistakes has every one, so that it is not overlooked."""
    return [name for name in names if not tags or set(tags) <= _tags_of(name, tags)]


def _unknown(names: list[str], variables: dict[str, Any]) -> str | None:
    """What is wrong with a variable that no scenario speaks of; files with mistakes are left to the run."""
    scenarios = []
    for name in names:
        try:
            scenarios.append(load(name, given=variables))
        except ConfigError:
            return None
    known = sorted({name for scenario in scenarios for name in scenario.file.variables})
    for name in variables:
        if not any(scenario.mentions(name) for scenario in scenarios):
            return f"{name}: no scenario has such a variable" + (f"; {nearest(name, known)}" if known else "")
    return None


def _tags_of(name: str, tags: tuple[str, ...]) -> set[str]:
    try:
        return set(load(name, given=None).file.tags)
    except ConfigError:
        return set(tags)
