"""`chargepoint fleet`: run many stations; print an example, check a fleet's file, print its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chargepoint.cli.lazy import Lazy, LazyGroup
from chargepoint.errors import ConfigError

if TYPE_CHECKING:
    from chargepoint.cli.tables import Row
    from chargepoint.fleet.plan.plan import Group, Plan

__all__ = ["fleet"]


_LAZY = {
    "run": Lazy(
        "chargepoint.cli.fleet_run:fleet_run", "Run a fleet at your central system or an embedded one."
    ),
    "merge": Lazy("chargepoint.cli.fleet_merge:fleet_merge", "Judge shards that ran apart together."),
}


_EXAMPLES = """\
\b
Examples:
  chargepoint fleet run --csms ws://localhost:9000/ocpp --count 1000
  chargepoint fleet example > fleet.yaml
  chargepoint fleet check fleet.yaml
  chargepoint fleet run fleet.yaml
"""


@click.group(cls=LazyGroup, lazy=_LAZY, epilog=_EXAMPLES)
def fleet() -> None:
    """Many stations at once: who they are, what their drivers do, what the central system makes of it."""


@fleet.command()
def example() -> None:
    """Print a commented fleet's file to start from."""
    from chargepoint.fleet.plan.example import example

    click.echo(example(), nl=False)


@fleet.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> int:
    """Check FILES and list all mistakes, else the groups.

    The exit code is 1 if there are mistakes. `sessions a day` are those to expect on an average day.
    """
    from chargepoint.fleet.plan.file import load
    from chargepoint.fleet.plan.planning import plan_from

    mistakes = 0
    for file in files:
        try:
            plan = plan_from(load(file, warn=lambda text: click.echo(f"warning: {text}", err=True)))
        except ConfigError as error:
            mistakes += len(error.problems)
            for problem in error.problems:
                click.echo(problem, err=True)
        else:
            _summarize(file, plan)
    return 1 if mistakes else 0


@fleet.command()
@click.option(
    "--of",
    type=click.Choice(["fleet", "behaviour", "template"]),
    default="fleet",
    help="Which kind of file [a fleet's].",
)
def schema(of: str) -> None:
    """Print a JSON Schema of a fleet's file, or of another, for editors."""
    from chargepoint.fleet.people.schema import schema as behaviour_schema
    from chargepoint.fleet.plan.schema import schema, template_schema

    made = {"fleet": schema, "behaviour": behaviour_schema, "template": template_schema}[of]()
    click.echo(json.dumps(made, indent=2))


@fleet.command()
def templates() -> None:
    """List the types of station there are."""
    from chargepoint.cli import tables
    from chargepoint.fleet.plan.template import load_template, template_names

    found = [load_template(name) for name in template_names()]
    tables.show([[{"template": one.name, "what it is": one.title} for one in found]], ())


@fleet.command()
def behaviours() -> None:
    """List the ways drivers behave there are."""
    from chargepoint.cli import tables
    from chargepoint.fleet.people.behaviour import Behaviour, behaviour_names

    found = [Behaviour.load(name) for name in behaviour_names()]
    rows = [{"behaviour": one.name, "what happens": one.description.partition(".")[0]} for one in found]
    tables.show([rows], ())


def _summarize(file: Path, plan: Plan) -> None:
    from chargepoint.cli import tables

    word = "group" if len(plan.groups) == 1 else "groups"
    click.echo(
        f"{file}: good; {plan.count:,} stations in {len(plan.groups)} {word}, "
        f"all started after {_spoken(plan.count / plan.ramp_per_s)}"
    )
    tables.show([[_row(group) for group in plan.groups]], ("stations", "sessions a day"))


def _row(group: Group) -> Row:
    from chargepoint.fleet.plan.identities import Numbering
    from chargepoint.fleet.plan.shipped import sessions_a_day

    numbering = Numbering(group.identities, group.count, group.first_number)
    first, last = numbering[0], numbering[-1]
    return {
        "group": group.name,
        "stations": f"{group.count:,}",
        "identities": first if group.count == 1 else f"{first} .. {last}",
        "template": group.template or "plain",
        "behaviour": group.behaviour,
        "sessions a day": f"{sessions_a_day(group.behaviour, group.config) * group.count:,.0f}",
    }


def _spoken(duration_s: float) -> str:
    if duration_s < 120:
        return f"{duration_s:.0f} s"
    return f"{duration_s / 60:.0f} min" if duration_s < 7200 else f"{duration_s / 3600:.1f} h"
