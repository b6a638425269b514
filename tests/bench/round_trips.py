"""A client process that sends MeterValues again and again and tells what CPU time each round trip cost it.

Run as `python -m tests.bench.round_trips CLIENT LOOP URL COUNT CALLS`; prints one JSON object. COUNT clients
share CALLS round trips; each makes one after the other and all do so at the same time.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from chargepoint.config import StationConfig
from chargepoint.fleet.fleet import COLLECTOR, fleet_clock
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.observer import StationObserver
from chargepoint.station import assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from hal.api import Clock
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import vehicle_from
from tests.bench.loops import run, until

WARM_UP = 300
OCPP = {
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage,SoC",
    "MeterValueSampleInterval": "0",
}

Trips = Callable[[int], Awaitable[None]]
"""Makes that many round trips, each after the answer to the one before."""

Values = list[dict[str, Any]]


def cpu_s() -> float:
    """CPU time of this process, all threads, user and system."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# --- the package alone ------------------------------------------------------------------------------


async def plain(url: str, identity: str, end: AsyncExitStack) -> Trips:
    """`ocpp` over `websockets`, as their documentations show it; schemas are checked, as by default."""
    from ocpp.v16 import ChargePoint, call
    from websockets.asyncio.client import connect
    from websockets.typing import Subprotocol

    values: Values = [
        {"measurand": "Energy.Active.Import.Register", "value": "123456", "unit": "Wh"},
        {"measurand": "Power.Active.Import", "value": "7360.0", "unit": "W"},
        {"measurand": "Current.Import", "value": "32.00", "unit": "A", "phase": "L1"},
        {"measurand": "Voltage", "value": "230.1", "unit": "V", "phase": "L1-N"},
        {"measurand": "SoC", "value": "54", "unit": "Percent", "location": "EV"},
    ]
    sampled = [{"context": "Sample.Periodic", **value} for value in values]
    connection = connect(url + identity, subprotocols=[Subprotocol("ocpp1.6")])
    charge_point = ChargePoint(identity, await end.enter_async_context(connection))
    end.callback(asyncio.create_task(charge_point.start()).cancel)

    async def trips(count: int) -> None:
        for _ in range(count):
            meter_value = {"timestamp": "2026-03-29T14:05:00.000Z", "sampled_value": sampled}
            await charge_point.call(
                call.MeterValues(connector_id=1, transaction_id=12345, meter_value=[meter_value])
            )

    return trips


# --- our station ------------------------------------------------------------------------------------


class Charging:
    """A station as a fleet has it, with one transaction whose readings go out as fast as they are answered.

    `reads_meter`: each round trip begins with a reading of the simulated meter, else with five given values.
    """

    def __init__(self, type: StationType, url: str, identity: str, reads_meter: bool, clock: Clock) -> None:
        self.station = assemble(type, MemoryStore(), clock, clock, url=url, identity=identity, seed=1)
        self.reads_meter = reads_meter
        self.left = 0
        self.done: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Connect, boot, plug in, swipe, and wait until all of that is said."""
        evse = self.station.evses[0]
        assert isinstance(evse, SimulatedEvse)
        self.station.start()
        charge_point = self.charge_point = self.station.charge_point
        connector = self.connector = charge_point.connectors[1]
        await until(lambda: charge_point.accepted)
        evse.plug_in(vehicle_from({"wake_s": 0.0}))
        self.station.tag_presented("04E12345", None)
        await until(lambda: connector.transaction is not None and connector.transaction.csms_id is not None)
        await until(lambda: charge_point.outbox.idle and evse.closed)
        assert connector.transaction is not None
        self.key = connector.transaction.key
        self.given = self.measured()
        assert len(self.given[0]["sampledValue"]) == 5
        self.loop = asyncio.get_running_loop()
        self.proven, charge_point.on_proven = charge_point.on_proven, self.answered

    def measured(self) -> Values:
        """What the meter says now."""
        payload = self.charge_point.meter_values.fresh(self.connector)
        assert payload is not None
        values: Values = payload["meterValue"]
        return values

    def trip(self) -> None:
        """A turn as a due sample is one: recorded, committed, rendered, checked, sent."""
        values = self.measured() if self.reads_meter else self.given
        with self.charge_point.turn:
            self.charge_point.outbox.record("meter", self.key, {"connector": 1, "values": values})

    def answered(self) -> None:
        """A valid answer came: if it ends a trip, the next one begins when this turn is over."""
        self.proven()
        outstanding = self.charge_point.session.outstanding
        if outstanding is None or outstanding.action != "MeterValues":
            return
        self.left -= 1
        if self.left:
            self.loop.call_soon(self.trip)
        elif self.done is not None:
            self.done.set_result(None)

    async def trips(self, count: int) -> None:
        """See `Trips`."""
        self.left, self.done = count, self.loop.create_future()
        self.trip()
        await self.done


def stations(
    reads_meter: bool, observer: StationObserver | None = None
) -> Callable[[str, str, AsyncExitStack], Awaitable[Trips]]:
    """Stations of one type."""
    type = StationType(
        StationConfig.model_validate({"connectors": [{"phases": 1, "cable": "tethered"}], "ocpp": OCPP}),
        observer=observer,
    )

    clocks: list[Clock] = []  # one for all, once there is a loop

    async def station(url: str, identity: str, end: AsyncExitStack) -> Trips:
        if not clocks:
            clocks.append(fleet_clock())
            gc.set_threshold(*COLLECTOR)  # as a fleet does
        charging = Charging(type, url, identity, reads_meter, clocks[0])
        await charging.start()
        end.push_async_callback(charging.station.link.closed)
        end.callback(charging.station.close)
        return charging.trips

    return station


CLIENTS: dict[str, Callable[[str, str, AsyncExitStack], Awaitable[Trips]]] = {
    "plain": plain,
    "station": stations(reads_meter=False),
    "station reading its meter": stations(reads_meter=True),
    "counted station reading its meter": stations(reads_meter=True, observer=Statistics()),
}


async def main(client: str, url: str, count: int, calls: int) -> dict[str, float]:
    """CPU time of a round trip in microseconds."""
    async with AsyncExitStack() as end:
        make = CLIENTS[client]
        clients = await asyncio.gather(*(make(url, f"CP{number:03d}", end) for number in range(count)))
        await asyncio.gather(*(trips(max(WARM_UP // count, 1)) for trips in clients))
        gc.collect()
        before = cpu_s()
        await asyncio.gather(*(trips(calls // count) for trips in clients))
        return {"cpu_us": (cpu_s() - before) / calls * 1e6}


if __name__ == "__main__":
    name, loop, address, number, total = sys.argv[1:]
    print(json.dumps(run(main(name, address, int(number), int(total)), loop)))
