"""What a CALL costs: MeterValues with five values on a real socket, ours against `ocpp` over `websockets`."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figures
from tests.bench.loops import LOOPS
from tests.bench.processes import run_json

ROUNDS = 5
CALLS = 3000
MOST = 0.25
"""The most of the package's CPU time that a round trip of ours may take."""

OURS = ("station", "station reading its meter")


@pytest.mark.parametrize("count", [1, 100], ids=["one", "hundred"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_round_trip_takes_a_quarter_of_the_packages_cpu_time(
    loop: str, count: int, sink: str, figures: Figures
) -> None:
    spent: dict[str, list[float]] = {client: [] for client in ("plain", *OURS)}
    for _ in range(ROUNDS):
        for client, costs in spent.items():
            found = run_json("tests.bench.round_trips", client, loop, sink, str(count), str(CALLS))
            costs.append(found["cpu_us"])
    note = f"{loop}, {count} at once"
    for client, costs in spent.items():
        figures.add(f"{client}, {note}", "CPU per round trip", "us", *costs)
    ratios = {
        client: figures.add(
            f"{client}, {note}",
            "CPU per round trip, of plain's",
            "",
            *(ours / plain for ours, plain in zip(spent[client], spent["plain"], strict=True)),
        )
        for client in OURS
    }
    assert all(ratio <= MOST for ratio in ratios.values()), ratios
