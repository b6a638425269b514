"""What all tests share: how hard properties are searched, and the mark of measurements."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

BENCH = Path(__file__).parent / "bench"

# Every run of the ordinary tests tries the same cases, so that a failure is the change's and not luck's.
settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("campaign", settings.get_profile("ci"), derandomize=False, max_examples=5_000)
settings.load_profile("campaign" if os.environ.get("CAMPAIGN") == "1" else "ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything under tests/bench, so that no ordinary run measures."""
    for item in items:
        if BENCH in item.path.parents:
            item.add_marker(pytest.mark.bench)


def pytest_collection_finish() -> None:
    """What collecting made stays to the end: who counts objects or looks for garbage need not walk it."""
    gc.collect()
    gc.freeze()
