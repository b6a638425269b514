"""What a Modbus line costs: one read, and the share of a core that a station with two connectors needs."""

from __future__ import annotations

from tests.bench.figures import Figures
from tests.bench.processes import run_json

MOST_PERCENT = 5.0


def test_polling_four_devices_takes_a_twentieth_of_a_core(figures: Figures) -> None:
    found = run_json("tests.bench.modbus_polling", "30")
    figures.add("Modbus read of 18 registers, unpaced", "round trip", "ms", found["unpaced_ms"])
    figures.add("Modbus read of 18 registers, 9600 baud", "round trip", "ms", found["at_9600_ms"])
    share = figures.add("2 meters, 2 controllers, 9600 baud", "CPU of one core", "%", found["cpu_percent"])
    assert found["failures"] == 0
    assert share < MOST_PERCENT
