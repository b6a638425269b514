"""What every unit test is checked for without asking for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def legal_statuses() -> Iterator[None]:
    """No station on a bench went from one status to another in a way OCPP 1.6 §4.9 does not know."""
    yield
    bench = sys.modules.get("tests.unit.ocpp16.bench")
    if bench is not None:
        made, bench.Bench.made[:] = list(bench.Bench.made), []
        assert [problem for one in made for problem in one.illegal_statuses()] == []
