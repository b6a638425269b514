"""A fleet's file: groups of stations, their central system, what happens to them; and all its mistakes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from chargepoint.config import StationConfig
from chargepoint.config.problems import in_order, places
from chargepoint.config.section import Expected, Section, mistake, mistakes
from chargepoint.config.source import Document, Place, read, spelled
from chargepoint.config.source import parse as parse_document
from chargepoint.config.wording import nearest
from chargepoint.durations import Start, moment, seconds
from chargepoint.errors import ConfigError
from chargepoint.fleet.events import parse as parse_event
from chargepoint.fleet.plan.connection import FleetCsmsConfig, keys_in
from chargepoint.fleet.plan.elsewhere import FleetContext, looking, within
from chargepoint.fleet.plan.group import GroupConfig, NumberedConfig, station_config
from chargepoint.fleet.plan.passwords import password
from chargepoint.fleet.plan.rates import EXPECTED_RATE, rate_per_s
from chargepoint.fleet.plan.shipped import template_config

__all__ = ["EventConfig", "FleetConfig", "load", "member_config", "parse"]

Warn = Callable[[str], None]

_log = logging.getLogger(__name__)


class EventConfig(Section):
    """Something that happens to the whole fleet, or a part of it, while it runs."""

    at: Annotated[str, Expected("a time such as 90s, 10m or 1h30m")] = Field(
        description="How long after the start of the run, in station time."
    )
    do: Annotated[str, Expected("an event such as blackout 5m")] = Field(
        min_length=1, description="What happens, in the words of the list above."
    )

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, at: str) -> str:
        try:
            seconds(at)
        except ValueError:
            raise mistake(f'is no time (is "{at}"); write a time such as 90s, 10m or 1h30m') from None
        return at

    @field_validator("do")
    @classmethod
    def _is_an_event(cls, do: str) -> str:
        try:
            parse_event(do)
        except ValueError as error:
            raise mistake(str(error)) from None
        return do


class FleetConfig(Section):
    """A whole fleet; only `groups` has no default."""

    seed: int | None = Field(
        default=None, ge=0, description="The same seed gives the same day; null: another one each time."
    )
    ramp: Annotated[str | float, Expected(EXPECTED_RATE)] = Field(
        default="50/s", description="How many stations are started in a time; a number alone is per second."
    )
    start: Start = Field(
        default=None,
        description="When --clock stepped or xN begins, in UTC unless it says otherwise; the wall clock has "
        "its own time.",
        examples=["2026-03-02T06:00:00Z"],
    )
    csms: FleetCsmsConfig = Field(
        default=FleetCsmsConfig(), description="The central system of all groups without one of their own."
    )
    storage: Path | None = Field(
        default=None,
        description="The folder for what must survive the end of the process; null: nothing does, and the "
        "fleet is faster.",
    )
    groups: tuple[GroupConfig, ...] = Field(min_length=1, max_length=1000, description="The stations.")
    events: tuple[EventConfig, ...] = Field(
        default=(),
        description="What happens while the fleet runs.",
        examples=[{"at": "10m", "do": "blackout 5m"}],
    )

    @field_validator("ramp")
    @classmethod
    def _is_a_rate(cls, ramp: str | float) -> str | float:
        try:
            rate_per_s(str(ramp))
        except ValueError as error:
            raise mistake(str(error)) from None
        return ramp

    @field_validator("groups")
    @classmethod
    def _go_together(cls, groups: tuple[GroupConfig, ...], info: ValidationInfo) -> tuple[GroupConfig, ...]:
        problems = _collisions(dict(enumerate(groups)))
        if "csms" in info.data:
            for index, group in enumerate(groups):
                for place, text in _station_problems(group, info.data["csms"], index, info.context):
                    problems.setdefault((index, *place), text)
        if problems:
            raise mistakes(problems)
        return groups

    @field_validator("events")
    @classmethod
    def _name_their_groups(
        cls, events: tuple[EventConfig, ...], info: ValidationInfo
    ) -> tuple[EventConfig, ...]:
        names = [group.name for group in info.data.get("groups", ())]
        problems: dict[Place, str] = {}
        for index, event in enumerate(events):
            group = parse_event(event.do).group
            if names and group is not None and group not in names:
                problems[index, "do"] = f"is for {group}, which is not a group; {nearest(group, names)}"
        if problems:
            raise mistakes(problems)
        return events

    @property
    def ramp_per_s(self) -> float:
        """Stations started per second of station time."""
        return rate_per_s(str(self.ramp))

    @property
    def starts_at(self) -> float | None:
        """When a clock that can be chosen begins."""
        return None if self.start is None else moment(self.start)


def load(path: Path | str, warn: Warn = _log.warning) -> FleetConfig:
    """Read a fleet's file; relative paths in it begin at its folder.

    Raises `ConfigError` with every mistake, those in the templates and other files it names included; a
    syntax error or a duplicate key ends the reading at the first.
    """
    path = Path(path)
    return _bind(read(path), FleetContext(path.parent, look_for_files=True), warn)


def parse(text: str, name: str = "fleet", warn: Warn = _log.warning) -> FleetConfig:
    """The same from YAML text, without a look at files; `name` stands for the file in messages."""
    return _bind(parse_document(text, name), FleetContext(), warn)


def member_config(group: GroupConfig, csms: FleetCsmsConfig, context: Any = None) -> StationConfig:
    """What the stations of a group have in common, under the identity of the first one.

    Raises pydantic's `ValidationError`.
    """
    like = template_config(group.template)
    identity = group.numbering[0]
    key = None if csms.authorization_key is None else csms.authorization_key.get_secret_value()
    if key is not None:
        key = password(key, identity, group.first_number)
    elif csms.key_file is not None and csms.security_profile in (1, 2):
        key = "in the file"
    changes = {
        **group.station,
        "quirks": {key: getattr(group.quirks, key) for key in group.quirks.model_fields_set},
        "identity": identity,
        "csms": csms.for_station(like.csms, key),
        "storage": None,
    }
    return station_config(like, changes, context)


def _bind(document: Document, context: FleetContext, warn: Warn) -> FleetConfig:
    try:
        found = FleetConfig.model_validate(dict(document.tree), context=context)
    except ValidationError as error:
        problems = places(FleetConfig, error)
        # With a mistake in one group pydantic does not look at them together.
        for place, text in _collisions(_numbered(document.tree.get("groups"))).items():
            problems.setdefault(("groups", *place), text)
        raise ConfigError([*in_order(problems, document), *context.elsewhere]) from None
    for place, text in context.warnings.items():
        warn(f"{document.name}:{document.line(place)}: {spelled(place)}: {text}")
    for text in context.cautions:
        warn(text)
    return found


def _numbered(groups: Any) -> dict[int, NumberedConfig]:
    """The groups whose names and numbers are right, whatever else is wrong with them."""
    found = {}
    for index, group in enumerate(groups if isinstance(groups, list) else ()):
        if isinstance(group, dict):
            known = {key: value for key, value in group.items() if key in NumberedConfig.model_fields}
            try:
                found[index] = NumberedConfig.model_validate(known)
            except ValidationError:
                continue
    return found


def _collisions(groups: Mapping[int, NumberedConfig]) -> dict[Place, str]:
    """Where a group has the name of an earlier one, or an identity that an earlier one has."""
    problems: dict[Place, str] = {}
    names: dict[str, int] = {}
    numberings = {index: group.numbering for index, group in groups.items()}
    for index, group in groups.items():
        if names.setdefault(group.name, index) != index:
            problems[index, "name"] = f"{group.name} is the name of an earlier group; write another one"
        for earlier in (other for other in groups if other < index):
            if identity := numberings[earlier].first_collision(numberings[index]):
                problems[index, "identities"] = (
                    f"{group.name} has {identity}, and so has {groups[earlier].name}; "
                    "change identities or first_number"
                )
                break
    return problems


def _station_problems(
    group: GroupConfig, csms: FleetCsmsConfig, index: int, context: Any
) -> Iterator[tuple[Place, str]]:
    """What only shows when template, own keys and central system come together."""
    csms = group.csms or csms
    own = within(context)
    try:
        member_config(group, csms, own)
    except ValidationError as error:
        for place, text in places(StationConfig, error).items():
            yield (place if place[0] == "csms" else ("station", *place)), text
    if own is not None:
        for place, text in own.warnings.items():
            context.warnings["groups", index, "station", *place] = text
    if csms.key_file is not None and looking(context):
        known = keys_in(csms.key_file)
        without = [identity for identity in group.numbering if identity not in known]
        if without:
            more = f" and {len(without) - 1} more of {group.name}" if len(without) > 1 else ""
            yield ("csms", "key_file"), f"has no key for {without[0]}{more}; add `identity,key`"
