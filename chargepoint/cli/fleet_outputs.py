"""What `chargepoint fleet run` judges and leaves behind: `--fail-if`, and the files of a report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chargepoint.cli.options import ClockChoice, unwritable
from chargepoint.cli.running import say
from chargepoint.cli.tables import printable
from chargepoint.errors import ConfigError
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.statistics import write_csv
from chargepoint.fleet.verdict.criterion import Criterion, parse
from chargepoint.fleet.verdict.junit import junit
from chargepoint.fleet.verdict.outcome import Outcome
from chargepoint.fleet.verdict.plots import REMEDY, available
from chargepoint.fleet.verdict.verdict import Verdict, judge

if TYPE_CHECKING:
    from chargepoint.cli.fleet_run import Run

Command = TypeVar("Command", bound=Callable[..., Any])

REQUESTS, LEDGER = "requests.csv", "ledger.csv"


class CriterionType(click.ParamType[Criterion]):
    """A criterion as `fleet.criterion` reads it."""

    name = "criterion"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Criterion:
        if isinstance(value, Criterion):
            return value
        try:
            return parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@dataclass(frozen=True, slots=True)
class Outputs:
    """What was asked for on the command line."""

    criteria: tuple[Criterion, ...] = ()
    junit: Path | None = None
    json: Path | None = None
    csv: Path | None = None
    report: Path | None = None

    def check(self, clock: ClockChoice) -> None:
        """Raise `ConfigError` for what would only fail when the run is over."""
        problems = [
            f"--fail-if {one.text!r}: on a stepped clock the simulator is never late; leave it out"
            for one in self.criteria
            if one.metric.real_time and clock.kind == "stepped"
        ]
        if self.report is not None and not available():
            problems.append(f"--report needs matplotlib: {REMEDY}")
        for flag, path in (("--junit", self.junit), ("--json", self.json), ("--report", self.report)):
            if path is not None and (problem := unwritable(path)):
                problems.append(f"{flag} {path}: {problem}")
        if self.csv is not None and self.csv.exists() and not self.csv.is_dir():
            problems.append(f"--csv {self.csv}: it is a file; name a folder")
        if problems:
            raise ConfigError(problems)

    def finish(self, outcome: Outcome) -> int:
        """Judge, tell, and write what was asked for; the exit code."""
        verdict = judge(self.criteria, outcome)
        code = verdict.exit_code
        written = []
        for path, write in self._files(outcome, verdict):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path)
                written.append(str(path))
            except OSError as error:
                say(f"{path}: cannot be written: {error.strerror or error}")
                code = 1
        for line in verdict.lines():
            click.echo(printable(line))
        if written:
            click.echo(f"Written: {', '.join(written)}.")
        return code

    def _files(self, outcome: Outcome, verdict: Verdict) -> list[tuple[Path, Callable[[Path], None]]]:
        def write_json(path: Path) -> None:
            document = {"version": 1, "verdict": verdict.to_json(), **outcome.to_json()}
            path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

        def write_junit(path: Path) -> None:
            path.write_bytes(junit(outcome, verdict))

        def write_report(path: Path) -> None:
            from chargepoint.fleet.verdict.report import render

            path.write_text(render(outcome, verdict), encoding="utf-8")

        def write_requests(path: Path) -> None:
            with path.open("w", encoding="utf-8", newline="") as file:
                write_csv(outcome.snapshot, file)

        def write_ledger(path: Path) -> None:
            with path.open("w", encoding="utf-8", newline="") as file:
                outcome.ledger.write_csv(file)

        wanted: list[tuple[Path | None, Callable[[Path], None]]] = [
            (self.json, write_json),
            (self.junit, write_junit),
            (self.csv and self.csv / REQUESTS, write_requests),
            (self.csv and self.csv / LEDGER, write_ledger),
            (self.report, write_report),
        ]
        return [(path, write) for path, write in wanted if path is not None]


def outcome_of(run: Run[Any], snapshot: Snapshot) -> Outcome:
    """What is left of a run, `snapshot` its last moment."""
    choice = run.clock_choice
    return Outcome(
        plan=run.plan,
        snapshot=snapshot,
        before_end=run.fleet.before_end,
        ledger=run.ledger,
        rows=list(run.timeline),
        accepted=run.fleet.accepted,
        skipped=run.fleet.skipped,
        complaints=run.fleet.complaints,
        clock=f"x{choice.factor:g}" if choice.kind == "scaled" else choice.kind,
        start=run.start,
        for_s=run.for_s,
        began_at=time.time() - snapshot.at_s,
    )


def output_options(command: Command) -> Command:
    """The flags, whose values `Outputs` takes in the order of its fields."""
    file = click.Path(path_type=Path)
    for option in (
        click.option(
            "--report", type=file, metavar="FILE", help="Write an HTML report with plots over time."
        ),
        click.option(
            "--csv", type=file, metavar="FOLDER", help=f"Write {REQUESTS} (as Locust does) and {LEDGER}."
        ),
        click.option("--json", type=file, metavar="FILE", help="Write all figures and the verdict as JSON."),
        click.option("--junit", type=file, metavar="FILE", help="Write the verdict as JUnit XML."),
        click.option(
            "--fail-if",
            "criteria",
            type=CriterionType(),
            multiple=True,
            metavar="CRITERION",
            help="Exit code 1 if so, e.g. 'p95(StartTransaction) > 2s'; may be repeated.",
        ),
    ):
        command = option(command)
    return command
