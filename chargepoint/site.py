"""The site of one station: brings its meter, its limit and the station's turns together."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from chargepoint.config.site import SiteConfig
from chargepoint.domain.site import SiteLimit, SiteSettings, draw
from chargepoint.ocpp16.charge_point import ChargePoint
from hal.api import Clock, EvseInfo, Timer
from hal.site import SiteMeter

_ROTATION = "RST"


class Host(Protocol):
    """The station a site belongs to."""

    @property
    def charge_point(self) -> ChargePoint:
        """What its software is now."""

    @property
    def silent(self) -> bool:
        """Between two lives of the software, or without mains."""


class Site:
    """The building's meter and what it leaves for charging; both outlive a restart of the station's software.

    A turn takes place only when the vehicles may draw something else than before.
    """

    __slots__ = ("_clock", "_host", "_timer", "limit", "meter")

    def __init__(self, settings: SiteSettings, meter: SiteMeter, clock: Clock, host: Host) -> None:
        self.meter = meter
        self.limit = SiteLimit(settings, clock.now())
        self._clock = clock
        self._host = host
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin to read; again has no effect."""
        if self._timer is None:
            self.meter.on_reading = self._read
            self.meter.start()
            self._look()

    def _read(self) -> None:
        reading, limit = self.meter.reading, self.limit
        assert reading is not None
        connectors = self._host.charge_point.connectors.all
        was_lost = limit.lost
        draws = [draw(connector, limit.settings, reading.time) for connector in connectors]
        if limit.read(reading.time, reading.current_a, draws) or was_lost:
            self._settle()

    def _look(self) -> None:
        """Is the meter still there? Asked when the newest reading is too old, no sooner."""
        if self.limit.look(self._clock.now()):
            self._settle()
            settings = self.limit.settings
            why = f" ({self.meter.problem})" if self.meter.problem else ""
            self._host.charge_point.complain(
                f"the site meter has been silent for {settings.meter_lost_s:g} s{why}: until it answers all "
                f"connectors share {settings.safe_a:g} A"
            )
        due = self._clock.now() + self.limit.settings.meter_lost_s if self.limit.lost else self.limit.lost_at
        self._timer = self._clock.call_at(due, self._look)

    def _settle(self) -> None:
        if not self._host.silent:
            with self._host.charge_point.turn as turn:
                self._host.charge_point.statuses.refresh(0)
                turn.settle_all()

    def status(self) -> dict[str, Any]:
        """What there is to know about the site, for a person."""
        limit = self.limit
        age_s = None if limit.read_at is None else round(self._clock.now() - limit.read_at, 3)
        return {
            "limit_a": limit.settings.usable_a,
            "current_a": [round(current_a, 3) for current_a in limit.current_a],
            "house_a": [round(current_a, 3) for current_a in limit.house_a],
            "left_a": limit.left_a,
            "age_s": age_s,
            "safe": limit.safe,
        }

    def close(self) -> None:
        """Let go of the meter."""
        if self._timer is not None:
            self._timer.cancel()
        self.meter.close()


def settings_of(config: SiteConfig, infos: Sequence[EvseInfo], rotations: Collection[str]) -> SiteSettings:
    """The site as the domain sees it; `rotations` as in ConnectorPhaseRotation (OCPP 1.6 §9.1.5)."""
    return SiteSettings(
        limit_a=config.limit_a,
        phases=config.phases,
        reserve_a=config.reserve_a,
        poll_s=config.poll_s,
        reaction_s=config.reaction_s,
        raise_after_s=config.raise_after_s,
        safe_a=config.safe_a,
        meter_lost_s=config.meter_lost_s,
        rules=tuple((rule.busy, rule.limit_a) for rule in config.rules),
        lines=_wired(infos, rotations, config.phases) or None,
    )


def _wired(
    infos: Sequence[EvseInfo], rotations: Collection[str], phases: int
) -> Mapping[int, tuple[int, ...]]:
    """The line of the grid connection behind each line of a connector, where that is known."""
    lines: dict[int, tuple[int, ...]] = {}
    for item in rotations:
        number, _, rotation = item.partition(".")
        if sorted(rotation) != sorted(_ROTATION) or not 1 <= int(number) <= len(infos):
            continue
        info = infos[int(number) - 1]
        behind = tuple(_ROTATION.index(letter) for letter in rotation[: info.phases])
        if info.current == "ac" and max(behind) < phases:
            lines[int(number)] = behind
    return lines
