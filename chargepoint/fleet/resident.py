"""One station of a fleet and what hangs on it."""

from __future__ import annotations

from chargepoint.actions import Actions
from chargepoint.fleet.plan.plan import Member
from chargepoint.station import Station


class Resident:
    """A member of the plan that has become a station."""

    __slots__ = ("accepted", "actions", "drivers", "failures", "member", "station", "trouble")

    def __init__(self, member: Member, station: Station, actions: Actions) -> None:
        self.member = member
        self.station = station
        self.actions = actions
        self.drivers: object | None = None  # what the behaviour keeps here
        self.accepted = False  # by the central system, at least once
        self.failures = 0  # attempts to connect that led to the next of several central systems
        self.trouble: str | None = None  # the kind of failure that keeps it from connecting

    @property
    def online(self) -> bool:
        """There is a link to the central system."""
        return self.station.link.online

    @property
    def booted(self) -> bool:
        """There is a link, and the central system has accepted it."""
        return self.station.link.online and self.station.charge_point.accepted

    @property
    def owes(self) -> bool:
        """It has something of a transaction to tell, now or when it ends."""
        charge_point = self.station.charge_point
        return bool(charge_point.outbox.queued) or any(
            connector.transaction is not None for connector in charge_point.connectors.all
        )
