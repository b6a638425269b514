"""OpenEVSE: a controller with pilot, contactor, residual current detection and often an ammeter, over RAPI.

Nothing is written to its EEPROM but the supervision, which it stores only when that is different: currents
are set with `V`. Pausing is `$FS`, since `$SC 0` means 6 A there. `$SC .. M`, which can never be undone, is
not used.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from hal.api import Clock, Unsupported
from hal.controller import Controller, check_offer
from hal.device import Capability, ControllerInfo, ControllerStatus, DeviceRefused
from hal.serial.openevse_state import DISABLED, SLEEPING, State
from hal.serial.rapi import Answer, Rapi

FORCED_OPEN_S = 6.0
"""A vehicle that goes on drawing after the pilot went steady is cut off after this (IEC 61851-1)."""

LONGEST_SUPERVISION_S = 65
"""The firmware multiplies by 1000 in 16 bits on its AVR."""

_LOCKS = {0x4000: "SB", 0x0008: "S4 0"}  # flags of firmware built to wait for its master, and what ends it
_ABSENT = -2560  # a temperature sensor that is not there
_MISSED_PULSE, _ACKNOWLEDGE = 2, 165

_log = logging.getLogger("hal")


class OpenEvse(Controller):
    """One controller. It is supervised: without a pulse for `supervision_s` it offers 6 A at most.

    `changed` is called when it says by itself that something is different, also after a person used its
    button. `safe_current_a` is what `close` leaves behind.
    """

    def __init__(
        self, rapi: Rapi, clock: Clock, *, supervision_s: int = 30, safe_current_a: float = 0.0
    ) -> None:
        super().__init__(clock, safe_current_a)
        self._rapi = rapi
        self._supervision_s = supervision_s
        self._available = True
        self._wanted_a = 0  # what it was told to offer last
        self._open_until: float | None = None  # when the contactor has to be open after a pause
        self._ready = asyncio.Event()
        self.changed: Callable[[], None] = lambda: None
        rapi.news = self._news

    def __str__(self) -> str:
        return str(self._rapi)

    async def open(self) -> None:
        version = await self._rapi.open()
        state = State(await self._rapi.ask("GS"))
        if not state.faults and state.code != SLEEPING:
            await self._must("FS")
        capacity = await self._must("GC")
        capabilities = Capability.STATE_F | Capability.RCD
        amperes = max(6, math.floor(self._safe_current_a))
        if (await self._rapi.ask(f"SY {self._supervision_s} {amperes}")).accepted:
            capabilities |= Capability.WATCHDOG
        else:
            _log.warning("%s: its firmware has no supervision: if this program dies, its offer stays", self)
        if await self._temperature_c() is not None:
            capabilities |= Capability.TEMPERATURE
        self._info = ControllerInfo(
            vendor="OpenEVSE",
            model="OpenEVSE",
            capabilities=capabilities,
            min_current_a=float(capacity.number(0)),
            max_current_a=float(
                min(capacity.number(1), capacity.number(3) if len(capacity.words) > 3 else 80)
            ),
            phases=1,
            firmware_version=" ".join(version.words[:1]) or None,
        )
        self._ready.set()

    async def _make_safe(self) -> None:
        """Should this fail, its supervision goes on."""
        if self._safe_current_a:
            await self.set_limit(self._safe_current_a)
        else:
            await self._switch_off()

    async def _let_go(self) -> None:
        self._rapi.close()

    async def status(self) -> ControllerStatus:
        state = State(await self._rapi.ask("GS"))
        if await self._see_to_the_contactor(state):
            state = State(await self._rapi.ask("GS"))
        return ControllerStatus(
            read_at=self._clock.now(),
            pilot=state.pilot,
            offered_a=await self._capacity_a() if state.enabled else 0.0,
            closed=state.closed,
            phases=1,
            temperature_c=await self._temperature_c() if self._has(Capability.TEMPERATURE) else None,
            faults=state.faults,
        )

    async def set_limit(self, current_a: float) -> float:
        """Whole amperes, rounded down; below what the controller can do it is paused.

        A controller with a fault is left to itself: its contactor is open, and told to sleep it would forget
        why.
        """
        check_offer(current_a)
        amperes = math.floor(min(current_a, self.info.max_current_a) + 1e-6)
        state = State(await self._rapi.ask("GS"))
        if amperes < self.info.min_current_a:
            await self._pause(state)
            return 0.0
        if not self._available:
            raise DeviceRefused(f"{self}: is out of use")
        if state.faults:
            raise DeviceRefused(f"{self}: {state.faults[0].info}")
        self._wanted_a, self._open_until = amperes, None
        await self._rapi.ask(f"SC {amperes} V")  # a no names the current it has now, and that is read back
        offered_a = await self._capacity_a()
        if offered_a > amperes:
            await self._pause(state)
            raise DeviceRefused(f"{self}: offers {offered_a:g} A when told {amperes} A")
        for flag, unlock in _LOCKS.items():
            if state.flags & flag:
                await self._must(unlock)
        if not state.enabled:
            await self._must("FE")
        return offered_a

    async def set_available(self, available: bool) -> None:
        self._available = available
        if not available:
            self._wanted_a, self._open_until = 0, None
            await self._must("FD")
        elif State(await self._rapi.ask("GS")).code == DISABLED:
            await self._must("FS")

    async def feed_watchdog(self) -> None:
        if not self._has(Capability.WATCHDOG):
            return
        answer = await self._rapi.ask("SY")
        if answer.accepted and (len(answer.words) < 3 or answer.number(2) != _MISSED_PULSE):
            return
        _log.warning("%s: missed a pulse and went down to its safe current", self)
        await self._must(f"SY {_ACKNOWLEDGE}")
        if self._wanted_a:  # it goes back to the most it may, not to what it offered
            await self._rapi.ask(f"SC {self._wanted_a} V")

    async def test_rcd(self) -> bool:
        raise Unsupported(f"{self}: tests its residual current detection by itself")

    async def ready(self) -> None:
        """Wait until it has been opened."""
        await self._ready.wait()

    def _has(self, capability: Capability) -> bool:
        return capability in self.info.capabilities

    def _news(self, words: list[str]) -> None:
        if words[0] == "AB":
            _log.warning("%s: restarted (%s)", self, " ".join(words[1:]))
        self.changed()

    async def _must(self, body: str) -> Answer:
        answer = await self._rapi.ask(body)
        if not answer.accepted:
            raise DeviceRefused(f"{self}: refuses ${body}")
        return answer

    async def _pause(self, state: State) -> None:
        self._wanted_a = 0
        if state.enabled:
            await self._must("FS")
            if self._open_until is None:
                self._open_until = self._clock.now() + FORCED_OPEN_S

    async def _see_to_the_contactor(self, state: State) -> bool:
        """A paused controller waits for the vehicle as long as it takes; cut off one that does not let go.

        True if something was done about it.
        """
        if state.code == DISABLED and self._available and not state.closed:
            await self._must("FS")  # cut off before: the vehicle may be seen again
            return True
        if state.code != SLEEPING or not state.closed:
            self._open_until = None
            return False
        if self._open_until is None:
            self._open_until = self._clock.now() + FORCED_OPEN_S
        if self._clock.now() < self._open_until:
            return False
        await self._must("FD")
        return True

    async def _switch_off(self) -> None:
        """Paused with an open contactor, or disabled where the vehicle does not let go within a second."""
        await self._pause(State(await self._rapi.ask("GS")))
        for _ in range(5):
            state = State(await self._rapi.ask("GS"))
            if not state.closed or state.faults:
                return
            await asyncio.sleep(0.2)
        await self._must("FD")

    async def _capacity_a(self) -> float:
        return float((await self._must("GC")).number(2))

    async def _temperature_c(self) -> float | None:
        """Of its hottest sensor; None without one."""
        answer = await self._rapi.ask("GP")
        if not answer.accepted:
            return None
        told = [answer.number(index) for index in range(len(answer.words))]
        return max((tenths / 10.0 for tenths in told if tenths != _ABSENT), default=None)
