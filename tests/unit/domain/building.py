"""A building with a house, a grid connection and a station, second by second, for tests of the site limit.

What flows is summed up here, from the house and the vehicles alone: nothing is asked of the code under test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chargepoint.domain.site import SiteSettings
from chargepoint.ocpp16.charge_point import ChargePoint
from chargepoint.site import Site
from hal.api import Clock, EvseInfo, MeterReading
from hal.clock import SteppedClock
from hal.simulated.evse import SimulatedEvse
from hal.site import SiteReading, nothing
from tests.unit.domain.test_limiter import SlowEvse, line_a
from tests.unit.ocpp16.bench import Bench

Wiring = Mapping[int, tuple[int, ...]]


class PolledMeter:
    """Shows what flows at the moment it is asked, each `every_s`, unless it is silent."""

    def __init__(self, clock: Clock, flows: Callable[[], tuple[float, ...]], every_s: float) -> None:
        self.on_reading: Callable[[], None] = nothing
        self.reading: SiteReading | None = None
        self.problem = ""
        self.silent = False
        self._clock = clock
        self._flows = flows
        self._every_s = every_s

    def start(self) -> None:
        self._clock.call_at(self._clock.now() + self._every_s, self.start)
        if not self.silent:
            self.reading = SiteReading(self._clock.now(), self._flows())
            self.on_reading()

    def close(self) -> None: ...


class LateEvse(SlowEvse):
    """Its meter is asked now and then; `flowing` is what really flows."""

    def __init__(self, info: EvseInfo, clock: SteppedClock, site: list[SlowEvse]) -> None:
        self._late: MeterReading | None = None
        self._every_s = 0.0
        super().__init__(info, clock, site)

    def ask_every(self, seconds: float, first_s: float) -> None:
        """From `first_s` on its meter is asked each so many seconds, and tells nothing new in between."""
        self._every_s = seconds
        self._clock.call_at(self._clock.now() + first_s, self._ask)

    def _ask(self) -> None:
        self._late = self.flowing()
        self._clock.call_at(self._clock.now() + self._every_s, self._ask)

    def reading(self) -> MeterReading:
        return super().reading() if self._late is None else self._late

    def flowing(self) -> MeterReading:
        """This instant."""
        return super().reading()


class Building(Bench):
    """`truth` is how the connectors are wired; what the installer told is in `settings.lines`."""

    def __init__(
        self,
        settings: SiteSettings,
        *infos: EvseInfo,
        truth: Wiring | None = None,
        connected: bool = True,
        **more: Any,
    ) -> None:
        self.slow: list[SlowEvse] = []
        self.settings = settings
        self.truth = {n: tuple(range(info.phases)) for n, info in enumerate(infos, 1)} | dict(truth or {})
        self.house_a: tuple[float, ...] = (0.0,) * settings.phases
        self.site: Site | None = None
        super().__init__(len(infos), infos, **more)
        self.meter = PolledMeter(self.clock, self.flows, settings.poll_s)
        self.site = Site(settings, self.meter, self.clock, self)
        self._attach()
        self.site.start()
        if connected:
            self.connect()

    @property
    def charge_point(self) -> ChargePoint:
        """chargepoint.site.Host."""
        return self.cp

    @property
    def silent(self) -> bool:
        """chargepoint.site.Host."""
        return False

    def make(self) -> None:
        super().make()
        self._attach()

    def _attach(self) -> None:
        if self.site is not None:
            self.cp.connectors.site = self.site.limit

    def evse(self, connector: int, info: EvseInfo) -> SimulatedEvse:
        assert isinstance(self.clock, SteppedClock)
        return LateEvse(info, self.clock, self.slow)

    @property
    def limit(self) -> Any:
        """The limit under test."""
        assert self.site is not None
        return self.site.limit

    def drawn(self) -> tuple[float, ...]:
        """What the vehicles draw, line by line."""
        drawn = [0.0] * self.settings.phases
        for number, evse in enumerate(self.slow, 1):
            assert isinstance(evse, LateEvse)
            reading = evse.flowing()
            if evse.info.current == "dc":
                currents: Sequence[float] = (reading.power_w / (evse.info.nominal_voltage_v * 3),) * 3
            else:
                currents = reading.current_a
            for line, current_a in zip(self.truth[number], currents, strict=False):
                drawn[line] += current_a
        return tuple(drawn)

    def flows(self) -> tuple[float, ...]:
        """What the grid connection carries, line by line."""
        return tuple(house + drawn for house, drawn in zip(self.house_a, self.drawn(), strict=True))

    def house(self, *current_a: float, wait_s: float = 0.0) -> None:
        """The house draws this from now on; one number stands for all lines."""
        self.house_a = current_a if len(current_a) > 1 else current_a * self.settings.phases
        self.advance(wait_s)

    def arrive(self, *connectors: int, vehicle: str = "compact", wait_s: float = 20.0) -> None:
        """Vehicles come one after the other and charge."""
        for connector in connectors:
            self.plug_in(connector, vehicle)
            self.swipe(f"TAG{connector}", connector)
            self.advance(wait_s)

    def offers(self) -> list[float]:
        """What each connector is offered, in amperes per line of the grid connection."""
        return [round(line_a(evse.offered, evse.info), 1) for evse in self.slow]

    def because(self, connector: int) -> str:
        """Why, as the `limit` event said last."""
        told = [e for e in self.events if e["event"] == "limit" and e["connector"] == connector]
        return str(told[-1]["because"])
