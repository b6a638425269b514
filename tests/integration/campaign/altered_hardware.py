"""Hardware for a station under a campaign: contactors that take their time, and a witness of what happens."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from chargepoint.domain.transaction import KIND
from hal import registry
from hal.api import Clock, Evse, Limit, MeterReading
from hal.connector_spec import ConnectorSpec
from hal.simulated.evse import SimulatedEvse
from tests.integration.campaign.witness import Witness

SLOW_S = 1.5


class SlowEvse(SimulatedEvse):
    """A connector whose contactor needs some time to open, as real ones do."""

    __slots__ = ("_wanted",)

    def permit(self, limit: Limit) -> None:
        """Raise at once, withdraw late."""
        self._wanted = limit
        if not limit.zero or not self.closed:
            super().permit(limit)
        else:
            self._clock.call_at(self._clock.now() + SLOW_S, self._open)

    def _open(self) -> None:
        if self._wanted.zero:
            super().permit(self._wanted)


class WitnessedEvse(SlowEvse):
    """A connector whose contactor and register a witness watches, and whose register survives everything."""

    __slots__ = ("_id", "_opens_slowly", "_witness")

    def __init__(self, spec: ConnectorSpec, clock: Clock, witness: Witness, number: int, slow: bool) -> None:
        super().__init__(spec.info, clock, energy_wh=max(spec.energy_wh, witness.register(number)))
        self._witness = witness
        self._id = number
        self._opens_slowly = slow

    def permit(self, limit: Limit) -> None:
        if self._opens_slowly:
            super().permit(limit)
        else:
            SimulatedEvse.permit(self, limit)

    def reading(self) -> MeterReading:
        reading = super().reading()
        self._witness.read(self._id, reading.energy_wh)
        return reading

    def _carry_on(self) -> None:
        before = self.closed
        super()._carry_on()
        if self.closed is not before:
            self._witness.moved(self._id, self.closed, SimulatedEvse.reading(self).energy_wh)


def slow_contactor() -> None:
    """A driver named `slow`, for the moment between the two turns of a stop."""

    def prepare_slow(spec: ConnectorSpec, clock: Clock) -> Callable[[], Evse]:
        return lambda: SlowEvse(spec.info, clock, energy_wh=spec.energy_wh)

    drivers: Any = registry._EVSES
    drivers["slow"] = prepare_slow


def witnessed() -> None:
    """Drivers named `witnessed` and `witnessed-slow`, which write down what the hardware did."""
    witness = Witness(Path(os.environ["STATION_WITNESS"]), Path(os.environ["STATION_STORE"]), KIND)
    numbers = count(1)

    def prepared(slow: bool) -> Callable[[ConnectorSpec, Clock], Callable[[], Evse]]:
        return lambda spec, clock: lambda: WitnessedEvse(spec, clock, witness, next(numbers), slow)

    drivers: Any = registry._EVSES
    drivers["witnessed"] = prepared(slow=False)
    drivers["witnessed-slow"] = prepared(slow=True)
