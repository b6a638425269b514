"""A meter that measures nothing: for the bench of a controller that has no meter beside it yet."""

from __future__ import annotations

from collections.abc import Callable

from hal.api import Clock, EvseInfo
from hal.device import MeterSnapshot
from hal.simulated.meter import FREQUENCY_HZ


class SimulatedEnergyMeter:
    """Shows what a vehicle would draw that takes, per phase, all that `draws_a` says it may.

    Between two readings it draws what it drew at the first; `energy_wh` is where the register begins.
    """

    def __init__(self, info: EvseInfo, clock: Clock, *, energy_wh: float = 0.0) -> None:
        self.draws_a: Callable[[], float] = lambda: 0.0
        self._info = info
        self._clock = clock
        self._energy_wh = energy_wh
        self._power_w = 0.0
        self._at = clock.now()

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def read(self) -> MeterSnapshot:
        now, current_a = self._clock.now(), self.draws_a()
        self._energy_wh += self._power_w * (now - self._at) / 3600.0
        phases, voltage_v = self._info.phases, self._info.nominal_voltage_v
        self._at, self._power_w = now, current_a * voltage_v * phases
        return MeterSnapshot(
            read_at=now,
            import_wh=self._energy_wh,
            power_w=self._power_w,
            voltage_v=(voltage_v,) * phases,
            current_a=(current_a,) * phases,
            power_phase_w=(current_a * voltage_v,) * phases,
            frequency_hz=FREQUENCY_HZ,
            power_factor=1.0,
        )
