"""The seam between a station and its link, where every frame may be changed, kept back or made up.

A station without a `Tamper` has no `Edge` and pays nothing. What watchers see (`ocpp` events, traces) is what
really passes over the link: beyond the last edge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hal.api import Clock

__all__ = ["Edge", "Host", "Tamper"]


class Witness(Protocol):
    """The part of `chargepoint.observer.StationObserver` that concerns CALLs of a station."""

    def called(self, action: str) -> None:
        """A CALL goes out."""

    def answered(self, action: str, waited_s: float, took_s: float, problem: str | None) -> None:
        """It was answered, or will not be any more."""

    def answered_late(self, station: str, message_id: str, answer: Any) -> None:
        """A further answer to what was answered already."""


class Host(Protocol):
    """What a tamper may know and ask of the station it sits at."""

    @property
    def identity(self) -> str:
        """Who it is."""

    @property
    def clock(self) -> Clock:
        """The station's clock: for whatever a real station would wait for."""

    @property
    def wire(self) -> Clock:
        """Real time: for whatever is on its way, as the station's clock stands still meanwhile."""

    @property
    def online(self) -> bool:
        """There is a link."""

    @property
    def accepted(self) -> bool:
        """The central system has accepted the station since it started."""

    def utc(self) -> float:
        """The station's time."""

    def awaits(self, message_id: str) -> bool:
        """The station still waits for the answer to this CALL of its own."""

    def wait_by_clock(self, message_id: str) -> None:
        """The answer to this CALL of the station is lost or late: it waits for it in its own time."""

    def unanswered(self, message_id: str) -> None:
        """The answer to this CALL, whoever made it, will never come: nothing real is under way for it."""

    def keep_back(self, message_id: str) -> None:
        """This CALL of the station never leaves and is answered here: nobody may count it as sent."""

    @property
    def observer(self) -> Witness | None:
        """Who counts what it does: to be told what is said in its name."""

    def restart(self, reason: str) -> bool:
        """Restart its software; False if it is not up."""


class Tamper:
    """Passes everything on unchanged; a subclass overrides what is to be different. One for each station.

    `outgoing` and `incoming` may call `edge.transmit` and `edge.deliver` any number of times, now or later.
    """

    __slots__ = ("edge",)

    edge: Edge
    """Its place, from `attached` on."""

    def attached(self) -> None:
        """It is in its place."""

    def outgoing(self, data: bytes) -> None:
        """The station sends a text frame."""
        self.edge.transmit(data)

    def incoming(self, data: bytes) -> None:
        """A text frame came for the station."""
        self.edge.deliver(data)

    def name_above(self, message_id: str) -> str:
        """What the station calls the CALL that goes by this id from here on."""
        return message_id

    def wait_by_clock(self, message_id: str) -> None:
        """The answer to this CALL is lost or late: one of its own waits for it in the station's time."""

    def unanswered(self, message_id: str) -> None:
        """The central system answers this CALL late or never, whoever made it: do not wait in real time."""

    def link_up(self) -> None:
        """Connected; the station does not know yet."""

    def link_down(self) -> None:
        """Not connected any more: what was under way is lost."""

    def close(self) -> None:
        """The station ends: cancel every timer."""


class Edge:
    """The place of one tamper: the station is above, the wire below. To what is above it is the link."""

    __slots__ = ("_above", "_below", "_drop", "_leaving", "host", "tamper")

    def __init__(
        self,
        tamper: Tamper,
        host: Host,
        below: Callable[[bytes], None],
        above: Callable[[bytes], None],
        drop: Callable[[int], None],
    ) -> None:
        self.tamper = tamper
        self.host = host
        self._below = below
        self._above = above
        self._drop = drop
        self._leaving = False
        tamper.edge = self

    def send(self, data: bytes | str) -> None:
        """From the station."""
        self._leaving = True
        try:
            self.tamper.outgoing(data.encode() if isinstance(data, str) else data)
        finally:
            self._leaving = False

    def receive(self, data: bytes) -> None:
        """From the wire."""
        self.tamper.incoming(data)

    def drop(self, code: int = 1000) -> None:
        """Close the connection."""
        self._drop(code)

    def transmit(self, data: bytes) -> None:
        """Towards the wire, at once and as it is; without a link it is lost."""
        if self.host.online:
            self._below(data)

    def deliver(self, data: bytes) -> None:
        """To the station; what comes of its own sending comes a moment later, as over a network."""
        if self._leaving:
            self.host.wire.call_at(self.host.wire.now(), lambda: self._above(data))
        else:
            self._above(data)

    def put_below(self, outer: Edge) -> None:
        """What leaves here goes through `outer` from now on."""
        self._below = outer.send
