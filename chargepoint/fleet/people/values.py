"""How times, moments of a week, parts and weights are written in a behaviour's file."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from chargepoint import durations
from chargepoint.config.section import Expected, Section, mistake, mistakes
from chargepoint.config.wording import nearest
from chargepoint.fleet.people.arrival import DAY_S, HOUR_S
from chargepoint.fleet.people.chances import Lognormal, Normal

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOMENT = re.compile(rf"({'|'.join(DAYS)}) ([01]\d|2[0-3]):([0-5]\d)")


def _seconds(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return durations.seconds(value)
    except ValueError as error:
        raise mistake(f"is not a length of time: {error}") from None


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _MOMENT.fullmatch(value.strip().lower())
    if found is None:
        raise mistake(f'is no moment of a week (is "{value}"); write a day and a time such as tue 07:30')
    day, hour, minute = found.groups()
    return DAYS.index(day) * DAY_S + int(hour) * HOUR_S + int(minute) * 60.0


Share = Annotated[float, Field(ge=0, le=1)]
Length = Annotated[
    float,
    Field(ge=0),
    BeforeValidator(_seconds),
    Expected(durations.EXPECTED),
    WithJsonSchema(
        {
            "type": ["number", "string"],
            "minimum": 0,
            "pattern": r"^([0-9]+(\.[0-9]+)?([mM][sS]|[smhdwSMHDW])?)+$",
        }
    ),
]
Moment = Annotated[
    float | None,
    BeforeValidator(_moment),
    Expected("a day and a time such as tue 07:30, or null"),
    WithJsonSchema({"type": ["string", "null"], "pattern": "^[A-Za-z]{3} ([01][0-9]|2[0-3]):[0-5][0-9]$"}),
]
Weights = dict[str, Any]  # numbers; checked by `check_weights`, whose words are better


def check_weights(weights: Weights, known: tuple[str, ...] | None) -> Weights:
    """As numbers, of known names only (None: any). Raises a mistake that pydantic tells."""
    for name, weight in weights.items():
        if known is not None and name not in known:
            raise mistake(f'has "{name}", which is not known; {nearest(name, known)}')
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            raise mistake(f'has a weight for "{name}" that is no number of at least 0; write one')
    if weights and not sum(weights.values()):
        raise mistake("has only weights of 0; give one of them more")
    return {name: float(weight) for name, weight in weights.items()}


class Percents(Section):
    """States of charge: a normal distribution, cut off at both ends."""

    mean: float = Field(default=50, ge=0, le=100, description="In percent.")
    deviation: float = Field(default=20, ge=0, le=100, description="Standard deviation, in percent.")
    least: float = Field(default=5, ge=0, le=100, description="Nothing below it.")
    most: float = Field(default=95, ge=0, le=100, description="Nothing above it.")

    @model_validator(mode="after")
    def _is_a_range(self) -> Percents:
        if self.least >= self.most:
            raise mistakes({"most": f"must be above least ({self.least:g}); raise it or lower least"})
        return self

    def chances(self) -> Normal:
        """As what values are drawn from."""
        return Normal(self.mean, self.deviation, self.least, self.most)


class Span(Section):
    """Lengths of time: half of them shorter than the median, two thirds within a factor of `spread` of it."""

    median: Length = Field(default=60.0, gt=0, description="Half of all are shorter.")
    spread: float = Field(default=1.5, ge=1, le=10, description="A factor; 1 makes all alike.")
    least: Length = Field(default=1.0, description="None shorter.")
    most: Length = Field(default=7 * DAY_S, description="None longer.")

    @model_validator(mode="after")
    def _is_a_range(self) -> Span:
        if not self.least <= self.median <= self.most or self.least >= self.most:
            raise mistakes({"median": "must lie between least and most; change one of them"})
        return self

    def chances(self) -> Lognormal:
        """As what values are drawn from."""
        return Lognormal(self.median, self.spread, self.least, self.most)
