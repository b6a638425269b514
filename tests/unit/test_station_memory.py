"""What an idle station holds in memory: ten thousand of them live in one process."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from tests.bench.stations import Park

COUNT = 300
MOST_BYTES = 12 * 1024


@pytest.mark.parametrize("registered", [False, True], ids=["assembled", "registered"])
def test_an_idle_station_without_a_socket_fits_into_12_kib(registered: bool) -> None:
    park = Park()
    park.assemble(20, registered=registered)  # these also bring what all that follow share
    gc.collect()
    tracemalloc.start()
    try:
        park.assemble(COUNT, registered=registered)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert all(station.charge_point.accepted == registered for station in park.stations)
    assert held / COUNT < MOST_BYTES
