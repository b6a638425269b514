"""One group of a fleet's file: stations made alike, and who charges there."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from chargepoint.config import StationConfig
from chargepoint.config.problems import places
from chargepoint.config.quirks import QuirksConfig
from chargepoint.config.section import Context, Expected, Section, mistake, mistakes
from chargepoint.config.source import Place
from chargepoint.config.wording import nearest
from chargepoint.errors import ConfigError
from chargepoint.fleet.plan.connection import FleetCsmsConfig
from chargepoint.fleet.plan.elsewhere import FleetContext, in_other_file, looking, within
from chargepoint.fleet.plan.identities import PATTERN_HINT, Numbering, pattern_problem
from chargepoint.fleet.plan.pools import tag_pool, tag_problems, tags_in, vehicles_from
from chargepoint.fleet.plan.shipped import (
    behaviour_problem,
    is_path,
    template_config,
    template_problem,
)

__all__ = ["ELSEWHERE", "GroupConfig", "NumberedConfig", "station_config"]

_log = logging.getLogger(__name__)

MOST_STATIONS = 1_000_000
LONGEST_IDENTITY = 255

ELSEWHERE = {
    "identity": "`identities` of the group",
    "csms": "`csms` of the group or of the fleet",
    "vehicle": "`vehicles` of the group",
    "quirks": "`quirks` of the group",
    "storage": "`storage` of the fleet",
}
"""The keys of a station's configuration that a fleet's file has a place of its own for."""


class NumberedConfig(Section):
    """Who the stations of a group are."""

    name: str = Field(
        min_length=1, max_length=60, description="The group's name in tables, metrics and reports."
    )
    count: int = Field(ge=1, le=MOST_STATIONS, description="How many stations.")
    first_number: int = Field(
        default=1, ge=0, le=10**9, description="The number of the group's first station."
    )
    identities: Annotated[str, Expected(PATTERN_HINT)] = Field(
        default="CP{n:05d}",
        validate_default=True,
        description="The stations' identities: {n} is the number, {n:05d} the number with five digits. A "
        "group of one may have an identity without a number.",
        examples=["DE*ABC*E{n:06d}"],
    )

    @field_validator("name")
    @classmethod
    def _is_printable(cls, name: str) -> str:
        if not name.isprintable() or name != name.strip():
            raise mistake("has blanks around it or characters that cannot be printed; remove them")
        return name

    @field_validator("identities")
    @classmethod
    def _make_identities(cls, pattern: str, info: ValidationInfo) -> str:
        count, first = info.data.get("count", 1), info.data.get("first_number", 1)
        if problem := pattern_problem(pattern, count, first, LONGEST_IDENTITY):
            raise mistake(problem)
        return pattern

    @property
    def numbering(self) -> Numbering:
        """The identities of the group."""
        return Numbering(self.identities, self.count, self.first_number)


class GroupConfig(NumberedConfig):
    """Stations made alike, and who charges there."""

    template: str | None = Field(
        default=None,
        description="The type of station: a name that `chargepoint fleet templates` lists, or the path of a "
        "file; null: a plain wallbox.",
    )
    # A Mapping, not a dict: its scalars stay source text until a station's configuration reads them.
    station: Annotated[Mapping[str, Any], Expected("a group of keys")] = Field(
        default={},
        description="Keys of a station's configuration (docs/configuration.md) in place of the template's. "
        "Groups are merged key by key, lists replaced.",
        examples=[{"ocpp": {"HeartbeatInterval": 300}}],
    )
    quirks: QuirksConfig = Field(
        default=QuirksConfig(),
        description="Bad habits (docs/templates.md), in place of the template's: null or false "
        "switches one off.",
    )
    behaviour: str = Field(
        default="steady",
        min_length=1,
        validate_default=True,
        description="What its drivers do: a name that `chargepoint fleet behaviours` lists, or the path of a "
        "file.",
    )
    vehicles: Annotated[
        dict[str, Any] | tuple[Any, ...],
        Expected("vehicles with weights, such as {compact: 3, city: 1}, or a list of vehicles"),
    ] = Field(
        default={},
        description="What comes to charge. In a list each is a name, or keys of a vehicle with its `weight`. "
        "Empty: what the behaviour brings.",
        examples=[{"compact": 3, "city": 1}, [{"kind": "van", "soc_percent": 20, "weight": 2}]],
    )
    id_tags: Annotated[
        str | tuple[str, ...] | None,
        Expected("a list of id tags, a pool such as TAG{n:04d} x 500, the path of a file, or null"),
    ] = Field(
        default=None,
        description="The cards of its drivers. A file has one on each line; null: TAG{n} of the behaviour.",
        examples=["TAG{n:04d} x 500", ["04E12345", "04E12346"]],
    )
    time_zone: Annotated[str, Expected("a time zone such as Europe/Berlin")] = Field(
        default="UTC", description="Where its drivers live: the hours of the behaviour are of this zone."
    )
    csms: FleetCsmsConfig | None = Field(
        default=None, description="The group's own central system; null: that of the fleet."
    )

    @field_validator("template")
    @classmethod
    def _is_a_template(cls, template: str | None, info: ValidationInfo) -> str | None:
        if template is None:
            return None
        template = _placed(template, info.context)
        warn = info.context.caution if isinstance(info.context, FleetContext) else _log.warning
        try:
            problem = template_problem(template, warn)
        except ConfigError as error:
            raise in_other_file(error, info.context) from None
        if problem:
            raise mistake(problem)
        return template

    @field_validator("station")
    @classmethod
    def _fits_the_template(cls, written: Mapping[str, Any], info: ValidationInfo) -> Mapping[str, Any]:
        problems: dict[Place, str] = {
            (key,): f"has a place of its own; write it as {place}"
            for key, place in ELSEWHERE.items()
            if key in written
        }
        keys = {key: value for key, value in written.items() if key not in ELSEWHERE}
        try:
            like = template_config(info.data.get("template"))
            config = station_config(like, keys, within(info.context))
        except ValidationError as error:
            problems |= places(StationConfig, error)
        else:
            drivers = {connector.evse.driver for connector in config.connectors}
            if drivers != {"simulated"} or config.readers:
                problems["connectors" if drivers != {"simulated"} else "readers",] = (
                    "must be simulated in a fleet; leave out the drivers of real hardware"
                )
        if problems:
            raise mistakes(problems)
        return written

    @field_validator("behaviour")
    @classmethod
    def _is_a_behaviour(cls, behaviour: str, info: ValidationInfo) -> str:
        behaviour = _placed(behaviour, info.context)
        try:
            problem = behaviour_problem(behaviour)
        except ConfigError as error:
            raise in_other_file(error, info.context) from None
        if problem:
            raise mistake(problem)
        return behaviour

    @field_validator("vehicles")
    @classmethod
    def _exist(cls, vehicles: dict[str, Any] | tuple[Any, ...]) -> dict[str, Any] | tuple[Any, ...]:
        if problems := vehicles_from(vehicles)[1]:
            raise mistakes(problems)
        return vehicles

    @field_validator("id_tags")
    @classmethod
    def _are_cards(
        cls, tags: str | tuple[str, ...] | None, info: ValidationInfo
    ) -> str | tuple[str, ...] | None:
        if isinstance(tags, tuple):
            if not tags:
                raise mistake("must not be empty; write id tags, or null")
            if problems := tag_problems(tags):
                raise mistakes(problems)
        elif tags is not None:
            pool = tag_pool(tags)
            if isinstance(pool, str):
                raise mistake(pool)
            if pool is None:
                return _tag_file(tags, info.context)
        return tags

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            raise mistake(f"is not a time zone; {nearest(name, available_timezones() | {'UTC'})}") from None
        return name


def station_config(like: StationConfig, changes: Mapping[str, Any], context: Any) -> StationConfig:
    """A station like another one but for `changes`. Raises pydantic's `ValidationError`."""
    return StationConfig.model_validate(_merged(like, changes), context=context)


def _merged(like: Section, changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(like)
    for key, value in changes.items():
        before = merged.get(key)
        if isinstance(value, Mapping) and isinstance(before, Section):
            merged[key] = _merged(before, value)
        elif isinstance(value, Mapping) and isinstance(before, Mapping):
            # OCPP keys are the same in upper and lower case (OCPP 1.6 §9).
            folded = {name.casefold() for name in value}
            kept = {name: item for name, item in before.items() if name.casefold() not in folded}
            merged[key] = kept | dict(value)
        else:
            merged[key] = value
    return merged


def _placed(name: str, context: Any) -> str:
    """A name as it is; a path from the folder of the fleet's file."""
    if not is_path(name):
        return name
    folder = context.folder if isinstance(context, Context) else Path()
    return str(folder / Path(name).expanduser())


def _tag_file(name: str, context: Any) -> str:
    folder = context.folder if isinstance(context, Context) else Path()
    path = folder / Path(name).expanduser()
    if looking(context):
        try:
            tags_in(path)
        except ConfigError as error:
            raise in_other_file(error, context) from None
    return str(path)
