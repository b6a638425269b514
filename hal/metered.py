"""A simulated connector whose energy a real meter counts: a bench that has a meter and nothing else yet."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hal.api import Clock, EvseInfo, Fault, MeterReading
from hal.device import EnergyMeter
from hal.polled_meter import PolledMeter
from hal.simulated.evse import SimulatedEvse

POLL_S = 1.0


class MeteredEvse(SimulatedEvse):
    """Construct it inside the running loop, on a clock that passes by itself.

    Its vehicle charges as a simulated one does; what is told, and billed, is what `meter` shows, which knows
    nothing of that vehicle.
    """

    __slots__ = ("_meter", "_task")

    def __init__(self, info: EvseInfo, clock: Clock, meter: EnergyMeter) -> None:
        super().__init__(info, clock)
        self._meter = PolledMeter(meter, info, clock, poll_s=POLL_S, lost="stop")
        self._meter.on_change = self._meter_changed
        self._task = asyncio.get_running_loop().create_task(self._meter.run(), name="meter")

    @property
    def faults(self) -> tuple[Fault, ...]:
        return (*super().faults, *self._meter.faults)

    @property
    def soc_percent(self) -> float | None:
        """The simulated vehicle's state of charge."""
        return super().reading().soc_percent

    def reading(self) -> MeterReading:
        return replace(self._meter.reading(), soc_percent=self.soc_percent)

    def close(self) -> None:
        super().close()
        self._meter.stop()

    async def opened(self) -> None:
        """Wait until the meter answered, or did not, for the first time."""
        await self._meter.asked.wait()

    async def released(self) -> None:
        """Wait until the meter has been let go."""
        await asyncio.wait([self._task])

    @property
    def left_safe(self) -> bool:
        return not self.closed

    def _meter_changed(self) -> None:
        if self.listener is not None:
            self.listener.evse_changed()
