"""The building a station stands in: its grid connection, the meter there, and what the vehicles may use."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from chargepoint.config.hardware import ConnectorConfig, DriverConfig, own_mistakes
from chargepoint.config.section import Section, mistake, mistakes
from chargepoint.config.wording import nearest
from hal.mistakes import site_meter_mistakes
from hal.registry import site_meter_names

__all__ = ["SiteConfig", "SiteRuleConfig", "wiring_problem"]


class SiteRuleConfig(Section):
    """What the connectors may draw together while several of them are busy."""

    busy: int = Field(ge=1, le=100, description="From so many running transactions on, until the next rule.")
    limit_a: float = Field(
        ge=0, le=10_000, description="What all connectors together may draw, per line of the grid connection."
    )


class SiteConfig(Section):
    """The grid connection that house and vehicles share; docs/load-management.md shows it at work."""

    limit_a: float = Field(
        gt=0, le=10_000, description="What the grid connection carries, per line.", examples=[40]
    )
    phases: int = Field(default=3, ge=1, le=3, description="The lines of the grid connection.")
    meter: DriverConfig = Field(
        default=DriverConfig(driver="simulated"),
        description="The meter at the grid connection: one on Modbus, `simulated` (with `base_load_a`), or "
        "`fed` by whoever controls the station.",
        examples=[{"driver": "simulated", "base_load_a": {"00:00": 2, "18:00": [9, 4, 6]}}],
    )
    reserve_a: float = Field(
        default=0.0, ge=0, le=10_000, validate_default=True, description="What of the limit is never used."
    )
    poll_s: float = Field(default=1.0, ge=0.2, le=60, description="How often the meter is asked.")
    reaction_s: float = Field(
        default=5.0,
        gt=0,
        le=300,
        validate_default=True,
        description="How long the limit may be exceeded before vehicles are told less; they may need 5 s "
        "to follow.",
    )
    raise_after_s: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="How long more must be available before vehicles are told so.",
    )
    safe_a: float = Field(
        default=6.0,
        ge=0,
        le=10_000,
        validate_default=True,
        description="What all connectors together may draw per line while the meter is silent; 0: nothing.",
    )
    meter_lost_s: float = Field(
        default=15.0,
        gt=0,
        le=3600,
        validate_default=True,
        description="After so long without a reading the meter counts as silent.",
    )
    rules: tuple[SiteRuleConfig, ...] = Field(
        default=(),
        description="A limit for the connectors alone, by how many of them are busy.",
        examples=[{"busy": 2, "limit_a": 32}],
    )

    @property
    def real(self) -> bool:
        """The meter is a device, which knows one time only."""
        return self.meter.driver not in ("simulated", "fed")

    @field_validator("meter")
    @classmethod
    def _can_be_opened(cls, meter: DriverConfig, info: ValidationInfo) -> DriverConfig:
        if meter.driver not in site_meter_names():
            raise mistakes({"driver": f"does not exist; {nearest(meter.driver, site_meter_names())}"})
        found = site_meter_mistakes(meter.settings, info.data.get("phases", 3))
        if problem := own_mistakes(found, info.context):
            raise problem
        return meter

    @field_validator("reserve_a", "safe_a")
    @classmethod
    def _is_within_the_limit(cls, current_a: float, info: ValidationInfo) -> float:
        limit_a = info.data.get("limit_a", current_a)
        if current_a > limit_a:
            raise mistake(f"is above limit_a, {limit_a:g}; write less")
        return current_a

    @field_validator("reaction_s")
    @classmethod
    def _sees_two_readings(cls, reaction_s: float, info: ValidationInfo) -> float:
        least_s = 2 * info.data.get("poll_s", 0.0)
        if reaction_s < least_s:
            raise mistake(f"must be at least twice poll_s, {least_s:g} (is {reaction_s:g})")
        return reaction_s

    @field_validator("meter_lost_s")
    @classmethod
    def _waits_for_the_meter(cls, lost_s: float, info: ValidationInfo) -> float:
        least_s = 2 * info.data.get("poll_s", 0.0)
        if lost_s < least_s:
            raise mistake(f"must be at least twice poll_s, {least_s:g} (is {lost_s:g})")
        return lost_s

    @field_validator("rules")
    @classmethod
    def _ascend(cls, rules: tuple[SiteRuleConfig, ...]) -> tuple[SiteRuleConfig, ...]:
        numbers = [rule.busy for rule in rules]
        if numbers != sorted(set(numbers)):
            raise mistake("must have ascending values of busy, each once")
        return rules


def wiring_problem(site: SiteConfig, connectors: tuple[ConnectorConfig, ...]) -> str | None:
    """Why connectors cannot hang at this grid connection; None if they can."""
    for number, connector in enumerate(connectors, 1):
        needed = 3 if connector.current == "dc" else connector.phases
        if needed > site.phases:
            return f"must be at least {needed}, as connector {number} needs (is {site.phases})"
    return None
