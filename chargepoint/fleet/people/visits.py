"""One driver's visit to a connector: plugs in, shows a card, stays, leaves; a timer only for the next act.

Drivers do what people can: they plug, swipe and pull, and see what the connector shows. Each choice is a draw
of seed, station and the driver's number, so it is the same whatever the central system does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from chargepoint.domain.connector import Connector
from chargepoint.fleet.people.scene import Scene
from chargepoint.fleet.plan.plan import Member
from chargepoint.station import Station
from hal.api import DeviceError, PilotState, Timer
from hal.simulated.evse import SimulatedEvse
from hal.simulated.vehicle import Vehicle

LOOKS_AT_LEAST_EVERY_S = 1800.0
LOOKS_AT_MOST_EVERY_S = 60.0
NOTICES_WITHIN_S = 240.0
LEAST_WANTED, MOST_LEAST_WANTED = 3.0, 20.0
"""Nobody plugs in a car that lacks less than this of what its driver wants, in percent of the battery; each
driver has a value in between."""
MOVES_WITHIN_S = 90.0
"""How long the next one in a queue takes to drive up."""
WRONG_CARD = "UNKNOWN"
"""How a card begins that nobody knows."""
_PULLS_AFTER_S = 10.0
_PUTS_AWAY_S = 3.0


class Host(Protocol):
    """The station a visit takes place at."""

    scene: Scene

    @property
    def member(self) -> Member:
        """Which one it is."""

    @property
    def station(self) -> Station:
        """The station itself."""

    def freed(self, connector: int) -> None:
        """The connector is free again."""


class Visit:
    """A driver at a connector, from arrival to departure."""

    __slots__ = (
        "_came_at", "_connector", "_host", "_number", "_swipes", "_tag", "_timer", "_vehicle",
    )  # fmt: skip

    def __init__(self, host: Host, connector: int, number: int, came_at: float) -> None:
        self._host = host
        self._connector = connector
        self._number = number
        self._came_at = came_at
        self._swipes = 0
        self._tag = ""
        self._timer: Timer | None = None
        dc = host.station.evses[connector - 1].info.current == "dc"
        self._vehicle: Vehicle = host.scene.vehicle(host.member, dc, number)

    # --- coming -------------------------------------------------------------------------------------

    def begin(self, after_s: float = 0.0) -> None:
        """Arrive `after_s` from now."""
        self._later(after_s, self._arrive)

    def cancel(self) -> None:
        """Nobody moves any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arrive(self) -> None:
        drivers = self._host.scene.site.config.drivers
        app = self._is("app", drivers.app)
        if not app and self._is("card first", drivers.card_first):
            self._present()
            self._later(self._card_after_s(), self._plug_in)
        elif self._plug():
            self._later(
                self._patience_s() if app else self._card_after_s(), self._see if app else self._swipe
            )

    def _plug_in(self) -> None:
        if self._plug():
            self._later(self._patience_s(), self._see)

    def _plug(self) -> bool:
        site = self._host.scene.site
        soc = site.arrive_with.at(self._draw("soc"))
        # Whose car would be full by now has charged more slowly: the rest of its visit is no empty one.
        wanted = LEAST_WANTED + (MOST_LEAST_WANTED - LEAST_WANTED) * self._draw("wanted")
        soc = min(soc + self._charged_already(), max(self._vehicle.target_percent - wanted, 0.0))
        try:
            self._evse.plug_in(self._vehicle, soc_percent=round(soc, 1))
        except DeviceError:  # somebody else was quicker
            self._count("went_away")
            self._done()
            return False
        self._count("plugged_in")
        return True

    def _charged_already(self) -> float:
        """What was charged, in percent, before the run began, by somebody who came before it."""
        hours = (self._host.station.clock.now() - self._came_at) / 3600.0
        if hours < 0.05:
            return 0.0
        info, car = self._evse.info, self._vehicle
        most_w = info.max_power_w if info.current == "dc" else info.phases * info.max_current_a * 230.0
        car_w = car.dc_max_power_w if info.current == "dc" else car.ac_max_power_w
        return 90.0 * hours * min(car_w, most_w or car_w) / car.battery_wh

    # --- the card -----------------------------------------------------------------------------------

    def _swipe(self) -> None:
        """Show the card, unless the display says that nobody has to."""
        if not self._served:
            self._present()
        self._later(self._patience_s(), self._see)

    def _present(self) -> None:
        scene = self._host.scene
        wrong = not self._swipes and self._is("wrong card", scene.site.config.drivers.wrong_card)
        self._swipes += 1
        if wrong:
            self._tag = f"{WRONG_CARD}{self._number % 10_000}"
            self._count("wrong_cards")
        else:
            self._tag = scene.id_tag(self._host.member, self._number)
        self._host.station.tag_presented(self._tag, self._connector)

    def _see(self) -> None:
        """Does it charge by now? Else show the card once more, or give up."""
        if self._point.transaction is not None:
            self._count("started")
            self._stay()
        elif self._swipes < self._host.scene.site.config.drivers.swipes and self._patient:
            self._swipes += self._served  # accepted, and still waiting: not for ever
            self._swipe()
        else:
            self._count("gave_up")
            self._unplug()

    @property
    def _patient(self) -> bool:
        """Who comes with an app has no card to show."""
        return bool(self._swipes) or not self._is("app", self._host.scene.site.config.drivers.app)

    @property
    def _served(self) -> bool:
        return self._point.transaction is not None or self._point.claim is not None

    # --- staying ------------------------------------------------------------------------------------

    def _stay(self) -> None:
        drivers, site = self._host.scene.site.config.drivers, self._host.scene.site
        left_s = self._leaves_at - self._now
        if left_s > 0 and self._is("suspend", drivers.suspend):
            pause_s = min(site.suspend_for.at(self._draw("suspend for")), left_s / 2)
            self._later(left_s * 0.5 * self._draw("suspend at"), lambda: self._suspend(pause_s))
        else:
            self._look()

    def _suspend(self, pause_s: float) -> None:
        self._count("suspends")
        self._adjust(draws=False)
        self._later(pause_s, self._resume)

    def _resume(self) -> None:
        self._adjust(draws=True)
        self._look()

    def _look(self) -> None:
        """Somebody who waits for the car looks when it should be ready; the others come when they must."""
        left_s = self._leaves_at - self._now
        if left_s <= 0:
            self._leave()
        elif not self._is("leave when charged", self._host.scene.site.config.drivers.leave_when_charged):
            self._later(left_s, self._leave)
        elif self._point.transaction is None or self._charged:
            self._later(min(left_s, NOTICES_WITHIN_S * self._draw("notice")), self._leave)
        else:
            self._later(min(left_s, self._ready_in_s()), self._look)

    @property
    def _charged(self) -> bool:
        evse = self._evse
        return evse.pilot is PilotState.B and not evse.offered.zero

    def _ready_in_s(self) -> float:
        """What the display says: later than that where the power falls, so one looks again."""
        reading = self._evse.reading()
        if reading.soc_percent is None or reading.power_w <= 0.0:
            return LOOKS_AT_LEAST_EVERY_S / 2
        missing_wh = (self._vehicle.target_percent - reading.soc_percent) / 100.0 * self._vehicle.battery_wh
        ready_s = missing_wh / reading.power_w * 3600.0
        return min(max(ready_s, LOOKS_AT_MOST_EVERY_S), LOOKS_AT_LEAST_EVERY_S)

    @property
    def _leaves_at(self) -> float:
        return self._came_at + stay_s(self._host.scene, self._host.member, self._number)

    # --- leaving ------------------------------------------------------------------------------------

    def _leave(self) -> None:
        transaction = self._point.transaction
        drivers = self._host.scene.site.config.drivers
        by_card = transaction is not None and transaction.running and self._tag
        if by_card and self._is("swipe to stop", drivers.swipe_to_stop):
            self._host.station.tag_presented(self._tag, self._connector)
            self._later(_PULLS_AFTER_S, self._unplug)
        else:
            self._unplug()

    def _unplug(self) -> None:
        evse = self._evse
        try:
            evse.plug_out()
        except DeviceError:  # somebody else did
            self._done()
            return
        if evse.plugged and self._tag and not self._host.station.silent:
            # The cable is held until whoever brought it shows the card.
            self._host.station.tag_presented(self._tag, self._connector)
        self._count("left")
        self._later(_PUTS_AWAY_S, self._done)

    def _done(self) -> None:
        self._timer = None
        self._host.freed(self._connector)

    # --- what they need -----------------------------------------------------------------------------

    @property
    def _evse(self) -> SimulatedEvse:
        evse = self._host.station.evses[self._connector - 1]
        assert isinstance(evse, SimulatedEvse)
        return evse

    @property
    def _point(self) -> Connector:
        return self._host.station.charge_point.connectors[self._connector]

    @property
    def _now(self) -> float:
        return self._host.station.clock.now()

    def _adjust(self, draws: bool) -> None:
        if self._evse.vehicle is not None:
            self._evse.adjust(draws=draws)

    def _draw(self, purpose: str) -> float:
        return self._host.scene.draw(self._host.member, purpose, self._number)

    def _is(self, purpose: str, share: float) -> bool:
        return share > 0.0 and self._draw(purpose) < share

    def _card_after_s(self) -> float:
        return self._host.scene.site.card_after.at(self._draw("card after"))

    def _patience_s(self) -> float:
        return self._host.scene.site.patience.at(self._draw("patience"))

    def _count(self, what: str) -> None:
        self._host.scene.tally[what] += 1

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        clock = self._host.station.clock
        self._timer = clock.call_at(clock.now() + max(seconds, 0.0), action)


def stay_s(scene: Scene, member: Member, number: int) -> float:
    """How long driver `number` parks at most, from arrival."""
    drivers = scene.site.config.drivers
    stay = scene.site.stay.at(scene.draw(member, "stay", number))
    if drivers.unplug_early and scene.draw(member, "unplug early", number) < drivers.unplug_early:
        return stay * (0.1 + 0.5 * scene.draw(member, "how early", number))
    if drivers.forget and scene.draw(member, "forget", number) < drivers.forget:
        return stay + scene.site.forget_for.at(scene.draw(member, "forget for", number))
    return stay
