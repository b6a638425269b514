"""What a run says of a central system, rule by rule: the groups of steps that are titled `Message: rule`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from chargepoint.errors import ConfigError
from scenarios.model import every, load
from scenarios.verdict import Outcome, State, Verdict

__all__ = ["CONFORMANCE", "Rule", "rules", "table"]

CONFORMANCE = "conformance"
"""The tag of scenarios whose groups are rules."""

_TITLE = re.compile(r"([A-Z]\w+): (.+)", re.DOTALL)
_VERDICTS = {
    State.PASSED: "PASS",
    State.FAILED: "FAIL",
    State.ERROR: "ERROR",
    State.BROKEN_OFF: "NOT RUN",
    State.NOT_RUN: "NOT RUN",
    State.LEFT_OUT: "LEFT OUT",
}
_ORDER = ("ERROR", "FAIL", "NOT RUN", "SKIPPED", "LEFT OUT", "PASS")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule and what came of it; `why` says what was wrong, or what was missing to look at it."""

    message: str
    rule: str
    verdict: str  # PASS, FAIL, ERROR, NOT RUN, SKIPPED or LEFT OUT
    why: str
    scenario: str


def rules(outcomes: Iterable[Outcome]) -> list[Rule]:
    """The rules of all conformance scenarios by message; of one looked at twice the worse verdict."""
    worst: dict[tuple[str, str], Rule] = {}
    for outcome in outcomes:
        if CONFORMANCE in outcome.tags:
            for rule in _of(outcome):
                known = worst.get((rule.message, rule.rule))
                if known is None or _ORDER.index(rule.verdict) < _ORDER.index(known.verdict):
                    worst[rule.message, rule.rule] = rule
    return sorted(worst.values(), key=lambda rule: rule.message)


def _of(outcome: Outcome) -> Iterator[Rule]:
    if not outcome.steps:
        verdict = "SKIPPED" if outcome.verdict is Verdict.SKIPPED else "NOT RUN"
        for title in _titles(outcome.name):
            if parts := _TITLE.fullmatch(title):
                yield Rule(parts[1], parts[2], verdict, outcome.why, outcome.name)
        return
    for step in outcome.every_step():
        if step.kind == "group" and (parts := _TITLE.fullmatch(step.text)):
            yield Rule(parts[1], parts[2], _VERDICTS[step.state], step.message, outcome.name)


def _titles(name: str) -> list[str]:
    try:
        return [step.group.title for step in every(load(name).file.steps) if step.group is not None]
    except ConfigError:
        return []


def table(outcomes: Iterable[Outcome]) -> list[str]:
    """The rules in columns, with what went wrong below each; empty where there are none."""
    found = rules(outcomes)
    if not found:
        return []
    wide, long = max(len(rule.message) for rule in found), max(len(rule.rule) for rule in found)
    lines = [f"{'message':<{wide}}  {'rule':<{long}}  verdict"]
    for rule in found:
        lines.append(f"{rule.message:<{wide}}  {rule.rule:<{long}}  {rule.verdict}")
        if rule.why and rule.verdict not in ("PASS", "LEFT OUT"):
            lines.append(f"{'':<{wide}}  {rule.why}")
    counts = {verdict: sum(rule.verdict == verdict for rule in found) for verdict in reversed(_ORDER)}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    return [*lines, f"{len(found)} rules: {told}"]
