"""A client process that sends MeterValues again and again and tells what CPU time each round trip cost it.

Run as `python -m tests.bench.round_trips CLIENT LOOP URL CALLS`; prints one JSON object.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

WARM_UP = 300
MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage,SoC"

Trips = Callable[[int], Awaitable[None]]
"""Makes that many round trips, each after the answer to the one before."""


def cpu_s() -> float:
    """CPU time of this process, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measured(trips: Trips, calls: int) -> dict[str, float]:
    """CPU and real time of a round trip in microseconds."""
    await trips(WARM_UP)
    gc.collect()
    cpu_before, before = cpu_s(), time.perf_counter()
    await trips(calls)
    cpu, real = cpu_s() - cpu_before, time.perf_counter() - before
    return {"cpu_us": cpu / calls * 1e6, "real_us": real / calls * 1e6}


# --- the package alone ------------------------------------------------------------------------------


async def plain(url: str, calls: int) -> dict[str, float]:
    """`ocpp` over `websockets`, as their documentations show it; schemas are checked, as by default."""
    from ocpp.v16 import ChargePoint, call
    from websockets.asyncio.client import connect

    values: list[dict[str, Any]] = [
        {"measurand": "Energy.Active.Import.Register", "value": "123456", "unit": "Wh"},
        {"measurand": "Power.Active.Import", "value": "7360.0", "unit": "W"},
        {"measurand": "Current.Import", "value": "32.00", "unit": "A", "phase": "L1"},
        {"measurand": "Voltage", "value": "230.1", "unit": "V", "phase": "L1-N"},
        {"measurand": "SoC", "value": "54", "unit": "Percent", "location": "EV"},
    ]
    sampled = [{"context": "Sample.Periodic", **value} for value in values]
    async with connect(url + "CP001", subprotocols=["ocpp1.6"]) as socket:  # type: ignore[list-item]
        charge_point = ChargePoint("CP001", socket)
        reading = asyncio.create_task(charge_point.start())

        async def trips(count: int) -> None:
            for _ in range(count):
                meter_value = {"timestamp": "2026-03-29T14:05:00.000Z", "sampled_value": sampled}
                request = call.MeterValues(connector_id=1, transaction_id=12345, meter_value=[meter_value])
                await charge_point.call(request)

        figures = await measured(trips, calls)
        reading.cancel()
    return figures


# --- our station ------------------------------------------------------------------------------------


async def station(url: str, calls: int, reads_meter: bool = False) -> dict[str, float]:
    """A station as a fleet has it: recorded, rendered, checked both ways, sent; one charging transaction.

    `reads_meter`: each round trip begins with a reading of the simulated meter, else with five given values.
    """
    from chargepoint.config import StationConfig
    from chargepoint.station import StationType, assemble
    from chargepoint.store import MemoryStore
    from hal.clock import WallClock
    from hal.simulated.evse import SimulatedEvse
    from hal.simulated.vehicle import load_vehicle

    config = StationConfig.model_validate(
        {
            "connectors": [{"phases": 1, "cable": "tethered"}],
            "ocpp": {"MeterValuesSampledData": MEASURANDS, "MeterValueSampleInterval": "0"},
        }
    )
    clock = WallClock()
    station = assemble(StationType(config), MemoryStore(), clock, clock, url=url, seed=1)
    evse = station.evses[0]
    assert isinstance(evse, SimulatedEvse)
    station.start()
    charge_point = station.charge_point
    await until(lambda: charge_point.accepted)
    evse.plug_in(load_vehicle("compact"))
    station.tag_presented("04E12345", None)
    connector = charge_point.connectors[1]
    await until(lambda: connector.transaction is not None and connector.transaction.csms_id is not None)
    await until(lambda: charge_point.outbox.idle and connector.evse.closed)
    assert connector.transaction is not None
    key, outbox, turn = connector.transaction.key, charge_point.outbox, charge_point.turn
    fresh = charge_point.meter_values.fresh(connector)
    assert fresh is not None and len(fresh["meterValue"][0]["sampledValue"]) == 5
    given = fresh["meterValue"]
    loop = asyncio.get_running_loop()
    proven = charge_point.on_proven
    left, done = 0, loop.create_future()

    def trip() -> None:
        values = given
        if reads_meter:
            measured_now = charge_point.meter_values.fresh(connector)
            assert measured_now is not None
            values = measured_now["meterValue"]
        with turn:
            outbox.record("meter", key, {"connector": 1, "values": values})

    def answered() -> None:
        nonlocal left
        proven()
        left -= 1
        if left:
            loop.call_soon(trip)
        else:
            done.set_result(None)

    async def trips(count: int) -> None:
        nonlocal left, done
        left, done = count, loop.create_future()
        trip()
        await done

    charge_point.on_proven = answered
    figures = await measured(trips, calls)
    charge_point.on_proven = proven
    station.close()
    await station.link.closed()
    return figures


async def until(true: Callable[[], bool]) -> None:
    """Wait for something to become true; only while things are set up."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


CLIENTS: dict[str, Callable[[str, int], Awaitable[dict[str, float]]]] = {
    "plain": plain,
    "station": station,
    "station reading its meter": lambda url, calls: station(url, calls, reads_meter=True),
}


async def main(client: str, url: str, calls: int) -> None:
    print(json.dumps(await CLIENTS[client](url, calls)))


if __name__ == "__main__":
    name, kind, address, count = sys.argv[1:]
    if kind == "uvloop":
        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main(name, address, int(count)))
    else:
        asyncio.run(main(name, address, int(count)))
