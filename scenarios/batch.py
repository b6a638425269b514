"""Runs many scenarios, one after the other or several at a time in processes of their own."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

from chargepoint.errors import ConfigError
from scenarios.model import load
from scenarios.runner import RunOptions, new_outcome, run
from scenarios.verdict import Outcome, Verdict

__all__ = ["run_all"]

Told = Callable[[Outcome], None]
"""Hears of each outcome as soon as it is there."""


async def run_all(
    names: Sequence[str], options: RunOptions, *, jobs: int, fail_fast: bool, told: Told, stop: asyncio.Event
) -> list[Outcome]:
    """Every scenario's outcome, in the order of `names`; what `stop` or `fail_fast` left out is NOT RUN."""
    if jobs > 1:
        return await _beside(names, options, jobs, fail_fast, told, stop)
    outcomes: list[Outcome] = []
    for name in names:
        if stop.is_set() or (fail_fast and _wrong(outcomes)):
            outcome = not_run(name)
        else:
            outcome = await _one(name, options, stop)
        outcomes.append(outcome)
        told(outcome)
    return outcomes


def _wrong(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.verdict in (Verdict.FAIL, Verdict.ERROR) for outcome in outcomes)


async def _one(name: str, options: RunOptions, stop: asyncio.Event) -> Outcome:
    """One scenario, until its end or until `stop`."""
    try:
        scenario = load(name)
    except ConfigError as error:
        return mistaken(name, error)
    outcome = new_outcome(scenario, options)
    task = asyncio.ensure_future(run(scenario, options, outcome))
    stopped = asyncio.ensure_future(stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not task.done():
        task.cancel()
    (result,) = await asyncio.gather(task, return_exceptions=True)
    if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
        outcome.verdict, outcome.why = Verdict.ERROR, f"{type(result).__name__}: {result}"
    return outcome


def not_run(name: str) -> Outcome:
    """What was left out."""
    try:
        return new_outcome(load(name), RunOptions())
    except ConfigError as error:
        return mistaken(name, error)


def mistaken(name: str, error: ConfigError) -> Outcome:
    """A file with mistakes."""
    return Outcome(name, "", Verdict.ERROR, "\n".join(error.problems))


async def _beside(
    names: Sequence[str], options: RunOptions, jobs: int, fail_fast: bool, told: Told, stop: asyncio.Event
) -> list[Outcome]:
    """In processes; what is under way when it stops comes to its end."""
    context = multiprocessing.get_context("spawn")
    found: dict[str, Outcome] = {}
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(jobs, context, initializer=_ignore_interrupts) as pool:
        under_way: dict[asyncio.Future[Outcome], str] = {}
        waiting = list(names)
        stopped = asyncio.ensure_future(stop.wait())
        while waiting or under_way:
            if stop.is_set() or (fail_fast and _wrong(list(found.values()))):
                waiting = []
            while waiting and len(under_way) < jobs:
                name = waiting.pop(0)
                under_way[loop.run_in_executor(pool, _in_process, name, options)] = name
            if not under_way:
                break
            done, _ = await asyncio.wait(
                (*under_way, *(() if stopped.done() else (stopped,))), return_when=asyncio.FIRST_COMPLETED
            )
            for future in done:
                if future is stopped:
                    continue
                name = under_way.pop(future)
                error = future.exception()
                outcome = (
                    future.result()
                    if error is None
                    else Outcome(name, "", Verdict.ERROR, f"{type(error).__name__}: {error}")
                )
                assert isinstance(outcome, Outcome)
                found[name] = outcome
                told(outcome)
        stopped.cancel()
    outcomes = []
    for name in names:
        if name not in found:
            found[name] = not_run(name)
            told(found[name])
        outcomes.append(found[name])
    return outcomes


def _ignore_interrupts() -> None:
    """The parent hears Ctrl-C and decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_process(name: str, options: RunOptions) -> Outcome:
    return asyncio.run(_one(name, options, asyncio.Event()))
