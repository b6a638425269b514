"""Looks whether a condition has come true, and says what was waited for and what there was instead."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chargepoint.ocpp16.schema import CP_TO_CSMS
from scenarios import expressions
from scenarios.condition import Condition, FrameWanted
from scenarios.expressions import ExpressionError, evaluate, filled
from scenarios.history import CSMS, STATION, Event, Exchange
from scenarios.matching import mismatch
from scenarios.stage import Staged
from scenarios.wording import sentence, written

__all__ = ["Check", "Mark", "Truth", "check_for", "sender_of"]

_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a station's history had come at some moment."""

    exchanges: int = 0
    statuses: int = 0
    events: int = 0

    @classmethod
    def of(cls, staged: Staged) -> Mark:
        """How far it has come now."""
        history = staged.history
        return cls(len(history.exchanges), len(history.statuses), len(history.events))


@dataclass(frozen=True, slots=True)
class Truth:
    """A condition has come true; by these exchanges or events, or by what is `shown` at that moment."""

    by: tuple[Exchange | Event, ...] = ()
    shown: Mapping[str, Any] = field(default_factory=dict)

    def take(self) -> None:
        """They answer for no other expectation."""
        for one in self.by:
            one.taken = True

    @property
    def document(self) -> dict[str, Any]:
        """The newest of them, for paths."""
        if not self.by:
            return dict(self.shown)
        newest = self.by[-1]
        if isinstance(newest, Exchange):
            return newest.document()
        return {"event": newest.name, "t": newest.t, **newest.fields}


class Check(ABC):
    """One condition at one station: call it for its truth, None as long as it is not true."""

    polled = False
    """It may become true without an event."""

    def __init__(self, text: str) -> None:
        self.text = text

    @abstractmethod
    def __call__(self) -> Truth | None:
        """What it is true by; None as long as it is not."""

    def instead(self) -> str:
        """What there is instead."""
        return ""


class _Calls(Check):
    """CALLs, each once."""

    def __init__(
        self, condition: Condition, staged: Staged, scope: Mapping[str, Any], mark: Mark, text: str
    ) -> None:
        super().__init__(text)
        self._staged = staged
        self._scope = scope
        self._action = str(filled(condition.frame, scope))
        self._sender = condition.from_ or sender_of(self._action)
        self._where = filled(condition.where, scope)
        self._answer = None if condition.answer is None else filled(condition.answer, scope)
        self._error = filled(condition.error, scope)
        self._path = condition.path
        self._that = condition.that
        self._waits_for_answer = (
            self._answer is not None
            or self._error != ""
            or any(path.lstrip("=").startswith(("response", "error")) for path in condition.save.values())
            or any("response" in (text or "") for text in (condition.path, condition.that))
        )
        self._times = int(filled(condition.times, scope))
        self._next = mark.exchanges
        self._open: list[Exchange] = []
        self._good: list[Exchange] = []
        self._others: list[str] = []
        self._nearly = ""

    def __call__(self) -> Truth | None:
        exchanges = self._staged.history.exchanges
        waiting, self._open = self._open, []
        for exchange in waiting:
            self._judge(exchange)
        while self._next < len(exchanges):
            exchange = exchanges[self._next]
            self._next += 1
            if exchange.action == self._action and exchange.sender == self._sender and not exchange.taken:
                self._judge(exchange)
            else:
                self._others.append(exchange.action)
        self._good = [exchange for exchange in self._good if not exchange.taken]
        return Truth(tuple(self._good[: self._times])) if len(self._good) >= self._times else None

    def against(self, exchange: Exchange) -> str | None:
        """Why that one alone is not what is wanted, empty for another message; None if it is."""
        if exchange.action != self._action or exchange.sender != self._sender:
            return ""
        if wrong := mismatch(self._where, exchange.request):
            return wrong
        if self._waits_for_answer and exchange.reply is None:
            return "without an answer yet"
        return self._rest(exchange)

    def _judge(self, exchange: Exchange) -> None:
        if exchange.taken:
            return
        if wrong := mismatch(self._where, exchange.request):
            self._nearly = wrong
        elif self._waits_for_answer and exchange.reply is None:
            self._nearly = "it was not answered"
            self._open.append(exchange)
        elif wrong := self._rest(exchange):
            self._nearly = wrong
        else:
            self._good.append(exchange)

    def _rest(self, exchange: Exchange) -> str | None:
        document = exchange.document()
        if self._answer is not None:
            if document["response"] is None:
                return f"it was answered by the CALLERROR {document['error']}"
            if wrong := mismatch(self._answer, document["response"]):
                return f"in the answer {wrong}"
        if self._error != "":
            if document["error"] is None:
                return "it was answered without a CALLERROR"
            if wrong := mismatch(self._error, document["error"], "the CALLERROR"):
                return wrong
        if self._path is not None and not expressions.found(self._path, document):
            return f"{self._path} finds nothing"
        if self._that is not None:
            fields = document["request"] if isinstance(document["request"], dict) else {}
            if not evaluate(self._that, {**self._scope, **fields, **document}):
                return f"{self._that} is not true of it"
        return None

    def instead(self) -> str:
        parts = []
        if self._good:
            parts.append(f"only {len(self._good)} of {self._times}")
        if self._nearly:
            parts.append(f"{self._action} came, but {self._nearly}")
        elif self._others:
            shown = list(dict.fromkeys(self._others))[:_SHOWN]
            parts.append(f"there came only {', '.join(shown)}")
        elif not self._good:
            parts.append("no frame came")
        return "; ".join(parts)


class _Sequence(Check):
    """CALLs in an order."""

    def __init__(
        self,
        wanted: tuple[FrameWanted, ...],
        exactly: bool,
        staged: Staged,
        scope: Mapping[str, Any],
        mark: Mark,
        text: str,
    ) -> None:
        super().__init__(text)
        self._staged = staged
        self._from = mark.exchanges
        self._exactly = exactly
        self._wanted = [
            _Calls(
                Condition.model_validate({"frame": one.frame, **_written(one)}),
                staged,
                scope,
                mark,
                one.frame,
            )
            for one in wanted
        ]
        self._reached = 0
        self._nearly = ""

    def __call__(self) -> Truth | None:
        met: list[Exchange] = []
        self._nearly = ""
        for exchange in self._staged.history.exchanges[self._from :]:
            wanted = self._wanted[len(met)]
            if exchange.taken:
                continue
            if (wrong := wanted.against(exchange)) is None:
                met.append(exchange)
                self._nearly = ""
            else:
                if wrong and not self._nearly:
                    self._nearly = f"{exchange.action} came, but {wrong}; "
                if self._exactly and met:
                    met = []
            if len(met) == len(self._wanted):
                return Truth(tuple(met))
        self._reached = len(met)
        return None

    def instead(self) -> str:
        came = [exchange.action for exchange in self._staged.history.exchanges[self._from :]]
        shown = ", ".join(came[-12:]) or "no frame came"
        return f"it came as far as {self._reached} of them: {self._nearly}{shown}"


def _written(one: FrameWanted) -> dict[str, Any]:
    return {key: value for key, value in written(one).items() if key != "frame"}


class _Statuses(Check):
    """The statuses a connector went through."""

    def __init__(
        self, wanted: list[str], exactly: bool, connector: int, staged: Staged, mark: Mark, text: str
    ) -> None:
        super().__init__(text)
        self._wanted = wanted
        self._exactly = exactly
        self._connector = connector
        self._staged = staged
        self._from = mark.statuses

    def _went(self) -> list[str]:
        seen = self._staged.history.statuses[self._from :]
        return [status.status for status in seen if status.connector == self._connector]

    def __call__(self) -> Truth | None:
        went = self._went()
        rest = iter(went)
        met = went == self._wanted if self._exactly else all(status in rest for status in self._wanted)
        return Truth(shown=self._staged.status(self._connector)) if met else None

    def instead(self) -> str:
        return f"it went through {', '.join(self._went()) or 'no other status'}"


class _State(Check):
    """What a person would see at the station now."""

    polled = True

    def __init__(
        self,
        wanted: Mapping[str, Any],
        that: str | None,
        connector: int,
        staged: Staged,
        scope: Mapping[str, Any],
        text: str,
    ) -> None:
        super().__init__(text)
        self._wanted = wanted
        self._that = that
        self._connector = connector
        self._staged = staged
        self._scope = scope
        self._shown: dict[str, Any] = {}

    def __call__(self) -> Truth | None:
        self._shown = self._staged.status(self._connector)
        if mismatch(self._wanted, self._shown) is not None:
            return None
        if self._that is not None and not evaluate(self._that, {**self._scope, **self._shown}):
            return None
        return Truth(shown=self._shown)

    def instead(self) -> str:
        wrong = mismatch(self._wanted, self._shown)
        if wrong or self._that is None:
            return wrong or ""
        names = [name for name in self._shown if name in self._that]
        return ", ".join(f"{name} is {self._shown[name]}" for name in names)


class _Events(Check):
    """An event of the control protocol."""

    def __init__(
        self,
        name: str,
        where: Any,
        times: int,
        staged: Staged,
        scope: Mapping[str, Any],
        that: str | None,
        mark: Mark,
        text: str,
    ) -> None:
        super().__init__(text)
        self._name, self._where, self._that, self._scope = name, where, that, scope
        self._times = times
        self._staged = staged
        self._next = mark.events
        self._good: list[Event] = []
        self._nearly = ""

    def __call__(self) -> Truth | None:
        events = self._staged.history.events
        while self._next < len(events):
            event = events[self._next]
            self._next += 1
            if event.name != self._name or event.taken:
                continue
            if wrong := mismatch(self._where, event.fields):
                self._nearly = wrong
            elif self._that is not None and not evaluate(self._that, {**self._scope, **event.fields}):
                self._nearly = f"{self._that} is not true of it"
            else:
                self._good.append(event)
        return Truth(tuple(self._good[: self._times])) if len(self._good) >= self._times else None

    def instead(self) -> str:
        return f"it came, but {self._nearly}" if self._nearly else "it did not come"


class _Site(Check):
    """What was measured at the site up to now."""

    polled = True

    def __init__(
        self,
        wanted: Mapping[str, Any],
        that: tuple[str, ...],
        scope: Mapping[str, Any],
        site: Site,
        text: str,
    ) -> None:
        super().__init__(text)
        self._wanted, self._that, self._scope, self._site = wanted, that, scope, site
        self._shown: dict[str, Any] = {}

    def __call__(self) -> Truth | None:
        self._shown = self._site()
        if mismatch(self._wanted, self._shown) is not None:
            return None
        met = all(evaluate(that, {**self._scope, **self._shown}) for that in self._that)
        return Truth(shown=self._shown) if met else None

    def instead(self) -> str:
        every = " ".join((*self._that, *self._wanted))
        named = re.findall(r"\w+", every)
        return ", ".join(f"{name} is {value}" for name, value in self._shown.items() if name in named)


Site = Callable[[], dict[str, Any]]
"""The figures of the site up to now."""


def check_for(
    condition: Condition, staged: Staged, scope: Mapping[str, Any], mark: Mark, site: Site | None = None
) -> Check:
    """The check of a condition, its variables filled in. Raises `ExpressionError`."""
    text = sentence(condition, scope)
    connector = _connector(condition, scope)
    if condition.since == "start":
        mark = Mark()
        scope = {**scope, "since_s": scope.get("began_s")}
    subject = condition.subject
    if subject == "frame":
        return _Calls(condition, staged, scope, mark, text)
    if subject == "frames":
        return _Sequence(condition.frames or (), condition.exactly, staged, scope, mark, text)
    if subject == "event":
        return _Events(
            str(filled(condition.event, scope)),
            filled(condition.where, scope),
            int(filled(condition.times, scope)),
            staged,
            scope,
            condition.that,
            mark,
            text,
        )
    if subject == "status" and not isinstance(condition.status, str):
        wanted = [str(filled(word, scope)) for word in condition.status or ()]
        return _Statuses(wanted, condition.exactly, connector, staged, mark, text)
    if condition.site is not None:
        if site is None:
            raise ExpressionError("the scenario has no `site` that could be measured")
        figures = {
            key: filled(value, scope) for key, value in written(condition.site).items() if key != "that"
        }
        that = tuple(text for text in (condition.site.that, condition.that) if text is not None)
        return _Site(figures, that, scope, site, text)
    return _State(_state_wanted(condition, scope), condition.that, connector, staged, scope, text)


def _state_wanted(condition: Condition, scope: Mapping[str, Any]) -> dict[str, Any]:
    subject = condition.subject
    if subject in ("energy_wh", "soc_percent"):
        name = "session_wh" if subject == "energy_wh" else subject
        return {name: f">= {filled(getattr(condition, subject), scope)}"}
    if subject in ("limit", "meter"):
        part = getattr(condition, subject)
        return {key: filled(value, scope) for key, value in written(part).items() if key != "connector"}
    if subject in ("status", "online"):
        return {subject: filled(getattr(condition, subject), scope)}
    return {}


def _connector(condition: Condition, scope: Mapping[str, Any]) -> int:
    inner = condition.limit or condition.meter
    written = condition.connector if condition.connector is not None else inner and inner.connector
    return 1 if written is None else int(filled(written, scope))


def sender_of(action: str) -> str:
    """Who calls that action; DataTransfer counts as the station's."""
    return STATION if action in CP_TO_CSMS else CSMS
