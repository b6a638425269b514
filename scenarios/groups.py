"""Does the steps that have steps: groups, rounds, branches beside each other, choices, included files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from scenarios.expressions import filled
from scenarios.knowledge import Branch, Knowledge
from scenarios.model import Scenario, fragment_of
from scenarios.stage import Stage
from scenarios.verdict import Failed, State, StepResult
from scenarios.watching import Watch
from scenarios.wording import step_text

__all__ = ["Groups"]


class Groups:
    """`steps` does the steps inside, `result_of` makes the place where it is noted how one went."""

    def __init__(
        self,
        scenario: Scenario,
        stage: Stage,
        knows: Knowledge,
        watch: Watch,
        steps: Callable[[Sequence[Any], list[StepResult], Branch], Awaitable[None]],
        result_of: Callable[[Any], StepResult],
    ) -> None:
        self._scenario = scenario
        self._stage = stage
        self._knows = knows
        self._watch = watch
        self._steps = steps
        self._result_of = result_of

    async def do(self, kind: str, step: Any, result: StepResult, branch: Branch) -> None:
        """One such step; its steps and how they went are put below `result`."""
        of = step.of
        if kind == "group":
            result.children = [self._result_of(inner) for inner in of.steps]
            await self._steps(of.steps, result.children, branch)
        elif kind == "repeat":
            await self._repeat(of, result, branch)
        elif kind == "parallel":
            await self._parallel(of, result, branch)
        elif kind == "if":
            await self._if(step, result, branch)
        else:
            await self._include(of, result, branch)

    async def _include(self, of: Any, result: StepResult, branch: Branch) -> None:
        fragment, folder = fragment_of(self._scenario, of, branch.folder)
        scope = self._knows.scope(branch)
        own = {name: filled(value, scope) for name, value in (*fragment.variables.items(), *of.with_.items())}
        inside = replace(branch, scope=branch.scope.new_child(own), folder=folder)
        result.children = [self._result_of(inner) for inner in fragment.steps]
        await self._steps(fragment.steps, result.children, inside)

    async def _repeat(self, of: Any, result: StepResult, branch: Branch) -> None:
        scope = self._knows.scope(branch)
        values: list[Any] = []
        name = of.as_
        if of.for_each is not None:
            name, written = next(iter(of.for_each.items()))
            values = filled(written, scope)
        rounds = len(values) if of.for_each is not None else int(filled(of.times or of.at_most, scope))
        for n in range(1, rounds + 1):
            turn = StepResult("round", f"round {n}", began_at=self._stage.clock.now(), state=State.BROKEN_OFF)
            result.children.append(turn)
            turn.children = [self._result_of(inner) for inner in of.steps]
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
            if of.until is not None and self._watch.is_true(of.until, branch):
                return
            await asyncio.sleep(0)  # rounds in which nothing waits: Ctrl-C and time-outs must be heard
        if of.until is not None:
            raise Failed(f"after {rounds} rounds there was still not {step_text(of.until, scope)}")

    async def _parallel(self, branches: Sequence[Any], result: StepResult, branch: Branch) -> None:
        """Each list of steps in a task of its own; each holds the clock, this one does not meanwhile.

        Who fails, or ends last, hands its hold on, so that no time passes before the story goes on.
        """
        clock = self._stage.clock
        under_way, handed_on = len(branches), 0
        result.children = [StepResult("branch", f"branch {n}") for n in range(1, len(branches) + 1)]

        async def one(steps: Sequence[Any], turn: StepResult) -> None:
            nonlocal under_way, handed_on
            turn.began_at, turn.state = clock.now(), State.BROKEN_OFF
            turn.children = [self._result_of(inner) for inner in steps]
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

    async def _if(self, step: Any, result: StepResult, branch: Branch) -> None:
        holds = self._watch.is_true(step.if_, branch)
        result.message = "true" if holds else "not true"
        steps = (step.then if holds else step.else_) or ()
        result.children = [self._result_of(inner) for inner in steps]
        await self._steps(steps, result.children, branch)
        for inner in (step.else_ if holds else step.then) or ():
            left_out = self._result_of(inner)
            left_out.state = State.LEFT_OUT
            result.children.append(left_out)
