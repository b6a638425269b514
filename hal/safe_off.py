"""Brings the hardware of a configuration into its safe state without the program that runs it.

For the time after a crash, a kill or a hang: every device is opened anew, told, and let go. It never waits
long: what does not answer is reported.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol, cast

from hal.api import DeviceError, FaultKind
from hal.clock import WallClock
from hal.connector_spec import ConnectorSpec
from hal.registry import open_evse

WITHIN_S = 3.0
"""What each device gets; devices on one line come one after the other."""

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one connector, numbered from 1; `problem` is None if it is safe."""

    connector: int
    device: str
    problem: str | None = None


class _Polled(Protocol):
    """What the connectors behind a bus have besides `hal.api.Evse`."""

    fed: Callable[[], None]

    async def released(self) -> None: ...


def safe_off(specs: Sequence[ConnectorSpec], *, within_s: float = WITHIN_S) -> list[Outcome]:
    """Every connector's contactor open, or at its `safe_current_a`. Blocks; call it outside of any loop.

    It works in a thread that is left behind if a device blocks it, so that the caller always gets on.
    """
    outcomes = [Outcome(n, _device(spec), "hangs") for n, spec in enumerate(specs, 1)]

    def work() -> None:
        with suppress(Exception):  # each device's own problem is in its outcome
            asyncio.run(_all(specs, outcomes, within_s))

    thread = threading.Thread(target=work, name="safe-off", daemon=True)
    thread.start()
    longest = max((len(line) for line in _lines(specs)), default=0)
    thread.join((within_s + 1.0) * longest + 2.0)
    return list(outcomes)


async def _all(specs: Sequence[ConnectorSpec], outcomes: list[Outcome], within_s: float) -> None:
    async def line(numbers: list[int]) -> None:
        for n in numbers:
            outcomes[n] = await _one(n + 1, specs[n], within_s)

    await asyncio.gather(*(line(numbers) for numbers in _lines(specs)))


async def _one(number: int, spec: ConnectorSpec, within_s: float) -> Outcome:
    problem = None
    try:
        async with asyncio.timeout(within_s):
            problem = await _way(spec)(spec)
    except TimeoutError:
        problem = f"did not answer within {within_s:g} s"
    except (DeviceError, ValueError, OSError) as error:
        problem = str(error)
    except Exception as error:  # a driver's mistake must not keep the next device from being told
        problem = repr(error)
    return Outcome(number, _device(spec), problem)


def _way(spec: ConnectorSpec) -> Callable[[ConnectorSpec], Awaitable[str | None]]:
    return {"simulated": _nothing, "relay": _relay}.get(str(spec.evse.get("driver")), _controller)


async def _nothing(spec: ConnectorSpec) -> str | None:
    return None


async def _relay(spec: ConnectorSpec) -> str | None:
    from hal.gpio.connector import relay_of

    relay = relay_of(spec, WallClock())
    try:
        await relay.open()
        await relay.switch(False)
        await asyncio.sleep(0.1)
        return "the mirror contact says closed" if await relay.feedback() else None
    finally:
        await relay.close()


async def _controller(spec: ConnectorSpec) -> str | None:
    """A controller's driver tells it 0 A when it opens, and what it leaves behind when it closes.

    Without its meter, which may be dead and would be waited for on the same line.
    """
    evse = open_evse(replace(spec, meter={"driver": "none"}), WallClock())
    polled = cast(_Polled, evse)
    answered = asyncio.Event()
    polled.fed = answered.set
    stays_on = float(spec.evse.get("safe_current_a", 0) or 0) > 0
    try:
        while not answered.is_set() or (evse.closed and not stays_on):
            await asyncio.sleep(_POLL_S)
    except asyncio.CancelledError:
        if answered.is_set():
            return "was told 0 A, but the contactor is still closed"
        lost = [fault.info for fault in evse.faults if fault.kind is FaultKind.COMMUNICATION]
        if lost:
            return lost[0]
        raise
    finally:
        evse.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await polled.released()
    return None


def _lines(specs: Sequence[ConnectorSpec]) -> list[list[int]]:
    """The connectors by the line their devices share."""
    lines: dict[object, list[int]] = {}
    for n, spec in enumerate(specs):
        place = spec.evse.get("port") or spec.evse.get("host") or n
        lines.setdefault(place, []).append(n)
    return list(lines.values())


def _device(spec: ConnectorSpec) -> str:
    where = next((spec.evse[key] for key in ("port", "host", "pin") if key in spec.evse), None)
    driver = str(spec.evse.get("driver"))
    return driver if where is None else f"{driver} at {where}"
