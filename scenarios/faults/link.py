"""Faults of the connection: cut in good order or hard, half-open, deaf to pings, slow."""

from __future__ import annotations

from hal.clock import SteppedClock
from scenarios.faults.fault import Place
from scenarios.faults.line import Slowness
from scenarios.faults.model import Disturbance

__all__ = ["Cut", "HalfOpen", "PingLoss", "Slow"]

GOING_AWAY = 1001


class Cut:
    """No network: the station notices at once. Clean: the connection ends with a close frame before."""

    def __init__(self, disturbance: Disturbance, place: Place) -> None:
        self._code = GOING_AWAY if disturbance.link == "clean_cut" else None
        self._place = place

    async def strike(self) -> None:
        """Cut it."""
        self._place.station.link.cut(True, self._code)
        self._place.line.linger()  # until the other side has noticed
        self._place.struck("the link is cut")

    async def heal(self) -> None:
        """Let it connect at once."""
        self._place.station.link.cut(False)


class PingLoss:
    """Pings are not answered, while messages come and go.

    On a stepped clock pings are timed by it meanwhile: else hours would pass between two of them.
    """

    def __init__(self, place: Place) -> None:
        self._place = place

    async def strike(self) -> None:
        """On this connection and the next ones."""
        self._place.line.on_link_up.append(self._lose)
        self._lose()
        self._place.struck("pings are not answered")

    async def heal(self) -> None:
        """Pongs are heard again."""
        self._place.line.on_link_up.remove(self._lose)
        self._place.station.link.lose_pongs(None)

    def _lose(self) -> None:
        station = self._place.station
        station.link.lose_pongs(station.clock if isinstance(station.clock, SteppedClock) else station.wire)


class HalfOpen:
    """The connection is dead and neither side knows: whatever is sent vanishes, pings too.

    A new connection works, as when a router forgot the old one. What ends it otherwise is a reset, when the
    time is over: nothing was delivered meanwhile.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._waits = False  # for a connection

    async def strike(self) -> None:
        """Kill the present connection, or the next one if there is none."""
        if self._place.station.online:
            self._kill()
        else:
            self._waits = True
            self._place.line.on_link_up.append(self._kill)

    def _kill(self) -> None:
        place, station = self._place, self._place.station
        self._wait_no_more()
        place.line.dead = True
        station.link.lose_pongs(station.clock if isinstance(station.clock, SteppedClock) else station.wire)
        place.struck("the link is half-open")

    def _wait_no_more(self) -> None:
        if self._waits:
            self._waits = False
            self._place.line.on_link_up.remove(self._kill)

    async def heal(self) -> None:
        """The next packet is answered with a reset."""
        self._wait_no_more()
        if self._place.line.dead:
            self._place.station.link.abort("the connection was reset: it had been dead")
            self._place.line.linger()


class Slow:
    """A line with latency, jitter and a bandwidth, in order."""

    def __init__(self, disturbance: Disturbance, place: Place) -> None:
        name = disturbance.called
        self._place = place
        self._slowness = Slowness(
            disturbance.latency,
            disturbance.jitter,
            disturbance.bandwidth_bps,
            lambda way: place.chance(f"{name} jitter {way}"),
        )

    async def strike(self) -> None:
        """From the next message on."""
        self._place.line.slowness.append(self._slowness)
        self._place.struck("the link is slow")

    async def heal(self) -> None:
        """As fast as ever; what is on its way comes as late as it would have."""
        self._place.line.slowness.remove(self._slowness)
