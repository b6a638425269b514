"""A central system in a process of its own that is rude now and then, and afterwards tells what it has.

Run as `python -m tests.integration.fleet.rude_csms SEED EVERY_S OFFENCES`; prints its URL. To each line that
it reads it answers with a line of JSON: to `polite` that it is rude no longer, to anything else with its
transactions.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import resource
import sys

from chargepoint.csms.central_system import CentralSystem

ACTIONS = (
    "Authorize",
    "Heartbeat",
    "MeterValues",
    "StartTransaction",
    "StatusNotification",
    "StopTransaction",
)
LATE_S = 2.0


def offend(csms: CentralSystem, chance: random.Random, offences: list[str]) -> None:
    """Do one of them wrong: drop its link, refuse what it says next, delay the answer or ignore it."""
    there = [station.identity for station in csms.stations() if station.connected]
    if not there:
        return
    cp, action = chance.choice(there), chance.choice(ACTIONS)
    match chance.choice(offences):
        case "drop":
            csms.drop(cp)
        case "refuse":
            csms.set_answer(action, cp, error="InternalError", times=1)
        case "delay":
            csms.set_answer(action, cp, delay_s=LATE_S, times=1)
        case "ignore":
            csms.set_answer(action, cp, silent=True, times=1)


async def be_rude(csms: CentralSystem, chance: random.Random, every_s: float, offences: list[str]) -> None:
    """Again and again."""
    while True:
        await asyncio.sleep(chance.expovariate(1 / every_s))
        offend(csms, chance, offences)


def transactions(csms: CentralSystem) -> list[list[object]]:
    """The fields of `accounts.Booked`."""
    return [
        [
            one.cp,
            one.transaction_id,
            None if one.start is None else one.start["timestamp"],
            None if one.start is None else one.start["meterStart"],
            None if one.stop is None else one.stop["meterStop"],
            [stop["meterStop"] for stop in one.distinct_stops],
        ]
        for one in csms.transactions()
    ]


async def main(seed: int, every_s: float, offences: list[str]) -> None:
    """Serve until standard input ends."""
    gc.set_threshold(10_000, 50, 50)
    async with CentralSystem(seed=seed, quick=True, meter_values_kept=1, ping_interval_s=None) as csms:
        print(csms.url, flush=True)
        rude = asyncio.create_task(be_rude(csms, random.Random(seed), every_s, offences))
        while line := await asyncio.to_thread(sys.stdin.readline):
            if line.strip() == "polite":
                rude.cancel()
                for action in ACTIONS:
                    for station in csms.stations():
                        csms.set_answer(action, station.identity)
                print(json.dumps(True), flush=True)
            else:
                print(json.dumps(transactions(csms)), flush=True)


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3].split(",")))
