"""What all tests share: how hard properties are searched, and the mark of measurements."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadGroupScheduling

TESTS = Path(__file__).parent
BENCH = TESTS / "bench"

WAIT_MOSTLY = {
    TESTS / name
    for name in (
        "e2e/test_control_ends.py",
        "e2e/test_hardware_commands.py",
        "e2e/test_readme.py",
        "integration/test_bad_central_systems.py",
        "integration/test_example_stations.py",
        "integration/test_load_management.py",
        "integration/test_power_cuts.py",
        "integration/test_real_openevse.py",
        "integration/test_rude_network.py",
        "integration/test_service_watchdog.py",
        "integration/test_whole_station.py",
    )
}
"""Files whose tests wait for real time, or for programs, most of theirs, and are long."""

QUICK = ("tests/unit/", "tests/conformance/")

# Every run of the ordinary tests tries the same cases, so that a failure is the change's and not luck's.
settings.register_profile(
    "ci", derandomize=True, deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("campaign", settings.get_profile("ci"), derandomize=False, max_examples=5_000)
settings.load_profile("campaign" if os.environ.get("CAMPAIGN") == "1" else "ci")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all under tests/bench, so that no ordinary run measures it; let some wait while others compute."""
    for item in items:
        if BENCH in item.path.parents:
            item.add_marker(pytest.mark.bench)
    items[:] = _spread(items)


def _spread(items: list[pytest.Item]) -> list[pytest.Item]:
    """Those that wait among the first three quarters of the rest, and never in the middle of a module."""
    waiting = [item for item in items if item.path in WAIT_MOSTLY]
    rest = [item for item in items if item.path not in WAIT_MOSTLY]
    each = len(waiting) / (0.75 * len(rest) or 1)
    spread: list[pytest.Item] = []
    placed = 0
    for n, item in enumerate(rest):
        if n and item.path != rest[n - 1].path:
            due = int(n * each)
            spread += waiting[placed:due]
            placed = due
        spread.append(item)
    return spread + waiting[placed:]


class Shares(LoadGroupScheduling):
    """What is given to a worker of pytest-xdist at a time: a module of quick tests, or else one test.

    One test each costs the one who gives them out more than most of these tests take.
    """

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(QUICK) and "@" not in nodeid:
            return nodeid.partition("::")[0]
        return super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Shares:
    """Give out the tests in shares."""
    return Shares(config, log)


def pytest_collection_finish() -> None:
    """What collecting made stays to the end: who counts objects or looks for garbage need not walk it."""
    gc.collect()
    gc.freeze()
