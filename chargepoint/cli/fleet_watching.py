"""How `chargepoint fleet run` is watched: the live view or lines, metrics on request, and Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import click
from rich.console import Console

from chargepoint.cli.fleet_lines import Lines
from chargepoint.cli.fleet_steering import Keyboard, Steered
from chargepoint.cli.fleet_view import FleetView
from chargepoint.cli.running import catch_signals, say
from chargepoint.cli.words import Printer
from chargepoint.errors import ConfigError
from chargepoint.fleet.measures.snapshot import Snapshot

Command = TypeVar("Command", bound=Callable[..., Any])

LOOPBACK = "127.0.0.1"


class AddressType(click.ParamType[tuple[str, int]]):
    """[HOST:]PORT, on this machine unless a host is named."""

    name = "address"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not port.isascii() or not port.isdigit() or int(port) > 65_535:
            self.fail(f"{value!r} is no address: write 9100, or 0.0.0.0:9100 for other machines", param, ctx)
        return host or LOOPBACK, int(port)


class Watched(Steered, Protocol):
    """A fleet that says what is strange, and can be ended."""

    on_notice: Callable[[str], None]

    def stop(self) -> None:
        """End in good order."""


@dataclass(frozen=True, slots=True)
class Watching:
    """What was asked for on the command line."""

    plain: bool = False
    metrics: tuple[str, int] | None = None

    @contextlib.contextmanager
    def watched(self, fleet: Watched, for_s: float | None) -> Iterator[Callable[[Snapshot], None]]:
        """A viewer for a fleet that is about to run; at its end the terminal and the port are free again.

        Raises `ConfigError` if metrics cannot be served there.
        """
        with contextlib.ExitStack() as stack:
            viewers: list[Callable[[Snapshot], None]] = []
            if self.metrics is not None:
                viewers.append(stack.enter_context(_metrics(*self.metrics)))
            lines = Lines(fleet, Printer(fleet.stop))
            view: FleetView | None = None

            def interrupted() -> None:
                # Before the end, so that a second signal finds the terminal as it was.
                if view is not None:
                    view.settle()
                say("ending in good order; Ctrl-C again ends at once")
                fleet.stop()

            catch_signals(interrupted)
            if self.plain or not _on_terminal():
                fleet.on_notice = say
                viewers.append(lines)
            else:
                view = FleetView(fleet, Console(), lines, for_s=for_s, keyboard=_keyboard())
                fleet.on_notice = view.note
                viewers.append(view)
                stack.enter_context(view.shown())

            def show(snapshot: Snapshot) -> None:
                for viewer in viewers:
                    viewer(snapshot)

            yield show


def _on_terminal() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


def _keyboard() -> int | None:
    """Where keys are pressed; None: nowhere, or by somebody whose foreground job we are not."""
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    return descriptor if Keyboard.usable(descriptor) else None


@contextlib.contextmanager
def _metrics(host: str, port: int) -> Iterator[Callable[[Snapshot], None]]:
    from chargepoint.fleet.measures.metrics import Metrics

    try:
        metrics = Metrics(host, port)
    except OSError as error:
        problem = f"--metrics {host}:{port}: cannot listen there: {error.strerror or error}"
        raise ConfigError([problem]) from error
    say(f"metrics: {metrics.url}")
    try:
        yield metrics
    finally:
        metrics.close()


def watching_options(command: Command) -> Command:
    """The flags, whose values `Watching` takes in the order of its fields."""
    for option in (
        click.option(
            "--metrics",
            type=AddressType(),
            metavar="[HOST:]PORT",
            help="Serve metrics for Prometheus there [on this machine only, unless a HOST is named].",
        ),
        click.option("--plain", is_flag=True, help="Plain lines also on a terminal."),
    ):
        command = option(command)
    return command
