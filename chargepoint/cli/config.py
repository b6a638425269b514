"""`chargepoint config`: print an example, check files, print the schema for editors."""

from __future__ import annotations

import json
from pathlib import Path

import click

from chargepoint.errors import ConfigError

__all__ = ["config"]


@click.group()
def config() -> None:
    """Configuration files: an example, a check, a schema."""


@config.command()
def example() -> None:
    """Print a configuration file with every key, its default and what it means."""
    from chargepoint.config.example import example

    click.echo(example(), nl=False)


@config.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(files: tuple[Path, ...]) -> int:
    """Check FILES and list all mistakes with line, key and remedy; exit code 1 if there are any."""
    from chargepoint.config import load

    mistakes = 0
    for file in files:
        try:
            load(file, warn=lambda text: click.echo(f"warning: {text}", err=True))
        except ConfigError as error:
            mistakes += len(error.problems)
            for problem in error.problems:
                click.echo(problem, err=True)
        else:
            click.echo(f"{file}: good")
    return 1 if mistakes else 0


@config.command()
def schema() -> None:
    """Print a JSON Schema of the configuration file, for editors."""
    from chargepoint.config.schema import schema

    click.echo(json.dumps(schema(), indent=2))
