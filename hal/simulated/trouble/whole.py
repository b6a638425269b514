"""All that is wrong at one simulated connector."""

from __future__ import annotations

from hal.api import Fault, Limit
from hal.simulated.plugged import TICK_S
from hal.simulated.trouble.contactor import TroubledContactor
from hal.simulated.trouble.controller import TroubledController
from hal.simulated.trouble.meter import TroubledMeter
from hal.simulated.trouble.vehicle import TroubledVehicle


class Trouble:
    """The parts that can break; moments are those of the connector's clock."""

    __slots__ = ("cable_a", "contactor", "controller", "cured", "meter", "vehicle")

    def __init__(self, permitted: Limit) -> None:
        self.meter = TroubledMeter()
        self.contactor = TroubledContactor()
        self.controller = TroubledController(permitted)
        self.vehicle = TroubledVehicle()
        self.cable_a: float | None = None  # what the cable in the socket can carry
        self.cured: tuple[Fault, ...] = ()  # what has just been mended and is no longer noticed

    def faults(self, told_closed: bool, power_w: float, now: float) -> list[Fault]:
        """What the station has noticed by now."""
        return [
            *self.controller.faults(now),
            *self.contactor.faults(told_closed, now),
            *self.meter.faults(power_w, now),
        ]

    def acts_at(self, now: float) -> float | None:
        """When something follows by itself; None if never."""
        dues = [*self.vehicle.dues(), *self.contactor.dues(now), *self.controller.dues(), *self.meter.dues()]
        return min((due for due in dues if due is not None and due > now + TICK_S), default=None)
