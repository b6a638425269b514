"""Plays a scenario: sets the stage, does its steps one after the other, and comes to a verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chargepoint.config import StationConfig
from chargepoint.csms.central_system import CentralSystem
from chargepoint.durations import moment
from chargepoint.errors import ConfigError, StoreError
from hal.clock import WallClock
from scenarios.adapter import Adapter
from scenarios.expressions import ExpressionError, filled
from scenarios.model import Scenario
from scenarios.performing import Teller
from scenarios.stage import ACCEPTED_WITHIN_S, DISTURBED_WITHIN_S, LINGER_S, Stage, StageError
from scenarios.traces import Traces
from scenarios.verdict import Failed, Impossible, Outcome, State, Undone, Unsuited, Verdict

__all__ = ["RunOptions", "new_outcome", "run"]

START = 1_767_225_600.0
"""When a story begins that does not say: 2026-01-01T00:00:00Z, the same each time."""

SAMPLES_EACH_S = 10.0
"""How often, in station time, the meters are noted for a report."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a scenario is to be run; None: as it says itself.

    `clock` is `stepped`, `wall` or a speed such as `x60`; `linger_s` is real time after each frame on a
    stepped clock (0 for the embedded central system, 20 ms for any other); `real_within_s` is how long it
    may take; `config` is what stations without a template begin with; `samples_each_s`: so often, in station
    time, the meters of what charges are noted for a report (less often in a long story); `traces`: where all
    that stations say, hear and do is recorded.
    """

    csms: str | None = None
    clock: str = "stepped"
    seed: int | None = None
    start: float | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    adapter: Adapter | None = None
    config: StationConfig | None = None
    linger_s: float | None = None
    real_within_s: float | None = None
    samples_each_s: float | None = None
    traces: Traces | None = None


def new_outcome(scenario: Scenario, options: RunOptions) -> Outcome:
    """What is known before it runs."""
    return Outcome(
        scenario.name,
        scenario.title,
        Verdict.NOT_RUN,
        seed=scenario.file.seed if options.seed is None else options.seed,
        clock=options.clock,
        csms=options.csms or "embedded",
        tags=scenario.file.tags,
        description=scenario.file.why,
    )


async def run(
    scenario: Scenario, options: RunOptions | None = None, outcome: Outcome | None = None
) -> Outcome:
    """Play one scenario to its end; whatever goes wrong is in the outcome.

    An `outcome` that was given is filled as it goes on, and tells what ran if this is cancelled.
    """
    options = options or RunOptions()
    began = time.monotonic()
    outcome = outcome or new_outcome(scenario, options)
    missing = _missing(scenario, options)
    if missing:
        outcome.verdict, outcome.why = Verdict.SKIPPED, missing
        return outcome
    try:
        async with asyncio.timeout(options.real_within_s):
            await _play(scenario, options, outcome)
    except TimeoutError:
        outcome.verdict, outcome.why = (
            Verdict.ERROR,
            f"took longer than {options.real_within_s:g} real seconds",
        )
    except asyncio.CancelledError:
        outcome.verdict, outcome.why = Verdict.NOT_RUN, "broken off"
        raise
    except Unsuited as error:
        outcome.verdict, outcome.why = Verdict.SKIPPED, str(error)
    except (Impossible, StageError, StoreError, ExpressionError) as error:
        outcome.verdict, outcome.why = Verdict.ERROR, str(error)
    except ConfigError as error:
        outcome.verdict, outcome.why = Verdict.ERROR, "; ".join(error.problems)
    finally:
        outcome.real_s = time.monotonic() - began
    return outcome


def _missing(scenario: Scenario, options: RunOptions) -> str:
    """What it needs and does not have."""
    own = options.csms is None
    there = {
        "own csms": own,
        "csms commands": own or options.adapter is not None,
        "stepped clock": options.clock == "stepped",
        "wall clock": options.clock == "wall",
    }
    remedies = {
        "own csms": "it needs the embedded central system: leave out --csms",
        "csms commands": "it needs a central system that takes commands: describe yours with --adapter",
        "stepped clock": "it needs --clock stepped",
        "wall clock": "it needs --clock wall",
    }
    return "; ".join(remedies[need] for need in scenario.needs if not there[need])


async def _play(scenario: Scenario, options: RunOptions, outcome: Outcome) -> None:
    file = scenario.file
    start = options.start
    if start is None and file.start is not None:
        start = moment(file.start)
    if start is None and options.csms is None:
        start = START  # no other clock is there to agree with
    linger_s = options.linger_s if options.linger_s is not None else 0.0 if options.csms is None else LINGER_S
    clock = Stage.make_clock(options.clock, start, linger_s)
    stage = Stage(
        clock,
        WallClock(),
        outcome.seed,
        url=options.csms or "",
        folder=scenario.folder,
        samples_each_s=options.samples_each_s,
    )
    outcome.began_at = outcome.ended_at = clock.now()
    if options.csms is None:
        stage.csms = CentralSystem(
            seed=outcome.seed,
            clock=clock,
            interval_s=file.csms.interval_s,
            passwords=file.csms.passwords,
            first_transaction_id=file.csms.first_transaction_id,
            quick=True,
        )
        stage.csms.on_withheld(stage.unanswered)
        await stage.csms.start()
        stage.url = stage.csms.url
    variables = {**file.variables, **options.variables}
    teller = Teller(scenario, stage, variables, options.adapter, options.clock)
    outcome.steps = teller.results
    try:
        for entry in file.stations:
            identity = str(filled(entry.id, teller.always))
            config = entry.config(identity, options.config, scenario.folder)
            traces = options.traces
            traced = None if traces is None else partial(traces.open, scenario.name, identity)
            staged = stage.add(config, traced)
            outcome.stations[identity] = staged.history
        if (site := file.site) is not None:
            stage.measure(site, filled(site.limit.always, teller.always))
        async with stage.playing():
            try:
                await _tell(scenario, stage, teller, outcome)
            finally:
                await teller.calm()
    finally:
        outcome.ended_at = clock.now()
        outcome.story_frames = {cp: len(history.frames) for cp, history in outcome.stations.items()}
        if stage.site is not None:
            outcome.site = stage.site.measured(outcome.ended_at)
            outcome.numbers |= {f"site.{name}": value for name, value in outcome.site.numbers.items()}
        outcome.lost_s = getattr(clock, "lost_s", 0.0)
        await asyncio.shield(stage.close(orderly=options.csms is not None))


async def _tell(scenario: Scenario, stage: Stage, teller: Teller, outcome: Outcome) -> None:
    """Switch on and tell the story; sets the verdict."""
    begin = scenario.file.begin
    await teller.background()
    if begin != "off":
        within_s = DISTURBED_WITHIN_S if scenario.file.background else ACCEPTED_WITHIN_S
        for staged in stage.stations.values():
            await stage.power_up(staged, begin, within_s)
        if begin != "powered":
            await stage.settle()
    try:
        await teller.story()
    except Failed as failed:
        outcome.verdict, outcome.why = Verdict.FAIL, str(failed)
        return
    except Undone as undone:
        outcome.verdict, outcome.why = Verdict.ERROR, str(undone)
        return
    never = [step for step in outcome.every_step() if step.state is State.NOT_RUN]
    if never:
        outcome.verdict, outcome.why = Verdict.ERROR, f"{never[0].text}: never ran"
        return
    outcome.verdict = Verdict.PASS
