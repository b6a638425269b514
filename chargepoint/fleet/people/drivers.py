"""The drivers and troubles of one station: a timer for whatever comes next, a visit per busy connector."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, Protocol

from chargepoint.actions import ActionError, Actions
from chargepoint.domain.connector import Connector
from chargepoint.fleet.people.scene import Scene
from chargepoint.fleet.people.visits import MOVES_WITHIN_S, Visit, stay_s
from chargepoint.fleet.plan.plan import Member
from chargepoint.station import Station
from hal.api import DeviceError, Timer
from hal.simulated.evse import SimulatedEvse

SETTLES_WITHIN_S = 60.0
"""Who was here before the run began plugs in within this time, once the station has had some to boot."""
_BOOTS_S = 10.0
_LONGEST_QUEUE = 3

_TROUBLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "fault": ({"cmd": "fault"}, {"cmd": "clear_fault"}),
    "reboot": ({"cmd": "reboot"}, {}),
    "offline": ({"cmd": "network", "online": False}, {"cmd": "network", "online": True}),
    "power_cut": ({"cmd": "power", "on": False}, {"cmd": "power", "on": True}),
    "emergency_stop": (
        {"cmd": "emergency_stop", "pressed": True},
        {"cmd": "emergency_stop", "pressed": False},
    ),
}
"""Kind of trouble -> the verb it begins with, and the one it ends with, if it does not end by itself."""


class Place(Protocol):
    """A station of the fleet and what hangs on it."""

    drivers: Any  # what the behaviour keeps here

    @property
    def member(self) -> Member:
        """Which one it is."""

    @property
    def station(self) -> Station:
        """The station itself."""

    @property
    def actions(self) -> Actions:
        """What a person can do at it."""


class Drivers:
    """Whoever comes to one station. While nobody does it costs this object and one timer."""

    __slots__ = (
        "_busier",
        "_lasting",
        "_next_at",
        "_number",
        "_place",
        "_queue",
        "_timer",
        "_visits",
        "held",
        "scene",
    )

    def __init__(self, place: Place, scene: Scene) -> None:
        self._place = place
        self.scene = scene
        self._busier = 1.0
        self.held = False
        self._number = 0  # of the next driver or trouble
        self._next_at = math.inf
        self._timer: Timer | None = None
        self._visits: dict[int, Visit] | None = None  # by connector
        self._queue: list[tuple[float, int]] | None = None  # until when they wait, and who
        self._lasting: dict[str, Timer] | None = None  # what will end each trouble

    @property
    def member(self) -> Member:
        """Whose drivers they are."""
        return self._place.member

    @property
    def station(self) -> Station:
        """Where they come to."""
        return self._place.station

    # --- coming and going of everybody --------------------------------------------------------------

    def start(self, begun_at: float) -> None:
        """From now on they come; who came since the day began and has not left yet is here already."""
        site, now = self.scene.site, self.station.clock.now()
        if not site.week.total and not site.troubles_s:
            return  # nobody ever comes
        if (within_s := site.config.arrivals.first_within) is not None:
            self._number = 1
            # Somebody comes only where somebody ever does.
            self._next_at = now + within_s * self._draw("first", 0) if site.week.total else math.inf
            self._arm()
            return
        self._next_at = begun_at - site.look_back_s
        self._advance()
        while self._next_at < now:
            number, came_at = self._number, self._next_at
            if self._is_driver(number, came_at):
                self._was_here(number, came_at, now)
            self._advance()
        self._arm()

    def stop(self) -> None:
        """Nobody moves any more; who is plugged in stays so."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for visit in (self._visits or {}).values():
            visit.cancel()
        for timer in (self._lasting or {}).values():
            timer.cancel()
        self._visits = self._lasting = self._queue = None

    def hold(self, held: bool) -> None:
        """While it is held nobody comes."""
        self.held = held
        self.busier(self._busier)

    def busier(self, times: float) -> None:
        """From now on `times` as many drivers come as on a usual day."""
        self._busier = times
        self._next_at = self.station.clock.now()
        self._advance()
        self._arm()

    @property
    def busy(self) -> int:
        """How many are at a connector."""
        return len(self._visits) if self._visits else 0

    def _advance(self) -> None:
        """Find out when the next one comes after the last: it does not matter how late that one was heard."""
        scene, site = self.scene, self.scene.site
        self._number += 1
        amount = -math.log(1.0 - self._draw("arrival", self._number))
        wait_s = site.week.wait_s(
            scene.local.position_s(self._next_at), amount, self._per_connector, site.troubles_s
        )
        self._next_at = scene.local.later(self._next_at, wait_s)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._next_at < math.inf:
            self._timer = self.station.clock.call_at(self._next_at, self._due)

    def _due(self) -> None:
        self._timer = None
        number, came_at = self._number, self._next_at
        self._advance()
        self._arm()
        if self._is_driver(number, came_at):
            self._come(number)
        else:
            self._trouble(number)

    @property
    def _per_connector(self) -> float:
        return 0.0 if self.held else self._busier * len(self.station.evses)

    def _is_driver(self, number: int, at: float) -> bool:
        """What comes is a driver or a trouble, by their rates just then; the promised first is a driver."""
        site = self.scene.site
        flat_s = site.troubles_s
        if not flat_s or (number == 1 and site.config.arrivals.first_within is not None):
            return True
        drivers_s = site.week.rate_s(self.scene.local.position_s(at)) * self._per_connector
        return self._draw("what", number) * (drivers_s + flat_s) < drivers_s

    # --- drivers ------------------------------------------------------------------------------------

    def _was_here(self, number: int, came_at: float, now: float) -> None:
        """A driver who came before now, unless already gone, or there was no room."""
        left_s = came_at + stay_s(self.scene, self.member, number) - now
        connector = self._free(number)
        if left_s > SETTLES_WITHIN_S + _BOOTS_S and connector is not None:
            self.scene.tally["were_here"] += 1
            self._visit(
                number, connector, came_at, _BOOTS_S + SETTLES_WITHIN_S * self._draw("settle", number)
            )

    def _come(self, number: int) -> None:
        self.scene.tally["came"] += 1
        connector = self._free(number)
        if connector is not None:
            self._visit(number, connector, self.station.clock.now(), 0.0)
        elif self._all_taken and self._queues(number):
            self.scene.tally["queued"] += 1
        else:
            self.scene.tally["went_away"] += 1

    def _visit(self, number: int, connector: int, came_at: float, after_s: float) -> None:
        visit = Visit(self, connector, number, came_at)
        if self._visits is None:
            self._visits = {}
        self._visits[connector] = visit
        visit.begin(after_s)

    def freed(self, connector: int) -> None:
        """The connector is free again: whoever still waits comes next."""
        if self._visits is not None:
            self._visits.pop(connector, None)
            self._visits = self._visits or None
        now = self.station.clock.now()
        while self._queue:
            until, number = self._queue.pop(0)
            if until < now:
                self.scene.tally["gave_up_queueing"] += 1
            else:
                wait_s = MOVES_WITHIN_S * self._draw("move", number)
                self._visit(number, connector, now + wait_s, wait_s)
                break
        self._queue = self._queue or None

    def _free(self, number: int) -> int | None:
        """A connector that a driver would take, which need not be the first."""
        count = len(self.station.evses)
        first = int(self._draw("where", number) * count) if count > 1 else 0
        for n in range(first, first + count):
            if self._inviting(n % count + 1):
                return n % count + 1
        return None

    def _inviting(self, connector: int) -> bool:
        """It is nobody's and its display says that it is free."""
        evse = self.station.evses[connector - 1]
        if self._taken(connector) or self.station.silent or not isinstance(evse, SimulatedEvse):
            return False
        point: Connector = self.station.charge_point.connectors[connector]
        return point.vacant and not point.reserved and not point.occupied and not point.shared.faulted

    def _taken(self, connector: int) -> bool:
        return self._visits is not None and connector in self._visits

    @property
    def _all_taken(self) -> bool:
        return self.busy == len(self.station.evses)

    def _queues(self, number: int) -> bool:
        site = self.scene.site
        waiting = self._queue or []
        if len(waiting) >= _LONGEST_QUEUE or self._draw("queue", number) >= site.config.drivers.queue:
            return False
        until = self.station.clock.now() + site.queue_for.at(self._draw("queue for", number))
        self._queue = [*waiting, (until, number)]
        return True

    # --- troubles -----------------------------------------------------------------------------------

    def _trouble(self, number: int) -> None:
        """Something breaks, and works again later; a second one of its kind meanwhile is not noticed."""
        site = self.scene.site
        kind = site.troubles.at(self._draw("trouble", number))
        if self._lasting is not None and kind in self._lasting:
            return
        begins, ends = _TROUBLES[kind]
        if kind == "fault":
            connector = 1 + int(self._draw("where", number) * len(self.station.evses))
            code = site.codes.at(self._draw("code", number))
            begins = begins | {"connector": connector, "error_code": code}
            ends = ends | {"connector": connector}
        if self._do(begins):
            self.scene.tally[kind] += 1
            if ends:
                self._ends_after(site.lasts[kind].at(self._draw("lasts", number)), kind, ends)

    def _ends_after(self, seconds: float, kind: str, command: dict[str, Any]) -> None:
        clock = self.station.clock
        if self._lasting is None:
            self._lasting = {}
        self._lasting[kind] = clock.call_at(clock.now() + seconds, partial(self._over, kind, command))

    def _over(self, kind: str, command: dict[str, Any]) -> None:
        if self._lasting is not None:
            self._lasting.pop(kind, None)
            self._lasting = self._lasting or None
        self._do(command)

    def _do(self, command: dict[str, Any]) -> bool:
        """False if it cannot be done now: a station without power does not restart."""
        try:
            self._place.actions.perform(command)
        except (ActionError, DeviceError):
            return False
        return True

    def _draw(self, purpose: str, number: int) -> float:
        return self.scene.draw(self.member, purpose, number)
