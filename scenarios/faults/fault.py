"""What every fault of a scenario promises, and what it may ask of where it strikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from chargepoint.csms.central_system import CentralSystem
from chargepoint.station import Station
from hal.api import Clock
from scenarios.faults.line import FaultyLine


class Unsuitable(Exception):
    """This run cannot have that fault; the text says why."""


class BadDisturbance(Exception):
    """The story asks for something impossible, such as a connector that is not there."""


class Place(Protocol):
    """One station within a scenario, as a fault sees it."""

    @property
    def station(self) -> Station:
        """Which one."""

    @property
    def stations(self) -> Mapping[str, Station]:
        """All of the scenario."""

    @property
    def csms(self) -> CentralSystem | None:
        """The embedded central system, if it is ours."""

    @property
    def clock(self) -> Clock:
        """The station's clock."""

    @property
    def line(self) -> FaultyLine:
        """The seam at its link."""

    @property
    def seed(self) -> int:
        """Of the scenario."""

    def chance(self, purpose: str) -> float:
        """The next draw about `purpose`, in [0, 1)."""

    def count(self, purpose: str) -> int:
        """1, 2, 3 ..."""

    def struck(self, what: str) -> None:
        """For the record: something was done just now."""


class Fault(Protocol):
    """One fault at one station. `strike` and `heal` alternate; the clock is held meanwhile.

    To make one raises `Unsuitable` or `BadDisturbance` where it cannot be.
    """

    async def strike(self) -> None:
        """It is there."""

    async def heal(self) -> None:
        """It is gone; whatever it kept back comes or is lost as it would be."""
