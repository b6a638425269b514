"""Steps in words, for progress, trees and reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chargepoint.config.section import Section
from scenarios.condition import Condition, Never
from scenarios.expressions import ExpressionError, filled
from scenarios.matching import described
from scenarios.step import Csms, Wait
from scenarios.telling import length

__all__ = ["sentence", "step_text", "written"]

_LONGEST = 160
_LENGTHS = frozenset({"for", "about_every", "latency", "jitter", "delay", "by", "every"})


def step_text(step: Any, scope: Mapping[str, Any] | None = None) -> str:
    """A step, or a condition, in a line; with `scope` its variables are filled in."""
    scope = {} if scope is None else scope
    if isinstance(step, Condition):
        return sentence(step, scope)
    text = _text(step.kind, step.of, scope)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _text(kind: str, of: Any, scope: Mapping[str, Any]) -> str:
    if isinstance(of, Wait):
        if of.for_ is not None:
            return f"wait {_words(of.for_, scope)}"
        if of.until is not None:
            return f"wait until {_words(of.until, scope)}" + (f" in {of.zone}" if of.zone != "UTC" else "")
        return f"wait for {sentence(of, scope)}"
    if isinstance(of, Never):
        watched = "" if of.for_ == "0s" else f" for {_words(of.for_, scope)}"
        return f"expect never{watched}: {sentence(of, scope)}"
    if isinstance(of, Condition):
        return f"{kind} {sentence(of, scope)}"
    if isinstance(of, Csms):
        if of.call is not None:
            payload = f" with {_words(of.payload, scope)}" if of.payload else ""
            return f"csms calls {_words(of.call, scope)}{payload}"
        if of.answer is not None:
            how = {key: value for key, value in written(of).items() if key != "answer"}
            return f"csms answers {_words(of.answer, scope)}: {_words(how, scope)}"
        return f"csms {'drop' if of.drop else 'stop' if of.stop else 'start'}"
    if kind == "include":
        return f"include {of.file}" + (f" with {_words(of.with_, scope)}" if of.with_ else "")
    if kind == "group":
        return str(_words(of.title, scope)) or "group"
    if kind == "repeat":
        times = f"{_words(of.times, scope)} times" if of.times is not None else ""
        each = f"for each {next(iter(of.for_each))}" if of.for_each else ""
        return "repeat " + (times or each or f"until {sentence(of.until, scope)}")
    if kind == "parallel":
        return f"{len(of)} branches beside each other"
    if kind == "set":
        return "set " + ", ".join(of)
    arguments = _words({key: _as_length(key, value) for key, value in written(of).items()}, scope)
    return f"{kind} {arguments}" if arguments else kind


def _as_length(key: str, value: Any) -> Any:
    """Lengths of time as a person says them; a disturbance has them in seconds."""
    if key not in _LENGTHS or not isinstance(value, float):
        return value
    return f"{'-' if value < 0 else ''}{length(abs(value))}"


def written(section: Section) -> dict[str, Any]:
    """What was written of a group, in the order of the reference."""
    return {
        field.alias or name: getattr(section, name)
        for name, field in type(section).model_fields.items()
        if name in section.model_fields_set
    }


def _words(value: Any, scope: Mapping[str, Any]) -> str:
    try:
        return described(filled(value, scope))
    except ExpressionError:
        return described(value)


def sentence(condition: Condition, scope: Mapping[str, Any]) -> str:
    """What is looked for, in words."""

    def words(value: Any) -> str:
        try:
            return described(filled(value, scope))
        except ExpressionError:
            return described(value)

    subject = condition.subject
    inner = condition.limit or condition.meter
    number = condition.connector if condition.connector is not None else inner and inner.connector
    connector = f" at connector {'1' if number is None else words(number)}"
    match subject:
        case "frame":
            text = words(condition.frame)
            if condition.times != 1:
                text = f"{words(condition.times)} times {text}"
            if condition.where:
                text += f" with {words(condition.where)}"
            if condition.answer:
                text += f", answered with {words(condition.answer)}"
            if condition.error != "":
                text += f", answered by the CALLERROR {words(condition.error)}"
        case "frames":
            text = "the frames " + ", ".join(one.frame for one in condition.frames or ())
        case "status":
            text = f"status {words(condition.status)}{connector}"
        case "limit" | "meter":
            part = getattr(condition, subject)
            wanted = {key: value for key, value in written(part).items() if key != "connector"}
            text = f"{subject}{connector}" + (f" with {words(wanted)}" if wanted else "")
        case "site":
            figures = written(part) if (part := condition.site) is not None else {}
            parts = [figures.pop("that", ""), words(figures) if figures else ""]
            text = f"a site with {' and '.join(told for told in parts if told)}"
        case "energy_wh":
            text = f"a session of {words(condition.energy_wh)} Wh{connector}"
        case "soc_percent":
            text = f"a state of charge of {words(condition.soc_percent)} %{connector}"
        case "event":
            text = f"the event {words(condition.event)}" + (
                f" with {words(condition.where)}" if condition.where else ""
            )
        case "online":
            text = "a link" if words(condition.online) == "true" else "no link"
        case _:
            return condition.that or ""
    return text + (f" and {condition.that}" if condition.that else "")
