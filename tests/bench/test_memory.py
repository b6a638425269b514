"""What an idle station holds: one simulated connector, nothing on disk, thousands in one process."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figures
from tests.bench.loops import LOOPS
from tests.bench.processes import run_json

COUNT = 10_000
CONNECTED = 2_000
MOST_BYTES = 12 * 1024


@pytest.mark.parametrize("state", ["assembled", "registered"])
@pytest.mark.parametrize("means", ["rss", "tracemalloc"])
def test_an_idle_station_without_a_socket_fits_into_12_kib(state: str, means: str, figures: Figures) -> None:
    found = run_json("tests.bench.memory", str(COUNT), state, means, "asyncio")
    figures.add(f"{state} station of {COUNT}", f"memory by {means}", "KiB", found["bytes"] / 1024)
    if means == "rss":
        figures.add(f"{state} station of {COUNT}", "CPU until it is", "us", found["cpu_us"])
    else:
        for kind, size in found["by_kind"]:
            figures.add(f"{state} station of {COUNT}", f"- of it {kind} objects", "bytes", size)
    assert found["bytes"] < MOST_BYTES


@pytest.mark.parametrize("loop", LOOPS)
def test_what_a_connection_adds(loop: str, sink: str, figures: Figures) -> None:
    """Loop, socket object and WebSocket; what the kernel holds for a socket is not in it."""
    found = run_json("tests.bench.memory", str(CONNECTED), sink, "rss", loop)
    figures.add(f"connected station of {CONNECTED}, {loop}", "memory by rss", "KiB", found["bytes"] / 1024)
    assert found["bytes"] < 2 * MOST_BYTES
