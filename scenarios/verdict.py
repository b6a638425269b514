"""How a scenario ended: the verdict, the tree of its steps with times, and what happened at each station."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from scenarios.history import History
from scenarios.oracle import Measured

__all__ = [
    "Failed",
    "Gone",
    "Impossible",
    "Outcome",
    "State",
    "StepResult",
    "Undone",
    "Unsuited",
    "Verdict",
]


class Verdict(Enum):
    """Of a whole scenario."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIPPED = "SKIPPED"
    ERROR = "ERROR"
    NOT_RUN = "NOT RUN"


class State(Enum):
    """Of one step. `LEFT_OUT`: the branch of an `if` that was not taken, or what this run cannot have."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    LEFT_OUT = "left out"
    NOT_RUN = "not run"
    BROKEN_OFF = "broken off"


@dataclass(slots=True)
class StepResult:
    """One step as it went; times are station time, None while it has not begun or ended."""

    kind: str
    text: str
    at: str | None = None
    note: str | None = None
    line: int | None = None
    state: State = State.NOT_RUN
    began_at: float | None = None
    ended_at: float | None = None
    message: str = ""
    children: list[StepResult] = field(default_factory=list)

    def every(self) -> Iterator[StepResult]:
        """It and all below it."""
        yield self
        for child in self.children:
            yield from child.every()


@dataclass(slots=True)
class Outcome:
    """What came of one scenario. `why` is empty for a PASS; times are station time but for `real_s`.

    `story_frames` says how many frames each station had at the end of the story; then it was tidied up.
    """

    name: str
    title: str
    verdict: Verdict
    why: str = ""
    steps: list[StepResult] = field(default_factory=list)
    stations: dict[str, History] = field(default_factory=dict)
    story_frames: dict[str, int] = field(default_factory=dict)
    began_at: float = 0.0
    ended_at: float = 0.0
    real_s: float = 0.0
    lost_s: float = 0.0
    seed: int = 0
    clock: str = "stepped"
    csms: str = "embedded"
    tags: tuple[str, ...] = ()
    description: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    site: Measured | None = None

    def every_step(self) -> Iterator[StepResult]:
        """All steps in the order of the story."""
        for step in self.steps:
            yield from step.every()

    @property
    def ran(self) -> int:
        """How many steps came to an end."""
        ended = (State.PASSED, State.FAILED, State.ERROR)
        return sum(step.state in ended for step in self.every_step())

    @property
    def worst(self) -> StepResult | None:
        """The innermost step that failed or could not be done."""
        wrong = [step for step in self.every_step() if step.state in (State.FAILED, State.ERROR)]
        return wrong[-1] if wrong else None


class Failed(Exception):
    """A condition did not come true: the scenario has failed."""


class Impossible(Exception):
    """A step cannot be done."""


class Unsuited(Exception):
    """This run cannot have what a step asks for: the scenario is skipped."""


class Undone(Exception):
    """The story broke off at a step that cannot be done; already noted there."""


class Gone(Undone):
    """The central system is not there any more: nothing can be said about it."""
