"""What may be written about drivers and troubles: the model of a behaviour's YAML file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from chargepoint.config.reading import bind
from chargepoint.config.section import Context, Section, mistake
from chargepoint.config.source import parse as parse_document
from chargepoint.config.source import read as read_document
from chargepoint.config.wording import nearest
from chargepoint.errors import ConfigError
from chargepoint.fleet.people.arrival import DAY_S, HOURS, Week
from chargepoint.fleet.people.values import Length, Moment, Percents, Share, Span, Weights, check_weights
from chargepoint.ocpp16.status import KINDS
from hal.simulated.vehicle import vehicle_names


def _flat() -> tuple[float, ...]:
    return (1.0,) * 24


class Arrivals(Section):
    """When drivers come."""

    per_day: float = Field(default=0, ge=0, le=2000, description="Drivers per connector on a usual day.")
    hours: tuple[float, ...] = Field(
        default=_flat(), description="24 weights: how the day's drivers spread over the hours from midnight."
    )
    weekend_hours: tuple[float, ...] | None = Field(
        default=None, description="The same for Saturday and Sunday; null: no difference."
    )
    days: tuple[float, ...] = Field(
        default=(1.0,) * 7, description="7 factors from Monday to Sunday; 1 is a usual day."
    )
    first_within: Length | None = Field(
        default=None,
        description="Each station's first driver comes within this time of its start, and whatever the day "
        "was before has left nobody; null: the day has gone on before.",
    )

    @field_validator("hours", "weekend_hours", "days")
    @classmethod
    def _are_weights(cls, weights: tuple[float, ...] | None, info: Any) -> tuple[float, ...] | None:
        count = 7 if info.field_name == "days" else 24
        if weights is None:
            return None
        if len(weights) != count:
            raise mistake(f"has {len(weights)} numbers; write {count}")
        if min(weights) < 0 or (count == 24 and not sum(weights)):
            raise mistake("must not be below 0, nor all be 0; correct them")
        return weights

    def week(self, times: float = 1.0) -> Week:
        """The drivers per connector and hour over a week."""
        hours = self.hours, self.weekend_hours or self.hours
        per_hour = []
        for day, factor in enumerate(self.days):
            weights = hours[day >= 5]
            per_hour += [times * self.per_day * factor * weight / sum(weights) for weight in weights]
        assert len(per_hour) == HOURS
        return Week(per_hour)


class Drivers(Section):
    """What drivers do."""

    arrive_with: Percents = Field(default=Percents(), description="State of charge on arrival, in percent.")
    charge_to: Percents = Field(
        default=Percents(mean=90, deviation=10, least=50, most=100),
        description="Where the vehicle stops by itself, in percent.",
    )
    stay: Span = Field(
        default=Span(median=3600.0, spread=1.5, least=60.0), description="How long they park at most."
    )
    leave_when_charged: Share = Field(default=0.1, description="Part that leaves once the vehicle is done.")
    card_first: Share = Field(default=0.2, description="Part that shows the card before plugging in.")
    card_after: Span = Field(
        default=Span(median=12.0, spread=1.6, least=2.0, most=120.0),
        description="From plugging in to showing the card, or the other way round.",
    )
    app: Share = Field(default=0.0, description="Part that shows no card: the central system starts it.")
    patience: Span = Field(
        default=Span(median=45.0, spread=1.5, least=10.0, most=600.0),
        description="How long they wait for charging to begin before they show the card again or give up.",
    )
    swipes: int = Field(default=3, ge=1, le=20, description="How often they show a card at most.")
    wrong_card: Share = Field(default=0.01, description="Part that first shows a card nobody knows.")
    swipe_to_stop: Share = Field(default=0.6, description="Part that ends by card; the others just unplug.")
    unplug_early: Share = Field(default=0.03, description="Part that leaves long before what they meant to.")
    suspend: Share = Field(default=0.03, description="Part whose vehicle pauses once while charging.")
    suspend_for: Span = Field(default=Span(median=600.0, spread=2.0), description="How long such a pause is.")
    forget: Share = Field(default=0.02, description="Part that forgets the car.")
    forget_for: Span = Field(
        default=Span(median=10800.0, spread=1.8), description="How much longer it stays."
    )
    queue: Share = Field(default=0.2, description="Part that waits if all connectors are taken.")
    queue_for: Span = Field(default=Span(median=600.0, spread=2.0), description="How long they would wait.")
    vehicles: Weights = Field(
        default={},
        description="What they drive, with weights; empty: all kinds of car alike. Of the fleet's file "
        "the group's vehicles count instead.",
    )

    @field_validator("vehicles")
    @classmethod
    def _are_vehicles(cls, weights: Weights) -> Weights:
        return check_weights(weights, vehicle_names())


class Incident(Section):
    """Something that happens now and then and lasts for a while."""

    per_month: float = Field(default=0, ge=0, le=100_000, description="How often at a station in 30 days.")
    lasts: Span = Field(
        default=Span(median=600.0, spread=2.5, least=5.0, most=DAY_S), description="How long."
    )


class Faults(Incident):
    """Faults of a connector."""

    codes: Weights = Field(
        default={"OtherError": 1.0}, min_length=1, description="ChargePointErrorCodes, with weights."
    )

    @field_validator("codes")
    @classmethod
    def _are_codes(cls, weights: Weights) -> Weights:
        return check_weights(weights, tuple(sorted(KINDS)))


class Troubles(Section):
    """What goes wrong at a station."""

    faults: Faults = Field(default=Faults(), description="A connector is faulted.")
    reboots_per_month: float = Field(default=0, ge=0, le=100_000, description="Somebody restarts it.")
    offline: Incident = Field(default=Incident(), description="It loses its network.")
    power_cuts: Incident = Field(default=Incident(), description="The mains fail.")
    emergency_stops: Incident = Field(default=Incident(), description="The red button is pressed.")


class BehaviourConfig(Section):
    """A kind of site, or a mixture of such kinds; what a mixture writes replaces what its sites say."""

    title: str = Field(min_length=1, max_length=60, description="A few words for lists.")
    description: str = Field(default="", max_length=1000, description="What it is good for.")
    begins_at: Moment = Field(
        default=None,
        description="The local time at which a run finds itself; null: the station clock's own.",
    )
    sites: Weights = Field(
        default={}, description="Kinds of site, by name or path of a file, with weights; empty: this is one."
    )
    current: Literal["ac", "dc", "any"] = Field(
        default="any", description="Stations of a mixture become such a site only if their outlets fit."
    )
    busier: float = Field(default=1.0, ge=0, le=1000, description="A factor on all arrivals.")
    arrivals: Arrivals = Field(default=Arrivals(), description="When drivers come.")
    drivers: Drivers = Field(default=Drivers(), description="What they do.")
    troubles: Troubles = Field(default=Troubles(), description="What goes wrong.")

    @field_validator("sites")
    @classmethod
    def _are_weights(cls, weights: Weights) -> Weights:
        return check_weights(weights, None)


@cache
def behaviour_names() -> tuple[str, ...]:
    """The behaviours that are shipped, in alphabetical order."""
    folder = files("chargepoint.fleet.people").joinpath("behaviours")
    return tuple(sorted(f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")))


def load_config(name: str | Path, folder: Path = Path()) -> BehaviourConfig:
    """A shipped behaviour by name, or a file of one's own. Raises `ConfigError` with every mistake."""
    if str(name) in behaviour_names():
        file = files("chargepoint.fleet.people").joinpath("behaviours", f"{name}.yaml")
        return bind(BehaviourConfig, parse_document(file.read_text(encoding="utf-8"), file.name), Context())
    path = folder / name
    if path.suffix not in (".yaml", ".yml", ".json"):
        raise ConfigError(
            [f"{name}: is no behaviour; {nearest(str(name), behaviour_names())}, or give a file NAME.yaml"]
        )
    return bind(BehaviourConfig, read_document(path), Context(path.parent))


def load_sites(name: str | Path, folder: Path = Path()) -> tuple[tuple[BehaviourConfig, float], ...]:
    """The kinds of site a behaviour consists of, with weights, what it says itself merged in.

    Raises `ConfigError`.
    """
    top = load_config(name, folder)
    if not top.sites:
        return ((top, 1.0),)
    own = folder if str(name) in behaviour_names() else (folder / name).parent
    found = []
    for site, weight in top.sites.items():
        below = load_config(site, own)
        if below.sites:
            raise ConfigError([f"{name}: sites: {site} is a mixture itself; name the sites it consists of"])
        merged = over(below, top)
        found.append((merged.model_copy(update={"busier": below.busier * top.busier}), weight))
    return tuple(found)


def over(below: BehaviourConfig, top: BehaviourConfig) -> BehaviourConfig:
    """`below` with whatever was written in `top`; title and rights of way stay its own."""
    merged = _over(below, top, frozenset({"title", "description", "sites", "current", "busier"}))
    assert isinstance(merged, BehaviourConfig)
    return merged


def _over(below: Section, top: Section, kept: frozenset[str] = frozenset()) -> Section:
    changes: dict[str, Any] = {}
    for key in top.model_fields_set - kept:
        ours, theirs = getattr(top, key), getattr(below, key)
        nested = isinstance(ours, Section) and isinstance(theirs, Section)
        changes[key] = _over(theirs, ours) if nested else ours
    return below.model_copy(update=changes)
