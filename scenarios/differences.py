"""What was otherwise this time than in the recording, and whether it matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scenarios.recorded import Frame
from scenarios.remapping import TIMES_OF_THE_CSMS

__all__ = ["Difference", "Reply", "compare_answers", "compare_calls", "ignored"]

What = Literal[
    "value",  # a field has another value
    "missing_field",
    "new_field",
    "no_answer",  # there was one in the recording
    "answered",  # there was none in the recording
    "error_instead_of_result",
    "result_instead_of_error",
    "other_error",
    "missing_call",  # the central system did not ask this time
    "new_call",  # it did not ask in the recording
    "connection",
    "transaction_numbers",
]

_OTHER_NUMBER = "another number for the same transaction"
_OTHER_TIME = "moments are always different"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that was otherwise. `line` is that of the recording, 0 where it has none."""

    what: What
    action: str
    line: int
    at: float  # of this run, station time
    path: str = ""
    recorded: Any = None
    now: Any = None
    matters: bool = True
    why: str = ""

    def text(self) -> str:
        """For a person, without the line and the moment."""
        where = f"{self.action}.{self.path}" if self.path else self.action
        then, now = f"recorded was {_short(self.recorded)}", _short(self.now)
        words = {
            "no_answer": f"no answer; {then}",
            "answered": f"answered with {now}; in the recording there was no answer",
            "error_instead_of_result": f"refused with {now}; {then}",
            "result_instead_of_error": f"answered with {now}; {then}",
            "other_error": f"error {now}; {then}",
            "missing_field": f"is missing; {then}",
            "new_field": f"is new: {now}",
            "missing_call": f"the central system did not ask for it; {then}",
            "new_call": f"the central system asked for it, unlike in the recording: {now}",
            "connection": now,
            "transaction_numbers": now,
        }
        text = f"{where or 'connection'}: {words.get(self.what, f'{now}; {then}')}"
        return f"{text} ({self.why})" if self.why else text

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        fields = {
            "what": self.what,
            "matters": self.matters,
            "action": self.action,
            "line": abs(self.line),
            "path": self.path,
            "recorded": self.recorded,
            "now": self.now,
            "why": self.why,
        }
        return {name: value for name, value in fields.items() if value not in (None, "")} | {"at": self.at}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of this run: a result's payload, or the code of an error."""

    payload: Any = None
    error: str | None = None


def compare_answers(call: Frame, recorded: Frame | None, now: Reply | None, at: float) -> list[Difference]:
    """The answers to one CALL of the charge point, then and now; None: there was none."""
    action = call.action or "?"

    def one(what: What, **fields: Any) -> list[Difference]:
        return [Difference(what, action, call.line, at, **fields)]

    if recorded is None:
        if now is None:
            return []
        return one("answered", now=_shown(now), matters=False, why="the recording may end there")
    if now is None:
        return one("no_answer", recorded=_recorded(recorded))
    if recorded.kind == "CALLERROR":
        code = recorded.payload[0]
        if now.error is None:
            return one("result_instead_of_error", recorded=code, now=now.payload)
        return [] if now.error == code else one("other_error", recorded=code, now=now.error)
    if now.error is not None:
        return one("error_instead_of_result", recorded=recorded.payload, now=now.error)
    return [
        Difference(
            what,
            action,
            call.line,
            at,
            path,
            then,
            value,
            *_weight_of_answer(action, path, what, then, value),
        )
        for what, path, then, value in _walk(recorded.payload, now.payload, "")
    ]


def compare_calls(recorded: Frame, now: Any, at: float, transactions: Mapping[int, int]) -> list[Difference]:
    """A CALL of the central system, then and now; `transactions`: the number now for the one recorded."""
    action, differences = recorded.action or "?", []
    for what, path, then, value in _walk(_renumbered(recorded.payload, transactions), now, ""):
        matters, why = _weight(path, what)
        if why == _OTHER_NUMBER:
            matters, why = True, "that is another transaction"
        differences.append(Difference(what, action, recorded.line, at, path, then, value, matters, why))
    return differences


def _renumbered(value: Any, transactions: Mapping[int, int], name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _renumbered(item, transactions, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_renumbered(item, transactions) for item in value]
    return transactions.get(value, value) if name == "transactionId" and isinstance(value, int) else value


def ignored(difference: Difference, patterns: tuple[str, ...]) -> bool:
    """True if one of `Action`, `Action.path` or `*.path` names it."""
    where = f"{difference.action}.{difference.path}" if difference.path else difference.action
    anywhere = f"*.{difference.path}"
    return any(
        pattern in (where, anywhere, difference.action) or where.startswith(pattern + ".")
        for pattern in patterns
    )


def _walk(then: Any, now: Any, path: str) -> Iterator[tuple[What, str, Any, Any]]:
    """Every place at which two payloads differ."""
    if isinstance(then, dict) and isinstance(now, dict):
        for name in (*then, *(name for name in now if name not in then)):
            inner = f"{path}.{name}" if path else str(name)
            if name not in now:
                yield "missing_field", inner, then[name], None
            elif name not in then:
                yield "new_field", inner, None, now[name]
            else:
                yield from _walk(then[name], now[name], inner)
    elif isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        for number, (old, new) in enumerate(zip(then, now, strict=True)):
            yield from _walk(old, new, f"{path}[{number}]")
    elif then != now or isinstance(then, bool) != isinstance(now, bool):
        yield "value", path, then, now


def _weight_of_answer(action: str, path: str, what: What, then: Any, now: Any) -> tuple[bool, str]:
    """A stopped transaction is over: that its card is still good may be said or not (OCPP 1.6 §4.10)."""
    if action == "StopTransaction" and path == "idTagInfo" and what in ("missing_field", "new_field"):
        info = then if now is None else now
        if isinstance(info, dict) and info.get("status") == "Accepted":
            return False, "an accepted card need not be confirmed at the end"
    return _weight(path, what)


def _weight(path: str, what: What) -> tuple[bool, str]:
    """Whether a difference at this place matters, and why not."""
    name = path.rpartition(".")[2]
    if what == "value" and name == "transactionId":
        return False, _OTHER_NUMBER
    if what == "value" and name in TIMES_OF_THE_CSMS:
        return False, _OTHER_TIME
    return True, ""


def _recorded(frame: Frame) -> Any:
    return frame.payload[0] if frame.kind == "CALLERROR" else frame.payload


def _shown(reply: Reply) -> Any:
    return reply.payload if reply.error is None else reply.error


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 120 else text[:117] + "..."
