"""Many rounds at once, and the figures of all of them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.integration.campaign.moments import Moment
from tests.integration.campaign.rude import Outcome, Plan, play_round

AT_ONCE = 8
"""Rounds wait for time-outs most of the time."""

LOST = ("lost", "samples", "Wh went through")
DIFFERING = ("as another", "again:", "stored with", "was numbered")
STATUSES = ("went from",)


class Tally:
    """What the rounds so far brought."""

    def __init__(self) -> None:
        self.rounds = 0
        self.done: Counter[str] = Counter()
        self.moments: Counter[Moment] = Counter()
        self.boundaries: set[int] = set()  # frames of the canonical session at which something happened
        self.repeats = self.given_up = self.renumbered = 0
        self.wrong: dict[str, list[str]] = {}  # name of a round -> problems

    def add(self, name: str, plan: Plan, outcome: Outcome) -> None:
        """Count one round."""
        self.rounds += 1
        self.done.update({str(kind): n for kind, n in outcome.done.items()})
        self.done["power cut"] += len(outcome.moments)
        self.moments.update(outcome.moments)
        if name.startswith("frame"):
            self.boundaries.update(set(plan.frames) & set(outcome.reached))
        self.repeats += outcome.verdict.repeats
        self.given_up += outcome.verdict.given_up
        self.renumbered += outcome.verdict.renumbered
        if outcome.verdict.problems:
            self.wrong[name] = outcome.verdict.problems

    def problems(self, words: Iterable[str]) -> int:
        """How many problems speak of one of these."""
        said = [problem for problems in self.wrong.values() for problem in problems]
        return sum(any(word in problem for word in words) for problem in said)

    def table(self, frames: int) -> str:
        """All figures, for a person."""
        rows: list[tuple[str, int | str]] = [
            ("rounds", self.rounds),
            *sorted(self.done.items()),
            ("frame boundaries hit", f"{len(self.boundaries)} of {frames}"),
            *((f"power went {moment}", self.moments[moment]) for moment in Moment),
            ("lost", self.problems(LOST)),
            ("differing records", self.problems(DIFFERING)),
            ("illegal status pairs", self.problems(STATUSES)),
            ("rounds with any problem", len(self.wrong)),
            ("identical resends", self.repeats),
            ("sent again with a number known at last", self.renumbered),
            ("given up after all attempts", self.given_up),
        ]
        return "\n".join(f"  {name:<48} {figure}" for name, figure in rows)


async def play_all(
    folder: Path,
    plans: Iterable[tuple[str, Plan]],
    tally: Tally,
    progress: Callable[[str], None] = lambda line: None,
) -> None:
    """Play named rounds, some at once."""
    at_once = asyncio.Semaphore(AT_ONCE)
    began = time.monotonic()
    listed = list(plans)

    async def one(number: int, name: str, plan: Plan) -> None:
        async with at_once:
            outcome = await play_round(folder / str(number), plan)
            shutil.rmtree(folder / str(number))
        tally.add(name, plan, outcome)
        for problem in outcome.verdict.problems:
            progress(f"{name}: {problem}")
        if tally.rounds % 100 == 0:
            speed = tally.rounds / (time.monotonic() - began)
            progress(f"{tally.rounds} rounds, {speed:.1f} a second, {len(tally.wrong)} with a problem")

    await asyncio.gather(*(one(number, name, plan) for number, (name, plan) in enumerate(listed)))
