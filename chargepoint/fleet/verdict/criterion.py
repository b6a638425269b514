"""What a run is failed for, as a person writes it: `p95(StartTransaction) > 2s`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from chargepoint.config.wording import listed, nearest
from chargepoint.csms.answers import ACTIONS
from chargepoint.rpc.frames import ERROR_CODES
from chargepoint.rpc.session import CUT, INVALID_ANSWER, LINK_LOST, NOT_SENT, TIMEOUT

Quantity = Literal["time", "count", "share", "rate", "power"]

UNITS: Mapping[Quantity, Mapping[str, float]] = {
    "time": {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0},
    "count": {"": 1.0},
    "share": {"": 1.0, "%": 0.01},
    "rate": {"/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600},
    "power": {"W": 1.0, "kW": 1e3, "MW": 1e6},
}
"""What each quantity may be compared with; the factors lead to s, 1, 1/s and W. A share is a number too."""

KINDS = frozenset(ERROR_CODES.values()) | {TIMEOUT, LINK_LOST, CUT, NOT_SENT, INVALID_ANSWER}
"""How a CALL fails."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that can be asked of a run."""

    name: str
    quantity: Quantity
    about: str
    arguments: frozenset[str] = frozenset()
    """What may stand in its parentheses, which are left out for all of it."""
    real_time: bool = False
    """Nothing is known of it on a stepped clock."""


_METRICS = (
    Metric(
        "p95",
        "time",
        "within what that many percent of the CALLs were answered, from when they were wanted: "
        "p50, p99, p99.9 ...",
        ACTIONS,
    ),
    Metric("mean", "time", "the same, on average", ACTIONS),
    Metric("max", "time", "the same, at worst", ACTIONS),
    Metric("errors", "share", "CALLs without a result, or their share of those sent", ACTIONS | KINDS),
    Metric("sent", "count", "CALLs to the central system", ACTIONS),
    Metric("rate", "rate", "the same per second of the whole run, real time", ACTIONS),
    Metric("received", "count", "CALLs of the central system"),
    Metric("transactions", "count", "transactions begun"),
    Metric(
        "lost_transactions",
        "share",
        "transactions whose start or end was not acknowledged when all was over, those lost with a worker "
        "included",
    ),
    Metric(
        "doubled_transactions",
        "share",
        "transactions the central system has twice, or gave the number of another one of that station; "
        "with `--one-numbering` of any station",
    ),
    Metric("reconnects", "count", "connections that were not a station's first"),
    Metric("connect_failures", "count", "attempts to connect that failed"),
    Metric("lost_links", "count", "connections that the stations did not end themselves"),
    Metric("started", "share", "stations started, of those planned"),
    Metric("connected", "share", "stations connected when the end was called, of those planned"),
    Metric("booted", "share", "stations accepted when the end was called, of those planned"),
    Metric("charging", "share", "running transactions when the end was called, or per station planned"),
    Metric("power", "power", "what they charged with at that moment"),
    Metric("lag", "time", "how late the simulator's own event loop was at worst", real_time=True),
    Metric("bottleneck", "time", "for how long the simulator itself could not keep up", real_time=True),
    Metric("released_holds", "count", "how often a stepped clock went on without an answer"),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _METRICS}

OPERATORS = (">=", "<=", "==", "!=", ">", "<", "=")

_PERCENTILE = re.compile(r"p(\d{1,3}(?:\.\d{1,3})?)", re.ASCII)
_WORD = re.compile(r"[^\s()<>=!]+")
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?", re.ASCII)
_UNIT = re.compile(r"\S+(?:\s+\S+)*")


@dataclass(frozen=True, slots=True)
class Criterion:
    """The run fails if this is so."""

    text: str
    metric: Metric
    operator: str
    limit: float
    """In s, 1, 1/s or W; of 1 if it is a share."""
    argument: str | None = None
    percent: float | None = None
    """Which percentile."""
    is_share: bool = False

    @property
    def is_latency(self) -> bool:
        """About how fast the central system answers."""
        return self.metric.name in ("p95", "mean", "max")

    def met(self, value: float) -> bool:
        """True if the run fails with that value."""
        match self.operator:
            case ">":
                return value > self.limit
            case ">=":
                return value >= self.limit
            case "<":
                return value < self.limit
            case "<=":
                return value <= self.limit
            case "!=":
                return value != self.limit
        return value == self.limit


def parse(text: str) -> Criterion:
    """Read a criterion. Raises `ValueError` that tells where the mistake is and what could stand there."""
    return _Reader(text).criterion()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def criterion(self) -> Criterion:
        metric, percent = self._metric()
        argument = self._argument(metric)
        if metric.name == "bottleneck" and self._rest() == "":
            return Criterion(self._text.strip(), metric, ">", 0.0)
        operator = self._operator()
        limit, is_share = self._limit(metric)
        return Criterion(self._text.strip(), metric, operator, limit, argument, percent, is_share)

    def _metric(self) -> tuple[Metric, float | None]:
        word = self._take(_WORD)
        if word is None:
            self._fail(f"what is to be judged? there are {_all_metrics()}")
        found = _PERCENTILE.fullmatch(word.lower())
        if found is not None:
            percent = float(found[1])
            if not 0 < percent <= 100:
                self._fail(f"{word!r} is no percentile; they go from p1 to p100", back=word)
            return METRICS["p95"], percent
        metric = METRICS.get(word.lower())
        if metric is None:
            close = nearest(word, METRICS)
            hint = f"{close} " if close.startswith("did") else ""
            self._fail(f"{word!r} cannot be judged; {hint}there are {_all_metrics()}", back=word)
        return metric, None

    def _argument(self, metric: Metric) -> str | None:
        if not self._rest().startswith("("):
            return None
        if not metric.arguments:
            self._fail(f"{metric.name} has no parts; leave out the parentheses")
        self._at += 1
        word = self._take(_WORD)
        if word is None:
            self._fail(f"what of? write {metric.name} alone for all, or {_example(metric)}")
        known = {name.casefold(): name for name in metric.arguments}
        argument = known.get(word.casefold())
        if argument is None:
            noun = "action or kind of error" if metric.name == "errors" else "action of a station"
            self._fail(f"{word!r} is no {noun}; {nearest(word, sorted(metric.arguments))}", back=word)
        if not self._rest().startswith(")"):
            self._fail("a ) is missing")
        self._at += 1
        return argument

    def _operator(self) -> str:
        rest = self._rest()
        if not rest:
            self._fail("how much is too much? write for example > 0, all of it in quotes")
        for operator in OPERATORS:
            if rest.startswith(operator):
                self._at += len(operator)
                return "==" if operator == "=" else operator
        self._fail(f"a comparison is missing: {listed(OPERATORS[:-1])}")

    def _limit(self, metric: Metric) -> tuple[float, bool]:
        self._rest()
        at = self._at
        number = self._take(_NUMBER)
        if number is None:
            self._fail("a number is missing")
        self._rest()
        unit = self._take(_UNIT) or ""
        units = UNITS[metric.quantity]
        factor = {name.casefold(): factor for name, factor in units.items()}.get(unit.casefold())
        if factor is None and not unit and float(number) == 0:
            factor = 1.0
        if factor is None:
            self._at = at
            written = [f"{number}{name}" for name in units]
            self._fail(f"{number + unit!r}: {metric.name} is compared with {listed(written)}")
        return float(number) * factor, unit == "%"

    def _rest(self) -> str:
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._text[self._at :]

    def _take(self, what: re.Pattern[str]) -> str | None:
        self._rest()
        found = what.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0].rstrip()

    def _fail(self, problem: str, back: str = "") -> NoReturn:
        raise ValueError(f"{self._text!r}, at character {self._at - len(back) + 1}: {problem}")


def _all_metrics() -> str:
    names: Collection[str] = ["p50 .. p100" if name == "p95" else name for name in METRICS]
    return ", ".join(names)


def _example(metric: Metric) -> str:
    return f"{metric.name}(StartTransaction)"
