"""How fast time passes on a stepped clock for one station that charges and samples its meter each minute."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figures
from tests.bench.loops import LOOPS
from tests.bench.processes import run_json

ROUNDS = 3


def test_in_memory(figures: Figures) -> None:
    values = [run_json("tests.bench.charging_day", "memory", "asyncio", "240") for _ in range(ROUNDS)]
    speeds = [value["hours_per_s"] for value in values]
    assert figures.add("charging station, in memory", "station hours per second", "", *speeds) > 1


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("where", ["embedded", "sink"])
def test_over_a_socket(where: str, loop: str, sink: str, figures: Figures) -> None:
    target = sink if where == "sink" else where
    values = [run_json("tests.bench.charging_day", target, loop, "24") for _ in range(ROUNDS)]
    speeds = [value["hours_per_s"] for value in values]
    subject = f"charging station, {where} central system, {loop}"
    assert figures.add(subject, "station hours per second", "", *speeds) > 1
