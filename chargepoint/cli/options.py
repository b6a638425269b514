"""Values on the command line that click has no type for: clocks, durations, moments, files to write."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from chargepoint.config.connection import check_endpoint
from chargepoint.durations import moment, seconds


@dataclass(frozen=True, slots=True)
class ClockChoice:
    """Which clock a station runs on: `wall`, `scaled` by a factor, or `stepped`."""

    kind: str
    factor: float = 1.0

    def check(self, start: float | None) -> None:
        """Raise `click.UsageError` for a --start that this clock cannot have."""
        if start is not None and self.kind == "wall":
            raise click.UsageError("--start needs --clock xN or --clock stepped: real time cannot be chosen")


class ClockType(click.ParamType[ClockChoice]):
    """wall, xN or stepped."""

    name = "wall|xN|stepped"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ClockChoice:
        if isinstance(value, ClockChoice):
            return value
        text = str(value).strip().lower()
        if text in ("wall", "stepped"):
            return ClockChoice(text)
        if text.startswith("x"):
            try:
                factor = float(text[1:])
            except ValueError:
                factor = 0.0
            if 0 < factor <= 1e6:
                return ClockChoice("scaled", factor)
        self.fail(f"{value!r} is no clock: write wall, stepped, or a speed such as x60", param, ctx)


class EndpointType(click.ParamType[str]):
    """Where a central system is; without a password, which would show in what is printed and written."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            check_endpoint(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


class DurationType(click.ParamType[float]):
    """Seconds, or numbers with units: 90, 45s, 10m, 1h30m, 2d."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        try:
            return seconds(str(value))
        except ValueError:
            self.fail(f"{value!r} is no duration: write for example 90, 45s, 10m, 1h30m or 2d", param, ctx)


class MomentType(click.ParamType[float]):
    """A date and time, RFC 3339; without an offset it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return moment(str(value))
        except ValueError:
            self.fail(f"{value!r} is no time: write for example 2026-03-29T00:30:00Z", param, ctx)


CLOCK, DURATION, ENDPOINT, MOMENT = ClockType(), DurationType(), EndpointType(), MomentType()

start_option = click.option(
    "--start", type=MOMENT, metavar="TIME", help="When a sped-up or stepped clock begins."
)
linger_option = click.option(
    "--linger",
    "linger_s",
    type=DURATION,
    metavar="DURATION",
    help="Real time a stepped clock waits after a frame before it jumps [20ms; embedded: 0].",
)


def unwritable(path: Path) -> str | None:
    """Why no file can be written there; None if it can."""
    if path.is_dir():
        return "it is a folder; name a file"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return "it may not be written"
    return None
