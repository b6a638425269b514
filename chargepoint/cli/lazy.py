"""Groups of commands that are imported only when they run, so that the rest answers at once."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import click

__all__ = ["Lazy", "LazyGroup"]


class Lazy(NamedTuple):
    """Where a command is, and what its group says about it."""

    target: str  # module:attribute
    about: str


class LazyGroup(click.Group):
    """A group whose commands are those of `lazy`, before those it is given as any group is."""

    def __init__(self, *arguments: Any, lazy: Mapping[str, Lazy], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._lazy, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        found = _load(self._lazy[cmd_name].target)
        assert isinstance(found, click.Command), cmd_name
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        about = {name: lazy.about for name, lazy in self._lazy.items()}
        about |= {name: command.get_short_help_str(80) for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(list(about.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            close = get_close_matches(args[0], known, n=1, cutoff=0.0)
            ctx.fail(f"There is no command {args[0]!r}; did you mean {close[0]!r}?")
        return super().resolve_command(ctx, args)


@cache
def _load(target: str) -> object:
    """What `target` names. What modules make stays: to look for garbage in it is a third of the start."""
    module, _, attribute = target.partition(":")
    gc.disable()
    try:
        return getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "scenarios":
            raise
        there = import_module("scenarios").__path__
        raise click.ClickException(
            f"another package called scenarios is found first, {there[0]}: "
            "leave its folder, or take it out of PYTHONPATH"
        ) from None
    finally:
        gc.freeze()
        gc.enable()
