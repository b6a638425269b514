"""One trial: frames at a station in some state; the judge sees its answers, a clock its processor time."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from typing import Any

from tests.fuzz import judge
from tests.unit.ocpp16.bench import Bench

HANG_S = 1.0


class Found(AssertionError):
    """The station did something wrong."""


class Slow(Found):
    """It took longer than it may; once, that may be the machine."""


def idle() -> Bench:
    """Accepted, nothing plugged in."""
    bench = Bench(2)
    bench.connect()
    return bench


def charging() -> Bench:
    """A transaction runs on connector 1."""
    bench = idle()
    bench.charge()
    return bench


def pending() -> Bench:
    """The central system has not decided yet: it may ask, the station may not."""
    bench = Bench(2)
    bench.csms.answers["BootNotification"] = lambda payload: {
        "status": "Pending",
        "currentTime": "2026-01-01T00:00:00Z",
        "interval": 3600,
    }
    bench.connect()
    return bench


def busy() -> Bench:
    """A CALL of the station waits for its answer, and meter values queue up behind it."""
    bench = charging()
    bench.csms.answers["MeterValues"] = lambda payload: None
    bench.advance(61)
    return bench


STATES: dict[str, Callable[[], Bench]] = {
    "idle": idle,
    "charging": charging,
    "pending": pending,
    "busy": busy,
}


def put(bench: Bench, raw: bytes) -> list[Any]:
    """Hand one message to the station and return its answers."""
    before = len(bench.csms.frames)
    gc.disable()  # it would walk through all that the search itself keeps
    started = time.process_time()
    with bench.cp.turn:
        bench.cp.session.receive(raw)
    took_s = time.process_time() - started
    gc.enable()
    bench.clock.advance(0)
    sent = [frame for way, frame in bench.csms.frames[before:] if way == "tx"]
    if bench.errors:
        raise Found(f"{raw[:300]!r}: {bench.errors[0]!r}") from bench.errors[0]
    if took_s > HANG_S:
        raise Slow(f"{raw[:300]!r}: took {took_s:.1f} s")
    for frame in sent:
        if frame[0] == 2 and (wrong := judge.wrong_call(frame)):
            raise Found(f"after {raw[:300]!r}: {wrong}")
    answers = [frame for frame in sent if frame[0] != 2]
    if bench.cp.overrides is None and answers and answers[0][0] == 4 and answers[0][2] == "InternalError":
        raise Found(f"{raw[:300]!r}: InternalError")
    return answers


def twice_if_slow(trial: Callable[[], None]) -> None:
    """A machine that stands still is charged to whoever runs on it; what hangs does so again."""
    try:
        trial()
    except Slow:
        trial()


def run(make: Callable[[], Bench], messages: list[bytes]) -> None:
    """Raise `Found` if the station answers one of the messages wrongly, or not at all, or breaks."""
    twice_if_slow(lambda: _run(make(), messages))


def _run(bench: Bench, messages: list[bytes]) -> None:
    for raw in messages:
        if silent(bench):
            break  # a Reset takes the station down; what it says then is nobody's business
        answers = put(bench, raw)
        if wrong := judge.problem(raw, answers):
            raise Found(f"{raw[:300]!r}: {wrong}")
        bench.clock.advance(1)
        if bench.errors:
            raise Found(f"soon after {raw[:300]!r}: {bench.errors[0]!r}") from bench.errors[0]
    bench.clock.advance(10)
    if not silent(bench):
        alive = put(bench, b'[2,"alive","GetConfiguration",{"key":["HeartbeatInterval"]}]')
        if not alive or alive[0][0] != 3:
            raise Found(f"after {[raw[:100] for raw in messages]}: the station is dead: {json.dumps(alive)}")
    bench.cp.close()


def silent(bench: Bench) -> bool:
    """The station is going down, or has no link."""
    return bench.cp.connectors.going_down or not bench.cp.session.online
