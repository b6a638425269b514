"""In how many processes a fleet runs: one shard of it here, or all of them on the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import click

from chargepoint.cli.options import ClockChoice
from chargepoint.errors import ConfigError
from chargepoint.fleet.cluster.shard import COUNT_VARIABLE, INDEX_VARIABLE, shard_of
from chargepoint.fleet.plan.plan import Plan

if TYPE_CHECKING:
    from chargepoint.fleet.cluster.cluster import ClusterFleet

Command = TypeVar("Command", bound=Callable[..., Any])

REMEDY = "install the extra: pip install 'chargepoint[cluster]'"


@dataclass(frozen=True, slots=True)
class Processes:
    """What was asked for on the command line."""

    shard: int = 0
    shards: int = 1
    workers: int | None = None
    scheduler: str | None = None

    @classmethod
    def asked(cls, shard: str | None, workers: int | None, scheduler: str | None) -> Processes:
        """By the flags, and by the environment of a job if there are none. Raises `click.UsageError`."""
        if workers is not None or scheduler is not None:
            if shard is not None:
                raise click.UsageError("--shard is one process by itself; --workers and --scheduler are many")
            return cls(workers=workers, scheduler=scheduler)
        try:
            return cls(*shard_of(shard, os.environ))
        except ValueError as error:
            flag = f"{COUNT_VARIABLE} of the environment" if shard is None else "--shard"
            raise click.UsageError(f"{flag}: {error}") from None

    @property
    def many(self) -> bool:
        """There is a cluster."""
        return self.workers is not None or self.scheduler is not None

    def check(self, plan: Plan, clock: ClockChoice, *, controlled: bool) -> None:
        """Raise `ConfigError` for what does not go together."""
        embedded = any(not group.urls for group in plan.groups)
        problems = []
        if embedded and self.shards > 1:
            problems.append("--shard needs --csms: each shard would have a central system of its own")
        if embedded and self.scheduler is not None:
            problems.append("--scheduler needs --csms: its workers cannot reach an embedded central system")
        if self.many and clock.kind == "stepped":
            problems.append("--clock stepped jumps in one process only: leave --workers and --scheduler out")
        if self.many and controlled:
            problems.append("--control is for one process only: leave --workers and --scheduler out")
        if self.many and (missing := _missing()) is not None:
            problems.append(f"--workers and --scheduler need dask.distributed ({missing}): {REMEDY}")
        if self.shards > plan.count:
            problems.append(f"--shard: {plan.count} stations are too few for {self.shards} shards")
        if problems:
            raise ConfigError(problems)

    def cluster(
        self, plan: Plan, clock: ClockChoice, start: float | None, url: Callable[[], str | None]
    ) -> ClusterFleet:
        """The fleet of many processes."""
        from chargepoint.fleet.cluster.cluster import ClusterFleet

        return ClusterFleet(
            plan,
            workers=self.workers,
            scheduler=self.scheduler,
            url=url,
            factor=clock.factor if clock.kind == "scaled" else None,
            start=start,
        )


def _missing() -> str | None:
    try:
        import_module("distributed")
    except ImportError as error:
        return str(error)
    return None


def processes_options(command: Command) -> Command:
    """The flags, whose values `Processes.asked` takes."""
    for option in (
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Run on the Dask cluster of this scheduler, such as tcp://HOST:8786.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(1, 1000),
            metavar="N",
            help="Run in N processes; with --scheduler: in N shards [as many as it has workers].",
        ),
        click.option(
            "--shard",
            metavar="I/N",
            help=f"Run the stations of one of N shards only, from 0/N on; auto/N: by {INDEX_VARIABLE}.",
        ),
    ):
        command = option(command)
    return command
