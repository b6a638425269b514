"""What a story knows while it is told: its variables, what was seen last, and where each thread of it is."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chargepoint.ocpp16.times import format_time
from scenarios.checks import Mark
from scenarios.expressions import evaluate, filled, found
from scenarios.stage import Stage, Staged

__all__ = ["Branch", "Knowledge", "View"]

_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)
class View:
    """Since when a thread of the story looks at each station."""

    since: float
    marks: dict[str, Mark] = field(default_factory=dict)
    looked: bool = True  # a condition was looked at since the mark

    def copy(self) -> View:
        return View(self.since, dict(self.marks), self.looked)


@dataclass(slots=True)
class Branch:
    """Where one thread of the story is, what it knows, and what it looks at."""

    at: str | None
    scope: ChainMap[str, Any]
    folder: Path
    view: View


class Knowledge:
    """The variables of one story, and the exchange that a condition was met by last: `newest`."""

    def __init__(self, stage: Stage, variables: Mapping[str, Any], clock: str) -> None:
        self._stage = stage
        self._clock = clock
        self.began_at = stage.clock.now()
        self.story: dict[str, Any] = {}
        for name, value in variables.items():
            self.story[name] = filled(value, self.always(None))
        self.newest: dict[str, Any] = {}

    def always(self, cp: str | None) -> dict[str, Any]:
        """The names that are always there, and the story's variables."""
        now, oracle = self._stage.clock.now(), self._stage.site
        return {
            **({} if oracle is None else {"site": oracle.numbers(now)}),
            "now": format_time(now),
            "now_s": now,
            "began_s": self.began_at,
            "clock": self._clock,
            "seed": self._stage.seed,
            "cp": cp,
            **self.story,
        }

    def at(self, branch: Branch) -> Staged:
        """The station that a step there means. Raises `StageError`."""
        return self._stage.staged(branch.at)

    def scope(self, branch: Branch) -> dict[str, Any]:
        """All names that are known there."""
        cp = branch.at or next(iter(self._stage.stations), None)
        return {"since_s": branch.view.since, **self.always(cp), **branch.scope}

    def move_on(self, branch: Branch) -> None:
        """The story goes on: what a condition looks at begins here."""
        if branch.view.looked:
            branch.view.marks = {cp: Mark.of(staged) for cp, staged in self._stage.stations.items()}
            branch.view.since = self._stage.clock.now()
            branch.view.looked = False

    def note(self, paths: Mapping[str, str], branch: Branch) -> None:
        """The step `set`: by the exchange matched last, and by what the first connector shows now."""
        self.assign(paths, self.newest, branch, self.at(branch).status(1))

    def assign(
        self,
        paths: Mapping[str, str],
        document: Mapping[str, Any],
        branch: Branch,
        shown: Mapping[str, Any] = _NOTHING,
    ) -> None:
        """Give variables the values that paths find in `document`, or that expressions (after `=`) have.

        What neither there nor among the variables has that name may be among what is `shown`.
        """
        for name, path in paths.items():
            if path.startswith("="):
                value = evaluate(path[1:], {**shown, **self.scope(branch), **document})
            else:
                value = found(path, {**shown, **document})
            self.story[name] = value
