"""The HTML report of a run: its verdicts and each scenario's story, in one file that needs nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import ascii_lowercase
from typing import Any, Generic, TypeVar

from chargepoint.fleet.verdict.report import pages
from scenarios.coverage import section
from scenarios.history import STATION, Event, History
from scenarios.pictures import Mark, Picture, picture, site_picture
from scenarios.rules import Rule, rules
from scenarios.telling import clock, length
from scenarios.verdict import Outcome, State, StepResult, Verdict

__all__ = ["MOST_EVENTS", "MOST_FRAMES", "render", "write"]

MOST_FRAMES = 10_000
LEAST_FRAMES = 400
"""A page has so many, shared by its scenarios, but of each as many as this; 10,000 are 6 MB."""

MOST_EVENTS = 200
MOST_STEPS = 400
MOST_LIMITS = 80
MOST_CARS = 100
MOST_MARKS = 60
MOST_PICTURES = 8
"""Of the stations of one scenario."""
LONGEST_FRAME = 20_000

_ORDER = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.SKIPPED, Verdict.NOT_RUN)
_WRONG = (State.FAILED, State.ERROR)

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class _Some(Generic[Entry]):
    """The first and the last of many; `left_out` counts those between."""

    first: Sequence[Entry]
    left_out: int
    last: Sequence[Entry]
    total: int

    @classmethod
    def of(cls, entries: Sequence[Entry], most: int) -> _Some[Entry]:
        if len(entries) <= most:
            return cls(entries, 0, (), len(entries))
        head = most // 2
        return cls(entries[:head], len(entries) - most, entries[head - most :], len(entries))


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """The page into a file."""
    path.write_text(render(outcomes), encoding="utf-8")


def render(outcomes: Sequence[Outcome]) -> str:
    """The page. Needs matplotlib, see `chargepoint.fleet.verdict.plots.available`."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    found = rules(outcomes)
    most_frames = max(MOST_FRAMES // max(len(outcomes), 1), LEAST_FRAMES)
    template = pages("scenarios", "chargepoint.fleet.verdict").get_template("report.html.j2")
    return template.render(
        title=f"{len(outcomes)} scenario{'' if len(outcomes) == 1 else 's'}",
        counts={verdict.value: counts[verdict] for verdict in _ORDER if counts[verdict]},
        real_s=f"{sum(outcome.real_s for outcome in outcomes):.1f}",
        setup=_setup(outcomes),
        rules=_Some.of([_rule(rule) for rule in found], len(found)),
        coverage="\n".join(section(outcomes)) if found else "",
        rows=[_story(n, outcome, most_frames) for n, outcome in enumerate(outcomes, 1)],
    )


def _rule(rule: Rule) -> dict[str, str]:
    return {"message": rule.message, "rule": rule.rule, "verdict": rule.verdict, "why": rule.why}


def _setup(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """What is the same for the whole run; a scenario that could not be read knows nothing of it."""
    known = [outcome for outcome in outcomes if outcome.title]
    return {
        "central system": ", ".join(sorted({outcome.csms for outcome in known})),
        "clock": ", ".join(sorted({outcome.clock for outcome in known})),
        "seed": ", ".join(str(seed) for seed in sorted({outcome.seed for outcome in known})),
    }


def _story(number: int, outcome: Outcome, most_frames: int) -> dict[str, Any]:
    """All the template needs of one scenario."""
    played = outcome.ended_at > outcome.began_at or bool(outcome.ran)
    disturbed = _marks(outcome)
    marks = [Mark(at, letter) for letter, at, _, _ in disturbed[:MOST_MARKS]]
    worst = outcome.worst
    if worst is not None and worst.ended_at is not None:
        marks.append(Mark(worst.ended_at, "failed" if worst.state is State.FAILED else "error", wrong=True))
    stations = list(outcome.stations.values())
    pictures = [
        (history.cp, _drawn(history, outcome, marks, f"{number} {history.cp}"))
        for history in stations[:MOST_PICTURES]
    ]
    return {
        "id": f"s{number}",
        "name": outcome.name,
        "title": outcome.title,
        "verdict": outcome.verdict.value,
        "wrong": outcome.verdict in (Verdict.FAIL, Verdict.ERROR),
        "why": outcome.why,
        "description": outcome.description,
        "tags": ", ".join(outcome.tags),
        "began": _moment(outcome.began_at) if played else "",
        "lasted": length(outcome.ended_at - outcome.began_at) if played else "",
        "real_s": f"{outcome.real_s:.2f}" if played else "",
        "lost_s": f"{outcome.lost_s:.1f}" if outcome.lost_s else "",
        "seed": outcome.seed,
        "numbers": {name: f"{value:g}" for name, value in outcome.numbers.items()},
        "steps": _Some.of(list(_steps(outcome.steps, outcome.began_at, 0)), MOST_STEPS),
        "site": None
        if outcome.site is None
        else site_picture(outcome.site, outcome.began_at, outcome.ended_at, marks, f"{number} site"),
        "cars": _Some.of(_cars(outcome), MOST_CARS),
        "pictures": [(cp, drawn, _limits(drawn, outcome)) for cp, drawn in pictures if drawn is not None],
        "no_pictures": max(len(stations) - MOST_PICTURES, 0),
        "disturbed": _Some.of(
            [
                {"": letter, "after": _since(at, outcome), "station": cp, "what": what}
                for letter, at, cp, what in disturbed
            ],
            MOST_MARKS,
        ),
        "frames": _Some.of(list(_frames(outcome)), most_frames),
        "events": _Some.of(list(_events(outcome)), MOST_EVENTS),
    }


def _cars(outcome: Outcome) -> list[dict[str, str | int]]:
    """Who wanted how much at the site and got how much."""
    cars = () if outcome.site is None else outcome.site.cars
    return [
        {
            "station": car.cp,
            "connector": car.connector,
            "vehicle": car.vehicle,
            "came": _since(car.plugged_at, outcome),
            "left": "" if car.left_at is None else _since(car.left_at, outcome),
            "asked, kWh": f"{car.asked_wh / 1000:.2f}",
            "delivered, kWh": f"{car.delivered_wh / 1000:.2f}",
        }
        for car in cars
    ]


def _drawn(history: History, outcome: Outcome, marks: Sequence[Mark], salt: str) -> Picture | None:
    return picture(history, outcome.began_at, outcome.ended_at, marks, salt)


def _limits(drawn: Picture, outcome: Outcome) -> _Some[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = [
        {
            "": number,
            "after": _since(limit.at, outcome),
            "connector": limit.connector,
            "offered, A": f"{limit.offered_a:g}",
            "offered, W": "" if limit.offered_w is None else f"{limit.offered_w:g}",
            "because": limit.because,
        }
        for number, limit in enumerate(drawn.limits, 1)
    ]
    return _Some.of(rows, MOST_LIMITS)


# --- steps ------------------------------------------------------------------------------------------


def _steps(steps: Sequence[StepResult], began_at: float, depth: int) -> Iterator[dict[str, Any]]:
    for step in steps:
        wrong = step.state in _WRONG and not any(child.state in _WRONG for child in step.children)
        yield {
            "depth": depth,
            "state": step.state.value,
            "kind": step.kind,
            "text": step.text,
            "at": step.at or "",
            "note": step.note or "",
            "line": step.line if wrong else None,
            "after": "" if step.began_at is None else clock(step.began_at - began_at),
            "took": _took(step),
            "found": step.message if wrong else "",
            "expected": _expected(step) if wrong else "",
        }
        yield from _steps(step.children, began_at, depth + 1)


def _expected(step: StepResult) -> str:
    """What a condition asks for; nothing of a step that does something."""
    known = step.state is State.FAILED and step.kind in ("expect", "expect_never", "wait", "csms")
    return step.text.removeprefix("expect ").removeprefix("wait for ") if known else ""


def _took(step: StepResult) -> str:
    if step.began_at is None or step.ended_at is None or step.ended_at == step.began_at:
        return ""
    return length(step.ended_at - step.began_at)


# --- what happened ----------------------------------------------------------------------------------


def _marks(outcome: Outcome) -> list[tuple[str, float, str, str]]:
    """Letter, moment, station and text of the disturbances; those after the alphabet are aa, ab and so on."""
    struck = [
        (event.at, cp, event.fields)
        for cp, history in outcome.stations.items()
        for event in history.events
        if event.name == "disturbance"
    ]
    struck.sort(key=lambda one: one[0])
    return [
        (_letters(n), at, cp, f"{fields.get('name', '')}: {fields.get('what', '')}")
        for n, (at, cp, fields) in enumerate(struck)
    ]


def _letters(n: int) -> str:
    before, last = divmod(n, len(ascii_lowercase))
    return (_letters(before - 1) if before else "") + ascii_lowercase[last]


def _frames(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Those of all stations, in the order of time."""
    every = []
    for cp, history in outcome.stations.items():
        actions = {id(one.call): one.action for one in history.exchanges}
        actions |= {id(one.reply): one.action for one in history.exchanges if one.reply is not None}
        every += [(frame.at, cp, frame, actions.get(id(frame), "")) for frame in history.frames]
    every.sort(key=lambda entry: entry[0])
    for at, cp, frame, action in every:
        up = frame.sender == STATION
        kind, shown = _shown(frame.text)
        yield {
            "after": _since(at, outcome),
            "when": _moment(at),
            "from": cp if up else "CSMS",
            "to": "CSMS" if up else cp,
            "up": up,
            "kind": kind,
            "action": action,
            "text": shown,
        }


def _shown(text: str) -> tuple[str, str]:
    """What kind of message it is, and the JSON as a person reads it; as it came if it is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    kind = "no OCPP message"
    if isinstance(message, list) and message:
        names = {2: "CALL", 3: "CALLRESULT", 4: "CALLERROR"}
        kind = names.get(message[0], kind) if isinstance(message[0], int) else kind
        text = json.dumps(message, indent=2, ensure_ascii=False)
    # Half of a surrogate pair, which JSON may spell, cannot be written as UTF-8.
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) > LONGEST_FRAME:
        text = f"{text[:LONGEST_FRAME]}\n... and {len(text) - LONGEST_FRAME} more characters"
    return kind, text


def _events(outcome: Outcome) -> Iterator[dict[str, str]]:
    every: list[tuple[float, str, Event]] = [
        (event.at, cp, event) for cp, history in outcome.stations.items() for event in history.events
    ]
    every.sort(key=lambda entry: entry[0])
    for at, cp, event in every:
        yield {
            "after": _since(at, outcome),
            "station": cp,
            "event": event.name,
            "with": _fields(event.fields),
        }


def _fields(fields: Mapping[str, Any]) -> str:
    text = ", ".join(
        f"{name} {value if isinstance(value, str) else json.dumps(value, default=str)}"
        for name, value in fields.items()
        if value is not None
    )
    return text if len(text) <= 500 else f"{text[:500]}..."


# --- times ------------------------------------------------------------------------------------------


def _since(at: float, outcome: Outcome) -> str:
    return clock(at - outcome.began_at)


def _moment(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{at:.0f}"
