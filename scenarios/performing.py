"""Does the steps of a story, each at its station, and notes how each went."""

from __future__ import annotations

import asyncio
from collections import ChainMap
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chargepoint.actions import VERBS, ActionError
from chargepoint.durations import seconds
from chargepoint.quirks.line import QuirkyLine
from chargepoint.station import Station
from scenarios.absence import gone
from scenarios.adapter import Adapter, AdapterError
from scenarios.commanding import called, told
from scenarios.disturbing import Disturbing
from scenarios.expressions import ExpressionError, filled
from scenarios.faults import Disturbance
from scenarios.groups import Groups
from scenarios.knowledge import Branch, Knowledge, View
from scenarios.model import Scenario
from scenarios.payloads import as_text, call_payload
from scenarios.stage import Stage, StageError
from scenarios.step import STATION_VERBS, Csms, Send
from scenarios.verdict import Failed, Gone, Impossible, State, StepResult, Undone, Unsuited
from scenarios.watching import Watch
from scenarios.wording import step_text, written

__all__ = ["Teller"]


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
        self._knows = Knowledge(stage, variables, clock)
        self._watch = Watch(stage, self._knows)
        self._groups = Groups(scenario, stage, self._knows, self._watch, self._steps, self._result)
        self._disturbing = Disturbing(stage)
        self._lines: dict[str, QuirkyLine] = {}
        self._failures: list[Failed] = []  # of groups after which the story goes on
        self.results = [self._result(step, ("steps", n)) for n, step in enumerate(scenario.file.steps)]

    @property
    def always(self) -> dict[str, Any]:
        """The names that are known before it begins."""
        return self._knows.always(None)

    async def background(self) -> None:
        """What disturbs from the beginning on."""
        for disturbance in self._scenario.file.background:
            await self._disturb(disturbance, None)

    async def calm(self) -> None:
        """End every disturbance."""
        await self._disturbing.calm()

    async def story(self) -> None:
        """All steps. Raises `Failed`, `Undone`, `Unsuited` or `Impossible` at the first that goes wrong."""
        within = str(filled(self._scenario.file.within, self.always))
        try:
            within_s = seconds(within)
        except ValueError as error:
            raise Impossible(f"within: {error}") from None
        view = View(self._stage.clock.now())
        branch = Branch(None, ChainMap(self._knows.story), self._scenario.folder, view)
        self._knows.move_on(branch)
        view.looked = True
        telling = asyncio.ensure_future(self._steps(self._scenario.file.steps, self.results, branch))
        try:
            if await self._stage.ends_within(telling, within_s):
                await telling
            else:
                raise await self._out_of_time(within)
        except Gone:
            raise
        except (Failed, Undone, Unsuited):
            if not self._failures:  # what it goes back to is the first of them
                raise
        if self._failures:
            raise self._failures[0]

    async def _out_of_time(self, within: str) -> Failed:
        """The story's time is over: whatever was under way has failed. Raises `Gone`."""
        broken_off = list(_broken_off(self.results))
        innermost = [
            step for step in broken_off if all(inner.state is not State.BROKEN_OFF for inner in step.children)
        ]
        failed = Failed(f"the story took longer than {within}: it was at {_listed(innermost)}")
        for step in innermost:
            await self._blame_absence(step, failed)
            step.message = f"the story's {within} were over"
        for step in broken_off:
            step.state = State.FAILED
        return failed

    async def _steps(self, steps: Sequence[Any], results: list[StepResult], branch: Branch) -> None:
        for step, result in zip(steps, results, strict=True):
            await self._step(step, result, branch)

    def _result(self, step: Any, place: tuple[str | int, ...] = ()) -> StepResult:
        line = self._scenario.lines.get(place) if place else None
        return StepResult(step.kind, step_text(step), step.at, step.note, line)

    async def _step(self, step: Any, result: StepResult, branch: Branch) -> None:
        result.began_at = self._stage.clock.now()
        result.state = State.BROKEN_OFF
        try:
            if step.at is not None:
                result.at = str(filled(step.at, self._knows.scope(branch)))
                branch = replace(branch, at=result.at)
            result.text = step_text(step, self._knows.scope(branch))
            await self._do(step, result, branch)
            result.state = State.PASSED
        except Failed as failed:
            await self._blame_absence(result, failed)
            result.state = State.FAILED
            result.message = result.message or str(failed)
            if step.group is None or not step.group.goes_on:
                raise
            self._failures.append(failed)
        except Unsuited as unsuited:
            for inner in result.every():
                inner.state = State.LEFT_OUT if inner.state is State.NOT_RUN else inner.state
            result.state, result.message = State.LEFT_OUT, str(unsuited)
            if step.group is None or not step.group.goes_on:
                raise
        except Undone:
            result.state = State.ERROR
            raise
        except (Impossible, ExpressionError, StageError, AdapterError) as error:
            await self._blame_absence(result, error)
            result.state, result.message = State.ERROR, str(error)
            raise Undone(f"{result.text}: {error}") from error
        except (ValueError, TypeError) as error:  # a variable holds what does not fit where it stands
            result.state, result.message = State.ERROR, f"a value does not fit: {error}"
            raise Undone(f"{result.text}: {result.message}") from error
        finally:
            result.ended_at = self._stage.clock.now()

    async def _blame_absence(self, result: StepResult, error: Exception) -> None:
        """Where the central system is not there any more, that is what went wrong. Raises `Gone`."""
        if (away := await gone(self._stage)) is not None:
            result.state, result.message = State.ERROR, f"{error}; {away}"
            raise Gone(away) from error

    async def _do(self, step: Any, result: StepResult, branch: Branch) -> None:
        kind, of = step.kind, step.of
        if kind in STATION_VERBS:
            self._knows.move_on(branch)
            await self._verb(kind, of, branch)
        elif kind == "expect":
            await self._watch.expect(of, branch)
        elif kind == "expect_never":
            await self._watch.never(of, branch)
        elif kind == "wait":
            await self._watch.wait(of, branch)
        elif kind == "csms":
            self._knows.move_on(branch)
            await self._csms(of, branch)
        elif kind == "disturb":
            self._knows.move_on(branch)
            await self._disturb(of, self._knows.at(branch).station.identity)
            await self._stage.settle()
        elif kind == "start":
            self._knows.move_on(branch)
            await self._stage.power_up(self._knows.at(branch), "connected")
            await self._stage.settle()
        elif kind == "send":
            self._knows.move_on(branch)
            self._send(of, branch)
            await self._stage.settle()
        elif kind == "set":
            self._knows.note(of, branch)
        else:
            await self._groups.do(kind, step, result, branch)

    async def _verb(self, verb: str, arguments: Any, branch: Branch) -> None:
        scope = self._knows.scope(branch)
        command = {"cmd": verb}
        for name, given in written(arguments).items():
            value = filled(given, scope)
            command[name] = as_text(value) if VERBS[verb][name].kind is str else value
        try:
            reply = self._knows.at(branch).perform(command)
        except ActionError as error:
            raise Impossible(f"{verb}: {error}") from None
        if isinstance(reply, Awaitable):
            await reply
        await self._stage.settle()

    def _send(self, send: Send, branch: Branch) -> None:
        """A CALL that the station's own software knows nothing of; its answer is swallowed."""
        scope, station = self._knows.scope(branch), self._knows.at(branch).station
        if not station.online:
            raise Impossible(f"send: {station.identity} is not connected")
        action = str(filled(send.action, scope))
        self._line(station).call(action, call_payload(action, filled(send.payload, scope)))

    def _line(self, station: Station) -> QuirkyLine:
        """What says there what the station's own software does not, made when it is first needed."""
        if (line := self._lines.get(station.identity)) is None:
            # Not the seed of the station's own bad habits, whose message ids it would repeat.
            line = self._lines[station.identity] = QuirkyLine((), self._stage.seed + 1)
            station.tamper(line)
        return line

    async def _disturb(self, disturbance: Disturbance, at: str | None) -> None:
        """What is sent suffers as well: it comes in before the disturbance, which is nearer to the wire."""
        if self._scenario.sends:
            for identity, staged in self._stage.stations.items():
                if at in (None, identity):
                    self._line(staged.station)
        await self._disturbing.disturb(disturbance, at)

    async def _csms(self, of: Csms, branch: Branch) -> None:
        scope = self._knows.scope(branch)
        cp = self._knows.at(branch).station.identity
        if of.call is None:
            await told(self._stage.csms, of, cp, branch.at, scope)
        else:
            self._knows.newest = await called(self._stage, self._adapter, of, cp, scope)
            self._knows.assign(of.save, self._knows.newest["response"] or {}, branch)
        await self._stage.settle()


def _listed(steps: Sequence[StepResult]) -> str:
    """By line and text."""
    return " and ".join(f"{step.text} (line {step.line})" if step.line else step.text for step in steps)


def _broken_off(steps: Sequence[StepResult]) -> Iterator[StepResult]:
    """With the steps they are in; not those that an earlier failure broke off, in a group that went on."""
    for step in steps:
        if step.state is State.BROKEN_OFF:
            yield step
            yield from _broken_off(step.children)
