"""What an event does to the stations of a fleet, at once or one after the other, until it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from chargepoint.actions import ActionError
from chargepoint.domain import chance
from chargepoint.errors import ConfigError
from chargepoint.fleet.event_text import FORMS, FleetEvent, parse
from chargepoint.fleet.people.chances import Lognormal
from chargepoint.fleet.people.drivers import Drivers, Place
from chargepoint.ocpp16.firmware_management.job import put_in_place
from chargepoint.ocpp16.status import KINDS
from hal.api import Clock, DeviceError, Timer

__all__ = ["FORMS", "FleetEvent", "Happening", "parse", "perform"]

_STORM = Lognormal(60.0, 2.5, 5.0, 3_600.0)


class Happening(Protocol):
    """An event under way."""

    def cancel(self) -> None:
        """What has not happened yet does not happen any more; what has begun stays as it is."""


def perform(
    event: FleetEvent, residents: Mapping[str, Place], clock: Clock, seed: int, *, shards: int = 1
) -> Happening:
    """Let it happen to those of `residents` whom it concerns; what follows later is timed on `clock`.

    `shards`: how many processes do the same, so that a rate is that of all together.
    """
    concerned = [place for place in residents.values() if _concerns(event, place, seed)]
    return _HAPPENINGS[event.kind](event, concerned, clock, seed, shards)


def _concerns(event: FleetEvent, place: Place, seed: int) -> bool:
    member = place.member
    if event.group is not None and member.group.name != event.group:
        return False
    return event.share >= 1.0 or chance.draw(seed, member.identity, f"event {event.text}", 0) < event.share


class _Later:
    """What an event does to stations one after the other, or to all when it is over: one timer at a time."""

    __slots__ = ("_clock", "_timers")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: set[Timer] = set()

    def cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        def fired() -> None:
            self._timers.discard(timer)
            action()

        timer = self._clock.call_at(self._clock.now() + seconds, fired)
        self._timers.add(timer)

    def each(self, places: list[Place], per_s: float | None, act: Callable[[Place], None]) -> None:
        """All now, or from now on so many a second."""
        if per_s is None:
            for place in places:
                act(place)
        else:
            self._next(iter(places), 1.0 / per_s, act)

    def _next(self, places: Iterator[Place], every_s: float, act: Callable[[Place], None]) -> None:
        place = next(places, None)
        if place is not None:
            act(place)
            self.after(every_s, partial(self._next, places, every_s, act))


def _do(place: Place, command: dict[str, Any]) -> bool:
    """False if it cannot be done at this station now."""
    try:
        place.actions.perform(command)
    except (ActionError, DeviceError):
        return False
    return True


def _out(verb: str, argument: str) -> Callable[..., Happening]:
    """All lose it at once and have it back at once."""

    def happen(event: FleetEvent, places: list[Place], clock: Clock, seed: int, shards: int) -> Happening:
        def switch(there: bool) -> None:
            for place in places:
                _do(place, {"cmd": verb, argument: there})

        later = _Later(clock)
        switch(False)
        if event.duration_s is not None:
            later.after(event.duration_s, partial(switch, True))
        return later

    return happen


def _return(event: FleetEvent, places: list[Place], clock: Clock, seed: int, shards: int) -> Happening:
    for place in places:
        _do(place, {"cmd": "network", "online": True})
        _do(place, {"cmd": "power", "on": True})
    return _Later(clock)


def _rolling_restart(
    event: FleetEvent, places: list[Place], clock: Clock, seed: int, shards: int
) -> Happening:
    later = _Later(clock)

    def restart(place: Place) -> None:
        _do(place, {"cmd": "reboot"})

    later.each(places, _part(event.per_s, shards), restart)
    return later


def _surge(event: FleetEvent, places: list[Place], clock: Clock, seed: int, shards: int) -> Happening:
    def come(times: float) -> None:
        for place in places:
            if isinstance(place.drivers, Drivers):
                place.drivers.busier(times)

    later = _Later(clock)
    come(event.times)
    assert event.duration_s is not None
    later.after(event.duration_s, partial(come, 1.0))
    return later


def _failover(event: FleetEvent, places: list[Place], clock: Clock, seed: int, shards: int) -> Happening:
    later = _Later(clock)

    def move(place: Place) -> None:
        with suppress(ConfigError):  # this one's security profile does not allow the address
            place.station.move(event.url)

    later.each(places, _part(event.per_s, shards), move)
    return later


def _firmware(event: FleetEvent, places: list[Place], clock: Clock, seed: int, shards: int) -> Happening:
    """As after an update that the central system commanded: the station restarts and says what it has now."""
    later = _Later(clock)

    def install(place: Place) -> None:
        station = place.station
        if not station.silent:
            with station.charge_point.turn:
                put_in_place(station.store, event.version, station.plate)
            _do(place, {"cmd": "reboot"})

    later.each(places, _part(event.per_s, shards), install)
    return later


def _fault_storm(event: FleetEvent, places: list[Place], clock: Clock, seed: int, shards: int) -> Happening:
    """Each station has one fault at some moment of that time; it lasts about a minute."""
    later = _Later(clock)
    codes = sorted(KINDS)
    assert event.duration_s is not None

    def storm(place: Place) -> None:
        def draw(purpose: str) -> float:
            return chance.draw(seed, place.member.identity, f"{purpose} {event.text}", 0)

        connector = 1 + int(draw("where") * len(place.station.evses))
        code = event.error_code or codes[int(draw("code") * len(codes))]

        def begin() -> None:
            if _do(place, {"cmd": "fault", "connector": connector, "error_code": code}):
                later.after(_STORM.at(draw("lasts")), end)

        def end() -> None:
            _do(place, {"cmd": "clear_fault", "connector": connector})

        later.after(draw("when") * (event.duration_s or 0.0), begin)

    for place in places:
        storm(place)
    return later


def _part(per_s: float | None, shards: int) -> float | None:
    return None if per_s is None else per_s / shards


_HAPPENINGS: dict[str, Callable[..., Happening]] = {
    "blackout": _out("power", "on"),
    "network-out": _out("network", "online"),
    "return": _return,
    "rolling-restart": _rolling_restart,
    "surge": _surge,
    "failover": _failover,
    "firmware": _firmware,
    "fault-storm": _fault_storm,
}
