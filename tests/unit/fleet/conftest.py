"""Every bench is taken down after its test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.ocpp16.bench import Bench


@pytest.fixture(autouse=True)
def benches_end() -> Iterator[None]:
    yield
    for bench in Bench.made:
        bench.cp.close()
    Bench.made.clear()
