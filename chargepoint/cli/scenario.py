"""`chargepoint scenario`: run charging stories, check and list them, print their schema."""

from __future__ import annotations

import json

import click

from chargepoint.cli.lazy import Lazy, LazyGroup
from chargepoint.errors import ConfigError

__all__ = ["scenario"]


_LAZY = {
    "run": Lazy(
        "chargepoint.cli.scenario_run:run_command",
        "Run scenarios at your central system or an embedded one; a verdict for each.",
    ),
    "replay": Lazy("chargepoint.cli.scenario_replay:replay_command", "Play a recorded station's side again."),
    "from-trace": Lazy(
        "chargepoint.cli.scenario_replay:from_trace_command", "Make a scenario of a recorded trace."
    ),
}


_EXAMPLES = """\
\b
Examples:
  chargepoint scenario run story.yaml
  chargepoint scenario run stories/ --csms ws://localhost:9000/ocpp --junit result.xml
  chargepoint scenario run library:charging
  chargepoint scenario list --tag offline
  chargepoint scenario check stories/
"""


@click.group(cls=LazyGroup, lazy=_LAZY, epilog=_EXAMPLES)
def scenario() -> None:
    """Charging stories in files: written once, run in seconds, with a verdict (docs/scenarios.md)."""


@scenario.command()
@click.argument("names", nargs=-1, required=True, metavar="FILE|DIR|library:NAME...")
@click.option(
    "--set", "variables", multiple=True, metavar="NAME[=VALUE]", help="A variable that the run will be given."
)
def check(names: tuple[str, ...], variables: tuple[str, ...]) -> int:
    """Check scenarios and list all mistakes with line and column; exit code 1 if there are any."""
    from scenarios.collection import collected
    from scenarios.model import load

    mistakes = 0
    given = [variable.partition("=")[0] for variable in variables]
    for name in collected(names):
        try:
            found = load(name, warn=lambda text: click.echo(f"warning: {text}", err=True), given=given)
        except ConfigError as error:
            mistakes += len(error.problems)
            for problem in error.problems:
                click.echo(problem, err=True)
        else:
            click.echo(f"{name}: good: {found.title}")
    return 1 if mistakes else 0


@scenario.command()
def schema() -> None:
    """Print a JSON Schema of scenarios, for editors."""
    from scenarios.schema import schema

    click.echo(json.dumps(schema(), indent=2))


@scenario.command("list")
@click.argument("names", nargs=-1, metavar="[FILE|DIR|library:NAME...]")
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", help="Only those with this tag; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON, with what each is for.")
def list_command(names: tuple[str, ...], tags: tuple[str, ...], as_json: bool) -> int:
    """List scenarios with their tags: the shipped ones, or those named."""
    from scenarios.collection import LIBRARY, collected
    from scenarios.model import load

    rows = []
    for name in collected(names or (LIBRARY,)):
        found = load(name, given=None)
        if set(tags) <= set(found.file.tags):
            rows.append((name, found))
    if as_json:
        every = [
            {"name": name, "title": one.title, "why": one.file.why, "tags": list(one.file.tags)}
            for name, one in rows
        ]
        click.echo(json.dumps(every, indent=2))
    else:
        width = max((len(name) for name, _ in rows), default=0)
        for name, one in rows:
            click.echo(f"{name:<{width}}  {one.title}  [{', '.join(one.file.tags)}]")
    return 0
