"""Runs many scenarios, one after the other or several at a time in processes of their own."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.synchronize import Event
from urllib.parse import urlsplit

from chargepoint.errors import ConfigError
from scenarios.model import load
from scenarios.runner import RunOptions, new_outcome, run
from scenarios.verdict import Outcome, Verdict

__all__ = ["run_all", "unreachable"]

_REACH_WITHIN_S = 5.0
_LOOKS_EACH_S = 0.2

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
            outcome = not_run(name, options)
        elif away := await _away(options, outcomes):
            outcome = not_run(name, options)
            outcome.verdict, outcome.why = Verdict.ERROR, away
        else:
            outcome = await _one(name, options, stop)
        outcomes.append(outcome)
        told(outcome)
    return outcomes


def _wrong(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.verdict in (Verdict.FAIL, Verdict.ERROR) for outcome in outcomes)


async def _away(options: RunOptions, outcomes: Sequence[Outcome]) -> str | None:
    """Whether nobody is at a foreign central system's address any more, after one that could not be run."""
    if options.csms is None or not outcomes or outcomes[-1].verdict is not Verdict.ERROR:
        return None
    return await asyncio.to_thread(unreachable, options.csms)


def unreachable(url: str) -> str | None:
    """Why nobody listens at a central system's address; None if somebody does."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    try:
        socket.create_connection((parts.hostname, port), _REACH_WITHIN_S).close()
    except OSError as error:
        return f"no central system at {url}: {error.strerror or error}"
    return None


async def _one(name: str, options: RunOptions, stop: asyncio.Event) -> Outcome:
    """One scenario, until its end or until `stop`."""
    try:
        scenario = load(name, given=options.variables)
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


def not_run(name: str, options: RunOptions) -> Outcome:
    """What was left out."""
    try:
        return new_outcome(load(name, given=options.variables), RunOptions())
    except ConfigError as error:
        return mistaken(name, error)


def mistaken(name: str, error: ConfigError) -> Outcome:
    """A file with mistakes."""
    return Outcome(name, "", Verdict.ERROR, "\n".join(error.problems))


async def _beside(
    names: Sequence[str], options: RunOptions, jobs: int, fail_fast: bool, told: Told, stop: asyncio.Event
) -> list[Outcome]:
    """In processes; what is under way comes to its end, but not after `stop`."""
    context = multiprocessing.get_context("spawn")
    stop_all = context.Event()
    found: dict[str, Outcome] = {}
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(jobs, context, initializer=_prepare, initargs=(stop_all,)) as pool:
        under_way: dict[asyncio.Future[Outcome], str] = {}
        waiting = list(names)
        stopped = asyncio.ensure_future(stop.wait())
        while waiting or under_way:
            if stop.is_set():
                stop_all.set()
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
            found[name] = not_run(name, options)
            told(found[name])
        outcomes.append(found[name])
    return outcomes


_stop_all: Event | None = None
"""In a process of several: set when all of them are to stop."""


def _prepare(stop_all: Event) -> None:
    """The parent hears Ctrl-C and decides."""
    global _stop_all
    _stop_all = stop_all
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _in_process(name: str, options: RunOptions) -> Outcome:
    return asyncio.run(_one_of_several(name, options))


async def _one_of_several(name: str, options: RunOptions) -> Outcome:
    stop = asyncio.Event()

    async def watch() -> None:
        while _stop_all is not None and not _stop_all.is_set():
            await asyncio.sleep(_LOOKS_EACH_S)
        stop.set()

    watching = asyncio.ensure_future(watch())
    try:
        return await _one(name, options, stop)
    finally:
        watching.cancel()
