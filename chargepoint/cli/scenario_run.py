"""`chargepoint scenario run`: plays scenarios, tells how each went, and writes what others read."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from chargepoint.cli.options import CLOCK, DURATION, ENDPOINT, MOMENT, ClockChoice, unwritable
from chargepoint.cli.running import catch_signals, run_async
from chargepoint.config import load as load_config
from chargepoint.config.section import plain
from chargepoint.config.source import Scalar
from chargepoint.errors import ConfigError
from chargepoint.fleet.verdict.plots import REMEDY, available
from scenarios.adapter import load_adapter
from scenarios.batch import run_all
from scenarios.collection import collected
from scenarios.coverage import section
from scenarios.junit import junit
from scenarios.model import load
from scenarios.rules import table
from scenarios.runner import SAMPLES_EACH_S, RunOptions
from scenarios.telling import details, line, summary
from scenarios.verdict import Outcome, Verdict

__all__ = ["run_command"]

PASSED, FAILED, COULD_NOT_RUN, INTERRUPTED = 0, 1, 2, 130
_REACH_WITHIN_S = 5.0


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
    )
    chosen = _tagged(collected(names), tags)
    if not chosen:
        raise click.UsageError("no scenario has these tags")
    if url is not None and (refusal := _unreachable(url)):
        click.echo(refusal, err=True)
        outcomes = [Outcome(name, "", Verdict.ERROR, refusal) for name in chosen]
        _write(outcomes, junit_path, report)
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
    _write(outcomes, junit_path, report)
    return INTERRUPTED if stop.is_set() else exit_code(outcomes)


def exit_code(outcomes: list[Outcome]) -> int:
    """0, 1 or 2; where nothing ran nothing has passed."""
    verdicts = {outcome.verdict for outcome in outcomes}
    if Verdict.ERROR in verdicts:
        return COULD_NOT_RUN
    if Verdict.FAIL in verdicts:
        return FAILED
    return PASSED if Verdict.PASS in verdicts and Verdict.NOT_RUN not in verdicts else COULD_NOT_RUN


def _write(outcomes: list[Outcome], junit_path: Path | None, report: Path | None) -> None:
    if junit_path is not None:
        junit_path.write_bytes(junit(outcomes))
    if report is not None:
        from scenarios.report import write

        write(outcomes, report)


def _tagged(names: list[str], tags: tuple[str, ...]) -> list[str]:
    """Those with all these tags; a file with mistakes has every one, so that it is not overlooked."""
    return [name for name in names if not tags or set(tags) <= _tags_of(name, tags)]


def _tags_of(name: str, tags: tuple[str, ...]) -> set[str]:
    try:
        return set(load(name).file.tags)
    except ConfigError:
        return set(tags)


def _unreachable(url: str) -> str | None:
    """Why nobody listens at a central system's address; None if somebody does."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    try:
        socket.create_connection((parts.hostname, port), _REACH_WITHIN_S).close()
    except OSError as error:
        return f"no central system at {url}: {error.strerror or error}"
    return None
