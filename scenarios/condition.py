"""Conditions of a scenario as they are written: what must come true, and how long until then."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

import jmespath
from jmespath.exceptions import JMESPathError
from pydantic import AfterValidator, Field, WithJsonSchema, field_validator, model_validator

from chargepoint.config.section import Expected, Section, mistake, mistakes
from chargepoint.config.wording import nearest
from chargepoint.durations import EXPECTED as EXPECTED_TIME
from chargepoint.durations import seconds
from chargepoint.ocpp16.schema import CP_TO_CSMS, CSMS_TO_CP
from scenarios import expressions

__all__ = [
    "LENGTH",
    "SUBJECTS",
    "WITH_VARIABLE",
    "Choice",
    "Condition",
    "Duration",
    "FrameWanted",
    "LimitWanted",
    "MeterWanted",
    "Never",
    "Number",
    "Paths",
    "Saved",
    "SiteWanted",
    "Text",
    "Whole",
    "words",
]

ACTIONS = CP_TO_CSMS | CSMS_TO_CP
STATUSES = (
    "Available", "Preparing", "Charging", "SuspendedEVSE", "SuspendedEV", "Finishing", "Reserved",
    "Unavailable", "Faulted",
)  # fmt: skip

SUBJECTS = (
    "frame", "frames", "status", "limit", "meter", "energy_wh", "soc_percent", "event", "online", "site",
)  # fmt: skip
"""What a condition can be about; besides, or alone, there is `that`."""

_WITH_FRAME = ("answer", "error", "path", "times", "from")


def _braced(text: str) -> str:
    if "{" not in text:
        raise mistake("is neither of its kind nor a variable in braces")
    if wrong := expressions.text_problem(text):
        raise mistake(wrong)
    return text


def _text(text: str) -> str:
    if wrong := expressions.text_problem(text):
        raise mistake(wrong)
    return text


def _anything(value: Any) -> Any:
    if wrong := expressions.text_problem(value):
        raise mistake(wrong)
    return value


def _duration(text: str) -> str:
    if "{" in text:
        return _text(text)
    try:
        seconds(text)
    except ValueError:
        raise mistake(f'is no length of time (is "{text}"); write {EXPECTED_TIME}') from None
    return text


def _expression(text: str) -> str:
    if wrong := expressions.problem(text):
        raise mistake(wrong)
    return text


def _path(text: str) -> str:
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        raise mistake(f"is no JMESPath ({str(error).splitlines()[0]})") from None
    return text


def _paths(paths: dict[str, str]) -> dict[str, str]:
    problems = {}
    for name, path in paths.items():
        wrong = None if name.isidentifier() else f"{name} is no name for a variable; write letters and digits"
        try:
            _path(path.removeprefix("=")) if not path.startswith("=") else _expression(path[1:])
        except Exception as error:
            wrong = wrong or str(error)
        if wrong:
            problems[name] = wrong
    if problems:
        raise mistakes(problems)
    return paths


def words(known: Collection[str]) -> WithJsonSchema:
    """What an editor completes: one of these, or a text with a variable in braces."""
    return WithJsonSchema({"anyOf": [{"enum": sorted(known)}, WITH_VARIABLE]})


WITH_VARIABLE = {"type": ["string"], "pattern": r"\{"}
_NUMBER, _UNIT = r"[0-9]+(\.[0-9]+)?", "([mM][sS]|[sSmMhHdDwW])"
LENGTH = {
    "type": ["string", "number"],
    "pattern": rf"^\s*(({_NUMBER}{_UNIT})+|{_NUMBER})\s*$|\{{",
    "minimum": 0,
    "patternErrorMessage": f"Write {EXPECTED_TIME}, or a variable in braces.",  # as several editors have it
}

Template = Annotated[str, AfterValidator(_braced), WithJsonSchema(WITH_VARIABLE)]
Whole = Annotated[int | Template, Expected("a whole number, or a variable in braces")]
Number = Annotated[float | int | Template, Expected("a number, or a variable in braces")]
Choice = Annotated[bool | Template, Expected("true or false, or a variable in braces")]
Text = Annotated[str, AfterValidator(_text)]
Anything = Annotated[Any, AfterValidator(_anything)]
Duration = Annotated[str, AfterValidator(_duration), Expected(EXPECTED_TIME), WithJsonSchema(LENGTH)]
Action = Annotated[str, words(ACTIONS)]
Status = Annotated[str, words(STATUSES)]
Expression = Annotated[str, AfterValidator(_expression)]
Path = Annotated[str, AfterValidator(_path)]
Paths = Annotated[dict[str, str], AfterValidator(_paths), Expected("names with a JMESPath each")]
Saved = Paths
Match = Annotated[dict[str, Any], AfterValidator(_anything), Expected("a group of keys to match")]


class FrameWanted(Section):
    """One CALL in `frames`."""

    frame: Action = Field(description="Its action.")
    where: Match = Field(default={}, description="How its payload must look: a partial match.")
    answer: Match | None = Field(default=None, description="How its answer must look.")
    error: Anything = Field(default="", description="Which CALLERROR must be its answer.")
    path: Path | None = Field(
        default=None, description="A JMESPath over the exchange that must find something."
    )
    that: Expression | None = Field(
        default=None,
        description="An expression that is true of it, such as seconds(timestamp) < since_s + 5.",
    )
    from_: Literal["station", "csms"] | None = Field(default=None, alias="from", description="Who sent it.")

    @field_validator("frame")
    @classmethod
    def _is_an_action(cls, action: str) -> str:
        return known_action(action)


class LimitWanted(Section):
    """What a connector offers the vehicle."""

    connector: Whole | None = Field(default=None, description="Which one; that of the condition, or 1.")
    offered_a: Anything = Field(default="", description="Amperes per phase (DC: output amperes).")
    offered_w: Anything = Field(default="", description="Watts.")
    because: Anything = Field(default="", description="Which profile or hardware limit won, in words.")


class MeterWanted(Section):
    """What a connector's meter shows."""

    connector: Whole | None = Field(default=None, description="Which one; that of the condition, or 1.")
    energy_wh: Anything = Field(default="", description="The register.")
    session_wh: Anything = Field(default="", description="Energy of the running or newest session.")
    power_w: Anything = Field(default="", description="Watts now.")
    soc_percent: Anything = Field(default="", description="State of charge of the vehicle.")


class SiteWanted(Section):
    """What was measured at the site up to now."""

    that: Expression | None = Field(default=None, description="An expression over the figures.")
    over_seconds: Anything = Field(default="", description="How long it was over its limit.")
    over_wh: Anything = Field(default="", description="The energy beyond the limit.")
    max_over_w: Anything = Field(default="", description="The most that it was over, in watts.")
    max_over_a: Anything = Field(default="", description="The same in amperes, of one phase.")
    reaction_s: Anything = Field(default="", description="The longest time until an offer was lowered.")
    unanswered: Anything = Field(default="", description="Rises of the load that nobody reacted to.")
    asked_wh: Anything = Field(default="", description="What all cars would have taken without a limit.")
    delivered_wh: Anything = Field(default="", description="What all cars were given.")
    fairness: Anything = Field(default="", description="Jain's index over delivered / asked.")

    @model_validator(mode="after")
    def _says_something(self) -> SiteWanted:
        if not self.model_fields_set:
            raise mistake("says nothing to look for; write that, or a figure such as over_seconds")
        return self


class Condition(Section):
    """Something that comes true."""

    frame: Action | None = Field(default=None, description="A CALL of that action came.")
    frames: tuple[FrameWanted, ...] | None = Field(
        default=None, min_length=1, description="These CALLs came, in this order."
    )
    exactly: bool = Field(
        default=False, description="With `frames` and a list of `status`: no other between."
    )
    status: Annotated[
        Status | tuple[Status, ...] | None, Expected("a status such as Charging, or a list of them")
    ] = Field(default=None, description="The connector's status, or the ones it went through.")
    limit: LimitWanted | None = Field(default=None, description="What the connector offers now.")
    meter: MeterWanted | None = Field(default=None, description="What the meter shows now.")
    energy_wh: Number | None = Field(default=None, description="Least energy of the session.")
    soc_percent: Number | None = Field(default=None, description="Least state of charge.")
    event: str | None = Field(default=None, description="An event of the control protocol came.")
    online: Choice | None = Field(default=None, description="There is a link.")
    site: SiteWanted | None = Field(default=None, description="What was measured at the site up to now.")
    that: Expression | None = Field(default=None, description="An expression that is true.")
    connector: Whole | None = Field(default=None, description="Which connector; 1.")
    where: Match = Field(default={}, description="How the payload, or the event's fields, must look.")
    answer: Match | None = Field(default=None, description="How the answer must look.")
    error: Anything = Field(default="", description="Which CALLERROR must be the answer.")
    path: Path | None = Field(
        default=None, description="A JMESPath over the exchange that must find something."
    )
    from_: Literal["station", "csms"] | None = Field(default=None, alias="from", description="Who called.")
    times: Whole = Field(default=1, description="So many of them.")
    since: Literal["step", "start"] = Field(default="step", description="From when on it is looked at.")
    within: Duration | None = Field(default=None, description="How much station time it has.")
    save: Saved = Field(default={}, description="Variables from the exchange, or from what is shown.")
    message: Text | None = Field(default=None, description="What to say if it does not come true.")

    @field_validator("frame")
    @classmethod
    def _is_an_action(cls, action: str | None) -> str | None:
        return None if action is None else known_action(action)

    @field_validator("status")
    @classmethod
    def _are_statuses(cls, status: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for word in (status,) if isinstance(status, str) else status or ():
            if "{" not in word and word not in STATUSES:
                raise mistake(f"{word} is not a status; {nearest(word, STATUSES)}")
        return status

    @model_validator(mode="after")
    def _says_one_thing(self) -> Condition:
        subjects = [key for key in SUBJECTS if key in self.model_fields_set]
        if len(subjects) > 1:
            raise mistake(f"speaks of {' and '.join(subjects)}; write one condition for each")
        if not subjects and self.that is None and not self._complete():
            raise mistake(f"says nothing to look for; write one of {', '.join(SUBJECTS)} or that")
        written = {"from" if key == "from_" else key for key in self.model_fields_set}
        problems = {key: "goes with `frame` only" for key in _WITH_FRAME if key in written}
        if "where" in written and "event" not in subjects:
            problems["where"] = "goes with `frame` or `event` only"
        if problems and "frame" not in subjects:
            raise mistakes(problems)
        return self

    def _complete(self) -> bool:
        """It says enough without a condition."""
        return False

    @property
    def subject(self) -> str:
        """What it is about."""
        return next((key for key in SUBJECTS if key in self.model_fields_set), "that")


class Never(Condition):
    """Something that must not come true."""

    for_: Duration = Field(default="0s", alias="for", description="How long it is watched for.")


def known_action(action: str) -> str:
    """An action of OCPP 1.6. Raises pydantic's error for any other."""
    if "{" not in action and action not in ACTIONS:
        raise mistake(f'is not an action (is "{action}"); {nearest(action, ACTIONS)}')
    return action
