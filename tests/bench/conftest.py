"""What the measurements share: the figures of the run and the processes that are measured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.figures import Figures
from tests.bench.processes import started

FIGURES = pytest.StashKey[Figures]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make bench ARGS='--figures FILE'`."""
    parser.addoption("--figures", type=Path, metavar="FILE", help="write the measured figures as JSON, too")


def pytest_configure(config: pytest.Config) -> None:
    """One collection of figures for the run."""
    config.stash[FIGURES] = Figures()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures, also those of a run that missed its aim."""
    figures, path = config.stash[FIGURES], config.getoption("--figures", default=None)
    if figures.all:
        terminalreporter.section("figures")
        terminalreporter.write_line(figures.table())
        if path is not None:
            figures.write(path)


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Where a measurement notes what it found."""
    return pytestconfig.stash[FIGURES]


@pytest.fixture(scope="session")
def sink() -> Iterator[str]:
    """The URL of a central system in a process of its own that costs next to nothing."""
    with started("tests.bench.sink") as port:
        yield f"ws://127.0.0.1:{int(port)}/"
