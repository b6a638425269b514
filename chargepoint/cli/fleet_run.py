"""`chargepoint fleet run`: many stations at a central system."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from chargepoint.cli.control import ControlType, HttpAddress, token_for, token_options
from chargepoint.cli.fleet_control import controlled
from chargepoint.cli.fleet_lines import LOOK_EVERY_S
from chargepoint.cli.fleet_outputs import Outputs, outcome_of, output_options
from chargepoint.cli.fleet_processes import Processes, processes_options
from chargepoint.cli.fleet_watching import Watching, watching_options
from chargepoint.cli.options import CLOCK, DURATION, MOMENT, ClockChoice
from chargepoint.cli.running import LINGER_S, run_async, say
from chargepoint.csms.central_system import CentralSystem
from chargepoint.errors import ConfigError
from chargepoint.fleet.cluster.shard import shard_fleet
from chargepoint.fleet.descriptors import needed, provide
from chargepoint.fleet.fleet import Fleet
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.snapshot import Snapshot
from chargepoint.fleet.measures.timeline import Timeline
from chargepoint.fleet.plan.plan import Plan
from hal.api import Clock
from hal.clock import BatchedClock, ScaledClock, WallClock

if TYPE_CHECKING:
    from chargepoint.fleet.cluster.cluster import ClusterFleet

METER_VALUES_KEPT = 5
"""Per transaction, by the embedded central system of a fleet: nobody looks at them."""

EPILOG = """\
\b
Examples:
  chargepoint fleet run --csms ws://localhost:9000/ocpp --count 1000 --ramp 50/s --for 10m
  chargepoint fleet run fleet.yaml --seed 7
  chargepoint fleet run --count 1000 --behaviour morning-rush --clock stepped \\
      --start 2026-03-02T05:00:00Z --for 6h
"""

Viewer = Callable[[Snapshot], None]
"""Is shown the fleet once a second, and once more when it has ended. What it raises ends the run."""

SomeFleet = TypeVar("SomeFleet", Fleet, "ClusterFleet")

Ending = Callable[["Run[Any]", Snapshot], int]
"""Is told when a run is over, with `statistics`, `ledger` and `timeline` of the run; gives an exit code."""


class Run(Generic[SomeFleet]):
    """A fleet with its clock, the embedded central system if it needs one, and its viewers."""

    fleet: SomeFleet

    def __init__(
        self,
        plan: Plan,
        *,
        clock: ClockChoice,
        start: float | None = None,
        for_s: float | None = None,
        linger_s: float | None = None,
    ) -> None:
        self.plan = plan
        self.embedded = any(not group.urls for group in plan.groups)
        linger_s = (0.0 if self.embedded else LINGER_S) if linger_s is None else linger_s
        self.clock = _clock(clock, start, linger_s)
        self.clock_choice = clock
        self.start = start
        self.for_s = for_s
        self.csms: CentralSystem | None = None
        if self.embedded:
            self.csms = CentralSystem(
                seed=plan.seed,
                clock=self.clock,
                ping_interval_s=None,
                meter_values_kept=METER_VALUES_KEPT,
                quick=True,
            )
        self.timeline = Timeline()
        self.viewers: list[Viewer] = [self.timeline.add]
        self.endings: list[Ending] = []

    @property
    def ledger(self) -> Ledger:
        """Every transaction; of several processes when they have ended."""
        return self.fleet.ledger

    def url(self) -> str:
        """Where stations connect that have no central system of their own."""
        return "" if self.csms is None else self.csms.url

    async def run(self) -> Snapshot:
        """From the first start to the last closed link; the last moment."""
        if self.csms is not None:
            await self.csms.start()
        looking = asyncio.ensure_future(self._look())
        looking.add_done_callback(lambda _: self.fleet.stop())
        try:
            await self.fleet.run(self.for_s)
        finally:
            if self.csms is not None:
                await self.csms.stop()
            if not looking.done():
                looking.cancel()
        if not looking.cancelled() and looking.done():
            looking.result()
        snapshot = self.fleet.snapshot()
        self._show(snapshot)
        return snapshot

    async def _look(self) -> None:
        while True:
            self._show(self.fleet.snapshot())
            await asyncio.sleep(LOOK_EVERY_S)

    def _show(self, snapshot: Snapshot) -> None:
        for viewer in self.viewers:
            viewer(snapshot)


class FleetRun(Run[Fleet]):
    """A fleet in this process, or one shard of it."""

    def __init__(
        self,
        plan: Plan,
        *,
        clock: ClockChoice,
        start: float | None = None,
        for_s: float | None = None,
        linger_s: float | None = None,
        shard: int = 0,
        shards: int = 1,
    ) -> None:
        super().__init__(plan, clock=clock, start=start, for_s=for_s, linger_s=linger_s)
        self.fleet = shard_fleet(
            plan, clock=self.clock, url=self.url, shard=shard, shards=shards, real_time=start is not None
        )
        self.statistics = self.fleet.statistics


class ClusterRun(Run["ClusterFleet"]):
    """A fleet in many processes."""

    def __init__(
        self,
        plan: Plan,
        *,
        clock: ClockChoice,
        processes: Processes,
        start: float | None = None,
        for_s: float | None = None,
    ) -> None:
        super().__init__(plan, clock=clock, start=start, for_s=for_s)
        self.fleet = processes.cluster(plan, clock, start, self.url)


def _clock(choice: ClockChoice, start: float | None, linger_s: float) -> Clock:
    if choice.kind == "stepped":
        return BatchedClock(time.time() if start is None else start, linger_s)
    if choice.kind == "scaled":
        return ScaledClock(choice.factor, start)
    return WallClock()


def check_descriptors(run: Run[Any], force: bool) -> None:
    """Enough of them for all links, or a `ConfigError`; with `force` a warning."""
    groups = run.plan.groups
    databases = sum(group.count for group in groups if group.config.storage is not None)
    if isinstance(run, FleetRun):
        count = needed(run.fleet.planned, embedded=run.embedded, databases=databases)
    else:  # each worker looks after its own
        count = needed(run.plan.count if run.embedded else 0)
    problem = provide(count)
    if problem is None:
        return
    if not force:
        raise ConfigError([f"{problem}; or start fewer stations, or --force to see how many fit"])
    say(f"warning: {problem}")


def _why(ledger: Ledger) -> str:
    causes = Counter(entry.note for entry in ledger.missing() if entry.note)
    told = "; ".join(f"{count} x {cause}" for cause, count in causes.most_common(3))
    return f" ({told})" if told else ""


def summary(run: Run[Any], snapshot: Snapshot) -> list[str]:
    """What became of it, for a person."""
    totals = run.ledger.totals()
    lines = [
        f"{snapshot.planned} stations planned, {snapshot.started} started, {run.fleet.accepted} "
        "accepted by the central system.",
        f"{totals.made} transactions: {totals.delivered} ended and acknowledged, {totals.missing} not "
        f"(wholly) acknowledged{_why(run.ledger)}, {totals.doubled} doubled.",
        f"{snapshot.sent} messages sent, {snapshot.failed} failed"
        + "".join(f", {count} x {kind}" for kind, count in snapshot.errors.most_common(5))
        + f"; {snapshot.received} received; {snapshot.reconnects} reconnects.",
    ]
    for action, figures in sorted(snapshot.actions.items()):
        lines.append(
            f"  {action:<30} {figures.sent:>9}  p50 {figures.p50_s * 1000:7.1f} ms  "
            f"p95 {figures.p95_s * 1000:7.1f} ms  p99 {figures.p99_s * 1000:7.1f} ms  "
            f"max {figures.max_s * 1000:7.1f} ms"
        )
    lines += [f"{count} x left out: {problem}" for problem, count in run.fleet.skipped.most_common()]
    lines += [f"{count} x {text}" for text, count in run.fleet.complaints.most_common(10)]
    if snapshot.was_bottleneck:
        lines.append("The simulator itself could not keep up: the times above are in part its own.")
    if snapshot.released_holds:
        lines.append(
            f"The clock went on {snapshot.released_holds} times without an answer: not reproducible."
        )
    return lines


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
@click.option("--start", type=MOMENT, metavar="TIME", help="When a sped-up or stepped clock begins.")
@click.option(
    "--linger",
    "linger_s",
    type=DURATION,
    metavar="DURATION",
    help="Real time a stepped clock waits after a frame before it jumps [20ms; embedded: 0].",
)
@click.option(
    "--one-numbering",
    is_flag=True,
    help="One transaction id at two stations is doubled; else only at one.",
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
    plan = replace(_plan(file, url, seed, group_flags), one_numbering=one_numbering)
    if start is not None and clock.kind == "wall":
        raise click.UsageError("--start needs --clock xN or --clock stepped: real time cannot be chosen")
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
    click.echo(f"{run.fleet.planned} stations, seed {run.plan.seed}.")
    run.endings += [_said, lambda run, snapshot: outputs.finish(outcome_of(run, snapshot))]
    async with controlled(run.fleet, control, token):
        with watching.watched(run.fleet, run.for_s) as viewer:
            run.viewers.append(viewer)
            snapshot = await run.run()
    return max(ending(run, snapshot) for ending in run.endings)


def _said(run: Run[Any], snapshot: Snapshot) -> int:
    for line in summary(run, snapshot):
        click.echo(line)
    return 0 if run.fleet.accepted and not run.fleet.skipped else 1
