"""Commands that are imported when they run: what a user is told when the import finds something else."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

import scenarios
from chargepoint.cli.lazy import Lazy, LazyGroup


def test_another_package_of_the_name_is_named() -> None:
    """A project may have a folder `scenarios` of its own, which is found first under `python -m`."""
    group = LazyGroup(lazy={"there": Lazy("scenarios.nothing_here:command", "not there")})
    with pytest.raises(click.ClickException) as raised:
        group.get_command(click.Context(group), "there")
    assert str(Path(scenarios.__path__[0])) in raised.value.message


def test_other_modules_that_are_missing_are_our_own_mistake() -> None:
    group = LazyGroup(lazy={"there": Lazy("chargepoint.nothing_here:command", "not there")})
    with pytest.raises(ModuleNotFoundError):
        group.get_command(click.Context(group), "there")
