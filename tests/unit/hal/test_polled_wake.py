"""A vehicle that sleeps beside an offer is woken once, by a controller that can (IEC 61851-1, annex A)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from hal.api import NOTHING, EvseInfo, Limit, PilotState
from hal.clock import ScaledClock
from hal.device import Capability, ControllerInfo, ControllerStatus
from hal.polled import PolledEvse
from tests.jumping_loop import run_jumping

pytestmark = pytest.mark.emulated

CAN_WAKE = Capability.PILOT_INTERRUPT | Capability.WATCHDOG


class Sleeper:
    """A controller with a vehicle in state B; counts how often it was woken and its watchdog was fed."""

    def __init__(self, clock: ScaledClock, capabilities: Capability) -> None:
        self.info = ControllerInfo("", "", capabilities, 6.0, 32.0, 3)
        self.pilot = PilotState.B
        self.offered_a = 16.0
        self.woken_at: list[float] = []
        self.fed = 0
        self._clock = clock

    async def open(self) -> None:
        self.offered_a = 0.0

    async def close(self) -> None: ...

    async def status(self) -> ControllerStatus:
        return ControllerStatus(self._clock.now(), self.pilot, self.offered_a)

    async def set_limit(self, current_a: float) -> float:
        self.offered_a = current_a
        return current_a

    async def set_available(self, available: bool) -> None: ...

    async def feed_watchdog(self) -> None:
        self.fed += 1

    async def set_lock(self, wanted: bool) -> None: ...

    async def switch_phases(self, phases: int) -> None: ...

    async def interrupt_pilot(self, seconds: float) -> None:
        self.woken_at.append(self._clock.now())

    async def test_rcd(self) -> bool:
        return True


Story = Callable[[PolledEvse, Sleeper, ScaledClock], None]


def play(capabilities: Capability, *steps: tuple[float, Story]) -> Sleeper:
    """Let each step happen and so many seconds pass after it."""

    async def run() -> Sleeper:
        clock = ScaledClock(1.0, 0.0)
        sleeper = Sleeper(clock, capabilities)
        evse = PolledEvse(EvseInfo(), sleeper, None, clock)
        await evse.opened()
        for seconds, step in steps:
            step(evse, sleeper, clock)
            await asyncio.sleep(seconds)
        evse.close()
        await evse.released()
        assert sleeper.offered_a == 0
        return sleeper

    return run_jumping(run())


def offer(evse: PolledEvse, sleeper: Sleeper, clock: ScaledClock) -> None:
    evse.permit(Limit(10.0))


def withdraw(evse: PolledEvse, sleeper: Sleeper, clock: ScaledClock) -> None:
    evse.permit(NOTHING)


def fall_asleep_again(evse: PolledEvse, sleeper: Sleeper, clock: ScaledClock) -> None:
    sleeper.pilot = PilotState.B


def awake(evse: PolledEvse, sleeper: Sleeper, clock: ScaledClock) -> None:
    sleeper.pilot = PilotState.C


@pytest.mark.parametrize(
    ("capabilities", "steps", "times"),
    [
        (CAN_WAKE, [(20.0, offer)], 0),
        (CAN_WAKE, [(120.0, offer)], 1),
        (CAN_WAKE, [(120.0, withdraw)], 0),
        (CAN_WAKE, [(60.0, offer), (20.0, withdraw), (60.0, offer)], 2),
        (CAN_WAKE, [(20.0, offer), (10.0, awake), (60.0, fall_asleep_again)], 0),
        (Capability.NONE, [(120.0, offer)], 0),
    ],
    ids=["in time", "once", "no offer", "once an offer", "full", "cannot"],
)
def test_it_is_woken_after_30_s_once_an_offer(
    capabilities: Capability, steps: list[tuple[float, Story]], times: int
) -> None:
    sleeper = play(capabilities, *steps)
    assert len(sleeper.woken_at) == times
    assert all(moment >= 30.0 for moment in sleeper.woken_at)
    assert sleeper.fed > 5
