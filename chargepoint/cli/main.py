"""The `chargepoint` command: finds the subcommand and turns every failure into a message and an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import click

from chargepoint.cli.lazy import Lazy, LazyGroup
from chargepoint.errors import ConfigError, StoreError

__all__ = ["COMMANDS", "command", "main", "run"]

_USAGE = 2
_INTERRUPTED = 130  # 128 + SIGINT
_UNWRITABLE = 1  # as click ends when it notices a broken pipe first


COMMANDS: Mapping[str, Lazy] = {
    "run": Lazy("chargepoint.cli.run:run", "Run a station at your central system, or at an embedded one."),
    "demo": Lazy(
        "chargepoint.cli.demo:demo", "Watch a charging session against the embedded central system."
    ),
    "fleet": Lazy(
        "chargepoint.cli.fleet:fleet", "Run thousands of stations with drivers; check a fleet's file."
    ),
    "scenario": Lazy(
        "chargepoint.cli.scenario:scenario",
        "Run charging stories with a verdict; play a recorded station again.",
    ),
    "csms": Lazy("chargepoint.cli.csms:csms", "Run the embedded central system on its own, for any station."),
    "check": Lazy(
        "chargepoint.cli.check:check", "Try the way to a central system step by step and say where it ends."
    ),
    "sessions": Lazy("chargepoint.cli.sessions:sessions", "List the charging sessions a station remembers."),
    "inspect": Lazy(
        "chargepoint.cli.inspect:inspect", "Show all a station remembers, and the limits to expect."
    ),
    "hardware": Lazy(
        "chargepoint.cli.hardware:hardware",
        "Controllers, meters, card readers: find, read, check, switch off.",
    ),
    "emulate": Lazy(
        "chargepoint.cli.emulate:emulate",
        "Be such devices, on a pseudo terminal or TCP, for tests without any.",
    ),
    "service": Lazy("chargepoint.cli.service:service", "Run a station as a service of systemd."),
    "config": Lazy("chargepoint.cli.config:config", "Print an example, check a configuration file."),
}

_EXAMPLES = """\
\b
Examples:
  chargepoint demo
  chargepoint run --csms ws://localhost:9000/ocpp --id CP001
  chargepoint run --config station.yaml
  chargepoint config example > station.yaml
"""


def _show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"chargepoint {_version()}")
        ctx.exit()


def _version() -> str:
    try:
        return metadata.version("chargepoint")
    except metadata.PackageNotFoundError:
        return "(not installed, running from its sources)"


@click.group(
    cls=LazyGroup, lazy=COMMANDS, epilog=_EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def command() -> None:
    """An OCPP 1.6-J charging station in software, for real hardware and simulated."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 found wanting, 2 wrongly asked, 130 interrupted.

    `chargepoint run` has one more, 3: it ended, and real hardware may still give current.
    `arguments` default to those of the process. A command's own integer result is its exit code.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # arrows and names may be beyond its encoding
    try:
        code = run(command, arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            click.echo(f"Error: {error}", err=True)
        # Whoever read us is gone, or the disk is full: Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _UNWRITABLE
    return code


def run(command: click.Command, arguments: Sequence[str] | None) -> int:
    """Run `command` and return its exit code; what it failed at is said on standard error."""
    try:
        result: Any = command.main(arguments, prog_name="chargepoint", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        return _USAGE
    except StoreError as error:
        click.echo(str(error), err=True)
        return _USAGE
    return result if isinstance(result, int) else 0
