"""Does the steps of a story, each at its station, and notes how each went."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from chargepoint.actions import VERBS, ActionError
from chargepoint.durations import seconds
from chargepoint.ocpp16.times import format_time, parse_time
from chargepoint.quirks.line import QuirkyLine
from scenarios.adapter import Adapter, AdapterError
from scenarios.checks import Check, Mark, Truth, check_for
from scenarios.commanding import called, told
from scenarios.condition import Condition, Never
from scenarios.expressions import ExpressionError, evaluate, filled, found
from scenarios.faults import BadDisturbance, Disturbance, Setting, Struck, Unsuitable
from scenarios.history import Event
from scenarios.model import Scenario, fragment_of
from scenarios.payloads import as_text, call_payload
from scenarios.stage import Stage, Staged, StageError
from scenarios.step import STATION_VERBS, Csms, Send, Wait
from scenarios.verdict import Failed, Impossible, State, StepResult, Undone, Unsuited
from scenarios.wording import step_text

__all__ = ["Teller"]

EXPECT_WITHIN = "10s"
WAIT_WITHIN = "10m"


@dataclass(slots=True)
class _View:
    """Since when a thread of the story looks at each station."""

    marks: dict[str, Mark] = field(default_factory=dict)
    looked: bool = True  # a condition was looked at since the mark

    def copy(self) -> _View:
        return _View(dict(self.marks), self.looked)


@dataclass(slots=True)
class _Branch:
    """Where one thread of the story is, what it knows, and what it looks at."""

    at: str | None
    scope: ChainMap[str, Any]
    folder: Path
    view: _View = field(default_factory=_View)


class Teller:
    """Tells one story on one stage; `results` is the tree of its steps, filled while it goes on."""

    def __init__(
        self,
        scenario: Scenario,
        stage: Stage,
        variables: Mapping[str, Any],
        adapter: Adapter | None,
        clock: str,
    ) -> None:
        self._scenario = scenario
        self._stage = stage
        self._adapter = adapter
        self._clock = clock
        self._story: dict[str, Any] = {}
        self._story = {name: filled(value, self.always(None)) for name, value in variables.items()}
        self._newest: dict[str, Any] = {}
        self._setting: Setting | None = None
        self._lines: dict[str, QuirkyLine] = {}
        self._failures: list[Failed] = []  # of groups after which the story goes on
        self.results = [self._result(step, ("steps", n)) for n, step in enumerate(scenario.file.steps)]

    def always(self, cp: str | None) -> dict[str, Any]:
        """The names that are always there, and the story's variables."""
        now, oracle = self._stage.clock.now(), self._stage.site
        return {
            **({} if oracle is None else {"site": oracle.numbers(now)}),
            "now": format_time(now),
            "now_s": now,
            "clock": self._clock,
            "seed": self._stage.seed,
            "cp": cp,
            **self._story,
        }

    # --- the story ----------------------------------------------------------------------------------

    async def background(self) -> None:
        """What disturbs from the beginning on."""
        for disturbance in self._scenario.file.background:
            await self.disturb(disturbance, None)

    async def story(self, within_s: float) -> None:
        """All steps. Raises `Failed` or `Undone` at the first that goes wrong."""
        branch = _Branch(None, ChainMap(self._story), self._scenario.folder)
        self._move_on(branch)
        branch.view.looked = True
        ends = self._stage.clock.now() + within_s
        try:
            await self._steps(self._scenario.file.steps, self.results, branch)
        except (Failed, Undone):
            if not self._failures:  # what it goes back to is the first of them
                raise
        if self._failures:
            raise self._failures[0]
        if self._stage.clock.now() > ends:
            raise Failed(f"the story took longer than {self._scenario.file.within}")

    async def _steps(self, steps: Sequence[Any], results: list[StepResult], branch: _Branch) -> None:
        for step, result in zip(steps, results, strict=True):
            await self._step(step, result, branch)

    def _result(self, step: Any, place: tuple[str | int, ...] = ()) -> StepResult:
        line = self._scenario.lines.get(place) if place else None
        return StepResult(step.kind, step_text(step), step.at, step.note, line)

    async def _step(self, step: Any, result: StepResult, branch: _Branch) -> None:
        result.began_at = self._stage.clock.now()
        if step.at is not None:
            branch = replace(branch, at=str(filled(step.at, self._scope(branch))))
        result.state = State.BROKEN_OFF
        try:
            result.text = step_text(step, self._scope(branch))
            await self._do(step, result, branch)
            result.state = State.PASSED
        except Failed as failed:
            result.state = State.FAILED
            result.message = result.message or str(failed)
            if step.group is None or not step.group.goes_on:
                raise
            self._failures.append(failed)
        except Undone:
            result.state = State.ERROR
            raise
        except (Impossible, ExpressionError, StageError, AdapterError) as error:
            result.state, result.message = State.ERROR, str(error)
            raise Undone(f"{result.text}: {error}") from error
        except (ValueError, TypeError) as error:  # a variable holds what does not fit where it stands
            result.state, result.message = State.ERROR, f"a value does not fit: {error}"
            raise Undone(f"{result.text}: {result.message}") from error
        finally:
            result.ended_at = self._stage.clock.now()

    async def _do(self, step: Any, result: StepResult, branch: _Branch) -> None:
        kind, of = step.kind, step.of
        if kind in STATION_VERBS:
            self._move_on(branch)
            await self._verb(kind, of, branch)
        elif kind == "expect":
            await self._condition(of, branch, EXPECT_WITHIN)
        elif kind == "expect_never":
            await self._never(of, branch)
        elif kind == "wait":
            await self._wait(of, branch)
        elif kind == "csms":
            self._move_on(branch)
            await self._csms(of, branch)
        elif kind == "disturb":
            self._move_on(branch)
            await self.disturb(of, self._at(branch).station.identity)
            await self._stage.settle()
        elif kind == "start":
            self._move_on(branch)
            await self._stage.power_up(self._at(branch), "connected")
            await self._stage.settle()
        elif kind == "send":
            self._move_on(branch)
            self._send(of, branch)
            await self._stage.settle()
        elif kind == "set":
            self._assign(of, self._newest, branch)
        else:
            await self._group(kind, step, result, branch)

    async def _group(self, kind: str, step: Any, result: StepResult, branch: _Branch) -> None:
        of = step.of
        if kind == "group":
            result.children = [self._result(inner) for inner in of.steps]
            await self._steps(of.steps, result.children, branch)
        elif kind == "repeat":
            await self._repeat(of, result, branch)
        elif kind == "parallel":
            await self._parallel(of, result, branch)
        elif kind == "if":
            await self._if(step, result, branch)
        else:
            fragment, folder = fragment_of(self._scenario, of, branch.folder)
            given = {name: filled(value, self._scope(branch)) for name, value in of.with_.items()}
            own = {name: filled(value, self._scope(branch)) for name, value in fragment.variables.items()}
            inner_branch = replace(branch, scope=branch.scope.new_child({**own, **given}), folder=folder)
            result.children = [self._result(inner) for inner in fragment.steps]
            await self._steps(fragment.steps, result.children, inner_branch)

    async def _repeat(self, of: Any, result: StepResult, branch: _Branch) -> None:
        scope = self._scope(branch)
        values: list[Any] = []
        name = of.as_
        if of.for_each is not None:
            name, written = next(iter(of.for_each.items()))
            values = filled(written, scope)
        rounds = len(values) if of.for_each is not None else int(filled(of.times or of.at_most, scope))
        for n in range(1, rounds + 1):
            turn = StepResult("round", f"round {n}", began_at=self._stage.clock.now(), state=State.BROKEN_OFF)
            result.children.append(turn)
            turn.children = [self._result(inner) for inner in of.steps]
            own = {"n": n, name: values[n - 1] if of.for_each is not None else n}
            inner_branch = replace(branch, scope=branch.scope.new_child(own))
            try:
                await self._steps(of.steps, turn.children, inner_branch)
                turn.state = State.PASSED
            except Failed:
                turn.state = State.FAILED
                raise
            finally:
                turn.ended_at = self._stage.clock.now()
            if of.until is not None and self._is_true(of.until, branch):
                return
        if of.until is not None:
            raise Failed(f"after {rounds} rounds there was still not {step_text(of.until, scope)}")

    async def _parallel(self, branches: Sequence[Any], result: StepResult, branch: _Branch) -> None:
        """Each list of steps in a task of its own; each holds the clock, this one does not meanwhile.

        Who fails, or ends last, hands its hold on, so that no time passes before the story goes on.
        """
        clock = self._stage.clock
        under_way, handed_on = len(branches), 0
        result.children = [StepResult("branch", f"branch {n}") for n in range(1, len(branches) + 1)]

        async def one(steps: Sequence[Any], turn: StepResult) -> None:
            nonlocal under_way, handed_on
            turn.began_at, turn.state = clock.now(), State.BROKEN_OFF
            turn.children = [self._result(inner) for inner in steps]
            own = replace(branch, view=branch.view.copy())
            try:
                await self._steps(steps, turn.children, own)
                turn.state = State.PASSED
            except Failed:
                turn.state = State.FAILED
                raise
            finally:
                turn.ended_at = clock.now()
                under_way -= 1
                if under_way and turn.state is State.PASSED:
                    clock.release()
                else:
                    handed_on += 1

        tasks = []
        for steps, turn in zip(branches, result.children, strict=True):
            clock.hold()
            tasks.append(asyncio.ensure_future(one(steps, turn)))
        clock.release()
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for _ in range(handed_on - 1):
                clock.release()
        branch.view.looked = True
        for outcome in ended:
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                raise outcome

    async def _if(self, step: Any, result: StepResult, branch: _Branch) -> None:
        holds = self._is_true(step.if_, branch)
        result.message = "true" if holds else "not true"
        steps = (step.then if holds else step.else_) or ()
        result.children = [self._result(inner) for inner in steps]
        await self._steps(steps, result.children, branch)
        for inner in (step.else_ if holds else step.then) or ():
            left_out = self._result(inner)
            left_out.state = State.LEFT_OUT
            result.children.append(left_out)

    # --- one step -----------------------------------------------------------------------------------

    def _at(self, branch: _Branch) -> Staged:
        return self._stage.staged(branch.at)

    def _scope(self, branch: _Branch) -> dict[str, Any]:
        cp = branch.at or next(iter(self._stage.stations), None)
        return {**self.always(cp), **branch.scope}

    def _move_on(self, branch: _Branch) -> None:
        """The story goes on: what a condition looks at begins here."""
        if branch.view.looked:
            branch.view.marks = {cp: Mark.of(staged) for cp, staged in self._stage.stations.items()}
            branch.view.looked = False

    async def _verb(self, verb: str, arguments: Any, branch: _Branch) -> None:
        scope = self._scope(branch)
        command = {"cmd": verb}
        for name in arguments.model_fields_set:
            value = filled(getattr(arguments, name), scope)
            command[name] = as_text(value) if VERBS[verb][name].kind is str else value
        try:
            reply = self._at(branch).actions.perform(command)
        except ActionError as error:
            raise Impossible(f"{verb}: {error}") from None
        if isinstance(reply, Awaitable):
            await reply
        await self._stage.settle()

    def _send(self, send: Send, branch: _Branch) -> None:
        """A CALL that the station's own software knows nothing of; its answer is swallowed."""
        scope, station = self._scope(branch), self._at(branch).station
        if not station.online:
            raise Impossible(f"send: {station.identity} is not connected")
        action = str(filled(send.action, scope))
        if (line := self._lines.get(station.identity)) is None:
            # Not the seed of the station's own bad habits, whose message ids it would repeat.
            line = self._lines[station.identity] = QuirkyLine((), self._stage.seed + 1)
            station.tamper(line)
        line.call(action, call_payload(action, filled(send.payload, scope)))

    async def _wait(self, wait: Wait, branch: _Branch) -> None:
        scope = self._scope(branch)
        if wait.for_ is not None:
            self._move_on(branch)
            await self._stage.sleep(seconds(str(filled(wait.for_, scope))))
        elif wait.until is not None:
            self._move_on(branch)
            until = _moment(str(filled(wait.until, scope)), wait.zone, self._stage.clock.now())
            if until < self._stage.clock.now():
                raise Impossible(
                    f"{format_time(until)} is over already: it is {format_time(self._stage.clock.now())}"
                )
            await self._stage.sleep(until - self._stage.clock.now())
        if wait.subject != "that" or wait.that is not None:
            await self._condition(wait, branch, WAIT_WITHIN)

    async def _condition(self, condition: Condition, branch: _Branch, usual: str) -> None:
        check = self._looking(condition, branch)
        within = str(filled(condition.within or usual, self._scope(branch)))
        truth = await self._true(check, within, patient=True)
        branch.view.looked = True
        if truth is None:
            raise Failed(self._told(condition, check, f"waited {within} for {check.text}", branch))
        truth.take()
        if truth.by:
            self._newest = truth.document
        self._assign(condition.save, self._newest, branch)

    async def _never(self, never: Never, branch: _Branch) -> None:
        check = self._looking(never, branch)
        watched = str(filled(never.for_, self._scope(branch)))
        truth = await self._true(check, watched)
        branch.view.looked = True
        if truth is not None:
            when = f" at {format_time(truth.by[-1].t)}" if truth.by else ""
            raise Failed(never.message or f"{check.text} must not happen, and did{when}")

    async def _true(self, check: Check, within: str, *, patient: bool = False) -> Truth | None:
        """The truth of a condition, if it comes in time; an expression that goes wrong ends the waiting."""
        wrong: list[ExpressionError] = []

        def look() -> Truth | None:
            try:
                return check()
            except ExpressionError as error:
                wrong.append(error)
                return Truth()

        truth = await self._stage.until(look, seconds(within), polled=check.polled, patient=patient)
        if wrong:
            raise wrong[0]
        return truth

    def _looking(self, condition: Condition, branch: _Branch) -> Check:
        staged = self._at(branch)
        mark = branch.view.marks.get(staged.history.cp, Mark())
        oracle = self._stage.site
        site = None if oracle is None else lambda: oracle.numbers(self._stage.clock.now())
        return check_for(condition, staged, self._scope(branch), mark, site)

    def _is_true(self, condition: Condition, branch: _Branch) -> bool:
        return self._looking(condition, branch)() is not None

    def _told(self, condition: Condition, check: Check, waited: str, branch: _Branch) -> str:
        instead = check.instead()
        text = waited + (f": {instead}" if instead else "")
        if condition.message is None:
            return text
        return f"{filled(condition.message, self._scope(branch))} ({text})"

    def _assign(self, paths: Mapping[str, str], document: Mapping[str, Any], branch: _Branch) -> None:
        for name, path in paths.items():
            scope = {**self._scope(branch), **document}
            value = evaluate(path[1:], scope) if path.startswith("=") else found(path, document)
            self._story[name] = value

    async def _csms(self, of: Csms, branch: _Branch) -> None:
        scope = self._scope(branch)
        cp = self._at(branch).station.identity
        if of.call is None:
            await told(self._stage.csms, of, cp, branch.at, scope)
        else:
            self._newest = await called(self._stage, self._adapter, of, cp, scope)
            self._assign(of.save, self._newest["response"] or {}, branch)
        await self._stage.settle()

    # --- disturbances -------------------------------------------------------------------------------

    async def disturb(self, disturbance: Disturbance, at: str | None) -> None:
        """A fault begins or ends, at one station or (None) at all. Raises `Unsuited`, `Impossible`."""
        if self._setting is None:
            stations = {cp: staged.station for cp, staged in self._stage.stations.items()}
            self._setting = Setting(stations, self._stage.csms, seed=self._stage.seed, on_struck=self._struck)
        try:
            await self._setting.apply(disturbance, at)
        except Unsuitable as error:
            raise Unsuited(str(error)) from None
        except BadDisturbance as error:
            raise Impossible(f"disturb: {error}") from None

    def _struck(self, struck: Struck) -> None:
        history = self._stage.stations[struck.station].history
        history.events.append(
            Event(
                struck.at,
                "disturbance",
                {"name": struck.name, "what": struck.what},
                at=self._stage.clock.now(),
            )
        )
        self._stage.poke()

    async def calm(self) -> None:
        """End every disturbance."""
        if self._setting is not None:
            await self._setting.close()


def _moment(text: str, zone: str, now: float) -> float:
    """The next time it is that late in that zone, or a date and time."""
    if "-" in text:
        return parse_time(text)
    place = ZoneInfo(zone)
    here = datetime.fromtimestamp(now, UTC).astimezone(place)
    hour, minute, *rest = (int(part) for part in text.split(":"))
    then = here.replace(hour=hour, minute=minute, second=rest[0] if rest else 0, microsecond=0, fold=0)
    if then.timestamp() <= now:
        then = (then.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=place)
    return then.timestamp()
