"""Whoever breaks and mends what there is at a simulated connector, and makes vehicles misbehave there."""

from __future__ import annotations

from hal.simulated.evse import SimulatedEvse
from hal.simulated.trouble.contactor import ContactorTrouble
from hal.simulated.trouble.controller import SILENT
from hal.simulated.trouble.meter import FROZEN, NO_METER, MeterTrouble
from hal.simulated.trouble.vehicle import NO_DIODE, VENTILATION, VehicleTrouble

__all__ = ["Troublemaker"]


class Troublemaker:
    """Breaks things at one connector; each takes effect, and is reported, within the call.

    It keeps nothing: what is broken stays so whoever broke it, and another may mend it.
    """

    __slots__ = ("_evse",)

    def __init__(self, evse: SimulatedEvse) -> None:
        self._evse = evse

    def break_meter(self, how: MeterTrouble | None) -> None:
        """The meter tells nothing, or something wrong; None: repaired.

        After a minute the station takes note of one that is silent, shows no number or stands still.
        """
        with self._evse.troubled() as trouble:
            trouble.cured = (NO_METER, FROZEN)
            trouble.meter.breaks(how, self._evse.register_wh, self._evse.now)

    def break_contactor(self, how: ContactorTrouble) -> None:
        """Something more is wrong with the contactor; raises `Contradiction` if it cannot be both.

        `bounces`: its contacts chatter for 0.1 s when they close. `unseen`: it works, but its mirror contact
        never tells that it is closed. One that is welded has nothing to chatter with, and one that is
        `not_closing` neither; where nobody sees it, a weld is not noticed.
        """
        with self._evse.troubled() as trouble:
            trouble.contactor.breaks(how)

    def mend_contactor(self, how: ContactorTrouble) -> None:
        """That is repaired, and whatever else is wrong with it is not."""
        with self._evse.troubled() as trouble:
            trouble.cured = trouble.contactor.mended(how)

    def break_controller(self, deaf: bool) -> None:
        """Deaf, it keeps its current until it is switched off; later it does what it did not hear."""
        with self._evse.troubled() as trouble:
            trouble.controller.deaf = deaf
            trouble.controller.obey()

    def silence_controller(self, silent: bool) -> None:
        """Silent, it keeps its current and does not even hear a stop; after 10 s that is a fault."""
        with self._evse.troubled() as trouble:
            trouble.cured = (SILENT,)
            trouble.controller.silence(silent, self._evse.now)

    def turn(self, current_a: float) -> None:
        """Somebody turns the controller's current at the device; 5 s later it is what was permitted again."""
        with self._evse.troubled() as trouble:
            trouble.controller.turn(current_a, self._evse.now)

    def starve_watchdog(self) -> None:
        """The controller was not spoken to in time: it stops, and is told anew a second later."""
        with self._evse.troubled() as trouble:
            trouble.controller.starve(self._evse.now)

    def reboot_controller(self, current_a: float) -> None:
        """It starts anew, without a signal for 3 s, and offers its own `current_a` until told better."""
        with self._evse.troubled() as trouble:
            trouble.controller.restart(current_a, self._evse.now)

    def limit_cable(self, current_a: float | None) -> None:
        """The cable in the socket carries so much at most; None: as much as the connector."""
        with self._evse.troubled() as trouble:
            trouble.cable_a = current_a
            trouble.controller.obey()

    def misbehave(
        self, *, excess_a: float | None = None, ignores_stop: bool | None = None, shunned: bool | None = None
    ) -> None:
        """What vehicles here do wrong from now on; None leaves it as it is.

        `excess_a`: they draw so much more than offered, as far as they can. `ignores_stop`: they go on
        without an offer until the contactor opens under load. `shunned`: they do not ask for energy, and do
        so at once when that is over.
        """
        with self._evse.troubled() as trouble:
            car = trouble.vehicle
            car.excess_a = car.excess_a if excess_a is None else excess_a
            car.ignores_stop = car.ignores_stop if ignores_stop is None else ignores_stop
            car.roused = car.shunned and shunned is False
            car.shunned = car.shunned if shunned is None else shunned

    def break_vehicle(self, how: VehicleTrouble | None) -> None:
        """What is wrong with vehicles here; None: nothing.

        `ventilation`: they ask for it, `no_diode`: theirs is missing; the contactor closes for neither, and
        the fault stays until they leave. `sleeps`: they do not ask until they are woken, 34 s after an offer.
        `eager`: they ask without an offer, and get nothing.
        """
        with self._evse.troubled() as trouble:
            trouble.cured = (VENTILATION, NO_DIODE)
            trouble.vehicle.how = how
