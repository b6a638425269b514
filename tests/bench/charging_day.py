"""A process in which one station charges for hours on a stepped clock, and tells how fast these pass.

Run as `python -m tests.bench.charging_day WHERE LOOP HOURS`; prints one JSON object. WHERE: memory (a central
system of Python objects, no socket), embedded (the one that comes with the station, in the same process, over
a socket), or the URL of another one, to which the clock gives no time to react.
"""

from __future__ import annotations

import json
import sys
import time

from chargepoint.config import StationConfig
from chargepoint.csms.central_system import CentralSystem
from chargepoint.station import assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from hal.clock import SteppedClock, WallClock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import vehicle_from
from tests.bench.loops import run, until
from tests.bench.stations import START
from tests.unit.ocpp16.bench import Bench

HOUR_S = 3600.0
OCPP = {"MeterValueSampleInterval": "60"}
ENDLESS_WH = 2_000_000.0
"""A battery that is not full before the day is over."""


def in_memory(hours: float) -> dict[str, float]:
    """No socket, no loop, no central system to speak of."""
    bench = Bench(ocpp=OCPP)
    bench.connect()
    bench.charge()
    bench.evses[0].adjust(battery_wh=ENDLESS_WH, soc_percent=0)
    before, sent = time.perf_counter(), len(bench.sent("MeterValues"))
    bench.advance(hours * HOUR_S)
    return figures(hours, time.perf_counter() - before, len(bench.sent("MeterValues")) - sent)


async def over_a_socket(where: str, hours: float) -> dict[str, float]:
    """As `chargepoint run --clock stepped --linger 0` does it."""
    clock = SteppedClock(START)
    csms = CentralSystem(seed=1, clock=clock) if where == "embedded" else None
    if csms is not None:
        await csms.start()
    station = assemble(
        StationType(StationConfig(ocpp=OCPP)),
        MemoryStore(),
        clock,
        WallClock(),
        url=where if csms is None else csms.url,
        seed=1,
    )
    evse = station.evses[0]
    assert isinstance(evse, SimulatedEvse)
    station.start()
    charge_point = station.charge_point
    await until(lambda: charge_point.accepted)
    evse.plug_in(vehicle_from({"battery_wh": ENDLESS_WH}), 0)
    station.tag_presented("04E12345", None)
    await clock.run_until(clock.now() + 60)
    assert evse.closed
    before, sent = time.perf_counter(), charge_point.outbox.last
    await clock.run_until(clock.now() + hours * HOUR_S)
    took_s = time.perf_counter() - before
    samples = charge_point.outbox.last - sent
    station.close()
    await station.link.closed()
    if csms is not None:
        await csms.stop()
    return figures(hours, took_s, samples)


def figures(hours: float, took_s: float, samples: int) -> dict[str, float]:
    """Station hours per second; every minute must have had its sample, or it was not a charging day."""
    assert samples >= hours * 60 - 1, samples
    return {"hours_per_s": hours / took_s}


async def main(where: str, hours: float) -> dict[str, float]:
    """Where it is to be measured decides what is."""
    return in_memory(hours) if where == "memory" else await over_a_socket(where, hours)


if __name__ == "__main__":
    print(json.dumps(run(main(sys.argv[1], float(sys.argv[3])), sys.argv[2])))
