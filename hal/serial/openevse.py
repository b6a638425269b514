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
from dataclasses import replace
from typing import TYPE_CHECKING

from hal.api import AC_MINIMUM_A, Clock, Evse, Fault, FaultKind, PilotState, Unsupported
from hal.device import (
    Capability,
    ControllerInfo,
    ControllerStatus,
    DeviceClosed,
    DeviceRefused,
    EnergyMeter,
    MeterSnapshot,
)
from hal.modbus.register_hygiene import EnergyRegister, KnownEnergy
from hal.serial.rapi import Answer, Rapi
from hal.serial.settings import SerialSettings

if TYPE_CHECKING:
    from hal.registry import ConnectorSpec

FORCED_OPEN_S = 6.0
"""A vehicle that goes on drawing after the pilot went steady is cut off after this (IEC 61851-1)."""

LONGEST_SUPERVISION_S = 65
"""The firmware multiplies by 1000 in 16 bits on its AVR."""

_PILOTS = {1: PilotState.A, 2: PilotState.B, 3: PilotState.C, 4: PilotState.D}
_SLEEPING, _DISABLED = 0xFE, 0xFF
_CLOSED, _CONNECTED, _HARD_FAULT = 0x0040, 0x0100, 0x0002
_LOCKS = {0x4000: "SB", 0x0008: "S4 0"}  # flags of firmware built to wait for its master, and what ends it
_FAULTS = {
    0x05: Fault(FaultKind.PILOT, info="vehicle's diode is missing", vendor_code="05"),
    0x06: Fault(FaultKind.GROUND, info="residual current detection tripped", vendor_code="06"),
    0x07: Fault(FaultKind.GROUND, info="no protective earth", vendor_code="07"),
    0x08: Fault(FaultKind.WELDED, info="contactor is stuck", vendor_code="08"),
    0x09: Fault(FaultKind.GROUND, info="residual current detection failed its test", vendor_code="09"),
    0x0A: Fault(FaultKind.OVER_TEMPERATURE, info="controller is too hot", vendor_code="0A"),
    0x0B: Fault(FaultKind.OVER_CURRENT, info="vehicle draws more than offered", vendor_code="0B"),
    0x0E: Fault(FaultKind.NOT_CLOSING, info="contactor does not close", vendor_code="0E"),
}
_ABSENT = -2560  # a temperature sensor that is not there
_MISSED_PULSE, _ACKNOWLEDGE = 2, 165
_RATED_V = 240.0  # for what its energy register can have counted

_log = logging.getLogger("hal")


class _State:
    """The answer to $GS."""

    __slots__ = ("code", "flags", "signalled")

    def __init__(self, answer: Answer) -> None:
        if not answer.accepted:
            raise DeviceRefused("OpenEVSE does not tell its state")
        self.code = answer.number(0, 16)
        self.signalled = answer.number(2, 16)
        self.flags = answer.number(3, 16)

    @property
    def enabled(self) -> bool:
        return self.code in _PILOTS or self.code == 0

    @property
    def closed(self) -> bool:
        return bool(self.flags & _CLOSED)

    @property
    def connected(self) -> bool:
        return bool(self.flags & _CONNECTED)

    @property
    def pilot(self) -> PilotState:
        if self.code == _DISABLED:
            return PilotState.F
        known = _PILOTS.get(self.code) or _PILOTS.get(self.signalled)
        return known or (PilotState.B if self.connected else PilotState.A)

    @property
    def faults(self) -> tuple[Fault, ...]:
        if self.enabled or self.code in (_SLEEPING, _DISABLED):
            return ()
        why = "reports a hard fault" if self.flags & _HARD_FAULT else "is in a state nobody knows"
        unknown = Fault(
            FaultKind.INTERNAL, info=f"controller {why} ({self.code:02X})", vendor_code=f"{self.code:02X}"
        )
        return (_FAULTS.get(self.code, unknown),)


class OpenEvse:
    """One controller. It is supervised: without a pulse for `supervision_s` it offers 6 A at most.

    `changed` is called when it says by itself that something is different, also after a person used its
    button. `safe_current_a` is what `close` leaves behind.
    """

    def __init__(
        self, rapi: Rapi, clock: Clock, *, supervision_s: int = 30, safe_current_a: float = 0.0
    ) -> None:
        self._rapi = rapi
        self._clock = clock
        self._supervision_s = supervision_s
        self._safe_current_a = safe_current_a
        self._info: ControllerInfo | None = None
        self._available = True
        self._wanted_a = 0  # what it was told to offer last
        self._open_until: float | None = None  # when the contactor has to be open after a pause
        self._closed = False
        self._ready = asyncio.Event()
        self.changed: Callable[[], None] = lambda: None
        rapi.news = self._news

    def __str__(self) -> str:
        return str(self._rapi)

    @property
    def info(self) -> ControllerInfo:
        if self._info is None:
            raise DeviceClosed(f"{self}: not open")
        return self._info

    async def open(self) -> None:
        version = await self._rapi.open()
        state = _State(await self._rapi.ask("GS"))
        if not state.faults and state.code != _SLEEPING:
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

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            if self._info is not None and self._safe_current_a:
                await self.set_limit(self._safe_current_a)
            elif self._info is not None:
                await self._switch_off()
        except Exception:
            pass  # silent or refusing: nobody is left to be told, and its supervision goes on
        finally:
            self._rapi.close()

    async def status(self) -> ControllerStatus:
        state = _State(await self._rapi.ask("GS"))
        if await self._see_to_the_contactor(state):
            state = _State(await self._rapi.ask("GS"))
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
        if not math.isfinite(current_a) or current_a < 0 or 0 < current_a < AC_MINIMUM_A:
            raise ValueError(f"{current_a:g} A: a pilot offers 0 or {AC_MINIMUM_A:g} A and more")
        amperes = math.floor(min(current_a, self.info.max_current_a) + 1e-6)
        state = _State(await self._rapi.ask("GS"))
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
        elif _State(await self._rapi.ask("GS")).code == _DISABLED:
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

    async def set_lock(self, wanted: bool) -> None:
        raise Unsupported(f"{self}: no lock")

    async def switch_phases(self, phases: int) -> None:
        raise Unsupported(f"{self}: no phase switch")

    async def interrupt_pilot(self, seconds: float) -> None:
        raise Unsupported(f"{self}: the pilot cannot be interrupted")

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

    async def _pause(self, state: _State) -> None:
        self._wanted_a = 0
        if state.enabled:
            await self._must("FS")
            if self._open_until is None:
                self._open_until = self._clock.now() + FORCED_OPEN_S

    async def _see_to_the_contactor(self, state: _State) -> bool:
        """A paused controller waits for the vehicle as long as it takes; cut off one that does not let go.

        True if something was done about it.
        """
        if state.code == _DISABLED and self._available and not state.closed:
            await self._must("FS")  # cut off before: the vehicle may be seen again
            return True
        if state.code != _SLEEPING or not state.closed:
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
        await self._pause(_State(await self._rapi.ask("GS")))
        for _ in range(5):
            state = _State(await self._rapi.ask("GS"))
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


class OpenEvseMeter:
    """The controller's own ammeter and energy counter, on its port; single phase.

    The voltage is a constant in the controller unless it has a voltmeter. Its total counts whole sessions
    when they end, so that one under way is added.
    """

    def __init__(
        self, rapi: Rapi, controller: OpenEvse, clock: Clock, *, known: KnownEnergy | None = None
    ) -> None:
        self._rapi = rapi
        self._controller = controller
        self._clock = clock
        self._known = known
        self._register: EnergyRegister | None = None

    def __str__(self) -> str:
        return f"meter of {self._rapi}"

    async def open(self) -> None:
        """Waits for the controller, whose port it is."""
        await self._controller.ready()
        if self._register is None:
            most_w = self._controller.info.max_current_a * _RATED_V
            self._register = EnergyRegister(most_w, known=self._known)

    async def close(self) -> None: ...

    async def read(self) -> MeterSnapshot:
        if self._register is None:
            raise DeviceClosed(f"{self}: not open")
        state = _State(await self._rapi.ask("GS"))
        energy = await self._asked("GU")
        flow = await self._asked("GG")
        now = self._clock.now()
        session_wh, total_wh = energy.number(0) / 3600.0, float(energy.number(1))
        told_ma, told_mv = flow.number(0), flow.number(1)
        current_a = None if told_ma < 0 else told_ma / 1000.0
        voltage_v = None if told_mv <= 0 else told_mv / 1000.0
        power_w = None if current_a is None or voltage_v is None else current_a * voltage_v
        wh = self._register.feed(total_wh + (session_wh if state.connected else 0.0), power_w, now)
        if wh is None:
            raise DeviceRefused(f"{self}: its energy leapt to {total_wh:g} and {session_wh:g} Wh")
        return MeterSnapshot(
            read_at=now,
            import_wh=wh,
            offset_wh=self._register.offset_wh,
            power_w=power_w,
            current_a=(current_a,),
            voltage_v=(voltage_v,),
        )

    async def _asked(self, body: str) -> Answer:
        answer = await self._rapi.ask(body)
        if not answer.accepted:
            raise DeviceRefused(f"{self}: refuses ${body}")
        return answer


def prepare_openevse(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
    """The connector that an OpenEVSE holds, with its own meter (`driver: controller`) or one on a bus."""
    from hal.polled_drivers import meter_of, polled, take_polling

    settings, polling = take_polling(spec)
    own = SerialSettings("evse", {"driver": spec.evse["driver"], **settings})
    port = own.text("port", "the serial port (ls /dev/serial/by-id)")
    timeout_s = own.number("timeout_s", 0.4, 0.05, 0.5)
    supervision_s = own.whole("supervision_s", 30, 5, LONGEST_SUPERVISION_S)
    own.finish()
    rapi = Rapi(port, timeout_s=timeout_s)
    controller = OpenEvse(rapi, clock, supervision_s=supervision_s, safe_current_a=polling.safe_current_a)
    meter: EnergyMeter | None
    if spec.meter.get("driver") == "controller":
        SerialSettings("meter", spec.meter).finish()
        meter = OpenEvseMeter(rapi, controller, clock, known=spec.known)
    else:
        meter = meter_of(spec, clock)

    def opened() -> Evse:
        evse = polled(replace(spec.info, lockable=False), clock, polling, controller, meter)
        controller.changed = evse.look_soon
        return evse

    return opened
