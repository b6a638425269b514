"""The ammeter and the energy counter of an OpenEVSE, over RAPI on the controller's port."""

from __future__ import annotations

from hal.api import Clock
from hal.device import DeviceClosed, DeviceRefused, MeterSnapshot
from hal.modbus.register_hygiene import EnergyRegister, KnownEnergy
from hal.serial.openevse import OpenEvse
from hal.serial.openevse_state import State
from hal.serial.rapi import Answer, Rapi

_RATED_V = 240.0  # for what its energy register can have counted


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
        state = State(await self._rapi.ask("GS"))
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
