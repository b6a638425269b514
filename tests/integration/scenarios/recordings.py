"""Records a session of our own station at the embedded central system, on the stepped clock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chargepoint.actions import Actions
from chargepoint.config import StationConfig
from chargepoint.csms.central_system import CentralSystem
from chargepoint.recording import Recording
from chargepoint.station import assemble
from chargepoint.station_type import StationType
from chargepoint.store import MemoryStore
from chargepoint.trace import Trace
from hal.clock import SteppedClock, WallClock
from hal.simulated.vehicle import load_vehicle

START = 1_777_622_400.0  # 2026-05-01T08:00:00Z

Step = float | dict[str, Any]
"""Seconds to wait, a verb, or `{"call": ACTION, "payload": ..}` or `{"answer": ACTION, ..}` of the CSMS."""

A_SESSION: Sequence[Step] = (
    10,
    {"cmd": "plug_in", "connector": 1},
    5,
    {"cmd": "swipe", "id_tag": "TAG1"},
    200,
    {"cmd": "swipe", "id_tag": "TAG1"},
    5,
    {"cmd": "plug_out", "connector": 1},
    5,
)


def record(
    path: Path, steps: Sequence[Step] = A_SESSION, *, connectors: int = 1, ocpp: dict[str, str] | None = None
) -> Path:
    """Write the trace of a station that goes through `steps`."""
    asyncio.run(_record(path, steps, connectors, ocpp or {}))
    return path


async def _record(path: Path, steps: Sequence[Step], connectors: int, ocpp: dict[str, str]) -> None:
    clock = SteppedClock(START)
    csms = CentralSystem(seed=3, clock=clock, first_transaction_id=700)
    config = StationConfig.model_validate(
        {"identity": "CP007", "connectors": [{}] * connectors, "ocpp": ocpp, "storage": None}
    )
    async with csms:
        store = MemoryStore()
        station = assemble(StationType(config), store, clock, WallClock(), url=csms.url, seed=3)
        trace = Trace(path, "CP007")
        recording = Recording(station, trace)
        perform = recording.performing(Actions(station, load_vehicle("compact")).perform)
        station.start()
        await clock.run_until(clock.now() + 1)
        for step in steps:
            if not isinstance(step, dict):
                await clock.run_until(clock.now() + step)
            elif "cmd" in step:
                perform(step)
            elif "call" in step:
                await csms.call("CP007", step["call"], step.get("payload"))
            else:
                csms.set_answer(step["answer"], **{name: step[name] for name in step if name != "answer"})
        ended = asyncio.Event()
        station.shutdown(ended.set)
        await ended.wait()
        await station.link.closed()
        trace.close()
