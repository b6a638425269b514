"""Outcomes as text: one line each, and for what went wrong the tree of its steps and the frames around it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from chargepoint.ocpp16.times import format_time
from scenarios.oracle import Measured
from scenarios.verdict import Outcome, State, StepResult, Verdict

__all__ = ["clock", "details", "length", "line", "summary"]

_MARKS = {
    State.PASSED: "+",
    State.FAILED: "x",
    State.ERROR: "!",
    State.LEFT_OUT: "-",
    State.NOT_RUN: " ",
    State.BROKEN_OFF: "~",
}
_FRAMES = 8
_LONGEST_FRAME = 300
_ORDER = (Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.SKIPPED, Verdict.NOT_RUN)


def line(outcome: Outcome) -> str:
    """The progress line of one scenario."""
    times = ""
    if outcome.verdict in (Verdict.PASS, Verdict.FAIL):
        times = f"  ({length(outcome.ended_at - outcome.began_at)} in {outcome.real_s:.2f} s)"
    why = f": {outcome.why}" if outcome.why else ""
    if "\n" in why:  # the mistakes of a file
        why = ":" + "".join(f"\n  {text}" for text in outcome.why.splitlines())
    title = f"  {outcome.title}" if outcome.title else ""
    told = f"{outcome.verdict.value:<7}  {outcome.name}{title}{times}{why}"
    return told if outcome.site is None else f"{told}\n{'':<9}{_site(outcome.site)}"


def _site(site: Measured) -> str:
    """How well the limit was kept, and how much the cars were given."""
    numbers = site.numbers
    if numbers["over_seconds"]:
        most = f"{numbers['max_over_w']:.0f} W" + (
            f", {numbers['max_over_a']:.1f} A on one phase" if site.unit == "A" else ""
        )
        kept = f"over {site.limit} for {length(numbers['over_seconds'])}"
        kept += f" by at most {most}, {numbers['over_wh']:.1f} Wh"
    else:
        kept = f"never over {site.limit}"
    missed = f" ({numbers['unanswered']:.0f} unanswered)" if numbers["unanswered"] else ""
    cars = f"{len(site.cars)} car{'' if len(site.cars) == 1 else 's'}"
    return (
        f"site: {kept}; reaction {numbers['reaction_s']:.1f} s{missed}; {cars} given "
        f"{numbers['delivered_wh'] / 1000:.2f} of {numbers['asked_wh'] / 1000:.2f} kWh, "
        f"fairness {numbers['fairness']:.3f}"
    )


def details(outcome: Outcome, *, always: bool = False) -> list[str]:
    """What to know about one that failed or broke off; of any other only if `always`, and no frames."""
    wrong = outcome.verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.NOT_RUN)
    if not (wrong or always):
        return []
    lines = ["  " + text for text in tree(outcome)] if outcome.ran else []
    if not wrong:
        return lines
    worst = outcome.worst
    around = list(frames_around(outcome, None if worst is None else worst.ended_at))
    if around:
        lines += ["  frames around it:", *("    " + text for text in around)]
    if outcome.lost_s:
        lines.append(f"  {outcome.lost_s:.1f} real seconds were lost to answers that did not come")
    return lines


def tree(outcome: Outcome) -> Iterator[str]:
    """Every step with its time since the beginning; of a group that passed only its title."""
    for step in outcome.steps:
        yield from _branch(step, outcome.began_at, 0)


def _branch(step: StepResult, began_at: float, depth: int) -> Iterator[str]:
    when = "" if step.began_at is None else clock(step.began_at - began_at)
    at = f" [{step.at}]" if step.at else ""
    where = f"  (line {step.line})" if step.line and step.state in (State.FAILED, State.ERROR) else ""
    text = f"{when:>12}  {'  ' * depth}{_MARKS[step.state]} {step.text}{at}{where}"
    yield text
    if step.message and step.state in (State.FAILED, State.ERROR):
        yield f"{'':>12}  {'  ' * depth}    {step.message}"
    if step.state is not State.PASSED:
        for child in step.children:
            yield from _branch(child, began_at, depth + 1)


def frames_around(outcome: Outcome, until: float | None) -> Iterator[str]:
    """The last frames of the stations up to that moment of the story, or to its end."""
    until = outcome.ended_at if until is None else until
    every = [
        (frame.at, cp, frame)
        for cp, history in outcome.stations.items()
        for frame in history.frames[: outcome.story_frames.get(cp)]
        if frame.at <= until
    ]
    for at, cp, frame in sorted(every, key=lambda entry: entry[0])[-_FRAMES:]:
        arrow = "->" if frame.sender == "station" else "<-"
        text = frame.text if len(frame.text) <= _LONGEST_FRAME else f"{frame.text[:_LONGEST_FRAME]}..."
        name = f"{cp} " if len(outcome.stations) > 1 else ""
        yield f"{format_time(at)} {name}{arrow} {text}"


def summary(outcomes: Iterable[Outcome], real_s: float) -> str:
    """The last line."""
    counts = Counter(outcome.verdict for outcome in outcomes)
    total = sum(counts.values())
    parts = ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in _ORDER if counts[verdict])
    return f"{total} scenario{'' if total == 1 else 's'}: {parts} ({real_s:.1f} s)"


def length(seconds: float) -> str:
    """A length of time as a person says it: 1d 2h, 30m, 12.5s."""
    whole = round(seconds)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    if whole or not parts:
        parts.append(f"{seconds:.1f}s" if not parts and seconds < 10 else f"{whole}s")
    return " ".join(parts[:3])


def clock(seconds: float) -> str:
    """Since the beginning: 0:30:00.000, with days before."""
    whole, ms = divmod(round(seconds * 1000), 1000)
    days, rest = divmod(whole, 86_400)
    text = f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}.{ms:03d}"
    return f"{days}d {text}" if days else text
