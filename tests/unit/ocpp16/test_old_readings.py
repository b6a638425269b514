"""A meter that is read now and then, or falls silent: no value is told as of a moment when nobody read it.

OCPP 1.6 §3.16, §7.33: a MeterValue is one instant's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chargepoint.ocpp16.times import parse_time
from hal.api import EvseInfo, MeterReading, MeterUnavailable
from hal.simulated.evse import SimulatedEvse
from tests.unit.ocpp16.bench import START, Bench

TRUSTED_S = 10.0


class PolledMeter(SimulatedEvse):
    """A connector whose meter was read at the last multiple of `every_s`, until it is `silent`."""

    every_s = 1.0
    silent = False
    newest: MeterReading | None = None

    def reading(self) -> MeterReading:
        fresh = super().reading()
        if not self.silent:
            read_at = fresh.time - (fresh.time - START) % self.every_s
            if self.newest is None or read_at > self.newest.time:
                self.newest = replace(fresh, time=read_at)
        assert self.newest is not None
        if fresh.time - self.newest.time > max(TRUSTED_S, 5 * self.every_s):
            raise MeterUnavailable("silent")
        return self.newest


class Metered(Bench):
    def evse(self, connector: int, info: EvseInfo) -> PolledMeter:
        return PolledMeter(info, self.clock)

    @property
    def meter(self) -> PolledMeter:
        found = self.evses[0]
        assert isinstance(found, PolledMeter)
        return found


def charging(keys: dict[str, str], every_s: float = 1.0) -> Metered:
    bench = Metered(ocpp=keys)
    bench.meter.every_s = every_s
    bench.connect()
    bench.plug_in()
    bench.swipe("TAG")
    return bench


def told(bench: Bench, context: str) -> list[tuple[float, str]]:
    """When, since the start of all, and the register."""
    values: list[dict[str, Any]] = [
        value for payload in bench.sent("MeterValues") for value in payload["meterValue"]
    ]
    return [
        (parse_time(value["timestamp"]) - START, value["sampledValue"][0]["value"])
        for value in values
        if value["sampledValue"][0]["context"] == context
    ]


STREAMS = {"Sample.Periodic": "MeterValueSampleInterval", "Sample.Clock": "ClockAlignedDataInterval"}
streams = pytest.mark.parametrize("context", STREAMS)


@streams
def test_a_meter_that_is_read_each_second_fills_the_grid(context: str) -> None:
    bench = charging({STREAMS[context]: "5"})
    bench.advance(20.4)
    assert [at for at, _ in told(bench, context)] == [5, 10, 15, 20]


@streams
def test_what_was_read_before_the_silence_is_told_once_and_as_of_then(context: str) -> None:
    bench = charging({STREAMS[context]: "5"})
    bench.advance(6.4)
    bench.meter.reading()
    bench.meter.silent = True
    bench.advance(30)
    assert [at for at, _ in told(bench, context)] == [5, 6]
    bench.meter.silent = False
    bench.advance(10)
    assert [at for at, _ in told(bench, context)] == [5, 6, 40, 45]


@streams
def test_what_was_told_on_the_grid_is_not_told_again_while_the_meter_is_silent(context: str) -> None:
    bench = charging({STREAMS[context]: "5"})
    bench.advance(5.2)
    bench.meter.silent = True
    bench.advance(30)
    assert [at for at, _ in told(bench, context)] == [5]


@streams
def test_a_meter_that_is_seldom_read_tells_when(context: str) -> None:
    bench = charging({STREAMS[context]: "25"}, every_s=60.0)
    bench.advance(210.0)
    found = told(bench, context)
    # 25 and 50 have nothing but the reading at the start, 120 and 180 were read just then.
    assert [at for at, _ in found] == [60, 120, 180]
    assert len({register for _, register in found}) == len(found)


def test_a_trigger_gets_the_newest_with_its_own_moment() -> None:
    bench = charging({"MeterValueSampleInterval": "0"})
    bench.advance(20)
    bench.meter.reading()
    bench.meter.silent = True
    bench.advance(8.0)
    assert bench.call("TriggerMessage", {"requestedMessage": "MeterValues"}) == {"status": "Accepted"}
    bench.advance(0)
    assert [at for at, _ in told(bench, "Trigger")] == [20]
