"""Steps of a scenario as they are written: one key for each, the verbs of the control protocol among them."""

from __future__ import annotations

import re
from types import NoneType
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, create_model, field_validator, model_validator

from chargepoint.actions import VERBS
from chargepoint.actions import Field as Argument
from chargepoint.config.section import Expected, Section, mistake, mistakes
from chargepoint.config.source import Scalar
from chargepoint.config.wording import nearest
from chargepoint.csms.answers import ACTIONS as ANSWERED
from chargepoint.ocpp16.schema import CSMS_TO_CP
from chargepoint.ocpp16.times import parse_time
from scenarios.condition import (
    Anything,
    Choice,
    Condition,
    Duration,
    Match,
    Never,
    Number,
    Paths,
    Saved,
    Text,
    Whole,
    words,
)
from scenarios.faults import Disturbance

__all__ = [
    "BESIDE",
    "KINDS",
    "STATION_VERBS",
    "Csms",
    "Group",
    "Include",
    "Repeat",
    "Send",
    "Step",
    "Steps",
    "Wait",
]

NO_STEPS = ("advance", "status", "shutdown")
"""Verbs that a story has other words for: wait, expect, and its end."""

STATION_VERBS = tuple(verb for verb in VERBS if verb not in NO_STEPS)

BESIDE = ("at", "note", "then", "else")
"""Keys that stand beside the one that says what a step is."""

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


class Wait(Condition):
    """Let time pass: for so long, until a time, or until something is true."""

    for_: Duration | None = Field(default=None, alias="for", description="How long.")
    until: Text | None = Field(default=None, description="A time of day such as 22:00, or a date and time.")
    zone: Annotated[str, Expected("a time zone such as Europe/Berlin")] = Field(
        default="UTC", description="The zone of a time of day."
    )

    @model_validator(mode="before")
    @classmethod
    def _may_be_short(cls, value: Any) -> Any:
        return {"for": value} if isinstance(value, str | int | float) else value

    @field_validator("until")
    @classmethod
    def _is_a_time(cls, until: str | None) -> str | None:
        if until is not None and "{" not in until and not _TIME_OF_DAY.fullmatch(until):
            try:
                parse_time(until)
            except ValueError:
                raise mistake(f'is no time (is "{until}"); write 22:00 or 2026-03-29T01:00:00Z') from None
        return until

    @field_validator("zone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (LookupError, ValueError, OSError):
            raise mistake(f"is not a time zone; {nearest(name, available_timezones() | {'UTC'})}") from None
        return name

    def _complete(self) -> bool:
        return self.for_ is not None or self.until is not None


class Csms(Section):
    """What the central system does, or how it answers from now on."""

    call: Annotated[str, words(CSMS_TO_CP)] | None = Field(
        default=None, description="It sends that CALL to the station."
    )
    payload: Anything = Field(default=None, description="Of the CALL, or of the answer.")
    expect: Match | None = Field(default=None, description="How the station's answer must look.")
    save: Saved = Field(default={}, description="Variables from the station's answer.")
    answer: Annotated[str, words(ANSWERED)] | None = Field(
        default=None, description="How it answers that action from now on."
    )
    id_tag: Text | None = Field(default=None, description="Only for this card.")
    error: Anything = Field(
        default=None, description="The CALLERROR it answers with, or that the station must answer with."
    )
    silent: bool = Field(default=False, description="The answer is lost.")
    delay_s: Number | None = Field(default=None, description="The answer is so late, in station time.")
    times: Whole | None = Field(default=None, description="For so many answers; then as usual again.")
    usual: bool = Field(default=False, description="It answers as usual again.")
    drop: bool = Field(default=False, description="It cuts the station's link.")
    stop: bool = Field(default=False, description="It is away from now on.")
    start: bool = Field(default=False, description="It is back.")

    @model_validator(mode="before")
    @classmethod
    def _may_be_short(cls, value: Any) -> Any:
        return {str(value): True} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _says_one_thing(self) -> Csms:
        given = [self.call is not None, self.answer is not None, self.drop, self.stop, self.start]
        if sum(given) != 1:
            raise mistake("does one thing: call, answer, drop, stop or start")
        problems = {}
        if self.call is not None and "{" not in self.call and self.call not in CSMS_TO_CP:
            problems["call"] = f'is nothing to ask of a station (is "{self.call}"); ' + nearest(
                self.call, CSMS_TO_CP
            )
        if self.answer is not None and "{" not in self.answer and self.answer not in ANSWERED:
            problems["answer"] = f'is nothing a station asks (is "{self.answer}"); ' + nearest(
                self.answer, ANSWERED
            )
        if self.answer is not None and not (
            self.model_fields_set & {"payload", "error", "silent", "delay_s", "usual"}
        ):
            problems["answer"] = "says not how; write payload, error, silent, delay_s or usual"
        if problems:
            raise mistakes(problems)
        return self

    @property
    def needs_own(self) -> bool:
        """Only the embedded central system can do it."""
        return self.call is None


class Repeat(Section):
    """Steps that are done again and again."""

    times: Whole | None = Field(default=None, description="So often.")
    until: Condition | None = Field(
        default=None, description="Until this is true, looked at after each time."
    )
    at_most: Whole = Field(default=1000, description="With `until`: so often at most.")
    for_each: Annotated[dict[str, Any] | None, Expected("one variable with a list of values")] = Field(
        default=None, description="Once for each value of a variable."
    )
    as_: str = Field(default="n", alias="as", description="The variable that counts, from 1.")
    steps: tuple[Step, ...] = Field(min_length=1, description="What is done.")

    @model_validator(mode="after")
    def _ends(self) -> Repeat:
        if sum(value is not None for value in (self.times, self.until, self.for_each)) != 1:
            raise mistake("ends in one way: times, until or for_each")
        if self.for_each is not None and (
            len(self.for_each) != 1 or not isinstance(next(iter(self.for_each.values())), list | str)
        ):
            raise mistakes({"for_each": "must be one variable with a list, such as {tag: [A, B]}"})
        return self


class Start(Section):
    """The station is switched on."""


class Send(Section):
    """The station sends any CALL, valid or not, of which its software knows nothing."""

    action: Text = Field(min_length=1, description="Its action, which OCPP need not know.")
    payload: Anything = Field(default={}, description="Its payload, sent as it is.")


class Group(Section):
    """Steps that belong together under a title."""

    title: Text = Field(default="", description="What they are.")
    goes_on: bool = Field(
        default=False, description="What fails in it fails the scenario at its end, not at once."
    )
    steps: tuple[Step, ...] = Field(min_length=1, description="What is done.")


class Include(Section):
    """Steps of another file."""

    file: str = Field(min_length=1, description="A path from this file's folder, or library:NAME.")
    with_: Anything = Field(default={}, alias="with", description="Its variables.")

    @model_validator(mode="before")
    @classmethod
    def _may_be_short(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value

    @field_validator("with_")
    @classmethod
    def _is_a_group(cls, variables: Any) -> Any:
        if not isinstance(variables, dict):
            raise mistake("is not a group of keys; write for example {tag: A}")
        return variables


class _Told(Section):
    """The keys of a step that are not a verb."""

    at: Text | None = Field(default=None, description="Which station; the first one.")
    note: Text | None = Field(default=None, description="A sentence for the report.")
    wait: Wait | None = Field(default=None, description="Let time pass.")
    expect: Condition | None = Field(default=None, description="Something must come true.")
    expect_never: Never | None = Field(default=None, description="Something must not come true.")
    csms: Csms | None = Field(default=None, description="What the central system does.")
    start: Start | None = Field(default=None, description="A station that was left off is switched on.")
    send: Send | None = Field(default=None, description="The station sends any CALL, valid or not.")
    set: Paths | None = Field(default=None, description="Gives variables values.")
    repeat: Repeat | None = Field(default=None, description="Steps that are done again and again.")
    parallel: tuple[tuple[Step, ...], ...] | None = Field(
        default=None, min_length=1, description="Lists of steps that go on beside each other."
    )
    group: Group | None = Field(default=None, description="Steps that belong together.")
    include: Include | None = Field(default=None, description="Steps of another file.")
    if_: Condition | None = Field(default=None, alias="if", description="Only if this is true now.")
    then: tuple[Step, ...] | None = Field(default=None, description="What is done if it is.")
    else_: tuple[Step, ...] | None = Field(default=None, alias="else", description="And if it is not.")
    disturb: Disturbance | None = Field(default=None, description="A fault begins, or ends.")

    @model_validator(mode="before")
    @classmethod
    def _may_stand_alone(cls, value: Any) -> Any:
        """`- reboot:` and `- reboot` mean the verb without arguments."""
        if isinstance(value, str):
            value = {str(value): {}}
        if isinstance(value, dict):
            return {
                key: {} if item is None or (isinstance(item, Scalar) and item.null) else item
                for key, item in value.items()
                if key not in BESIDE or not (isinstance(item, Scalar) and item.null)
            }
        return value

    @model_validator(mode="after")
    def _is_one_step(self) -> _Told:
        kinds = [name for name in type(self).model_fields if name in self.model_fields_set]
        kinds = [spelled(name) for name in kinds if spelled(name) not in BESIDE]
        if not kinds:
            raise mistake("says nothing to do; write a verb, wait, expect ...")
        if len(kinds) > 1:
            raise mistake(f"does {' and '.join(kinds)} at once; begin a new line with a dash for each")
        if kinds == ["if"] and self.then is None and self.else_ is None:
            raise mistake("has neither `then` nor `else` beside `if`")
        if kinds != ["if"] and (self.then is not None or self.else_ is not None):
            raise mistakes({"then" if self.then is not None else "else": "goes with `if` only"})
        return self

    @property
    def kind(self) -> str:
        """What it is, as it is spelled."""
        names = (name for name in type(self).model_fields if name in self.model_fields_set)
        return next(spelled(name) for name in names if spelled(name) not in BESIDE)

    @property
    def of(self) -> Any:
        """What belongs to it."""
        return getattr(self, f"{self.kind}_" if self.kind == "if" else self.kind)


def spelled(field_name: str) -> str:
    """A field as the file spells it: Python keeps some words for itself."""
    return field_name.rstrip("_")


def _argument(argument: Argument) -> Any:
    kinds = argument.kind if isinstance(argument.kind, tuple) else (argument.kind,)
    described: dict[str, Any] = {"default": ... if argument.required else None}
    kind: Any
    if str in kinds and dict in kinds:
        kind = Annotated[Anything, Expected("a name, or a group of keys")]
    elif list in kinds or (str in kinds and len(set(kinds) - {NoneType}) > 1):
        kind = Anything
    elif bool in kinds:
        kind = Choice
    elif float in kinds:
        kind = Number
    elif int in kinds:
        kind = Whole
    else:
        kind = Text
    return (kind if argument.required else kind | None if kind is not Anything else kind), Field(**described)


def _verb(name: str, arguments: dict[str, Argument]) -> type[Section]:
    fields: dict[str, Any] = {key: _argument(argument) for key, argument in arguments.items()}
    model: type[Section] = create_model(
        "".join(word.title() for word in name.split("_")),
        __base__=Section,
        __doc__=f"The verb {name} of the control protocol (docs/control.md).",
        **fields,
    )
    return model


_VERB_FIELDS: dict[str, Any] = {
    name: (
        _verb(name, VERBS[name]) | None,
        Field(default=None, description="A verb of the control protocol."),
    )
    for name in STATION_VERBS
}

Step: Any = create_model("Step", __base__=_Told, __doc__="One step of a story.", **_VERB_FIELDS)
Steps = tuple[_Told, ...]

for _model in (Repeat, Group, Step):
    _model.model_rebuild(force=True, _types_namespace={**globals(), "Step": Step})

KINDS = tuple(spelled(name) for name in Step.model_fields if spelled(name) not in BESIDE)
"""Everything a step can be."""
