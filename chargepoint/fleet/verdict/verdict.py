"""Judges a run by its criteria."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from chargepoint.fleet.measures.entry import Entry
from chargepoint.fleet.measures.snapshot import ActionFigures, Snapshot
from chargepoint.fleet.measures.statistics import BY_STATION
from chargepoint.fleet.verdict.criterion import KINDS, UNITS, Criterion
from chargepoint.fleet.verdict.outcome import Outcome, called

MOST_NAMED = 5
"""Transactions that a line of the verdict names."""

Judged = Literal["passed", "failed", "not measured"]


class NotMeasured(Exception):
    """The run says nothing about that; the message says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one criterion."""

    criterion: Criterion
    judged: Judged
    value: float | None
    """In s, 1, 1/s or W; of 1 if the criterion is a share."""
    measured: str
    """The value in words, or why there is none."""
    notes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """For a person."""
        return f"{self.judged.upper():<12}  {self.criterion.text}: {self.measured}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "criterion": self.criterion.text,
            "judged": self.judged,
            "value": self.value,
            "limit": self.criterion.limit,
            "measured": self.measured,
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of a whole run."""

    results: tuple[Result, ...]
    problems: tuple[str, ...]
    """What fails any run, whatever was asked."""

    @property
    def passed(self) -> bool:
        """Nothing failed, and everything was measured."""
        return not self.problems and all(result.judged == "passed" for result in self.results)

    @property
    def exit_code(self) -> int:
        """0 or 1."""
        return 0 if self.passed else 1

    def lines(self) -> list[str]:
        """For a person; nothing if nothing was asked and nothing is wrong."""
        if not self.results and not self.problems:
            return []
        lines = [f"Verdict: {'passed' if self.passed else 'FAILED'}."]
        lines += [f"  {'FAILED':<12}  {problem}" for problem in self.problems]
        for result in self.results:
            lines += [f"  {result.line}", *(f"  {'':<12}    {note}" for note in result.notes)]
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "passed": self.passed,
            "problems": list(self.problems),
            "criteria": [result.to_json() for result in self.results],
        }


def judge(criteria: Iterable[Criterion], outcome: Outcome) -> Verdict:
    """The verdict; a criterion that nothing can be said about is not measured, which fails too."""
    problems = []
    if not outcome.accepted:
        problems.append("no station was ever accepted by the central system")
    problems += outcome.gaps
    for why, count in outcome.skipped.most_common():
        problems.append(f"{count} of the stations were left out: {' '.join(why.split())}")
    return Verdict(tuple(_result(criterion, outcome) for criterion in criteria), tuple(problems))


def _result(criterion: Criterion, outcome: Outcome) -> Result:
    try:
        if criterion.metric.real_time and outcome.stepped:
            raise NotMeasured("a stepped clock is never late")
        value, of = _MEASURES[criterion.metric.name](criterion, outcome)
        if criterion.is_share and not of:
            raise NotMeasured("a share of nothing")
    except NotMeasured as error:
        return Result(criterion, "not measured", None, str(error))
    judged_value = value / of if criterion.is_share and of else value
    failed = criterion.met(judged_value)
    notes = _named(criterion, outcome) if failed else []
    if criterion.is_latency and outcome.doubt is not None:
        notes.append(f"unreliable: {outcome.doubt}")
    measured = _spoken(criterion, value, of)
    return Result(criterion, "failed" if failed else "passed", judged_value, measured, tuple(notes))


Measure = Callable[[Criterion, Outcome], tuple[float, int | None]]
"""The value, and of how many where it can be a share. Raises `NotMeasured`."""


def _latency(criterion: Criterion, outcome: Outcome) -> tuple[float, None]:
    figures = _figures(outcome.snapshot, criterion.argument)
    waited = figures.waited
    if not waited.count:
        raise NotMeasured(f"no {criterion.argument or 'CALL'} was answered")
    if criterion.metric.name == "mean":
        return waited.mean_s, None
    if criterion.metric.name == "max":
        return waited.max_s, None
    assert criterion.percent is not None
    return waited.percentile(criterion.percent), None


def _errors(criterion: Criterion, outcome: Outcome) -> tuple[float, int]:
    if criterion.argument in KINDS:
        overall = _figures(outcome.snapshot, None)
        return overall.errors[criterion.argument], overall.sent
    figures = _figures(outcome.snapshot, criterion.argument)
    return figures.failed, figures.sent


def _rate(criterion: Criterion, outcome: Outcome) -> tuple[float, None]:
    if outcome.snapshot.at_s <= 0:
        raise NotMeasured("the run had no length")
    return _figures(outcome.snapshot, criterion.argument).sent / outcome.snapshot.at_s, None


def _sent(criterion: Criterion, outcome: Outcome) -> tuple[float, None]:
    if criterion.argument is None:
        return outcome.snapshot.sent, None
    figures = outcome.snapshot.actions.get(criterion.argument)
    return 0 if figures is None else figures.sent, None


def _transactions(name: str) -> Measure:
    def measure(criterion: Criterion, outcome: Outcome) -> tuple[float, int]:
        totals = outcome.ledger.totals()
        if not totals.made:
            raise NotMeasured("no transaction was made")
        return getattr(totals, name), totals.made

    return measure


def _stations(name: str) -> Measure:
    def measure(criterion: Criterion, outcome: Outcome) -> tuple[float, int]:
        if outcome.before_end is None:
            raise NotMeasured("nobody looked before the end")
        return getattr(outcome.before_end, name), outcome.before_end.planned

    return measure


def _connections(criterion: Criterion, outcome: Outcome) -> tuple[float, None]:
    snapshot = outcome.snapshot
    if criterion.metric.name == "connect_failures":
        if not snapshot.connects and not snapshot.connect_failures:
            raise NotMeasured("no station tried to connect")
        return snapshot.connect_failures.total(), None
    if not snapshot.connects:
        raise NotMeasured("no station was ever connected")
    if criterion.metric.name == "reconnects":
        return snapshot.reconnects, None
    return snapshot.lost_links.total() - snapshot.lost_links[BY_STATION], None


def _power(criterion: Criterion, outcome: Outcome) -> tuple[float, None]:
    if outcome.before_end is None:
        raise NotMeasured("nobody looked before the end")
    return outcome.before_end.power_w, None


def _lag(criterion: Criterion, outcome: Outcome) -> tuple[float, None]:
    return max((one.lag_max_s for one in outcome.snapshot.simulators), default=0.0), None


_MEASURES: dict[str, Measure] = {
    "p95": _latency,
    "mean": _latency,
    "max": _latency,
    "errors": _errors,
    "sent": _sent,
    "rate": _rate,
    "received": lambda _, outcome: (outcome.snapshot.received, None),
    "transactions": lambda _, outcome: (outcome.ledger.totals().made, None),
    "lost_transactions": _transactions("lost"),
    "doubled_transactions": _transactions("doubled"),
    "reconnects": _connections,
    "connect_failures": _connections,
    "lost_links": _connections,
    "started": _stations("started"),
    "connected": _stations("connected"),
    "booted": _stations("booted"),
    "charging": _stations("charging"),
    "power": _power,
    "lag": _lag,
    "bottleneck": lambda _, outcome: (outcome.bottleneck_s, None),
    "released_holds": lambda _, outcome: (outcome.snapshot.released_holds, None),
}


def _figures(snapshot: Snapshot, action: str | None) -> ActionFigures:
    """Of one action or all of them; raises `NotMeasured` if none was sent."""
    figures = snapshot.overall if action is None else snapshot.actions.get(action)
    if figures is None or not (figures.sent or figures.failed):
        raise NotMeasured(f"no {action or 'CALL'} was sent")
    return figures


def _named(criterion: Criterion, outcome: Outcome) -> list[str]:
    """The transactions a failed criterion is about."""
    found: Sequence[Entry] = ()
    if criterion.metric.name == "lost_transactions":
        found = outcome.lost()
    elif criterion.metric.name == "doubled_transactions":
        found = outcome.ledger.doubled()
    named = [called(entry) for entry in found[:MOST_NAMED]]
    if by_worker := sum(entry.lost_with is not None for entry in found):
        named.insert(
            0, f"{by_worker} of them were lost with a worker of the fleet, not by the central system"
        )
    return [*named, f"and {len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else named


def _spoken(criterion: Criterion, value: float, of: int | None) -> str:
    match criterion.metric.quantity:
        case "time":
            return spoken_time(value)
        case "rate":
            return f"{value:.4g}/s"
        case "power":
            return f"{value / UNITS['power']['kW']:.1f} kW"
        case "share" if of:
            return f"{value:.0f} of {of} ({100 * value / of:.3g}%)"
    return f"{value:.0f}"


def spoken_time(seconds: float) -> str:
    """In the unit that suits it."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.3g} s" if seconds < 600 else f"{seconds:.0f} s"
