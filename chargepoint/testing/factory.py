"""How a test gets its stations: made as asked for, started, and accepted by the central system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chargepoint.testing.bench import Bench, Member, NotSeen, seconds_of
from chargepoint.testing.charge_point import WITHIN, ChargePoint


@dataclass(frozen=True, slots=True)
class Choices:
    """What stations are like unless a test says otherwise."""

    template: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    vehicle: str | Mapping[str, Any] | None = None
    identity: str | None = None


class ChargePoints:
    """Makes stations on one bench."""

    def __init__(self, bench: Bench, choices: Choices) -> None:
        self._bench = bench
        self._choices = choices

    def __call__(
        self,
        count: int = 1,
        *,
        template: str | None = None,
        config: Mapping[str, Any] | None = None,
        vehicle: str | Mapping[str, Any] | None = None,
        identity: str | None = None,
        accepted: bool = True,
    ) -> list[ChargePoint]:
        """So many stations, started and, unless `accepted` is false, accepted by the central system.

        `template` is a name that `chargepoint fleet templates` lists or a path; `config` holds keys of a
        station's configuration (docs/configuration.md) over it; `vehicle` is what comes to charge; `identity`
        is one name or, for several, a pattern such as `DEPOT{n:02d}`; `{worker}` in it is the number of the
        pytest-xdist worker, 0 without. Raises `ConfigError` with every mistake, `NotSeen` if the central
        system is not there or does not accept them.
        """
        __tracebackhide__ = True
        members = self._bench.add(
            count,
            template=template or self._choices.template,
            config=merged(self._choices.config, config or {}),
            vehicle=vehicle or self._choices.vehicle,
            identity=identity or (config or {}).get("identity") or self._choices.identity,
        )
        self._bench.start(members)
        charge_points = [ChargePoint(self._bench, member) for member in members]
        if accepted:
            for charge_point, member in zip(charge_points, members, strict=True):
                self._await_accepted(charge_point, member)
        return charge_points

    def _await_accepted(self, charge_point: ChargePoint, member: Member) -> None:
        __tracebackhide__ = True
        station = member.station
        self._bench.wait(lambda: station.accepted or station.failed_attempts, seconds_of(WITHIN))
        if station.accepted:
            # The first StatusNotifications; one that is never answered is the test's to notice.
            self._bench.wait(lambda: station.charge_point.outbox.idle, 5.0)
            return
        url = station.link.settings.url
        for event in reversed(member.events):
            if event["event"] == "connection" and not event["online"]:
                raise NotSeen(f"{charge_point.identity}: no central system at {url}: {event['reason']}")
        registration = charge_point.state()["registration"]
        raise NotSeen(
            f"{charge_point.identity}: waited {WITHIN:g} s to be accepted by {url}; "
            f"its registration is {registration}"
        )


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with what `above` says in its place, group by group."""
    result = dict(below)
    for key, value in above.items():
        before = result.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        result[key] = merged(before, value) if both else value  # type: ignore[arg-type]  # both are mappings
    return result
