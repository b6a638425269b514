"""A process full of stations that tells what each of them costs: to boot, to hold, and while it charges.

Run as `python -m tests.bench.fleet.crowd CLIENT URL COUNT RAMP STATE SECONDS [CA]`; prints one JSON object.
CLIENT: fleet or plain. RAMP: stations per second. STATE: idle, with the heartbeat that the central system
asks for; charging, with together 1,000 MeterValues per second; or charging:S, each of them every S seconds.
SECONDS: how long that is looked at.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from chargepoint.config import StationConfig
from chargepoint.fleet.fleet import COLLECTOR, Fleet, fleet_clock
from chargepoint.fleet.measures.ledger import Ledger
from chargepoint.fleet.measures.statistics import Statistics
from chargepoint.fleet.plan.plan import Group, Plan
from tests.bench.fleet.plain import PlainStation
from tests.bench.loops import LOOPS, run
from tests.bench.memory import resident_bytes

WARM_UP = 100
SAMPLES_PER_S = 1000
MEASURANDS = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage,SoC"
CHARGING = Path(__file__).with_name("all_day.yaml")
AT_ONCE = 50


class Crowd(Protocol):
    """Stations that live by themselves once started."""

    def begin(self) -> None:
        """Start the ramp."""

    def booted(self) -> int:
        """How many are accepted and have told their statuses."""

    def charging(self) -> int:
        """How many charge, and the central system knows."""

    def meter_values(self) -> int:
        """How many of these were answered."""

    def heartbeats(self) -> int:
        """How many were sent."""

    def complaints(self) -> dict[str, Any]:
        """What should not have happened."""


class Ours:
    """As `chargepoint fleet run` has it: behaviour, statistics and ledger included."""

    def __init__(
        self, url: str, count: int, ramp: float, sample_s: int | None, ca: str | None, prefix: str
    ) -> None:
        csms = {"tls": {"ca": Path(ca)}} if ca else {}
        ocpp = {"MeterValuesSampledData": MEASURANDS, "MeterValueSampleInterval": str(sample_s or 0)}
        connectors = [{"phases": 1, "cable": "tethered"}]
        config = StationConfig.model_validate(
            {"csms": csms, "ocpp": ocpp, "connectors": connectors, "storage": None}
        )
        group = Group(
            "bench",
            count,
            prefix + "{n:06d}",
            config,
            behaviour=str(CHARGING) if sample_s else "idle",
            urls=(url,),
        )
        plan = Plan((group,), 1, ramp)
        self.count = count
        self.statistics = Statistics(Ledger())
        clock = fleet_clock()
        self.fleet = Fleet(
            plan,
            clock=clock,
            wire=clock,
            url=lambda member: url,
            statistics=self.statistics,
            ledger=self.statistics.ledger,
        )

    def begin(self) -> None:
        self.task = asyncio.create_task(self.fleet.run(None))

    def booted(self) -> int:
        if self.statistics.booted < self.count:
            return self.statistics.booted
        return sum(
            one.booted and one.station.charge_point.outbox.idle for one in self.fleet.residents.values()
        )

    def charging(self) -> int:
        return sum(entry.phase == "confirmed" for entry in self.statistics.ledger)

    def meter_values(self) -> int:
        figures = self.statistics.actions.get("MeterValues")
        return 0 if figures is None else figures.answered

    def heartbeats(self) -> int:
        figures = self.statistics.actions.get("Heartbeat")
        return 0 if figures is None else figures.sent

    def complaints(self) -> dict[str, Any]:
        boots = self.statistics.actions["BootNotification"]
        return {
            "connections refused": self.statistics.connect_failures.total(),
            "links lost": self.statistics.lost_links.total(),
            "boots sent again": boots.sent - self.count,
            "errors": sum(figures.failed for figures in self.statistics.actions.values()),
            "said": self.fleet.complaints.total(),
        }


class Plain:
    """The package alone, as many of it."""

    def __init__(
        self, url: str, count: int, ramp: float, sample_s: int | None, ca: str | None, prefix: str
    ) -> None:
        self.stations = [PlainStation(url, f"{prefix}{n:06d}", sample_s or 0) for n in range(count)]
        self.ramp = ramp
        self.charges = sample_s is not None

    def begin(self) -> None:
        self.task = asyncio.create_task(self._start())

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as group:
            for number, station in enumerate(self.stations):
                await asyncio.sleep(max(0.0, began + number / self.ramp - loop.time()))
                group.create_task(station.live())
                if self.charges:
                    station.charge()

    def booted(self) -> int:
        return sum(station.accepted for station in self.stations)

    def charging(self) -> int:
        return sum(station.charging for station in self.stations)

    def meter_values(self) -> int:
        return sum(station.meter_values for station in self.stations)

    def heartbeats(self) -> int:
        return sum(station.heartbeats for station in self.stations)

    def complaints(self) -> dict[str, Any]:
        return {"errors": 0}  # the first one ends it


def sampled_each_s(state: str, count: int) -> int | None:
    """How often each samples its meter; None: it charges nothing."""
    if not state.startswith("charging"):
        return None
    return int(state.partition(":")[2] or max(1, count // SAMPLES_PER_S))


CROWDS: dict[str, Any] = {"fleet": Ours, "plain": Plain}


async def ready(crowd: Any, count: int, charges: bool) -> None:
    """Until all of them are there and have nothing more to say."""
    async with asyncio.timeout(180):
        while (crowd.charging() if charges else crowd.booted()) < count:
            if crowd.task.done():
                await crowd.task
            await asyncio.sleep(0.25)


async def main(
    client: str, url: str, count: int, ramp: float, state: str, seconds: float, ca: str | None
) -> dict[str, Any]:
    """Fill the process and look."""
    charges = state != "idle"
    gc.set_threshold(*COLLECTOR)
    first = CROWDS[client](url, WARM_UP, 100.0, sampled_each_s(state, WARM_UP), ca, "W")
    first.begin()
    await ready(first, WARM_UP, charges)
    gc.collect()
    crowd = CROWDS[client](url, count, ramp, sampled_each_s(state, count), ca, "CP")
    before, cpu, began = resident_bytes(), time.process_time(), time.monotonic()
    crowd.begin()
    await ready(crowd, count, charges)
    found: dict[str, Any] = {
        "cpu_us": (time.process_time() - cpu) / count * 1e6,
        "took_s": time.monotonic() - began,
        "heartbeats": crowd.heartbeats() / count,
    }
    await asyncio.sleep(seconds / 4)
    cpu, began, answered = time.process_time(), time.monotonic(), crowd.meter_values()
    await asyncio.sleep(seconds)
    spent, passed = time.process_time() - cpu, time.monotonic() - began
    found["us_per_station_s"] = spent / passed / (count + WARM_UP) * 1e6
    if charges:
        found["trips"] = crowd.meter_values() - answered
        found["us_per_trip"] = spent / found["trips"] * 1e6 * count / (count + WARM_UP)
    found["complaints"] = crowd.complaints()
    gc.collect()
    found["rss_bytes"] = resident_bytes()
    found["bytes"] = (found["rss_bytes"] - before) / count
    return found


def descriptors() -> None:
    """As many as there may be."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    descriptors()
    kind, address, number, per_s, state, looked_at_s = sys.argv[1:7]
    authority = sys.argv[7] if len(sys.argv) > 7 else None
    print(
        json.dumps(
            run(
                main(kind, address, int(number), float(per_s), state, float(looked_at_s), authority),
                LOOPS[-1],
            )
        ),
        flush=True,
    )
    os._exit(0)
