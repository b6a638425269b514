"""What `chargepoint fleet run` judges and leaves behind: `--fail-if`, and the files of a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from chargepoint.cli.options import ClockChoice, unwritable
from chargepoint.cli.running import say
from chargepoint.cli.tables import printable
from chargepoint.errors import ConfigError
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.request_table import write_csv
from chargepoint.fleet.verdict.criterion import Criterion, parse
from chargepoint.fleet.verdict.junit import junit
from chargepoint.fleet.verdict.outcome import Outcome
from chargepoint.fleet.verdict.plots import REMEDY, available
from chargepoint.fleet.verdict.verdict import Verdict, judge

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

    def check(self, clock: ClockChoice | None = None) -> None:
        """Raise `ConfigError` for what would only fail when the run is over."""
        problems = [
            f"--fail-if {one.text!r}: on a stepped clock the simulator is never late; leave it out"
            for one in self.criteria
            if one.metric.real_time and clock is not None and clock.kind == "stepped"
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


def _why(ledger: Ledger) -> str:
    causes = Counter(entry.note for entry in ledger.missing() if entry.note)
    told = "; ".join(f"{count} x {cause}" for cause, count in causes.most_common(3))
    return f" ({told})" if told else ""


def stations(count: int) -> str:
    """So many, in words."""
    return f"{count} station{'' if count == 1 else 's'}"


_HEADS = ("sent", "p50", "p95", "p99", "max")


def summary(outcome: Outcome) -> list[str]:
    """What became of it, for a person."""
    snapshot, totals = outcome.snapshot, outcome.ledger.totals()
    since = ", with those taken away since" if outcome.accepted > snapshot.planned else ""
    lines = [
        f"{stations(snapshot.planned)} planned, {snapshot.started} started, {outcome.accepted} "
        f"accepted by the central system{since}.",
        f"{totals.made} transactions: {totals.delivered} ended and acknowledged, {totals.missing} not "
        f"(wholly) acknowledged{_why(outcome.ledger)}, {totals.doubled} doubled"
        + (f", {totals.lost_with_worker} lost with a worker." if totals.lost_with_worker else "."),
        f"{snapshot.sent} messages sent, {snapshot.failed} failed"
        + "".join(f", {count} x {kind}" for kind, count in snapshot.errors.most_common(5))
        + (f"; {snapshot.under_way} still under way at the end" if snapshot.under_way else "")
        + f"; {snapshot.received} received; {snapshot.reconnects} reconnects.",
    ]
    if failures := snapshot.connect_failures:
        kinds = ", ".join(f"{count} x {kind}" for kind, count in failures.most_common(5))
        lines.append(f"{failures.total()} attempts to connect failed: {kinds}.")
    if snapshot.actions:
        lines.append("  " + f"{'round trip, ms':<32}" + "".join(f"{head:>9}" for head in _HEADS))
    for action, figures in sorted(snapshot.actions.items()):
        times = (figures.p50_s, figures.p95_s, figures.p99_s, figures.max_s)
        lines.append(f"  {action:<32}{figures.sent:>9}" + "".join(f"{time * 1000:>9.1f}" for time in times))
    lines += [f"{count} x left out: {problem}" for problem, count in outcome.skipped.most_common()]
    lines += [f"{count} x {text}" for text, count in outcome.complaints.most_common(10)]
    if snapshot.was_bottleneck:
        lines.append("The simulator itself could not keep up: the times above are in part its own.")
    if snapshot.released_holds:
        lines.append(
            f"The clock went on {snapshot.released_holds} times without an answer: not reproducible."
        )
    return lines


_PATH = click.Path(path_type=Path)

fail_if_option = click.option(
    "--fail-if",
    "criteria",
    type=CriterionType(),
    multiple=True,
    metavar="CRITERION",
    help="Exit code 1 if so, e.g. 'p95(StartTransaction) > 2s'; may be repeated.",
)
junit_option = click.option("--junit", type=_PATH, metavar="FILE", help="Write the verdict as JUnit XML.")
json_option = click.option(
    "--json", type=_PATH, metavar="FILE", help="Write all figures and the verdict as JSON."
)
csv_option = click.option(
    "--csv", type=_PATH, metavar="FOLDER", help=f"Write {REQUESTS} (as Locust does) and {LEDGER}."
)
report_option = click.option(
    "--report", type=_PATH, metavar="FILE", help="Write an HTML report with plots over time."
)


def output_options(command: Command) -> Command:
    """The flags, whose values `Outputs` takes in the order of its fields."""
    for option in (report_option, csv_option, json_option, junit_option, fail_if_option):
        command = option(command)
    return command
