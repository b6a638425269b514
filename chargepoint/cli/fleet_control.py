"""A fleet under control over HTTP: `cp` says which station a command is for and an event comes from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from chargepoint.actions import ActionError, Reply, verb_of
from chargepoint.cli.control import HttpAddress, http_control, open_http, ready, summary
from chargepoint.control import Command
from chargepoint.control.events import event_line
from chargepoint.fleet.fleet import Fleet
from chargepoint.fleet.resident import Resident
from chargepoint.station import Station, Watcher


@asynccontextmanager
async def controlled(fleet: Fleet, address: HttpAddress | None, token: str | None) -> AsyncIterator[str]:
    """Serve at that address, if any, as long as the fleet runs; the URL. Raises `ConfigError`."""
    if address is None:
        yield ""
        return
    behind = FleetControl(fleet, address, token)
    url = await open_http(behind.control, address)
    shutdown = asyncio.ensure_future(behind.control.run())
    shutdown.add_done_callback(lambda _: fleet.stop())
    try:
        yield url
    finally:
        await behind.control.close()


class FleetControl:
    """The stations of a fleet, as a control over HTTP sees them; watched only while somebody listens."""

    def __init__(self, fleet: Fleet, address: HttpAddress, token: str | None) -> None:
        self.control = http_control(self, address, token)
        self._fleet = fleet
        self._watched: dict[Station, Watcher] = {}
        fleet.on_resident = self._listen

    # --- chargepoint.control.http.Stations ----------------------------------------------------------

    def perform(self, command: Command) -> Reply | Awaitable[Reply]:
        verb = verb_of(command)
        if self._fleet.ending:
            raise ActionError("bad_state", "the fleet ends")
        if verb == "shutdown":
            if set(command) != {"cmd"}:
                raise ActionError("bad_argument", "shutdown ends all stations: it has no cp and no fields")
            return {}
        if verb == "advance":
            raise ActionError("bad_state", "advance: the time of a fleet passes by itself")
        return self._resident(command).actions.perform(command)

    def known(self, cp: str) -> bool:
        return cp in self._fleet.residents

    def lane(self, command: Command) -> str | None:
        cp = command.get("cp")
        return cp if isinstance(cp, str) else None

    def listing(self) -> list[dict[str, Any]]:
        return [summary(resident.station) for resident in self._fleet.residents.values()]

    def ready(self) -> dict[str, Any]:
        return ready(stations=self._fleet.planned)

    def now(self) -> float:
        return self._fleet.clock.now()

    def audience_changed(self) -> None:
        for station in list(self._watched):
            if not self.control.listens_to(station.identity):
                station.unwatch(self._watched.pop(station))
        for resident in self._fleet.residents.values():
            self._listen(resident)

    # --- one station --------------------------------------------------------------------------------

    def _resident(self, command: Command) -> Resident:
        residents = self._fleet.residents
        if "cp" not in command:
            if len(residents) == self._fleet.planned == 1:
                return next(iter(residents.values()))
            raise ActionError("bad_argument", "cp: is missing; there are several stations (GET /v1/stations)")
        cp = command["cp"]
        if not isinstance(cp, str) or cp not in residents:
            raise ActionError("unknown_cp", f"there is no station {cp!r} here")
        return residents[cp]

    def _listen(self, resident: Resident) -> None:
        station = resident.station
        if station not in self._watched and self.control.listens_to(station.identity):
            self._watched[station] = watcher = partial(self._tell, station)
            station.watch(watcher)

    def _tell(self, station: Station, event: str, fields: dict[str, Any]) -> None:
        if self.control.listens_to(station.identity):
            self.control.emit(event_line(station.utc(), event, fields, station.identity))
