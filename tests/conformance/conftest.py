"""Collects how each certification case ended and writes docs/conformance.md if asked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.page import page

OPTION = "--conformance-page"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(OPTION, type=Path, help="write the page about the certification cases to this file")


class PageWriter:
    """Notes the outcome of each case; where tests run in several processes, the one that hears of them
    all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A failure in the setting-up or tidying-up counts too."""
        name = report.nodeid.rpartition("::")[2]
        if report.when == "call" or not report.passed:
            self._outcomes[name] = report.outcome

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(page(self._outcomes), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption(OPTION, None)  # without the option where pytest reads this file late
    if path is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(PageWriter(path))
