"""Disturbs the stations of a story, as its steps and its background say."""

from __future__ import annotations

from scenarios.faults import BadDisturbance, Disturbance, Setting, Struck, Unsuitable
from scenarios.history import Event
from scenarios.stage import Stage
from scenarios.verdict import Impossible, Unsuited

__all__ = ["Disturbing"]


class Disturbing:
    """The disturbances of one story on its stage; what they do is written down at their stations."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._setting: Setting | None = None  # when there are stations

    async def disturb(self, disturbance: Disturbance, at: str | None) -> None:
        """A fault begins or ends, at one station or (None) at all. Raises `Unsuited`, `Impossible`."""
        if self._setting is None:
            stations = {cp: staged.station for cp, staged in self._stage.stations.items()}
            self._setting = Setting(stations, self._stage.csms, seed=self._stage.seed, on_struck=self._struck)
        try:
            await self._setting.apply(disturbance, at)
        except Unsuitable as error:
            raise Unsuited(str(error)) from None
        except BadDisturbance as error:
            raise Impossible(f"disturb: {error}") from None

    def _struck(self, struck: Struck) -> None:
        staged, fields = self._stage.stations[struck.station], {"name": struck.name, "what": struck.what}
        staged.history.events.append(Event(struck.at, "disturbance", fields, at=self._stage.clock.now()))
        if staged.trace is not None:
            staged.trace.event(struck.at, "disturbance", **fields)
        self._stage.poke()

    async def calm(self) -> None:
        """End every disturbance."""
        if self._setting is not None:
            await self._setting.close()
